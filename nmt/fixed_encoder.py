"""FixedPointEncoder: the encoder of `fixed_model.py`, in the arithmetic of `fixed_point.py`.

Shapes: B sentences, S source length, M memory, L layers, D directions, h hidden, V vocabulary.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional

from nmt.config import PAD, ModelConfig
from nmt.encoder import EncoderOutput
from nmt.fixed_point import FEW_ROWS, Packed, lstm, pack, product, to_grid
from nmt.model import Seq2Seq
from nmt.scripted import scripted

_TOGETHER = 512
"""Units, padding included, that are encoded at a time: more take no less time each, and room for what lies between."""


def reach(config: ModelConfig, layers: int) -> float:
    """The range (-reach, reach) that so many encoder layers are held to: residuals add, but seldom all at once."""
    return max(1.0, layers / 2) if config.residual else 1.0


def gate_weights(layer: nn.Module) -> tuple[Tensor, Tensor, Tensor]:
    """An LSTM layer's input weight, hidden weight and bias, the rows of g doubled: its tanh is made of a sigmoid."""
    doubled = []
    for parameter in layer.parameters():
        i, f, g, o = parameter.detach().chunk(4)
        doubled.append(torch.cat((i, f, 2 * g, o)))
    input_weight, hidden_weight, input_bias, hidden_bias = doubled
    return input_weight, hidden_weight, input_bias + hidden_bias


@scripted
def _gates(hidden: Tensor, entering: Tensor, ways: list[Packed], together: Packed, few_rows: int = FEW_ROWS) -> Tensor:
    """W h + entering, of every direction: (D, n, h), (D, n, 4h) -> (D, n, 4h)."""
    directions, rows = hidden.size(0), hidden.size(1)
    gates = torch.empty_like(entering, memory_format=torch.contiguous_format)
    if directions > 1 and directions * rows <= few_rows:
        every = product(hidden.flatten(0, 1), together).view(directions, rows, directions, -1)
        return torch.add(every.diagonal(dim1=0, dim2=2).permute(2, 0, 1), entering, out=gates)
    for way, packed in enumerate(ways):
        torch.add(product(hidden[way], packed), entering[way], out=gates[way])
    return gates


@scripted
def _run(entering: Tensor, running: list[int], ways: list[Packed], together: Packed, threads: int) -> Tensor:
    """All steps of one layer: (D, S, B, 4h) -> halved states (D, S, B, h), zero at padding.

    Args:
        entering: What the input adds to the gates, longest sentence first.
        running: Sentences that are not over, step by step.
        ways: The hidden weights of each direction.
        together: Those of all, one below the other.
        threads: As for `sigmoid`.
    """
    directions, width, sentences, gates_size = entering.shape
    size = gates_size // 4
    cell = torch.zeros([directions, sentences, size])
    if running[-1] == sentences:  # nobody is over before the others: no slices to cut
        outputs: list[Tensor] = []
        for step, added in enumerate(entering.unbind(1)):
            gates = _gates(outputs[-1], added, ways, together) if step else added.contiguous()
            hidden, cell = lstm(gates, cell, threads)
            outputs.append(hidden)
        return torch.stack(outputs, dim=1)
    states = torch.zeros([directions, width, sentences, size])
    for step, count in enumerate(running):
        added = entering[:, step, :count]
        gates = _gates(states[:, step - 1, :count], added, ways, together) if step else added.contiguous()
        _, cell = lstm(gates, cell[:, :count], threads, states[:, step, :count])
    return states


