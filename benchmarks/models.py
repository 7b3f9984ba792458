"""Models with random weights, in the shapes that the benchmarks compare, and what a step of them must touch."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch

from nmt.config import EOS, ModelConfig
from nmt.model import Seq2Seq


def joeynmt_shape(vocabulary: int = 8000) -> ModelConfig:
    """The LSTM of `peers/joeynmt-lstm.yaml`, part for part: 9.9 million parameters at 8,000 entries."""
    return ModelConfig(
        source_vocabulary=vocabulary,
        target_vocabulary=vocabulary,
        embedding_size=512,
        encoder_size=256,
        encoder_layers=1,
        decoder_size=512,
        decoder_layers=1,
        bridge="transform",
        score="general",
        wiring="input_feeding",
        residual=False,
        tying="three_way",
    )


def parallel_shape(vocabulary: int = 8000) -> ModelConfig:
    """The project's default wiring in JoeyNMT's widths: two decoder layers, which this wiring needs."""
    return replace(joeynmt_shape(vocabulary), wiring="parallel", decoder_layers=2)


def gnmt_shape(vocabulary: int = 32_000) -> ModelConfig:
    """Encoder and decoder of four layers, 1024 wide (Wu et al. 2016, as NVIDIA's GNMT v2 has it)."""
    return ModelConfig(
        source_vocabulary=vocabulary,
        target_vocabulary=vocabulary,
        embedding_size=1024,
        encoder_size=512,
        encoder_layers=4,
        decoder_size=1024,
        decoder_layers=4,
        bridge="mean",
        score="general",
        wiring="parallel",
        tying="three_way",
    )


def endless(config: ModelConfig, seed: int = 0) -> Seq2Seq:
    """A model with random weights that never ends a sentence by itself, so that its limit sets the length."""
    torch.manual_seed(seed)
    model = Seq2Seq(config).eval()
    with torch.no_grad():
        model.decoder.output.bias[EOS] = -1e4  # fp16 and bf16 hold it; log-softmax makes it nothing
    return model


@dataclass(frozen=True, slots=True)
class Work:
    """What decoding must do at least, whoever writes the program.

    Attributes:
        step_weights: Weights that one decoder step reads.
        encoder_weights: Weights that the encoder reads, and the projection of the keys.
        recurrent_weights: Weights of the encoder that every source position reads again.
        attention_values: Values of memory and keys that a row reads for each source position.
    """

    step_weights: int
    encoder_weights: int
    recurrent_weights: int
    attention_values: int

    @classmethod
    def of(cls, model: Seq2Seq) -> Work:
        """Counted on the modules."""
        decoder, encoder = model.decoder, model.encoder
        projection = [p for name, p in decoder.context.named_parameters() if name.startswith("attention.key")]
        at_step = [p for name, p in decoder.context.named_parameters() if not name.startswith("attention.key")]
        step = [*decoder.wiring.parameters(), *decoder.output.parameters(), *at_step]
        layers = [p for layer in encoder.layers.parameters() for p in [layer]]
        recurrent = [p for name, p in encoder.layers.named_parameters() if ".weight_hh" in name]
        memory = model.config.memory_size if model.config.context == "attention" else 0
        key = model.config.decoder_size if model.config.score in ("general", "additive") else memory
        return cls(
            step_weights=sum(p.numel() for p in step),
            encoder_weights=sum(p.numel() for p in [*layers, *projection]),
            recurrent_weights=sum(p.numel() for p in recurrent),
            attention_values=memory + key if memory else 0,
        )

    def floor(
        self, *, batch: int, beam: int, length: int, width: float, bandwidth: float, peak: float
    ) -> tuple[float, str]:
        """The least seconds for a batch, and what binds it: `memory` or `arithmetic`.

        A decoder step must read its weights once and every sentence's memory and keys, and do two
        operations for each weight and row; the encoder likewise, its recurrent weights at every position.

        Args:
            batch: Sentences of `length` units in and out.
            beam: Rows of each.
            length: Units with EOS.
            width: Bytes of a stored weight; activations count four.
            bandwidth: Measured, bytes a second.
            peak: Measured, operations a second.
        """
        rows = batch * beam
        attended = batch * length * self.attention_values * 4
        reading = length * (self.step_weights * width + attended)
        reading += (self.encoder_weights + (length - 1) * self.recurrent_weights) * width
        operations = 2 * length * rows * (self.step_weights + length * self.attention_values)
        operations += 2 * length * batch * self.encoder_weights
        memory, arithmetic = reading / bandwidth, operations / peak
        return max(memory, arithmetic), "memory" if memory >= arithmetic else "arithmetic"
