"""Training on a GPU, timed: whole updates (forward, loss, backward, clipping, Adam, average) on random sentences.

Called by `benchmarks.gpu`. Reading and encoding text is left out: training does that in a thread meanwhile.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

import torch

from nmt.batch import Batch
from nmt.config import EOS, ModelConfig
from nmt.model import Seq2Seq
from training.config import TrainingConfig
from training.loss import TrainingModel
from training.optimizer import MasterAdam

SENTENCES = (128, 512, 1024, 2048)
LENGTH = 27
"""Units of a side, EOS included: the mean of WMT's English-German pairs is about that."""

UPDATES = 20


def measure(
    config: ModelConfig,
    *,
    device: str,
    peak: float,
    sentences: Sequence[int] = SENTENCES,
    length: int = LENGTH,
    updates: int = UPDATES,
) -> list[dict[str, Any]]:
    """One row for each batch size, in bf16 with fp32 masters; the last one that memory holds ends the list.

    Args:
        config: Of the model.
        device: `cuda`, `cuda:N` or `cpu`.
        peak: Operations a second of a bf16 product, measured.
        sentences: In a batch.
        length: Units of each side, EOS included.
        updates: Timed, after three that are not.
    """
    rows = []
    for count in sentences:
        try:
            rows.append(_rate(config, device, count, length, updates, peak))
        except torch.OutOfMemoryError:
            print(f"a batch of {count} sentences does not fit", flush=True)
            break
        print(rows[-1], flush=True)
    return rows


def _rate(config: ModelConfig, device: str, count: int, length: int, updates: int, peak: float) -> dict[str, Any]:
    torch.manual_seed(0)
    model = Seq2Seq(config).to(device, torch.bfloat16).train()
    training = TrainingModel(model, smoothing=0.1)
    optimizer = MasterAdam(model, TrainingConfig(precision="bf16", learning_rate=1e-3, warmup=5, max_updates=10_000))
    ids = torch.randint(EOS + 1, config.target_vocabulary, (count, length - 1)).tolist()
    batch = Batch.of(ids, ids[::-1], device)
    tokens = batch.target_out.numel()
    losses: list[float] = []
    began = 0.0
    for update in range(3 + updates):
        if update == 3:
            began = time.perf_counter()
        loss, likelihood, _ = training(batch)
        (loss / tokens).backward()
        losses.append(float(likelihood) / tokens)
        optimizer.step(update)  # reads the gradient norm, and so waits for the GPU
    if device != "cpu":
        torch.cuda.synchronize()
    seconds = (time.perf_counter() - began) / updates
    assert losses[-1] < losses[0], "the loss of one batch, seen again and again, did not fall"
    embedded = config.source_vocabulary * config.embedding_size  # tied: the table is multiplied once, at the output
    weights = sum(p.numel() for p in model.parameters()) - (0 if config.tying == "three_way" else embedded)
    return {
        "sentences": count,
        "units": length,
        "ms": 1e3 * seconds,
        "target_tokens_per_second": tokens / seconds,
        "tokens_per_second": 2 * tokens / seconds,
        "share_of_peak": 6 * weights * tokens / seconds / peak,
        "memory_gb": torch.cuda.max_memory_allocated() / 1e9 if device != "cpu" else None,
    }
