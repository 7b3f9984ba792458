"""Seq2Seq: encoder, decoder and the embeddings they share; and what decoding needs of any model."""

from __future__ import annotations

from typing import Protocol

import torch
from torch import Tensor, nn

from nmt.batch import Batch
from nmt.config import PAD, ModelConfig
from nmt.decoder import Decoder, DecoderState, Step, Unrolled
from nmt.embedding import Embedding
from nmt.encoder import Encoder, EncoderOutput


class DecodingModel(Protocol):
    """What `nmt/search.py` needs of a model: `Seq2Seq` itself, or the same weights in another runtime.

    Shapes: B sentences, S source length, R rows, V target vocabulary, U ids asked for.
    """

    @property
    def device(self) -> torch.device:
        """Where its tensors are."""
        ...

    @property
    def few_rows(self) -> int:
        """Rows up to which one CPU thread decodes as fast as several; if not 0, two threads may step it at once."""
        ...

    def encode(self, source: Tensor) -> EncoderOutput:
        """Source ids with EOS, shape (B, S), padded on the right."""
        ...

    def start(self, encoded: EncoderOutput) -> DecoderState:
        """The state before the first unit, one row for each sentence."""
        ...

    def step(self, tokens: Tensor, state: DecoderState, vocabulary: Tensor | None = None) -> Step:
        """Read one unit of every row, shape (R,), and predict the next.

        The given state stays as it is, and no later step writes to what this one returned; the
        caller may overwrite the logits. `vocabulary` is the same tensor as long as its content is.

        Args:
            tokens: Ids, shape (R,); the rows of a sentence stand together.
            state: Of those rows.
            vocabulary: Distinct ids, shape (U,), in ascending order: logits only for them, in that order.
        """
        ...


class Seq2Seq(nn.Module):
    """The whole model. Serving uses `encode`, `start`, `step`; only training calls `model(batch)`."""

    few_rows = 0

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.config = config
        target = _embedding(config.target_vocabulary, config.embedding_size)
        three_way = config.tying == "three_way"
        source = target if three_way else _embedding(config.source_vocabulary, config.embedding_size)
        self.encoder = Encoder(config, source)
        self.decoder = Decoder(config, target)

    def encode(self, source: Tensor) -> EncoderOutput:
        """Source ids with EOS, shape (B, S) -> what the decoder reads."""
        return self.encoder(source)  # type: ignore[no-any-return]

    @property
    def device(self) -> torch.device:
        """Where its weights are."""
        return self.decoder.output.weight.device

    def start(self, encoded: EncoderOutput) -> DecoderState:
        """The decoder's state before the first unit, one row for each sentence."""
        return self.decoder.start(encoded)

    def step(self, tokens: Tensor, state: DecoderState, vocabulary: Tensor | None = None) -> Step:
        """One step of the decoder; see `Decoder.step`."""
        return self.decoder.step(tokens, state, vocabulary)

    def forward(self, batch: Batch) -> Unrolled:
        """A teacher-forced pass over sentence pairs."""
        return self.decoder.unroll(batch.target_in, self.encode(batch.source))


def _embedding(vocabulary: int, size: int) -> nn.Embedding:
    embedding = Embedding(vocabulary, size)
    nn.init.normal_(embedding.weight, std=size**-0.5)
    with torch.no_grad():
        embedding.weight[PAD].zero_()
    return embedding
