"""Attention: keys are projected once for each source, then any number of queries attend.

Shapes: B sentences, S source length, M memory, A key width, Q queries of each sentence, H query.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from nmt.config import ModelConfig
from nmt.encoder import EncoderOutput


@dataclass(frozen=True, slots=True)
class Attended:
    """What a query got from the source.

    Attributes:
        context: Shape (B, Q, M).
        weights: Shape (B, Q, S), rows sum to 1; None where there is no attention.
    """

    context: Tensor
    weights: Tensor | None


@dataclass(frozen=True, slots=True)
class ProjectedSource:
    """A batch of sources with their keys, ready for queries.

    Attributes:
        memory: Shape (B, S, M).
        keys: Shape (B, S, A).
        mask: True at real tokens, shape (B, S).
        attention: The module whose weights score a query.
    """

    memory: Tensor
    keys: Tensor
    mask: Tensor
    attention: Attention

    def read(self, queries: Tensor) -> Attended:
        """Attend: queries (B, Q, H). Beam rows are queries of their sentence: keys are never copied."""
        scores = self.attention.score(queries, self.keys).float()  # (B, Q, S)
        weights = scores.masked_fill(~self.mask[:, None, :], -math.inf).softmax(dim=-1)
        return Attended(torch.bmm(weights.to(self.memory.dtype), self.memory), weights)

    def select(self, sentences: Tensor) -> ProjectedSource:
        """These sentences, in this order, with no more padding than the longest of them needs."""
        mask = self.mask.index_select(0, sentences)
        width = int(mask.sum(dim=1).max())
        memory, keys = (whole[:, :width].index_select(0, sentences) for whole in (self.memory, self.keys))
        return ProjectedSource(memory, keys, mask[:, :width], self.attention)

    keep = select

    def join(self, other: ProjectedSource) -> ProjectedSource:
        """The sentences of both, these first, padded to the longest of all."""
        return ProjectedSource(
            _stack(self.memory, other.memory),
            _stack(self.keys, other.keys),
            _stack(self.mask, other.mask),
            self.attention,
        )


def _stack(above: Tensor, below: Tensor) -> Tensor:
    """(B, S, ...) over (B', S', ...), zero where one is shorter, in one copy."""
    width = max(above.shape[1], below.shape[1])
    stacked = above.new_zeros((above.shape[0] + below.shape[0], width, *above.shape[2:]))
    stacked[: above.shape[0], : above.shape[1]] = above
    stacked[above.shape[0] :, : below.shape[1]] = below
    return stacked


class Attention(nn.Module):
    """The four scores of query h and memory m.

    additive    v . tanh(W h + U m)   Bahdanau et al. 2015, appendix A.1.2
    dot         h . m                 Luong et al. 2015, eq. 8
    scaled_dot  h . m / sqrt(H)       Vaswani et al. 2017, eq. 1
    general     h . W m               Luong et al. 2015, eq. 8
    """

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.kind = config.score
        self.size = config.memory_size
        if self.kind in ("additive", "general"):
            self.key = nn.Linear(config.memory_size, config.decoder_size, bias=False)
        if self.kind == "additive":
            self.query = nn.Linear(config.decoder_size, config.decoder_size)
            self.energy = nn.Linear(config.decoder_size, 1, bias=False)

    def over(self, source: EncoderOutput) -> ProjectedSource:
        """Project the keys of a batch of sources once."""
        keys = self.key(source.memory) if self.kind in ("additive", "general") else source.memory
        return ProjectedSource(source.memory, keys, source.mask, self)

    def score(self, queries: Tensor, keys: Tensor) -> Tensor:
        """Unnormalised scores, shape (B, Q, S), of queries (B, Q, H) and keys (B, S, A)."""
        if self.kind == "additive":
            energies = torch.tanh(self.query(queries)[:, :, None] + keys[:, None])  # (B, Q, S, A)
            return self.energy(energies)[..., 0]  # type: ignore[no-any-return]
        scores = torch.bmm(queries, keys.transpose(1, 2))
        return scores / math.sqrt(queries.shape[-1]) if self.kind == "scaled_dot" else scores
