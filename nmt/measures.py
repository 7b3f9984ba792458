"""What a hypothesis and its attention say about themselves, in a few numbers that a reader can check by eye.

Shapes: S source words, T target words, `</s>` among both.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import regex
from numpy.typing import NDArray

from nmt.alignment import AttentionMatrix, Token
from nmt.text import Span

FEATURES = (
    "mean_logprob",
    "uncovered",
    "entropy",
    "repetition",
    "unknown",
    "log_length",
)
"""What the confidence is computed from, see `Measures.features`."""

_SPEAKS = regex.compile(r"[\p{L}\p{N}]")
_NUMBER = regex.compile(r"\p{N}")
_SKIPPED = 0.5
"""A source word with less than this share of the usual attention counts as skipped."""
_FEWEST_COPIED = 2
"""One word that is the same in both languages proves nothing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Measures:
    """The numbers behind flags and confidence.

    Attributes:
        mean_logprob: Of the target units, natural logarithm, `</s>` among them.
        units: Target units.
        length_ratio: Characters of the target over characters of the source, white space apart.
        uncovered: Share of the source's characters that nothing looked at; a word that got half of
            the usual attention counts half, and a target word that looked at a mark or at `</s>`
            makes up for one source word (models keep much of a question in its mark).
        skipped: Span of the run of skipped source words with most characters; None without one.
        entropy: Of a target unit's attention, mean over units, in nats.
        repetition: Characters that are said twice, each times the share of attention that went
            back to the same source words.
        repeated: Span of the second time; None without one.
        copied: Share of the target's words (names and numbers apart) in the longest stretch that
            stands in the source as well.
        unknown: Share of source units that the vocabulary cannot spell.
    """

    mean_logprob: float
    units: int
    length_ratio: float
    uncovered: float
    skipped: Span | None
    entropy: float
    repetition: float
    repeated: Span | None
    copied: float
    unknown: float

    def shortfall(self, usual_ratio: float) -> float:
        """Share of the usual length that is missing; negative when the target is longer."""
        return 1.0 - self.length_ratio / usual_ratio

    def features(self) -> NDArray[np.float64]:
        """The values of `FEATURES`."""
        repetition, length = math.log1p(self.repetition), math.log(self.units)
        return np.array([self.mean_logprob, self.uncovered, self.entropy, repetition, self.unknown, length])


def measure(
    subwords: AttentionMatrix, words: AttentionMatrix, *, unknown: int = 0, usual_coverage: float = 1.0
) -> Measures:
    """Measure one hypothesis.

    Args:
        subwords: Its attention between units; target tokens carry log-probabilities.
        words: The same between words.
        unknown: Source units that the vocabulary cannot spell.
        usual_coverage: Attention that a source word gets in all, usually.
    """
    logprobs = np.array([token.logprob or 0.0 for token in subwords.target])
    attention = subwords.weights.astype(np.float64)
    entropy = -(attention * np.log(np.maximum(attention, 1e-12))).sum(axis=1).mean()
    source, target = _Side.of(words.source), _Side.of(words.target)
    uncovered, skipped = _skipped(words, source, target, usual_coverage)
    repetition, repeated = _repetition(words, source, target)
    return Measures(
        mean_logprob=float(logprobs.mean()),
        units=len(logprobs),
        length_ratio=_characters(words.target) / max(1, _characters(words.source)),
        uncovered=uncovered,
        skipped=skipped,
        entropy=float(entropy),
        repetition=repetition,
        repeated=repeated,
        copied=_copied(words, source, target),
        unknown=unknown / len(subwords.source),
    )


def skipping(measures: Measures, usual_ratio: float) -> float:
    """What `source_skipped` is about: the share nothing looked at and the length that is missing."""
    return measures.uncovered + measures.shortfall(usual_ratio)


def coverage(words: AttentionMatrix) -> NDArray[np.float64]:
    """Attention that each source word gets from all target words together, (S,)."""
    ordinary = [not token.special for token in words.target]
    total: NDArray[np.float64] = words.weights[ordinary].sum(axis=0, dtype=np.float64)
    return total


@dataclass(frozen=True, slots=True)
class _Side:
    """The words of one side.

    Attributes:
        folded: As they are compared.
        speaks: Whether each has letters or digits.
    """

    folded: list[str]
    speaks: list[bool]

    @classmethod
    def of(cls, tokens: Sequence[Token]) -> _Side:
        return cls(
            [token.text.casefold() for token in tokens],
            [not token.special and _speaks(token.text) for token in tokens],
        )

    def where(self, speaking: bool) -> list[int]:
        """The words that speak, or do not."""
        return [place for place, speaks in enumerate(self.speaks) if speaks is speaking]


def _speaks(text: str) -> bool:
    return text[:1].isalpha() or _SPEAKS.search(text) is not None


