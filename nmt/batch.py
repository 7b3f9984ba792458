"""Sentences of token ids -> padded tensors and masks. Shapes: B batch, S source, T target length."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from nmt.config import BOS, EOS, PAD


def pad(sentences: Sequence[Sequence[int]], device: torch.device | str = "cpu") -> Tensor:
    """Pad on the right with `PAD`, shape (B, longest), int64."""
    width = max((len(ids) for ids in sentences), default=0)
    rows = [list(ids) + [PAD] * (width - len(ids)) for ids in sentences]
    return torch.tensor(rows, dtype=torch.int64, device=device)


@dataclass(frozen=True, slots=True)
class Batch:
    """Sentence pairs, ready for teacher forcing.

    Attributes:
        source: Source ids with EOS, shape (B, S).
        target_in: BOS and the target ids, shape (B, T).
        target_out: The target ids and EOS, shape (B, T).
        links: Which source units a target unit is linked to, bool, shape (B, T, S); None without guidance.
    """

    source: Tensor
    target_in: Tensor
    target_out: Tensor
    links: Tensor | None = None

    @classmethod
    def of(
        cls, source: Sequence[Sequence[int]], target: Sequence[Sequence[int]], device: torch.device | str = "cpu"
    ) -> Batch:
        """Build from ids without BOS and EOS."""
        return cls(
            pad([[*ids, EOS] for ids in source], device),
            pad([[BOS, *ids] for ids in target], device),
            pad([[*ids, EOS] for ids in target], device),
        )
