"""How the source reaches the decoder after its first state: not at all, as one vector, by attention.

Every kind has `size`, the width of what a step reads, and `over(source)`, a value with
`read(queries) -> Attended`, `select(sentences)` and `join(other)`. Shapes as in `attention.py`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol, Self

import torch
from torch import Tensor, nn

from nmt.attention import Attended, Attention
from nmt.config import ModelConfig
from nmt.encoder import EncoderOutput


class SourceContext(Protocol):
    """A batch of sources as the decoder's steps see it."""

    def read(self, queries: Tensor) -> Attended:
        """What queries (B, Q, H) get."""
        ...

    def select(self, sentences: Tensor) -> SourceContext:
        """These sentences, in this order."""
        ...

    def keep(self, sentences: Tensor) -> SourceContext:
        """As `select`, when this context is not asked again: its memory may be used."""
        ...

    def join(self, other: Self) -> SourceContext:
        """The sentences of both, these first."""
        ...


@dataclass(frozen=True, slots=True)
class FixedContext:
    """The same vector at every step, shape (B, C); C is 0 when only the first state knows the source."""

    vector: Tensor

    def read(self, queries: Tensor) -> Attended:
        """The vector, once for each query."""
        return Attended(self.vector[:, None].expand(-1, queries.shape[1], -1), None)

    def select(self, sentences: Tensor) -> FixedContext:
        """These sentences, in this order."""
        return FixedContext(self.vector.index_select(0, sentences))

    keep = select

    def join(self, other: FixedContext) -> FixedContext:
        """The sentences of both, these first."""
        return FixedContext(torch.cat((self.vector, other.vector)))


class Bridge(nn.Module):
    """The source in one vector c (B, H), and the decoder's first state made of it.

    `last` is the encoder's last state itself, `transform` tanh(W last), `mean` tanh(W mean of all
    states) (Cho et al. 2014; Bahdanau et al. 2015, appendix A.2.2).
    """

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.kind = config.bridge
        if self.kind != "last":
            self.transform = nn.Linear(config.memory_size, config.decoder_size)

    def forward(self, source: EncoderOutput) -> Tensor:
        """c, shape (B, H)."""
        if self.kind == "last":
            return source.final[-1]
        if self.kind == "mean":
            lengths = source.mask.sum(dim=1, keepdim=True).to(source.memory.dtype)
            summary = source.memory.sum(dim=1) / lengths  # padding is zero in memory
        else:
            summary = source.final[-1]
        return self.transform(summary).tanh()  # type: ignore[no-any-return]


class FirstState(nn.Module):
    """Context of width 0: the first state is all the decoder gets (Sutskever et al. 2014)."""

    size = 0

    def over(self, source: EncoderOutput, c: Tensor) -> SourceContext:
        """An empty vector for every step."""
        return FixedContext(c[:, :0])


class EveryStep(nn.Module):
    """c enters every step (Cho et al. 2014)."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.size = config.decoder_size

    def over(self, source: EncoderOutput, c: Tensor) -> SourceContext:
        """The same c for every step."""
        return FixedContext(c)


class AttentionContext(nn.Module):
    """A context of its own for every step, by attention."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.attention = Attention(config)
        self.size = config.memory_size

    def over(self, source: EncoderOutput, c: Tensor) -> SourceContext:
        """Keys projected once, ready for queries."""
        return self.attention.over(source)


def build_context(config: ModelConfig) -> FirstState | EveryStep | AttentionContext:
    """The kind that `config.context` names."""
    if config.context == "first_state":
        return FirstState()
    return EveryStep(config) if config.context == "every_step" else AttentionContext(config)