def _characters(tokens: tuple[Token, ...]) -> int:
    return sum(len(token.text) for token in tokens if not token.special)


def _skipped(words: AttentionMatrix, source: _Side, target: _Side, usual: float) -> tuple[float, Span | None]:
    """The share of characters that nothing looked at, and the worst run of skipped words."""
    if not words.weights.any():  # a model without attention says nothing
        return 0.0, None
    speaking = source.where(True)
    lack = (1.0 - np.minimum(coverage(words) / usual, 1.0)).tolist()
    missing = {column: lack[column] * len(words.source[column].text) for column in speaking}
    best, span = 0.0, None
    run, start = 0.0, 0
    for column in speaking:  # a mark between two words does not end a run
        if lack[column] <= _SKIPPED:
            run = 0.0
            continue
        here = words.source[column].span or (0, 0)
        start = start if run else here[0]
        run += missing[column]
        if run > best:
            best, span = run, (start, here[1])
    total = sum(len(words.source[column].text) for column in speaking)
    lost = sum(lack[column] for column in speaking)
    elsewhere = float(words.weights[target.where(True)][:, source.where(False)].sum())
    left = max(0.0, 1.0 - elsewhere / lost) if lost else 0.0
    return left * sum(missing.values()) / max(1, total), span


def _repetition(words: AttentionMatrix, source: _Side, target: _Side) -> tuple[float, Span | None]:
    """The repeated stretch with most characters that look at the same source, and its second place.

    A stretch of two words or more that follows itself at once counts whole, wherever it looks:
    stuttering moves the attention on. What the source says twice may be said twice.
    """
    rows = [row for row, token in enumerate(words.target) if not token.special]
    texts = [target.folded[row] for row in rows]
    places: dict[str, list[int]] = {}
    for place, text in enumerate(texts):
        places.setdefault(text, []).append(place)
    if len(places) == len(texts):
        return 0.0, None
    said = Counter(source.folded)
    once = np.array(
        [said[text] == 1 and not token.special for text, token in zip(source.folded, words.source, strict=True)]
    )
    looks = words.weights[rows].astype(np.float64) * once
    sums = looks.sum(axis=1).tolist()
    worth = [len(text) * target.speaks[row] for text, row in zip(texts, rows, strict=True)]
    apart: dict[int, list[int]] = {}  # by their distance, the first of every two places with the same text
    for group in places.values():
        for number, first in enumerate(group):
            for second in group[number + 1 :]:
                apart.setdefault(second - first, []).append(first)
    best, chosen, span = 0.0, (0, 0, 0), None
    for distance, starts in apart.items():
        starts.sort()
        # sums up to each place, so that a stretch is a difference: word by word they would take the cube of the length
        alike, said_again = [0.0], [0.0]
        for first in starts:
            second = first + distance
            alike.append(alike[-1] + worth[first] * float(np.minimum(looks[first], looks[second]).sum()))
            said_again.append(said_again[-1] + worth[first] * min(sums[first], sums[second]))
        end = len(starts)
        for number in reversed(range(len(starts))):
            first = starts[number]
            if number + 1 < len(starts) and starts[number + 1] > first + 1:
                end = number + 1
            length = min(end - number, distance)
            totals = said_again if 1 < length == distance else alike
            score = totals[number + length] - totals[number]
            rank = (places[texts[first]][0], first, distance)  # of equals the first
            if score > best + 1e-9 or (score > best - 1e-9 and score > 1e-9 and rank < chosen):
                begin, stop = (words.target[rows[row + distance]].span for row in (first, first + length - 1))
                if begin and stop:
                    best, chosen, span = score, rank, (begin[0], stop[1])
    return best, span


def _copied(words: AttentionMatrix, source: _Side, target: _Side) -> float:
    """Share of the target's plain words in the longest stretch that stands in the source too."""
    places: dict[str, list[int]] = {}
    for place, column in enumerate(source.where(True)):
        places.setdefault(source.folded[column], []).append(place)
    rows = target.where(True)
    if sum(target.folded[row] in places for row in rows) < _FEWEST_COPIED:
        return 0.0
    plain = [not _is_name(words.target[row], first=place == 0) for place, row in enumerate(rows)]
    longest = 0
    before: dict[int, int] = {}  # plain words in the common stretch that ends at this word of the source
    for row, counts in zip(rows, plain, strict=True):
        before = {place: before.get(place - 1, 0) + counts for place in places.get(target.folded[row], ())}
        longest = max(longest, *before.values(), 0)
    return longest / sum(plain) if longest >= _FEWEST_COPIED else 0.0


def _is_name(token: Token, *, first: bool) -> bool:
    """Whether a word may well be the same in both languages: a number, or capitalised within the sentence."""
    text = token.text
    return (not first and text[:1].isupper()) or (not text.isalpha() and _NUMBER.search(text) is not None)
