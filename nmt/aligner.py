"""Aligner: which units of a finished translation stand for which units of its source.

Attention is asked before a word is known, and while only the words before it are. The aligner reads
both sentences whole: an encoder of five-unit windows on each side, over the model's own embeddings, one
score for each pair of units, and a softmax each way, which must agree (Dou & Neubig 2021, section
2.2). It is learned from the links of a statistical aligner (`training.aligner`). NumPy alone, one
pair at a time: it runs on whatever thread writes the answer, and company cannot matter.

Shapes: S source units and T target units, EOS included; D width, V vocabulary, E embedding.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from nmt.alignment import AttentionMatrix, to_pieces, to_words
from nmt.config import EOS
from nmt.text import Span, words

WIDTH = 64
"""D."""

WINDOW = 5
"""Units that one layer sees at once."""

SCALE = 2 / math.sqrt(WIDTH)
"""Of scores; with twice the usual 1 / sqrt(D) it learns faster."""

Array = NDArray[np.float32]
Link = tuple[int, int, float]
"""Source place, target place, weight."""


class Alignment(NamedTuple):
    """Two views of one pair. EOS stands for "nothing on the other side".

    Attributes:
        forward: Where each target unit comes from: rows sum to 1, (T, S).
        backward: What each source unit became: columns sum to 1, (T, S).
    """

    forward: Array
    backward: Array


@dataclass(frozen=True, slots=True, eq=False)
class Side:
    """The encoder of one side: an embedding, projected, and two layers of windows on top (residual).

    Attributes:
        table: Projected embeddings, (V, D).
        near, far: Weights of the layers, (D, WINDOW D).
        near_bias, far_bias: Their biases, (D,).
    """

    table: Array
    near: Array
    near_bias: Array
    far: Array
    far_bias: Array

    def __call__(self, ids: Sequence[int]) -> Array:
        """States (N, D) of ids (N,)."""
        states = self.table[np.asarray(ids)]
        inner = np.maximum(_windows(states) @ self.near.T + self.near_bias, 0)
        return states + _windows(inner) @ self.far.T + self.far_bias  # type: ignore[no-any-return]


@dataclass(frozen=True, slots=True, eq=False)
class Aligner:
    """The alignment model of one bundle.

    Attributes:
        source, target: Its encoders.
        distance: What a unit at the other end of the sentence loses in score.
        threshold: Agreement from which words count as linked.
    """

    source: Side
    target: Side
    distance: float
    threshold: float

    def align(self, source: Sequence[int], target: Sequence[int]) -> Alignment:
        """Align a pair: ids with EOS, (S,) and (T,)."""
        scores = self.target(target) @ self.source(source).T * SCALE  # (T, S)
        here, there = (np.arange(len(ids), dtype=np.float32) / len(ids) for ids in (target, source))
        scores -= self.distance * np.abs(here[:, None] - there)
        return Alignment(_softmax(scores, 1), _softmax(scores, 0))

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, Array], source_embedding: Array, target_embedding: Array) -> Aligner:
        """From what `training.aligner` learned, and the model's embeddings (V, E).

        Raises:
            ValueError: Something is missing or does not fit the embeddings.
        """
        shapes: dict[str, tuple[int, ...]] = {"distance": (1,), "threshold": (1,)}
        for side, embedding in (("source", source_embedding), ("target", target_embedding)):
            shapes |= {f"{side}.project.weight": (WIDTH, embedding.shape[1]), f"{side}.project.bias": (WIDTH,)}
            for layer in ("near", "far"):
                shapes |= {f"{side}.{layer}.weight": (WIDTH, WINDOW * WIDTH), f"{side}.{layer}.bias": (WIDTH,)}
        given = {name: array.shape for name, array in arrays.items()}
        if given != shapes:
            wrong = sorted(set(shapes.items()) ^ set(given.items()))[0][0]
            raise ValueError(f"it does not fit the model at {wrong!r}")
        sides = (_side(arrays, "source", source_embedding), _side(arrays, "target", target_embedding))
        return cls(*sides, float(arrays["distance"][0]), float(arrays["threshold"][0]))


@dataclass(frozen=True, slots=True, eq=False)
class Aligned:
    """A pair and what aligns it; nothing is computed before it is asked for.

    Attributes:
        aligner: The bundle's.
        source, target: Ids; EOS is added where a target has none.
    """

    aligner: Aligner
    source: Sequence[int]
    target: Sequence[int]

    def agreement(
        self,
        subwords: AttentionMatrix,
        source_text: str,
        target_text: str,
        *,
        granularity: str = "word",
        split: Callable[[str], list[Span]] = words,
    ) -> AttentionMatrix:
        """How far both views agree on each pair of words: their geometric mean, 0 to 1. Subwords have their words'.

        Args:
            subwords: The pair's tokens.
            source_text: As in `to_words`.
            target_text: As in `to_words`.
            granularity: `word` or `subword`.
            split: As in `to_words`.
        """
        ended = [*self.target, *([] if self.target and self.target[-1] == EOS else [EOS])]
        forward, backward = (view[: len(self.target)] for view in self.aligner.align(self.source, ended))
        there = AttentionMatrix(subwords.source, subwords.target, forward)
        back = AttentionMatrix(subwords.target, subwords.source, np.ascontiguousarray(backward.T))
        there = to_words(there, source_text, target_text, split=split)
        back = to_words(back, target_text, source_text, split=split)
        found = AttentionMatrix(there.source, there.target, np.sqrt(there.weights * back.weights.T))
        return found if granularity == "word" else to_pieces(found, subwords, source_text, target_text, split=split)

    def links(self, agreement: AttentionMatrix) -> list[Link]:
        """The pairs of ordinary tokens that agree, by target and source place."""
        sources, targets = (
            np.array([not token.special for token in side], dtype=bool) for side in (agreement.source, agreement.target)
        )
        linked = (agreement.weights >= self.aligner.threshold) & targets[:, None] & sources
        return [(int(s), int(t), float(agreement.weights[t, s])) for t, s in np.argwhere(linked)]


def _side(arrays: Mapping[str, Array], side: str, embedding: Array) -> Side:
    table = embedding @ arrays[f"{side}.project.weight"].T + arrays[f"{side}.project.bias"]
    layers = (arrays[f"{side}.{layer}.{kind}"] for layer in ("near", "far") for kind in ("weight", "bias"))
    return Side(table, *layers)


def _windows(states: Array) -> Array:
    """Each state beside its neighbours, zeros outside: (N, D) -> (N, WINDOW D)."""
    padded = np.pad(states, ((WINDOW // 2, WINDOW // 2), (0, 0)))
    return np.concatenate([padded[place : place + len(states)] for place in range(WINDOW)], axis=1)


def _softmax(scores: Array, axis: int) -> Array:
    powers = np.exp(scores - scores.max(axis=axis, keepdims=True))
    return powers / powers.sum(axis=axis, keepdims=True)  # type: ignore[no-any-return]
