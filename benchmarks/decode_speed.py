"""Decoding, timed against JoeyNMT and CTranslate2 in one run on the same sentence lengths.

    python -m benchmarks.peers.install           once
    python -m benchmarks.decode_speed            everything, about 10 minutes on two quiet cores
    python -m benchmarks.decode_speed --quick    length 15, batches of 1 and 64, two minutes

Everybody writes exactly as many units as it reads: this project with an LSTM of the same shape as JoeyNMT's
(random weights, as theirs) in each of its compute modes, JoeyNMT's LSTM, and CTranslate2's int8 Transformer
base, with a vocabulary of 32,000 and with this project's. They take turns in every cell of the table, several
rounds, and the medians of the rounds are compared; `ratio` is the other's time over this project's in its
default mode. The shipped model is timed too, one sentence of twelve words through `Translator`. Results: JSON,
Markdown and SVG in benchmarks/results.
"""

from __future__ import annotations

import argparse
import itertools
import os
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Any, Protocol

import torch
from tqdm import tqdm

from benchmarks import peaks, plot, report
from benchmarks.models import Work, endless, joeynmt_shape, parallel_shape
from benchmarks.peers.install import FOLDER
from benchmarks.peers.process import COMMANDS, Peer, PeerError
from nmt.config import EOS
from nmt.errors import ConfigError
from nmt.model import Seq2Seq
from nmt.runtime import runtime_for
from nmt.search import SearchOptions, Sentence, translate_all
from nmt.translator import Translator

PARALLEL = "parallel"
"""The project's default wiring in the same widths, in its default mode."""

MODES = ("default", "reference", "float16", "int8")
SENTENCE = "The old man walks slowly along the river with his small dog."
REST = {"ctranslate2": 0.3, "ctranslate2-8k": 0.3}
"""Seconds to wait after a system whose threads go on spinning for a while (OpenMP's block time)."""


class Contender(Protocol):
    """Whatever can be timed in a cell of the table."""

    def seconds(
        self, *, batch: int, length: int, beam: int, warm: bool, least_seconds: float, most_calls: int
    ) -> float:
        """Median seconds of one call: `batch` sentences of `length` units, as many units out."""
        ...


class Ours:
    """This project, in one compute mode."""

    def __init__(self, model: Seq2Seq, mode: str) -> None:
        self.runtime = runtime_for(model, mode, "cpu")
        self.vocabulary = model.config.source_vocabulary

    def seconds(
        self, *, batch: int, length: int, beam: int, warm: bool, least_seconds: float, most_calls: int
    ) -> float:
        """As `Contender` says; from source ids to hypotheses with scores and attention."""
        ids = torch.randint(EOS + 1, self.vocabulary, (batch, length - 1)).tolist()
        sources = [[*row, EOS] for row in ids]
        options = SearchOptions(beam_size=beam)

        def call() -> None:
            sentences = [Sentence(source=source, limit=length, options=options) for source in sources]
            translate_all(self.runtime, sentences)
            hypotheses = sentences[0].hypotheses
            assert hypotheses is not None, sentences[0].error
            assert len(hypotheses[0].tokens) == length

        if warm:
            call()
        return report.timed(call, least_seconds=least_seconds, most_calls=most_calls)


def race(
    contenders: dict[str, Contender], cells: Sequence[tuple[int, int, int]], rounds: int, least_seconds: float
) -> dict[tuple[int, int, int], dict[str, list[float]]]:
    """Let everybody run in every cell (beam, length, batch), `rounds` times, taking turns at going first."""
    times: dict[tuple[int, int, int], dict[str, list[float]]] = {cell: {n: [] for n in contenders} for cell in cells}
    order = list(contenders)
    with tqdm(total=rounds * len(cells) * len(order), desc="decoding") as bar:
        for turn, cell in itertools.product(range(rounds), cells):
            beam, length, batch = cell
            for name in order[turn % len(order) :] + order[: turn % len(order)]:
                known = times[cell][name]
                # caches are cold after the others, which a long call does not notice
                warm = not known or known[-1] < 0.2
                bar.set_postfix_str(f"{name}, beam {beam}, {length} units, batch {batch}")
                seconds = contenders[name].seconds(
                    batch=batch, length=length, beam=beam, warm=warm, least_seconds=least_seconds, most_calls=20
                )
                known.append(seconds)
                time.sleep(REST.get(name, 0.02))
                bar.update()
    return times


