"""Source ids -> memory. Shapes: B batch, S source length, E embedding, M memory, L layers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from nmt.cells import recurrent_layer, shared_dropout, word_dropout
from nmt.config import PAD, ModelConfig


@dataclass(frozen=True, slots=True)
class EncoderOutput:
    """What the encoder knows about a batch of source sentences.

    Attributes:
        memory: Top-layer states, shape (B, S, M); zero at padding.
        final: Final hidden state of every layer, shape (L, B, M).
        mask: True at real tokens, shape (B, S).
    """

    memory: Tensor
    final: Tensor
    mask: Tensor


class Encoder(nn.Module):
    """Stacked recurrent layers, each reading one way or both ways.

    The second direction runs over the sentences turned round in place, padding left on the
    right, instead of over packed sequences: those fall off torch's fused kernels on the CPU.
    """

    def __init__(self, config: ModelConfig, embedding: nn.Embedding) -> None:
        super().__init__()
        self.embedding = embedding
        self.dropout, self.word_dropout = config.dropout, config.source_word_dropout
        self.residual = config.residual
        directions = 2 if config.bidirectional else 1
        widths = [config.embedding_size] + [config.memory_size] * (config.encoder_layers - 1)
        self.layers = nn.ModuleList(
            nn.ModuleList(recurrent_layer(config.cell, width, config.encoder_size) for _ in range(directions))
            for width in widths
        )
        self.norms = nn.ModuleList(
            nn.LayerNorm(width) if config.layer_norm and index else nn.Identity() for index, width in enumerate(widths)
        )

    def forward(self, source: Tensor) -> EncoderOutput:
        """Encode source ids with EOS, shape (B, S), padded on the right."""
        mask = source != PAD
        lengths = mask.sum(dim=1)
        steps = torch.arange(source.shape[1], device=source.device)
        # real tokens turned round, padding left where it is: (B, S)
        turned = torch.where(mask, lengths[:, None] - 1 - steps, steps)
        turned = (turned + source.shape[1] * torch.arange(len(source), device=source.device)[:, None]).flatten()
        last = (lengths - 1)[:, None, None]
        below = self.embedding(source)  # (B, S, E)
        if self.training and self.word_dropout:
            below = below * word_dropout(below, self.word_dropout)
        finals: list[Tensor] = []
        for index, (directions, norm) in enumerate(zip(self.layers, self.norms, strict=True)):
            entering = norm(below)
            if self.training and self.dropout:
                entering = entering * shared_dropout(entering, self.dropout)
            outputs: list[Tensor] = []
            final: list[Tensor] = []
            assert isinstance(directions, nn.ModuleList)
            for way, layer in enumerate(directions):
                output, _ = layer(_turn(entering, turned) if way else entering)
                final.append(output.gather(1, last.expand(-1, 1, output.shape[-1]))[:, 0])
                outputs.append(_turn(output, turned) if way else output)
            above = torch.cat(outputs, dim=-1)  # (B, S, M)
            below = above + below if self.residual and index else above
            finals.append(torch.cat(final, dim=-1))
        return EncoderOutput(below * mask[:, :, None], torch.stack(finals), mask)


class _Turn(torch.autograd.Function):
    """Rows of states in another order that undoes itself, so that the gradient is turned the same way.

    The gradient of a gather would add, element by element, what here is only moved.
    """

    @staticmethod
    def forward(ctx: Any, states: Tensor, rows: Tensor) -> Tensor:
        ctx.save_for_backward(rows)
        return states.flatten(0, 1).index_select(0, rows).view_as(states)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        (rows,) = ctx.saved_tensors
        return gradient.flatten(0, 1).index_select(0, rows).view_as(gradient), None


def _turn(states: Tensor, rows: Tensor) -> Tensor:
    """States (B, S, M) turned round in place; `rows` (B S,) are places in the flattened states."""
    return _Turn.apply(states, rows)  # type: ignore[no-any-return, no-untyped-call]
