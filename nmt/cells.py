"""Recurrent layers behind one face: tanh RNN, ReLU RNN, GRU, LSTM.

Shapes: B rows, T steps, I input, X extra input, H hidden, L layers. Whole sequences run through
torch's fused kernels, single steps through the cell functions on the same weights.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from nmt.config import Cell


@dataclass(frozen=True, slots=True)
class RecurrentState:
    """What a stack remembers between steps.

    Attributes:
        hidden: Shape (L, B, H).
        cell: The LSTM's cell state, shape (L, B, H); None for the other cells.
    """

    hidden: Tensor
    cell: Tensor | None

    def select(self, rows: Tensor) -> RecurrentState:
        """The state of these rows, in this order; a row may be taken more than once."""
        # several times faster than indexing
        hidden = self.hidden.index_select(1, rows)
        return RecurrentState(hidden, None if self.cell is None else self.cell.index_select(1, rows))

    def join(self, other: RecurrentState) -> RecurrentState:
        """The rows of both, these first."""
        hidden = torch.cat((self.hidden, other.hidden), dim=1)
        if self.cell is None or other.cell is None:
            return RecurrentState(hidden, None)
        return RecurrentState(hidden, torch.cat((self.cell, other.cell), dim=1))

    def split(self, layers: int) -> tuple[RecurrentState, RecurrentState]:
        """The lowest `layers` layers, and the others."""
        below, above = slice(None, layers), slice(layers, None)
        return (
            RecurrentState(self.hidden[below], None if self.cell is None else self.cell[below]),
            RecurrentState(self.hidden[above], None if self.cell is None else self.cell[above]),
        )

    def stack(self, above: RecurrentState) -> RecurrentState:
        """These layers below those; the inverse of `split`."""
        hidden = torch.cat((self.hidden, above.hidden))
        if self.cell is None or above.cell is None:
            return RecurrentState(hidden, None)
        return RecurrentState(hidden, torch.cat((self.cell, above.cell)))


def recurrent_layer(cell: Cell, input_size: int, hidden_size: int) -> nn.RNNBase:
    """One one-way layer, batch first; an LSTM forgets little at first (Jozefowicz et al. 2015)."""
    layer: nn.RNNBase
    if cell == "lstm":
        layer = nn.LSTM(input_size, hidden_size, batch_first=True)
    elif cell == "gru":
        layer = nn.GRU(input_size, hidden_size, batch_first=True)
    else:
        layer = nn.RNN(input_size, hidden_size, batch_first=True, nonlinearity=cell.removeprefix("rnn_"))
    for name, parameter in layer.named_parameters():
        if "bias" in name:
            nn.init.zeros_(parameter)
    if cell == "lstm":
        with torch.no_grad():
            dict(layer.named_parameters())["bias_ih_l0"][hidden_size : 2 * hidden_size] = 1.0
    return layer


def shared_dropout(inputs: Tensor, rate: float) -> Tensor:
    """One dropout mask for all steps of a sequence (Gal & Ghahramani 2016), shape (B, 1, I)."""
    shape = (inputs.shape[0], 1, inputs.shape[-1])
    return torch.empty(shape, dtype=inputs.dtype, device=inputs.device).bernoulli_(1 - rate).div_(1 - rate)


def word_dropout(embedded: Tensor, rate: float) -> Tensor:
    """A mask that drops whole embeddings (Sennrich et al. 2016, WMT), shape (B, T, 1)."""
    shape = (*embedded.shape[:2], 1)
    return torch.empty(shape, dtype=embedded.dtype, device=embedded.device).bernoulli_(1 - rate).div_(1 - rate)


class RecurrentStack(nn.Module):
    """Stacked one-way layers; an extra input, if any, enters every layer beside the one from below.

    Args:
        cell: Kind of every layer.
        input_size: I, width of what enters the lowest layer.
        hidden_size: H.
        layers: L.
        extra_size: X, width of the extra input of every layer.
        residual: Add a layer's input to its output where the widths agree; never at the lowest
            layer of a stack whose input is an embedding (`residual_below`).
        residual_below: The stack stands on another one, so its lowest layer may add its input too.
        layer_norm: Normalise what enters each layer that stands on another.
        dropout: Share of a layer's input from below that is dropped in training.
    """

    def __init__(
        self,
        cell: Cell,
        input_size: int,
        hidden_size: int,
        layers: int,
        *,
        extra_size: int = 0,
        residual: bool = False,
        residual_below: bool = False,
        layer_norm: bool = False,
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        self.cell: Cell = cell
        self.hidden_size = hidden_size
        self.dropout = dropout
        widths = [input_size] + [hidden_size] * (layers - 1)
        self.layers = nn.ModuleList(recurrent_layer(cell, width + extra_size, hidden_size) for width in widths)
        stands = [residual_below] + [True] * (layers - 1)
        self.residual = [
            residual and on_other and width == hidden_size for on_other, width in zip(stands, widths, strict=True)
        ]
        self.norms = nn.ModuleList(
            nn.LayerNorm(width) if layer_norm and on_other else nn.Identity()
            for on_other, width in zip(stands, widths, strict=True)
        )

    def masks(self, inputs: Tensor) -> list[Tensor | None]:
        """One dropout mask for each layer, shape (B, 1, width), or None outside training."""
        if not self.training or self.dropout == 0:
            return [None] * len(self.layers)
        widths = [inputs.shape[-1]] + [self.hidden_size] * (len(self.layers) - 1)
        return [shared_dropout(inputs.new_empty((inputs.shape[0], 1, width)), self.dropout) for width in widths]

    def unroll(self, inputs: Tensor, state: RecurrentState, extra: Tensor | None = None) -> Tensor:
        """Run whole sequences; no Python loop over time.

        Args:
            inputs: Shape (B, T, I).
            state: Before the first step.
            extra: Shape (B, T, X).

        Returns:
            Top-layer outputs, shape (B, T, H).
        """
        below = inputs
        for index, mask in enumerate(self.masks(inputs)):
            entering = self._enter(index, below, mask, extra)
            if state.cell is None:
                output, _ = self.layers[index](entering, state.hidden[index : index + 1].contiguous())
            else:
                at = slice(index, index + 1)
                output, _ = self.layers[index](entering, (state.hidden[at].contiguous(), state.cell[at].contiguous()))
            below = output + below if self.residual[index] else output
        return below

    def step(
        self,
        inputs: Tensor,
        state: RecurrentState,
        extra: Tensor | None = None,
        masks: list[Tensor | None] | None = None,
    ) -> tuple[Tensor, RecurrentState]:
        """Run one step: inputs (B, I), extra (B, X) -> outputs (B, H) and the state after it.

        `masks` are those of `masks()`, so that a loop over steps drops the same units at each.
        """
        below = inputs
        hidden: list[Tensor] = []
        cells: list[Tensor] = []
        for index, layer in enumerate(self.layers):
            mask = masks[index] if masks else None
            entering = self._enter(index, below, None if mask is None else mask[:, 0], extra)
            input_weight, hidden_weight, input_bias, hidden_bias = layer.parameters()
            weights = (input_weight, hidden_weight, input_bias, hidden_bias)
            if state.cell is not None:
                output, memory = torch.lstm_cell(entering, (state.hidden[index], state.cell[index]), *weights)
                cells.append(memory)
            elif self.cell == "gru":
                output = torch.gru_cell(entering, state.hidden[index], *weights)
            elif self.cell == "rnn_tanh":
                output = torch.rnn_tanh_cell(entering, state.hidden[index], *weights)
            else:
                output = torch.rnn_relu_cell(entering, state.hidden[index], *weights)
            hidden.append(output)
            below = output + below if self.residual[index] else output
        return below, RecurrentState(torch.stack(hidden), torch.stack(cells) if cells else None)

    def _enter(self, index: int, below: Tensor, mask: Tensor | None, extra: Tensor | None) -> Tensor:
        entering = self.norms[index](below)
        if mask is not None:
            entering = entering * mask
        return entering if extra is None else torch.cat((entering, extra), dim=-1)