def shipped(model: str, modes: Sequence[str], rounds: int) -> dict[str, Any]:
    """Milliseconds of one twelve-word sentence through `Translator`, greedy and beam 5, in every mode."""
    translators = usable(modes, lambda mode: Translator.load(model, device="cpu", compute=mode))
    modes = list(translators)
    calls: dict[tuple[str, int], Callable[[], object]] = {}
    for mode, beam in itertools.product(modes, (1, 5)):
        options = SearchOptions(beam_size=beam)
        calls[mode, beam] = partial(translators[mode].translate, [SENTENCE], options=options)
    times: dict[tuple[str, int], list[float]] = {key: [] for key in calls}
    for _ in tqdm(range(rounds), desc=model):
        for key, call in calls.items():
            call()
            times[key] += [report.timed(call, most_calls=1) for _ in range(10)]
    first = translators[modes[0]]
    answer = first.translate([SENTENCE], options=SearchOptions(beam_size=1))[0]
    return {
        "model": f"{first.bundle.name} {first.bundle.version}",
        "sentence": SENTENCE,
        "translation": answer.text,
        "source_units": len(answer.sentences[0].hypotheses[0].subwords.source),
        "target_units": len(answer.sentences[0].hypotheses[0].subwords.target),
        "weights": Work.of(first.bundle.model()).step_weights,
        "milliseconds": {
            mode: {str(beam): 1e3 * report.median(times[mode, beam]) for beam in (1, 5)} for mode in modes
        },
    }


def usable(modes: Sequence[str], build: Callable[[str], object]) -> dict[str, Any]:
    """What `build` makes of each mode; a mode that this machine does not have is left out, aloud."""
    made: dict[str, Any] = {}
    for mode in modes:
        try:
            made[mode] = build(mode)
        except ConfigError as error:
            print(f"left out: {error}")
    return made


def lines_of(result: dict[str, Any]) -> list[list[object]]:
    """The rows of the table: milliseconds of everybody, ratios, floor."""
    rows: list[list[object]] = []
    for cell in result["cells"]:
        ours = cell["milliseconds"]["default"]
        rows.append(
            [
                *(cell["beam"], cell["length"], cell["batch"]),
                *(cell["milliseconds"][name] for name in result["ours"]),
                cell["batch"] / ours * 1e3,
                *itertools.chain.from_iterable(
                    (cell["milliseconds"][peer], cell["ratio"][peer], cell["ratio_parallel"][peer])
                    for peer in result["peers"]
                ),
                cell["floor_ms"],
                ours / cell["floor_ms"],
            ]
        )
    return rows


def page(result: dict[str, Any]) -> str:
    """The result for people."""
    header = ["beam", "units", "batch", *(f"{mode} ms" for mode in result["ours"]), "sentences/s"]
    for peer in result["peers"]:
        header += [f"{peer} ms", "ratio", "parallel"]
    header += ["floor ms", "times floor"]
    parts = [
        "# Decoding speed",
        "Random weights, as many units out as in, medians of "
        f"{result['rounds']} rounds in which all took turns; threads: {result['machine']['threads']}. `ratio`: the "
        "time to its left over that of this project's default mode with the same shape; `parallel`: over that of "
        "its default wiring in the same widths (one decoder layer more). sentences/s is the first's. The floor is "
        "the larger of bytes over bandwidth and operations over peak, in fp32, as measured in the same run.",
        report.table(header, lines_of(result)),
    ]
    if "shipped" in result:
        found = result["shipped"]
        rows = [[mode, *times.values(), times["5"] / times["1"]] for mode, times in found["milliseconds"].items()]
        parts += [
            f"## {found['model']}, one sentence of twelve words\n\n“{found['sentence']}” "
            f"({found['source_units']} units) → “{found['translation']}” ({found['target_units']} units), the whole "
            f"call of `Translator`. Reading the decoder's {found['weights']:,} weights once a step takes "
            f"{found['floor_ms']:.2f} ms in fp32.",
            report.table(["mode", "greedy ms", "beam 5 ms", "beam 5 / greedy"], rows),
        ]
    facts = result["peaks"]
    parts.append(
        f"Measured peaks: fp32 product {facts['fp32_gflops']:.0f} GFLOP/s, bf16 {facts['bf16_gflops']:.3g}; reading "
        f"{facts['bytes_read'] / 1e6:.0f} MB again and again {facts['read_gb_per_s']:.1f} GB/s."
    )
    return "\n\n".join(parts)