@scripted
def _encode(
    source: Tensor,
    table: Tensor,
    inputs: list[Packed],
    ways: list[list[Packed]],
    together: list[Packed],
    reach: list[float],
    residual: bool,
    step: float,
    threads: int,
    pad: int = PAD,
) -> tuple[Tensor, Tensor, Tensor]:
    """Memory (B, S, M), final states (L, B, M) and mask (B, S) of source ids (B, S').

    Args:
        source: Ids with EOS, padded on the right.
        table: What embeddings add to the gates of the lowest layer, (V, D 4h).
        inputs: The input weights of the layers above it, all directions one below the other.
        ways: The hidden weights of each layer's directions.
        together: Those of each layer, one below the other.
        reach: Of each layer's input, and of the memory.
        residual: Of `ModelConfig`.
        step: Of the memory's grid.
        threads: As for `sigmoid`.
        pad: Never given.
    """
    mask = source != pad
    lengths, order = mask.sum(dim=1).sort(stable=True, descending=True)
    sentences, width = source.size(0), int(lengths[0])
    source, mask = source[:, :width], mask[:, :width]
    steps, places = torch.arange(width).unsqueeze(1), torch.arange(sentences)
    running: list[int] = (lengths > steps).sum(dim=1).tolist()  # sentences that are not over, step by step
    # the second direction reads real tokens turned round, padding where it is; flat (S B)
    turned = (torch.where(steps < lengths, lengths - 1 - steps, steps) * sentences + places).flatten()
    last = (lengths - 1) * sentences + places
    below = source[order].t().flatten()  # (S B), longest first
    finals: list[Tensor] = []
    for index, hidden in enumerate(ways):
        directions = len(hidden)
        if index == 0:
            entering = table.index_select(0, below).float()
        else:
            entering = product(below, inputs[index - 1], 0.5 * reach[index] / 63)
        entering = entering.view(width * sentences, directions, -1)
        parts = [entering[:, 0]]
        for way in range(1, directions):
            parts.append(entering[:, way].index_select(0, turned))
        entering = torch.stack(parts).view(directions, width, sentences, -1)
        states = _run(entering, running, hidden, together[index], threads).flatten(1, 2)  # (D, S B, h)
        finals.append(states.index_select(1, last).transpose(0, 1).flatten(1))
        parts = [states[0]]
        for way in range(1, directions):
            parts.append(states[way].index_select(0, turned))
        above = torch.cat(parts, dim=-1)  # (S B, M)
        if residual and index > 0:
            most = 0.5 * reach[index + 1]
            below = (above + below).clamp_(-most, most)
        else:
            below = above
    back = order.argsort()
    memory = to_grid(2 * below, step).view(width, sentences, -1)
    return memory.transpose(0, 1)[back], 2 * torch.stack(finals)[:, back], mask


class FixedPointEncoder:
    """Source ids -> memory."""

    def __init__(self, model: Seq2Seq) -> None:
        config = model.config
        self.residual = config.residual
        self.reach = [reach(config, layers) for layers in range(config.encoder_layers + 1)]
        self.step = 2.0 ** (math.ceil(math.log2(self.reach[-1])) - 11)  # 2^23 of it and of the weights' make reach
        self.inputs: list[Packed] = []
        self.ways: list[list[Packed]] = []
        self.together: list[Packed] = []
        for index, directions in enumerate(model.encoder.layers):
            assert isinstance(directions, nn.ModuleList)
            layers = [gate_weights(layer) for layer in directions]
            weight, bias = (torch.cat([layer[part] for layer in layers]) for part in (0, 2))  # (D 4h, I)
            if index:
                self.inputs.append(pack(2 * weight, bias))
            else:
                self.table = functional.linear(model.encoder.embedding.weight.detach(), weight, bias).half()
            self.ways.append([pack(2 * layer[1], None) for layer in layers])
            self.together.append(pack(2 * torch.cat([layer[1] for layer in layers]), None))

    def __call__(self, source: Tensor) -> EncoderOutput:
        """Encode source ids with EOS, shape (B, S), padded on the right."""
        if source.numel() <= _TOGETHER:
            return self._encode(source)
        mask = source != PAD
        lengths, order = mask.sum(dim=1).sort(stable=True, descending=True)
        longest: list[int] = lengths.tolist()
        parts: list[EncoderOutput] = []
        first = 0
        while first < len(longest):
            width = longest[first]
            places = order[first : first + max(1, _TOGETHER // width)]
            parts.append(self._encode(source[places, :width]))
            first += len(places)
        width, back = longest[0], order.argsort()
        memory = torch.cat([functional.pad(part.memory, (0, 0, 0, width - part.memory.size(1))) for part in parts])
        return EncoderOutput(memory[back], torch.cat([part.final for part in parts], dim=1)[:, back], mask[:, :width])

    def _encode(self, source: Tensor) -> EncoderOutput:
        weights = self.table, self.inputs, self.ways, self.together
        threads = torch.get_num_threads()
        return EncoderOutput(*_encode(source, *weights, self.reach, self.residual, self.step, threads))
