"""Every valid architecture, and a pairwise selection of them."""

from __future__ import annotations

import itertools
from typing import Any

from nmt.config import ModelConfig
from nmt.errors import ConfigError

CHOICES: dict[str, tuple[Any, ...]] = {
    "cell": ("rnn_tanh", "rnn_relu", "gru", "lstm"),
    "context": ("first_state", "every_step", "attention"),
    "bridge": ("last", "transform", "mean"),
    "score": ("", "additive", "dot", "scaled_dot", "general"),
    "wiring": ("", "conditional", "input_feeding", "parallel"),
    "bidirectional": (False, True),
    "encoder_layers": (1, 2),
    "decoder_layers": (1, 2),
    "layer_norm": (False, True),
    "residual": (False, True),
    "tying": ("none", "two_way", "three_way"),
}


def valid() -> list[dict[str, Any]]:
    """All combinations that `ModelConfig` accepts."""
    free = ("cell", "encoder_layers", "layer_norm", "residual", "tying")  # go with anything
    bound = [key for key in CHOICES if key not in free]
    found = []
    for values in itertools.product(*(CHOICES[key] for key in bound)):
        combination = dict(zip(bound, values, strict=True))
        try:
            build(combination, size=8)
        except ConfigError:
            continue
        for others in itertools.product(*(CHOICES[key] for key in free)):
            both = {**combination, **dict(zip(free, others, strict=True))}
            found.append({key: both[key] for key in CHOICES})
    return found


def pairwise() -> list[dict[str, Any]]:
    """Few combinations in which every possible pair of choices occurs (greedy cover)."""
    bits: dict[Any, int] = {}
    candidates = []
    for combination in valid():
        pairs = itertools.combinations(combination.items(), 2)
        candidates.append((combination, sum(1 << bits.setdefault(pair, len(bits)) for pair in pairs)))
    left = (1 << len(bits)) - 1
    chosen: list[dict[str, Any]] = []
    while left:
        best, covered = max(candidates, key=lambda candidate: (candidate[1] & left).bit_count())
        chosen.append(best)
        left &= ~covered
    return chosen


def build(combination: dict[str, Any], *, size: int, vocabulary: int = 12, dropout: float = 0.0) -> ModelConfig:
    """The combination with memory and decoder `size` wide."""
    return ModelConfig(
        source_vocabulary=vocabulary,
        target_vocabulary=vocabulary,
        embedding_size=size,
        encoder_size=size // 2 if combination["bidirectional"] else size,
        decoder_size=size,
        dropout=dropout,
        **combination,
    )


def name(combination: dict[str, Any]) -> str:
    """A readable test id."""
    return "-".join(str(value) for value in combination.values() if value != "")
