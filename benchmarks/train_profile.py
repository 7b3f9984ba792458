"""Where the time of one update of training goes on the CPU, beside the least that its arithmetic could take.

    python -m benchmarks.train_profile [--threads 1] [--updates 6] [--precision bf16]

The shape and the batch are those of `benchmarks.train_speed` (4,096 target units, vocabulary 8,000, 512 wide, the
default wiring), on random sentences without padding. Updates and matrix products take turns, and time is the
processor's, not the clock's, so that other work on the machine disturbs little. The floor is six operations for each
weight that multiplies and each unit, at the rate of a matrix product of 1,024 in that precision.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
from torch.profiler import ProfilerActivity, profile

from benchmarks import report
from benchmarks.models import parallel_shape
from nmt.batch import Batch
from nmt.config import EOS
from nmt.model import Seq2Seq
from training.config import Precision, TrainingConfig
from training.loss import TrainingModel
from training.optimizer import MasterAdam

KINDS = {
    "LSTM kernel, forward": ("aten::mkldnn_rnn_layer",),
    "LSTM kernel, backward": ("aten::mkldnn_rnn_layer_backward",),
    "matrix products": ("aten::mm", "aten::addmm", "aten::bmm", "aten::addmm_"),
    "random numbers": ("aten::bernoulli_",),
    "optimizer": ("aten::_fused_adam_", "aten::lerp_", "aten::linalg_vector_norm", "aten::_foreach_lerp_"),
}
OTHER = "everything else"
DTYPES: dict[Precision, torch.dtype] = {"fp32": torch.float32, "bf16": torch.bfloat16}
PARTS = ("forward and loss", "backward", "optimizer")


def shares(events: Sequence[tuple[str, float]]) -> dict[str, float]:
    """The share of each kind of work in operators' own times, which sum to 1."""
    total = sum(spent for _, spent in events)
    found = {
        kind: sum(spent for name, spent in events if name in names) / max(total, 1e-9) for kind, names in KINDS.items()
    }
    return found | {OTHER: 1 - sum(found.values())}


def cpu_seconds(call: Callable[[], object]) -> float:
    """Processor seconds of one call, all threads together."""
    began = time.process_time()
    call()
    return time.process_time() - began


class Update:
    """One whole update, again and again, with the processor time of its parts."""

    def __init__(self, rows: int, length: int, vocabulary: int, precision: str) -> None:
        torch.manual_seed(0)
        config = parallel_shape(vocabulary)
        model = Seq2Seq(config).to(DTYPES[precision]).train()
        self.training = TrainingModel(model, smoothing=0.1)
        self.optimizer = MasterAdam(model, TrainingConfig(precision=precision))
        ids = torch.randint(EOS + 1, vocabulary, (rows, length - 1)).tolist()
        self.batch = Batch.of(ids, ids[::-1])
        self.tokens = rows * length
        weights = sum(p.numel() for p in model.parameters() if p.dim() == 2)
        self.operations = 6 * weights * self.tokens  # the tied table multiplies once, at the output
        self.spent = dict.fromkeys(PARTS, 0.0)
        self.count = 0

    def __call__(self) -> None:
        """Forward, backward, step."""
        losses: list[Any] = []
        steps: tuple[Callable[[], object], ...] = (
            lambda: losses.append(self.training(self.batch)[0]),
            lambda: (losses[0] / self.tokens).backward(),
            lambda: self.optimizer.step(self.count),
        )
        for part, call in zip(PARTS, steps, strict=True):
            self.spent[part] += cpu_seconds(call)
        self.count += 1


def measure(
    *, updates: int, rows: int = 148, length: int = 28, vocabulary: int = 8000, precision: Precision = "fp32"
) -> dict[str, Any]:
    """The figures as plain values."""
    size = 1024
    a, b = (torch.randn(size, size, dtype=DTYPES[precision]) for _ in range(2))
    update = Update(rows, length, vocabulary, precision)
    update()
    update.spent, update.count = dict.fromkeys(PARTS, 0.0), 0
    peaks = []
    for _ in range(updates):
        update()
        peaks.append(2 * size**3 * 10 / cpu_seconds(lambda: [torch.mm(a, b) for _ in range(10)]))
    parts = {part: spent / updates for part, spent in update.spent.items()}
    with profile(activities=[ProfilerActivity.CPU]) as seen:
        update()
    events = [(str(event.key), float(event.self_cpu_time_total)) for event in seen.key_averages()]
    seconds = sum(parts.values())
    peak = report.median(peaks)
    return {
        "machine": report.machine(),
        "precision": precision,
        "tokens": update.tokens,
        "cpu_seconds": seconds,
        "tokens_per_cpu_second": update.tokens / seconds,
        "parts": parts,
        "shares": shares(events),
        "product_gflops": peak / 1e9,
        "floor_seconds": update.operations / peak,
        "share_of_floor": update.operations / peak / seconds,
    }


def page(result: dict[str, Any]) -> str:
    """The result for people."""
    seconds = result["cpu_seconds"]
    return "\n\n".join(
        [
            "# Where an update of training spends its time",
            f"{result['tokens']:,} target units in {seconds:.2f} seconds of processor time, "
            f"{result['tokens_per_cpu_second']:,.0f} a second, in {result['precision']}. "
            "Its arithmetic at the rate of a matrix product, "
            f"{result['product_gflops']:.0f} GFLOP/s, would take {result['floor_seconds']:.2f} s: "
            f"{result['share_of_floor']:.0%} of it.",
            report.table(["part", "ms"], [[name, 1e3 * spent] for name, spent in result["parts"].items()]),
            report.table(
                ["kind of work", "share", "ms"], [[k, s, 1e3 * s * seconds] for k, s in result["shares"].items()]
            ),
        ]
    )


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure, print, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--threads", type=int, default=1, help="CPU threads (default 1)")
    parser.add_argument("--precision", choices=list(DTYPES), default="fp32", help="default fp32")
    parser.add_argument("--updates", type=int, default=6, help="timed (default 6)")
    parser.add_argument("--output", type=Path, default=report.RESULTS, help="folder for the result")
    options = parser.parse_args(arguments)
    torch.set_num_threads(options.threads)
    result = measure(updates=options.updates, precision=options.precision)
    text = page(result)
    print(text)
    print("\n".join(map(str, report.write(f"train-profile-{options.precision}", result, text, folder=options.output))))


if __name__ == "__main__":
    main()
