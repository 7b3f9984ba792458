"""Decoding and training on one GPU: captured graphs, bf16, the 4 x 1024 GNMT shape, random weights.

    python -m benchmarks.gpu              one command on a machine with a GPU; with the project installed
    python -m benchmarks.gpu --device cpu --quick    the same code on a CPU, tiny, to see that it runs

Runs the GPU tests of `tests/nmt/test_cuda.py`, then times batch 1 greedy over 25 units and batches of 512 greedy
and with beam 5, in fp32 and bf16, with graphs and without, and writes tokens a second (units of the best
hypotheses) beside the figures that NVIDIA gives for its GNMT on an A100 (119,700 greedy, 47,000 beam 5). Then it trains
that shape in bf16 on batches of several sizes; NVIDIA's 141,000 tokens/s on an A100 are source and target tokens
together, as its training loop counts them. `benchmarks.recipe_search` trains a whole search on a GPU.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from benchmarks import gpu_training, peaks, report
from benchmarks.models import Work, endless, gnmt_shape
from nmt.config import EOS
from nmt.cuda import GraphModel, cuda_graphs
from nmt.model import DecodingModel
from nmt.search import RunningSet, SearchOptions, Sentence

CASES = ((1, 1, 25), (512, 1, 25), (512, 5, 25))
GOALS = {(1, 1): "25 units in 10 ms", (512, 1): "240,000 units/s", (512, 5): "100,000 units/s"}


def decode(model: DecodingModel, *, batch: int, beam: int, length: int, vocabulary: int) -> None:
    """Translate `batch` sentences of `length` random units into as many units, all together."""
    ids = torch.randint(EOS + 1, vocabulary, (batch, length - 1)).tolist()
    options = SearchOptions(beam_size=beam)
    asked = [Sentence(source=[*row, EOS], limit=length, options=options) for row in ids]
    running = RunningSet(model, max_rows=batch * beam, max_units=batch * length)
    running.admit(asked)
    while len(running):
        running.step()
    for sentence in running.finished():
        assert sentence.hypotheses is not None, sentence.error
        assert len(sentence.hypotheses[0].tokens) == length


def step_seconds(model: DecodingModel, *, batch: int, beam: int, length: int, vocabulary: int) -> float:
    """Seconds of one step of the model alone, without the search."""
    source = torch.randint(EOS + 1, vocabulary, (batch, length), device=model.device)
    state = model.start(model.encode(source))
    state = state.select(torch.arange(batch, device=model.device).repeat_interleave(beam))
    tokens = torch.full((batch * beam,), EOS + 1, device=model.device)

    def steps() -> None:
        after = state
        for _ in range(10):
            after = model.step(tokens, after).state
        _wait(model.device)

    steps()
    return report.timed(steps, least_seconds=0.3) / 10


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize()


def tests() -> dict[str, Any]:
    """What pytest says of the GPU tests; no conftest is read, which would want packages that are not needed here."""
    path = Path(__file__).parents[1] / "tests" / "nmt" / "test_cuda.py"
    command = [sys.executable, "-m", "pytest", "-q", "-c", "/dev/null", "--noconftest", "--rootdir", str(path.parent)]
    command += ["-p", "no:cacheprovider", str(path)]
    done = subprocess.run(command, capture_output=True, text=True, cwd=Path(__file__).parents[1])
    print(done.stdout[-3000:], done.stderr[-2000:])
    lines = [line for line in done.stdout.splitlines() if line.strip()]
    return {"status": done.returncode, "summary": lines[-1] if lines else ""}


def measure(options: argparse.Namespace) -> dict[str, Any]:
    """All cases in all ways; the figures as plain values."""
    config = gnmt_shape()
    cases: Sequence[tuple[int, int, int]] = CASES
    if options.quick:
        narrow = replace(config, source_vocabulary=1000, target_vocabulary=1000, embedding_size=64)
        config = replace(narrow, encoder_size=32, decoder_size=64)
        cases = ((1, 1, 5), (8, 5, 5))
    model = endless(config)
    work = Work.of(model)
    cuda = options.device != "cpu"
    result: dict[str, Any] = {
        "machine": report.machine(device=torch.cuda.get_device_name(options.device) if cuda else "cpu"),
        "parameters": sum(p.numel() for p in model.parameters()),
        "peaks": {
            "bf16": peaks.matrix_peak(torch.bfloat16, 8192 if cuda else 256, options.device) / 1e12,
            "fp32": peaks.matrix_peak(torch.float32, 8192 if cuda else 256, options.device) / 1e12,
            "read_gb_per_s": peaks.read_bandwidth(2**31 if cuda else 2**24, options.device) / 1e9,
        },
        "cases": [],
    }
    ways = [("bf16", torch.bfloat16, True), ("bf16", torch.bfloat16, False), ("fp32", torch.float32, True)]
    for name, dtype, graphs in ways:
        capture = cuda_graphs() if graphs and cuda else None
        runtime = GraphModel(model, device=options.device, dtype=dtype, capture=capture)
        for batch, beam, length in cases:
            shape = {"batch": batch, "beam": beam, "length": length, "vocabulary": config.target_vocabulary}
            decode(runtime, **shape)  # captures what it needs

            def once(runtime: DecodingModel = runtime, shape: dict[str, int] = shape) -> None:
                decode(runtime, **shape)
                _wait(runtime.device)

            rounds = [report.timed(once, least_seconds=0.5) for _ in range(options.rounds)]
            seconds = report.median(rounds)
            floor, bound = work.floor(
                batch=batch,
                beam=beam,
                length=length,
                width=2 if dtype == torch.bfloat16 else 4,
                bandwidth=result["peaks"]["read_gb_per_s"] * 1e9,
                peak=result["peaks"][name] * 1e12,
            )
            case = {
                "precision": name,
                "graphs": "yes" if graphs else "no",
                **{"batch": batch, "beam": beam, "length": length},
                "milliseconds": 1e3 * seconds,
                "tokens_per_second": batch * length / seconds,
                "step_ms": 1e3 * step_seconds(runtime, **shape),
                "floor_ms": 1e3 * floor,
                "bound_by": bound,
            }
            print(case, flush=True)
            result["cases"].append(case)
        del runtime
    peak = result["peaks"]["bf16"] * 1e12
    if options.quick:
        trained = gpu_training.measure(config, device=options.device, peak=peak, sentences=(4,), length=6, updates=3)
    else:
        trained = gpu_training.measure(config, device=options.device, peak=peak)
    result["training"] = trained
    return result


def page(result: dict[str, Any]) -> str:
    """The result for people."""
    columns = (
        "precision",
        "graphs",
        "batch",
        "beam",
        "length",
        "milliseconds",
        "tokens_per_second",
        "step_ms",
        "floor_ms",
    )
    rows = [[*(case[c] for c in columns), GOALS.get((case["batch"], case["beam"]), "")] for case in result["cases"]]
    header = [
        "precision",
        "graphs",
        "batch",
        "beam",
        "units",
        "ms",
        "units/s",
        "ms of a step alone",
        "floor ms",
        "goal",
    ]
    found = result.get("tests", {"summary": "not run"})
    return "\n\n".join(
        [
            f"# Decoding and training on a GPU: {result['machine']['device']}",
            f"{result['parameters']:,} parameters, random weights, as many units out as in. A step alone is the model "
            f"without the search. Peaks of a product: bf16 {result['peaks']['bf16']:.3g} TFLOP/s, fp32 "
            f"{result['peaks']['fp32']:.3g}; reading memory {result['peaks']['read_gb_per_s']:.0f} GB/s. NVIDIA's GNMT "
            f"on an A100: 119,700 units/s greedy, 47,000 with beam 5. Tests: {found['summary']}.",
            report.table(header, rows),
            "Training in bf16 with fp32 masters, whole updates on random sentences without padding. NVIDIA's GNMT on "
            "an A100: 141,000 tokens/s of both sides together.",
            report.table(
                ["sentences", "units", "ms", "target tokens/s", "tokens/s, both sides", "share of the peak", "GB"],
                [list(row.values()) for row in result["training"]],
            ),
        ]
    )


def main(arguments: Sequence[str] | None = None) -> None:
    """Test, measure, print, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", default="cuda", help="cuda, cuda:N, or cpu to try the program (default cuda)")
    parser.add_argument("--quick", action="store_true", help="a tiny model and batch")
    parser.add_argument("--rounds", type=int, default=5, help="medians of so many (default 5)")
    parser.add_argument("--skip-tests", action="store_true", help="only measure")
    parser.add_argument("--output", type=Path, default=report.RESULTS, help="folder for the result")
    options = parser.parse_args(arguments)
    if options.device != "cpu" and not torch.cuda.is_available():
        parser.error("this machine has no GPU that torch can use; --device cpu --quick tries the program without")
    found = None if options.skip_tests else tests()
    result = measure(options)
    if found is not None:
        result["tests"] = found
    text = page(result)
    print(text)
    gpu = result["machine"]["device"] if options.device != "cpu" else None
    print("\n".join(map(str, report.write("gpu", result, text, folder=options.output, gpu=gpu))))
    if found is not None and found["status"]:
        sys.exit("the GPU tests failed; see above")


if __name__ == "__main__":
    main()
