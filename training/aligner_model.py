"""The aligner while it learns: `nmt.aligner` with gradients, and its loss.

Shapes: B batch, S source length, T target length, EOS included; N either; D width, E embedding, V vocabulary.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional

from nmt.aligner import SCALE, WIDTH, WINDOW
from nmt.config import PAD

DROPOUT = 0.1


class _Side(nn.Module):
    """`nmt.aligner.Side` with gradients."""

    def __init__(self, embedding: Tensor) -> None:
        super().__init__()
        self.embedding = embedding
        self.project = nn.Linear(embedding.shape[1], WIDTH)
        self.near = nn.Linear(WINDOW * WIDTH, WIDTH)
        self.far = nn.Linear(WINDOW * WIDTH, WIDTH)

    def forward(self, ids: Tensor) -> Tensor:
        """Ids (B, N) -> states (B, N, D)."""
        real = (ids != PAD)[:, :, None]
        states = functional.dropout(self.project(self.embedding[ids]), DROPOUT, self.training) * real
        inner = self.near(_windows(states)).relu() * real
        return states + functional.dropout(self.far(_windows(inner)), DROPOUT, self.training)


def _windows(states: Tensor) -> Tensor:
    """(B, N, D) -> (B, N, WINDOW D), neighbours side by side, zeros outside."""
    length = states.shape[1]
    padded = functional.pad(states, (0, 0, WINDOW // 2, WINDOW // 2))
    return torch.cat([padded[:, place : place + length] for place in range(WINDOW)], dim=2)


class AlignerModel(nn.Module):
    """The aligner while it learns; `nmt.aligner.Aligner` is the same in NumPy.

    Args:
        source, target: Embeddings of the two sides, (V, E); they stay as they are.
    """

    def __init__(self, source: Tensor, target: Tensor) -> None:
        super().__init__()
        self.source, self.target = _Side(source), _Side(target)
        self.distance = nn.Parameter(torch.ones(1))

    def forward(self, source: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
        """Log-probabilities of both directions, (B, T, S) each, of ids with EOS, (B, S) and (B, T)."""
        scores = torch.bmm(self.target(target), self.source(source).transpose(1, 2)) * SCALE
        here, there = (torch.arange(ids.shape[1]) / (ids != PAD).sum(dim=1, keepdim=True) for ids in (target, source))
        scores = scores - self.distance * (here[:, :, None] - there[:, None]).abs()
        forward = scores.masked_fill((source == PAD)[:, None], -math.inf).log_softmax(dim=2)
        backward = scores.masked_fill((target == PAD)[:, :, None], -math.inf).log_softmax(dim=1)
        return forward, backward


def link_loss(forward: Tensor, backward: Tensor, links: Tensor, source: Tensor, target: Tensor) -> Tensor:
    """Cross-entropy of both directions against links, nats a unit and direction.

    Args:
        forward: See `AlignerModel`.
        backward: See `AlignerModel`.
        links: Bool, shape (B, T, S).
        source: Ids with EOS, (B, S).
        target: Ids with EOS, (B, T).
    """
    real = ((source != PAD)[:, None], (target != PAD)[:, :, None])
    total = forward.new_zeros(())
    for found, along, mine, others in ((forward, 2, *real[::-1]), (backward, 1, *real)):
        goal = links | (_last(others, along) & ~links.any(dim=along, keepdim=True))  # no link: EOS
        goal = (goal & mine).float()
        goal = goal / goal.sum(dim=along, keepdim=True).clamp_min(1)
        total = total - (goal * found.masked_fill(goal == 0, 0.0)).sum() / mine.sum()
    return total


def _last(real: Tensor, along: int) -> Tensor:
    """True at EOS, the last real place, of a mask that varies `along` that dimension."""
    return real & ~real.roll(-1, dims=along).index_fill(along, torch.tensor([real.shape[along] - 1]), False)
