"""Forced decoding in one teacher-forced pass: a second way to the scores that the search finds step by step."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from nmt.batch import Batch
from nmt.config import PAD
from nmt.model import Seq2Seq


@dataclass(frozen=True, slots=True)
class Forced:
    """One given pair, scored.

    Attributes:
        token_scores: Natural-log probability of every target unit, EOS last, (T,).
        attention: Shape (T, S), both sides with EOS; None without attention.
    """

    token_scores: NDArray[np.float32]
    attention: NDArray[np.float32] | None


@torch.inference_mode()
def score(model: Seq2Seq, batch: Batch) -> list[Forced]:
    """Token probabilities and attention of given pairs, in one teacher-forced pass.

    Args:
        model: In evaluation mode.
        batch: B pairs.
    """
    unrolled = model(batch)
    log_probabilities = model.decoder.output(unrolled.features).float().log_softmax(dim=-1)
    chosen = log_probabilities.gather(2, batch.target_out[:, :, None])[:, :, 0]  # (B, T)
    sources = (batch.source != PAD).sum(dim=1).tolist()
    targets = (batch.target_out != PAD).sum(dim=1).tolist()
    return [
        Forced(
            chosen[b, :t].cpu().numpy(),
            None if unrolled.weights is None else unrolled.weights[b, :t, :s].cpu().numpy(),
        )
        for b, (s, t) in enumerate(zip(sources, targets, strict=True))
    ]