def drawing(result: dict[str, Any]) -> str:
    """Throughput by batch, and time by sentence length, at both beams."""
    panels: list[plot.Panel] = []
    names = ["default", PARALLEL, *result["peers"]]
    middle = sorted({cell["length"] for cell in result["cells"]})
    length = 15 if 15 in middle else middle[len(middle) // 2]
    for beam in sorted({cell["beam"] for cell in result["cells"]}):
        cells = [cell for cell in result["cells"] if cell["beam"] == beam]
        kind = "greedy" if beam == 1 else f"beam {beam}"
        by_batch = {
            _called(name): [
                (cell["batch"], cell["batch"] / cell["milliseconds"][name] * 1e3)
                for cell in cells
                if cell["length"] == length
            ]
            for name in names
        }
        panels.append(plot.Panel(f"{kind}, {length} units", "batch", "sentences a second", by_batch, True, True))
        least = min(cell["batch"] for cell in cells)
        by_length = {
            _called(name): [(cell["length"], cell["milliseconds"][name]) for cell in cells if cell["batch"] == least]
            for name in names
        }
        panels.append(plot.Panel(f"{kind}, batch of {least}", "units in and out", "milliseconds", by_length))
    return plot.chart("Decoding speed", panels, f"{result['machine']['cpu']}, threads: {result['machine']['threads']}")


def _called(name: str) -> str:
    return {
        "default": "Interlinear, LSTM of JoeyNMT's shape",
        PARALLEL: "Interlinear, default wiring",
        "joeynmt": "JoeyNMT, LSTM",
        "ctranslate2": "CTranslate2, int8 Transformer base",
        "ctranslate2-8k": "the same with 8,000 entries",
    }.get(name, name)


def run(options: argparse.Namespace) -> dict[str, Any]:
    """Measure; the figures as plain values."""
    torch.set_num_threads(options.threads)
    model = endless(joeynmt_shape(options.vocabulary))
    ours = usable(options.modes, lambda mode: Ours(model, mode))
    ours[PARALLEL] = Ours(endless(parallel_shape(options.vocabulary)), "default")
    cells = [(beam, length, batch) for beam in options.beams for length in options.lengths for batch in options.batches]
    result: dict[str, Any] = {"machine": report.machine(), "rounds": options.rounds, "ours": list(ours)}
    result["runtimes"] = {mode: type(contender.runtime).__name__ for mode, contender in ours.items()}
    with ExitStack() as stack:
        peers: dict[str, Peer] = {}
        for name in options.peers:
            peer = Peer(name, threads=options.threads, vocabulary=options.vocabulary, folder=options.environments)
            peers[name] = stack.enter_context(peer)
        result["peers"] = {name: peer.about for name, peer in peers.items()}
        times = race({**ours, **peers}, cells, options.rounds, options.least_seconds)
    work = Work.of(model)
    size = 4 * work.step_weights
    bandwidth, peak = peaks.read_bandwidth(size), peaks.matrix_peak(torch.float32)
    result["peaks"] = {
        "fp32_gflops": peak / 1e9,
        "bf16_gflops": peaks.matrix_peak(torch.bfloat16) / 1e9,
        "read_gb_per_s": bandwidth / 1e9,
        "bytes_read": size,
    }
    result["parameters"] = sum(p.numel() for p in model.parameters())
    result["cells"] = []
    for beam, length, batch in cells:
        medians = {name: report.median(seen) for name, seen in times[beam, length, batch].items()}
        floor, bound = work.floor(batch=batch, beam=beam, length=length, width=4, bandwidth=bandwidth, peak=peak)
        result["cells"].append(
            {
                **{"beam": beam, "length": length, "batch": batch},
                "milliseconds": {name: 1e3 * seconds for name, seconds in medians.items()},
                "ratio": {peer: medians[peer] / medians["default"] for peer in peers},
                "ratio_parallel": {peer: medians[peer] / medians[PARALLEL] for peer in peers},
                "floor_ms": 1e3 * floor,
                "bound_by": bound,
                "rounds_ms": {n: [1e3 * s for s in seen] for n, seen in times[beam, length, batch].items()},
            }
        )
    if options.model:
        result["shipped"] = shipped(options.model, options.modes, options.rounds)
        read = 4 * result["shipped"]["weights"] * result["shipped"]["target_units"]
        result["shipped"]["floor_ms"] = 1e3 * read / bandwidth
    return result


def parser() -> argparse.ArgumentParser:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="batches 1 and 64, length 15, three rounds")
    parser.add_argument("--batches", type=int, nargs="+", default=[1, 8, 64, 256])
    parser.add_argument("--beams", type=int, nargs="+", default=[1, 5])
    parser.add_argument("--lengths", type=int, nargs="+", default=[5, 15, 40], help="units with end of sentence")
    parser.add_argument("--rounds", type=int, default=5, help="how often everybody has a turn (default 5)")
    parser.add_argument("--least-seconds", type=float, default=0.2, help="calls of a turn fill this (default 0.2)")
    parser.add_argument("--modes", nargs="+", default=list(MODES), help="compute modes; default must be among them")
    parser.add_argument(
        "--peers", nargs="*", default=list(COMMANDS), choices=list(COMMANDS), help="which others; --peers alone: none"
    )
    parser.add_argument("--environments", type=Path, default=FOLDER, help=f"where the peers are (default {FOLDER})")
    parser.add_argument("--vocabulary", type=int, default=8000, help="of the two LSTMs (default 8000)")
    parser.add_argument("--threads", type=int, default=os.cpu_count(), help="for everybody (default: all cores)")
    parser.add_argument("--model", default="models/en-fr", help="the shipped model; '' leaves it out")
    parser.add_argument("--output", type=Path, default=report.RESULTS, help="folder for the result")
    return parser


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure, print, write."""
    command = parser()
    options = command.parse_args(arguments)
    if options.quick:
        options.batches, options.lengths, options.rounds = [1, 64], [15], 3
    if "default" not in options.modes:
        command.error("--modes must hold default: it is what the others are compared with")
    try:
        result = run(options)
    except PeerError as error:
        command.error(str(error))
    text = page(result)
    print(text)
    written = report.write("decode-speed", result, text, folder=options.output)
    picture = written[0].with_suffix(".svg")
    picture.write_text(drawing(result), "utf-8")
    print("\n".join(map(str, [*written, picture])))


if __name__ == "__main__":
    main()
