"""Seq2Seq: encoder, decoder and the embeddings they share."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from nmt.batch import Batch
from nmt.config import PAD, ModelConfig
from nmt.decoder import Decoder, Unrolled
from nmt.embedding import Embedding
from nmt.encoder import Encoder, EncoderOutput


class Seq2Seq(nn.Module):
    """The whole model. Serving uses `encode` and `decoder`; only training calls `model(batch)`."""

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

    def forward(self, batch: Batch) -> Unrolled:
        """A teacher-forced pass over sentence pairs."""
        return self.decoder.unroll(batch.target_in, self.encode(batch.source))


def _embedding(vocabulary: int, size: int) -> nn.Embedding:
    embedding = Embedding(vocabulary, size)
    nn.init.normal_(embedding.weight, std=size**-0.5)
    with torch.no_grad():
        embedding.weight[PAD].zero_()
    return embedding
