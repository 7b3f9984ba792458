"""Target so far + source -> next unit.

Shapes: B sentences, R rows (K hypotheses of each sentence, R = B K), T target length,
E embedding, H hidden, C context, V vocabulary, L layers.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn
from torch.nn import functional
from typing_extensions import override

from nmt.attention import Attended
from nmt.cells import RecurrentStack, RecurrentState, shared_dropout, word_dropout
from nmt.config import ModelConfig
from nmt.context import Bridge, SourceContext, build_context
from nmt.encoder import EncoderOutput


@dataclass(frozen=True, slots=True)
class DecoderState:
    """Everything a hypothesis is waiting with for its next unit; its size never grows.

    Attributes:
        recurrent: Layers' states, (L, R, H).
        feed: The last attentional vector, (R, E); None unless the wiring feeds it back.
        context: The sources, one for each sentence; the rows of a sentence stand together.
        sentences: B.
    """

    recurrent: RecurrentState
    feed: Tensor | None
    context: SourceContext
    sentences: int

    def select(self, rows: Tensor, sentences: Tensor | None = None) -> DecoderState:
        """These rows, in this order; and, if given, these sentences of the context."""
        return DecoderState(
            self.recurrent.select(rows),
            None if self.feed is None else self.feed.index_select(0, rows),
            self.context if sentences is None else self.context.select(sentences),
            self.sentences if sentences is None else len(sentences),
        )

    def keep(self, rows: Tensor, sentences: Tensor) -> DecoderState:
        """As `select`; the sources of this state must not be used any more."""
        return replace(self.select(rows), context=self.context.keep(sentences), sentences=len(sentences))

    def join(self, other: DecoderState) -> DecoderState:
        """The sentences and rows of both, these first; both have the same number of rows a sentence."""
        return DecoderState(
            self.recurrent.join(other.recurrent),
            None if self.feed is None or other.feed is None else torch.cat((self.feed, other.feed)),
            self.context.join(other.context),
            self.sentences + other.sentences,
        )

    def after(self, recurrent: RecurrentState, feed: Tensor | None = None) -> DecoderState:
        """The state one step later, over the same sources."""
        return DecoderState(recurrent, feed, self.context, self.sentences)


@dataclass(frozen=True, slots=True)
class Step:
    """One step of the decoder.

    Attributes:
        logits: Shape (R, V), fp32, or (R, U) of the ids asked for.
        weights: Attention of this step, shape (R, S); None without attention.
        state: After the step.
    """

    logits: Tensor
    weights: Tensor | None
    state: DecoderState


@dataclass(frozen=True, slots=True)
class Unrolled:
    """A teacher-forced pass.

    Attributes:
        features: What the output layer reads, shape (B, T, E).
        weights: Shape (B, T, S); None without attention.
    """

    features: Tensor
    weights: Tensor | None


class Wiring(nn.Module, ABC):
    """How state, context and attentional vector are connected; holds the recurrent layers."""

    feeds = False
    """Whether the attentional vector goes back in at the next step."""

    def __init__(self, config: ModelConfig, context_size: int) -> None:
        super().__init__()
        self.dropout = config.dropout
        self.readout = nn.Linear(config.decoder_size + context_size, config.embedding_size)

    def attend_out(self, output: Tensor, context: Tensor) -> Tensor:
        """The attentional vector tanh(W [h; c]) (Luong et al. 2015, eq. 5), shape (..., E)."""
        return self.readout(torch.cat((output, context), dim=-1)).tanh()  # type: ignore[no-any-return]

    @abstractmethod
    def masks(self, embedded: Tensor) -> list[Tensor | None]:
        """Dropout masks of one unrolled pass over embedded (B, T, E)."""

    @abstractmethod
    def step(
        self, embedded: Tensor, state: DecoderState, masks: list[Tensor | None] | None = None
    ) -> tuple[Tensor, Tensor | None, DecoderState]:
        """One step: embedded (R, E) -> attentional vector (R, E), weights (R, S), state."""

    def unroll(self, embedded: Tensor, state: DecoderState) -> Unrolled:
        """A teacher-forced pass over embedded (B, T, E): a loop over steps unless a wiring knows better."""
        masks = self.masks(embedded)
        features: list[Tensor] = []
        weights: list[Tensor] = []
        for embedded_step in embedded.unbind(dim=1):
            feature, weight, state = self.step(embedded_step, state, masks)
            features.append(feature)
            if weight is not None:
                weights.append(weight)
        return Unrolled(torch.stack(features, dim=1), torch.stack(weights, dim=1) if weights else None)


def _read(context: SourceContext, queries: Tensor, sentences: int) -> Attended:
    """Let rows ask their sentence: queries (R, H) -> context (R, C), weights (R, S)."""
    attended = context.read(queries.view(sentences, -1, queries.shape[-1]))
    weights = attended.weights
    return Attended(attended.context.flatten(0, 1), None if weights is None else weights.flatten(0, 1))


class Conditional(Wiring):
    """The previous state asks, the answer enters the cell (Bahdanau et al. 2015, appendix A.2.2).

    Also the wiring of the contexts without attention, whose answer depends on no question.
    """

    def __init__(self, config: ModelConfig, context_size: int) -> None:
        super().__init__(config, context_size)
        self.whole_sequence = config.context != "attention"
        self.stack = RecurrentStack(
            config.cell,
            config.embedding_size,
            config.decoder_size,
            config.decoder_layers,
            extra_size=context_size,
            residual=config.residual,
            layer_norm=config.layer_norm,
            dropout=config.dropout,
        )

    @override
    def masks(self, embedded: Tensor) -> list[Tensor | None]:
        return self.stack.masks(embedded)

    @override
    def step(
        self, embedded: Tensor, state: DecoderState, masks: list[Tensor | None] | None = None
    ) -> tuple[Tensor, Tensor | None, DecoderState]:
        attended = _read(state.context, state.recurrent.hidden[-1], state.sentences)
        output, recurrent = self.stack.step(embedded, state.recurrent, attended.context, masks)
        feature = self.attend_out(output, attended.context)
        return feature, attended.weights, state.after(recurrent)

    @override
    def unroll(self, embedded: Tensor, state: DecoderState) -> Unrolled:
        if not self.whole_sequence:
            return super().unroll(embedded, state)
        context = state.context.read(embedded).context  # (B, T, C), the same at every step
        output = self.stack.unroll(embedded, state.recurrent, context)
        return Unrolled(self.attend_out(output, context), None)


class InputFeeding(Wiring):
    """The new state asks; the attentional vector enters the next step (Luong et al. 2015, section 3.3)."""

    feeds = True

    def __init__(self, config: ModelConfig, context_size: int) -> None:
        super().__init__(config, context_size)
        self.stack = RecurrentStack(
            config.cell,
            2 * config.embedding_size,
            config.decoder_size,
            config.decoder_layers,
            residual=config.residual,
            layer_norm=config.layer_norm,
            dropout=config.dropout,
        )

    @override
    def masks(self, embedded: Tensor) -> list[Tensor | None]:
        return self.stack.masks(torch.cat((embedded, embedded), dim=-1))

    @override
    def step(
        self, embedded: Tensor, state: DecoderState, masks: list[Tensor | None] | None = None
    ) -> tuple[Tensor, Tensor | None, DecoderState]:
        assert state.feed is not None
        output, recurrent = self.stack.step(torch.cat((embedded, state.feed), dim=-1), state.recurrent, masks=masks)
        attended = _read(state.context, output, state.sentences)
        feature = self.attend_out(output, attended.context)
        return feature, attended.weights, state.after(recurrent, feature)


class Parallel(Wiring):
    """The bottom layer asks, the answer enters every upper layer and the output (Wu et al. 2016, GNMT).

    Nothing above feeds what is below, so a teacher-forced pass is whole-sequence kernels.
    """

    def __init__(self, config: ModelConfig, context_size: int) -> None:
        super().__init__(config, context_size)
        self.bottom = RecurrentStack(config.cell, config.embedding_size, config.decoder_size, 1, dropout=config.dropout)
        self.upper = RecurrentStack(
            config.cell,
            config.decoder_size,
            config.decoder_size,
            config.decoder_layers - 1,
            extra_size=context_size,
            residual=config.residual,
            residual_below=True,
            layer_norm=config.layer_norm,
            dropout=config.dropout,
        )

    @override
    def masks(self, embedded: Tensor) -> list[Tensor | None]:
        raise NotImplementedError("the parallel wiring never loops over steps in training")

    @override
    def step(
        self, embedded: Tensor, state: DecoderState, masks: list[Tensor | None] | None = None
    ) -> tuple[Tensor, Tensor | None, DecoderState]:
        bottom, upper = state.recurrent.split(1)
        asking, bottom = self.bottom.step(embedded, bottom)
        attended = _read(state.context, asking, state.sentences)
        output, upper = self.upper.step(asking, upper, attended.context)
        feature = self.attend_out(output, attended.context)
        return feature, attended.weights, state.after(bottom.stack(upper))

    @override
    def unroll(self, embedded: Tensor, state: DecoderState) -> Unrolled:
        bottom, upper = state.recurrent.split(1)
        asking = self.bottom.unroll(embedded, bottom)  # (B, T, H)
        attended = state.context.read(asking)
        output = self.upper.unroll(asking, upper, attended.context)
        return Unrolled(self.attend_out(output, attended.context), attended.weights)


WIRINGS: dict[str, type[Wiring]] = {
    "": Conditional,
    "conditional": Conditional,
    "input_feeding": InputFeeding,
    "parallel": Parallel,
}


class Decoder(nn.Module):
    """Predicts the next target unit: `start`, then `step` by step, or `unroll` for teacher forcing."""

    def __init__(self, config: ModelConfig, embedding: nn.Embedding) -> None:
        super().__init__()
        self.config = config
        self.embedding = embedding
        self.bridge = Bridge(config)
        self.context = build_context(config)
        self.wiring = WIRINGS[config.wiring](config, self.context.size)
        self.output = nn.Linear(config.embedding_size, config.target_vocabulary)
        nn.init.zeros_(self.output.bias)
        if config.tying != "none":
            self.output.weight = embedding.weight

    def start(self, source: EncoderOutput) -> DecoderState:
        """The state before the first unit, one row for each sentence; every layer starts with c."""
        c = self.bridge(source)  # (B, H)
        hidden = c.expand(self.config.decoder_layers, -1, -1)
        recurrent = RecurrentState(hidden, hidden if self.config.cell == "lstm" else None)
        feed = c.new_zeros(c.shape[0], self.config.embedding_size) if self.wiring.feeds else None
        return DecoderState(recurrent, feed, self.context.over(source, c), c.shape[0])

    def step(self, tokens: Tensor, state: DecoderState, vocabulary: Tensor | None = None) -> Step:
        """Read one unit of every row, shape (R,), and predict the next among `vocabulary` (ids, (U,)), or all."""
        feature, weights, after = self.wiring.step(self.embedding(tokens), state)
        if vocabulary is None:
            return Step(self.output(feature).float(), weights, after)
        logits = functional.linear(feature, self.output.weight[vocabulary], self.output.bias[vocabulary])
        return Step(logits.float(), weights, after)

    def unroll(self, target_in: Tensor, source: EncoderOutput) -> Unrolled:
        """Read whole targets, shape (B, T), BOS first; `output(features)` gives the logits."""
        embedded = self.embedding(target_in)  # (B, T, E)
        if self.training and self.config.target_word_dropout:
            embedded = embedded * word_dropout(embedded, self.config.target_word_dropout)
        unrolled = self.wiring.unroll(embedded, self.start(source))
        if not self.training or not self.config.dropout:
            return unrolled
        features = unrolled.features * shared_dropout(unrolled.features, self.config.dropout)
        return Unrolled(features, unrolled.weights)
