"""FixedPointModel: LSTMs with attention in the arithmetic of `fixed_point.py`.

Shapes: B sentences, S source length, R rows, E embedding, H hidden, M memory, L decoder layers,
V vocabulary, U ids asked for.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from nmt.config import ModelConfig
from nmt.context import AttentionContext
from nmt.decoder import Conditional, DecoderState, InputFeeding, Parallel, Step
from nmt.encoder import EncoderOutput
from nmt.fixed_encoder import FixedPointEncoder, gate_weights, reach
from nmt.fixed_point import (
    FEW_ROWS,
    LANES,
    FixedSource,
    FixedState,
    Int8Linear,
    Packed,
    attend,
    by_rows,
    lstm,
    pack,
    product,
    sigmoid,
)
from nmt.model import Seq2Seq
from nmt.scripted import scripted


def supports(config: ModelConfig) -> bool:
    """Whether a model of this shape can run in fixed point."""
    return (
        config.cell == "lstm"
        and config.context == "attention"
        and config.score != "additive"
        and not config.layer_norm
        and all(n % LANES == 0 for n in (config.embedding_size, config.encoder_size, config.decoder_size))
    )


@scripted
def _attend(
    queries: Tensor, sentences: int, memory: Tensor, keys: Tensor, bias: Tensor, scale: float
) -> tuple[Tensor, Tensor]:
    """Halved queries (R, H) -> contexts (R, M) in the range of the products, weights (R, S)."""
    context, weights = attend(queries.view(sentences, -1, queries.size(1)), memory, keys, bias)
    return context.flatten(0, 1).mul_(scale), weights.flatten(0, 1)


@scripted
def _decode(
    tokens: Tensor,
    hidden: Tensor,
    cell: Tensor,
    feed: Tensor | None,
    source: tuple[Tensor, Tensor, Tensor],
    table: Tensor,
    layers: list[Packed],
    readout: Packed,
    output: Packed,
    wiring: str,
    residual: bool,
    memory_scale: float,
    threads: int,
    whole: bool,
) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
    """One step of every row.

    Args:
        tokens: Ids, shape (R,).
        hidden: As in `FixedState`.
        cell: As in `FixedState`.
        feed: Halved features of the step before, (R, E), with input feeding.
        source: Memory, keys and bias of `FixedSource`.
        table: What embeddings add to the gates of the first layer, (V, 4H).
        layers: The products of the layers.
        readout: The product of the features.
        output: The product of the logits.
        wiring: Of `ModelConfig`.
        residual: Of `ModelConfig`.
        memory_scale: Brings a context into the range of the products.
        threads: As for `sigmoid`.
        whole: Whether to score the whole vocabulary.

    Returns:
        Logits (R, V), if `whole`, features (R, E) from 0 to 1, attention (R, S), hidden and cell states.
    """
    memory, keys, bias = source
    size = hidden.size(1) // len(layers)
    sentences = memory.size(0)
    context, weights = hidden, hidden
    entering: list[Tensor] = []  # beside what comes from below
    if feed is not None:
        entering = [feed]
    if wiring == "conditional":
        context, weights = _attend(hidden[:, -size:], sentences, memory, keys, bias, memory_scale)
        entering = [context]
    states: list[Tensor] = []
    after: list[Tensor] = []
    for index, packed in enumerate(layers):
        below = states if residual else states[-1:]
        own = hidden[:, index * size : (index + 1) * size]
        gates = product(torch.cat(below + entering + [own], dim=1), packed)
        if index == 0:
            gates.add_(table.index_select(0, tokens))
        state, changed = lstm(gates, cell[:, index * size : (index + 1) * size], threads)
        states.append(state)
        after.append(changed)
        if index == 0 and wiring == "parallel":
            context, weights = _attend(state, sentences, memory, keys, bias, memory_scale)
            entering = [context]
        elif index == 0 and wiring == "input_feeding":
            entering = []
    if wiring == "input_feeding":
        queries = torch.stack(states).sum(dim=0) if residual else states[-1]
        context, weights = _attend(queries, sentences, memory, keys, bias, memory_scale)
    states.append(context)
    together = torch.cat(states, dim=1)  # (R, L H + M)
    width = size * len(layers)
    unread = 0 if residual else width - size
    feature = sigmoid(product(together[:, unread:].contiguous(), readout), threads)
    logits = product(feature, output, 1 / 127, 0) if whole else feature
    return logits, feature, weights, together[:, :width], torch.cat(after, dim=1)


class FixedPointModel:
    """A `DecodingModel` with the weights of a `Seq2Seq`, which it does not keep (see `supports`)."""

    few_rows = FEW_ROWS

    def __init__(self, model: Seq2Seq) -> None:
        config = self.config = model.config
        self.device = torch.device("cpu")
        decoder, wiring = model.decoder, model.decoder.wiring
        assert isinstance(wiring, Parallel | Conditional | InputFeeding)
        assert isinstance(decoder.context, AttentionContext)
        self.memory_reach = reach(config, config.encoder_layers)
        self.encoder = FixedPointEncoder(model)
        memory_scale = self.memory_reach / 63
        self.bridge = self.key = None
        if config.bridge != "last":
            transform = decoder.bridge.transform
            self.bridge = Int8Linear(2 * transform.weight, 2 * transform.bias, scale=memory_scale)
        if config.score == "general":
            self.key = Int8Linear(2 * decoder.context.attention.key.weight, None, scale=memory_scale)
        stacks = (wiring.bottom, wiring.upper) if isinstance(wiring, Parallel) else (wiring.stack,)
        self.layers: list[Packed] = []
        for index, layer in enumerate(layer for stack in stacks for layer in stack.layers):
            weight, hidden_weight, bias = gate_weights(layer)
            if not index:  # a table, (V, 4H), of what embeddings come to
                below, extra = weight[:, : config.embedding_size], weight[:, config.embedding_size :]
                self.table = functional.linear(decoder.embedding.weight.detach(), below, bias).half()
                factor = 1 if config.wiring == "input_feeding" else self.memory_reach
                self.layers.append(pack(2 * torch.cat((factor * extra, hidden_weight), dim=1), None))
            else:
                self.layers.append(pack(torch.cat((self._reading(index, weight), 2 * hidden_weight), dim=1), bias))
        weight, bias = 2 * wiring.readout.weight.detach(), 2 * wiring.readout.bias
        self.readout = pack(self._reading(config.decoder_layers, weight), bias)
        # a feature is tanh = 2 s - 1 of a sigmoid s, and W (2 s - 1) + b = 2 W s + (b - W 1)
        weight, bias = decoder.output.weight.detach(), decoder.output.bias.detach()
        self.bias = bias - weight.sum(dim=1)
        self.output = pack(2 * weight, self.bias)
        self.rows, self.scales = by_rows(2 * weight)
        self.asked: tuple[Tensor, Tensor, Tensor, Tensor] | None = None

    def _reading(self, layers: int, weight: Tensor) -> Tensor:
        """Columns (O, H + M or H) to read the states of `layers` below, and a context.

        A sum of residuals is read as its terms, repeating columns, so that each has all 7 bits.
        """
        below, context = weight[:, : self.config.decoder_size], weight[:, self.config.decoder_size :]
        terms = layers if self.config.residual else 1
        return 2 * torch.cat((*[below] * terms, self.memory_reach * context), dim=1)

    def encode(self, source: Tensor) -> EncoderOutput:
        """Source ids with EOS, shape (B, S), padded on the right."""
        return self.encoder(source)

    def start(self, encoded: EncoderOutput) -> DecoderState:
        """The state before the first unit, one row for each sentence."""
        lengths = encoded.mask.sum(dim=1)
        mean = self.config.bridge == "mean"
        summary = encoded.memory.sum(dim=1) / lengths[:, None] if mean else encoded.final[-1]
        halved = (
            summary / 2 if self.bridge is None else sigmoid(self.bridge(summary), torch.get_num_threads()).sub_(0.5)
        )
        if self.key is None:
            factor = self.config.decoder_size**-0.5 if self.config.score == "scaled_dot" else 1.0
            keys = encoded.memory * (2 * factor)
        else:
            keys = self.key(encoded.memory.flatten(0, 1)).view(*encoded.memory.shape[:2], -1)
        layers = self.config.decoder_layers
        recurrent = FixedState(*(part.repeat(1, layers) for part in (halved, 4 * halved)))
        feeding = self.config.wiring == "input_feeding"
        feed = halved.new_zeros(len(lengths), self.config.embedding_size) if feeding else None
        terms = layers if feeding and self.config.residual else 1
        return DecoderState(recurrent, feed, FixedSource.of(encoded.memory, keys, lengths, terms), len(lengths))

    def step(self, tokens: Tensor, state: DecoderState, vocabulary: Tensor | None = None) -> Step:
        """Read one unit of every row, shape (R,), and predict the next; as `DecodingModel.step`."""
        config, source = self.config, state.context
        assert state.recurrent.cell is not None
        assert isinstance(source, FixedSource)
        logits, feature, weights, hidden, cell = _decode(
            tokens,
            state.recurrent.hidden,
            state.recurrent.cell,
            state.feed,
            (source.memory, source.keys, source.bias),
            self.table,
            self.layers,
            self.readout,
            self.output,
            config.wiring,
            config.residual,
            0.5 / self.memory_reach,
            torch.get_num_threads(),
            vocabulary is None,
        )
        feed = None if state.feed is None else feature - 0.5
        if vocabulary is not None:
            logits = self._logits_of(feature, vocabulary)
        return Step(logits, weights, state.after(FixedState(hidden, cell), feed))

    def _logits_of(self, feature: Tensor, vocabulary: Tensor) -> Tensor:
        """Logits (R, U) in fp32, which sums these whole numbers exactly and needs no packing."""
        asked = self.asked  # another thread may ask for other ids meanwhile
        if asked is None or asked[0] is not vocabulary:
            rows, scales, bias = (part.index_select(0, vocabulary) for part in (self.rows, self.scales, self.bias))
            self.asked = asked = vocabulary, rows.float(), scales / 127, bias
        _, rows, scales, bias = asked
        return functional.linear(feature.mul_(127).round_(), rows).mul_(scales).add_(bias)
