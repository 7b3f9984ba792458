"""How far a translation can be trusted: a calibrated confidence, and flags with their places.

All of it comes from what a hypothesis carries already, the probabilities of its tokens and its
attention, by a few numbers that a reader can check by eye. A bundle's `quality.json` holds what
was learned about them on validation data (`python -m training calibrate`); without it there is
neither a flag nor a calibrated confidence, since nobody has measured what they would be worth.

Shapes: S source words, T target words, `</s>` among both.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal

import numpy as np
import regex
from numpy.typing import NDArray

from nmt.alignment import AttentionMatrix, Token
from nmt.config import build, check_range
from nmt.errors import ConfigError
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


@dataclass(frozen=True, slots=True)
class Flag:
    """One thing a reader should know about a hypothesis.

    Attributes:
        name: `source_skipped`, `repetition`, `copied` or `low_confidence`.
        span: The skipped words in the source text, or the repeated ones in the target text (the
            second time they stand there); None where the whole sentence is meant.
    """

    name: str
    span: Span | None = None

    @property
    def side(self) -> Literal["source", "target"] | None:
        """The text that `span` is into."""
        return None if self.span is None else "source" if self.name == "source_skipped" else "target"


@dataclass(frozen=True, slots=True)
class Judgement:
    """What is thought of one hypothesis.

    Attributes:
        confidence: Where the bundle is calibrated, the probability that chrF against a reference is
            at least 0.5; else the geometric mean of the token probabilities.
        flags: In the order of `Thresholds`, each name at most once.
    """

    confidence: float
    flags: tuple[Flag, ...]


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
    uncovered, skipped = _skipped(words, usual_coverage)
    repetition, repeated = _repetition(words)
    return Measures(
        mean_logprob=float(logprobs.mean()),
        units=len(logprobs),
        length_ratio=_characters(words.target) / max(1, _characters(words.source)),
        uncovered=uncovered,
        skipped=skipped,
        entropy=float(entropy),
        repetition=repetition,
        repeated=repeated,
        copied=_copied(words),
        unknown=unknown / len(subwords.source),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Thresholds:
    """A flag is raised when its number reaches the threshold; `low_confidence` when it falls below.

    Attributes:
        source_skipped: Of `Measures.uncovered` plus `Measures.shortfall`, where there is a skipped run.
        repetition, copied: Of the measures of that name.
        low_confidence: Of the confidence.
    """

    source_skipped: float
    repetition: float
    copied: float
    low_confidence: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Calibration:
    """What was learned on validation data.

    Attributes:
        usual_ratio: Median of `Measures.length_ratio`.
        usual_coverage: Attention that a source word gets in all, usually; at most 1.
        thresholds: Of the flags.
        bias, weights: Of the logistic regression that gives the confidence; a weight for each of
            `FEATURES`.
    """

    usual_ratio: float
    usual_coverage: float
    thresholds: Thresholds
    bias: float
    weights: dict[str, float]

    def __post_init__(self) -> None:
        check_range("usual_ratio", self.usual_ratio, 0.01, 100.0)
        check_range("usual_coverage", self.usual_coverage, 0.01, 1.0)
        if tuple(self.weights) != FEATURES or not all(math.isfinite(w) for w in (self.bias, *self.weights.values())):
            raise ConfigError(f"weights must be a finite number for each of {', '.join(FEATURES)}, in this order")

    def confidence(self, measures: Measures) -> float:
        """Probability that chrF against a reference is at least 0.5."""
        weights = np.array(list(self.weights.values()))
        logit = self.bias + float(weights @ measures.features())
        return 1.0 / (1.0 + math.exp(-min(max(logit, -30.0), 30.0)))

    def flags(self, measures: Measures, confidence: float) -> tuple[Flag, ...]:
        """The flags that are raised."""
        found = []
        if measures.skipped is not None and skipping(measures, self.usual_ratio) >= self.thresholds.source_skipped:
            found.append(Flag("source_skipped", measures.skipped))
        if measures.repeated is not None and measures.repetition >= self.thresholds.repetition:
            found.append(Flag("repetition", measures.repeated))
        if measures.copied >= self.thresholds.copied:
            found.append(Flag("copied"))
        if confidence < self.thresholds.low_confidence:
            found.append(Flag("low_confidence"))
        return tuple(found)

    def to_dict(self) -> dict[str, Any]:
        """Plain values, for JSON."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Calibration:
        """The inverse of `to_dict`.

        Raises:
            ConfigError: A key is unknown or missing, or a value cannot be.
        """
        parts = dict(values)
        if isinstance(parts.get("thresholds"), dict):
            parts["thresholds"] = build(Thresholds, parts["thresholds"], "thresholds")
        return build(cls, parts, "quality")


@dataclass(frozen=True, slots=True)
class Quality:
    """Judges hypotheses; without a calibration it raises no flag."""

    calibration: Calibration | None = None

    def judge(self, subwords: AttentionMatrix, words: AttentionMatrix, *, unknown: int = 0) -> Judgement:
        """Confidence and flags of one hypothesis, decoded or given.

        Args:
            subwords: Its attention between units; target tokens carry log-probabilities.
            words: The same between words. Spans of flags are into the texts that its tokens' are.
            unknown: Source units that the vocabulary cannot spell.
        """
        if self.calibration is None:
            return Judgement(math.exp(float(np.mean([token.logprob or 0.0 for token in subwords.target]))), ())
        measures = measure(subwords, words, unknown=unknown, usual_coverage=self.calibration.usual_coverage)
        confidence = self.calibration.confidence(measures)
        return Judgement(confidence, self.calibration.flags(measures, confidence))


def skipping(measures: Measures, usual_ratio: float) -> float:
    """What `source_skipped` is about: the share nothing looked at and the length that is missing."""
    return measures.uncovered + measures.shortfall(usual_ratio)


def _speaks(token: Token) -> bool:
    return not token.special and _SPEAKS.search(token.text) is not None


def _characters(tokens: tuple[Token, ...]) -> int:
    return sum(len(token.text) for token in tokens if not token.special)


def coverage(words: AttentionMatrix) -> NDArray[np.float64]:
    """Attention that each source word gets from all target words together, (S,)."""
    ordinary = [not token.special for token in words.target]
    total: NDArray[np.float64] = words.weights[ordinary].sum(axis=0, dtype=np.float64)
    return total


def _skipped(words: AttentionMatrix, usual: float) -> tuple[float, Span | None]:
    """The share of characters that nothing looked at, and the worst run of skipped words."""
    if not words.weights.any():  # a model without attention says nothing
        return 0.0, None
    speaking = [column for column, token in enumerate(words.source) if _speaks(token)]
    lack = 1.0 - np.minimum(coverage(words) / usual, 1.0)
    missing = {column: float(lack[column]) * len(words.source[column].text) for column in speaking}
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
    rows = [row for row, token in enumerate(words.target) if _speaks(token)]
    marks = [column for column, token in enumerate(words.source) if not _speaks(token)]
    lost = float(lack[speaking].sum())
    elsewhere = float(words.weights[np.ix_(rows, marks)].sum())
    left = max(0.0, 1.0 - elsewhere / lost) if lost else 0.0
    return left * sum(missing.values()) / max(1, total), span


def _repetition(words: AttentionMatrix) -> tuple[float, Span | None]:
    """The repeated stretch with most characters that look at the same source, and its second place.

    A stretch of two words or more that follows itself at once counts whole, wherever it looks:
    stuttering moves the attention on. What the source says twice may be said twice.
    """
    said = Counter(token.text.casefold() for token in words.source)
    once = np.array([said[token.text.casefold()] == 1 and not token.special for token in words.source])
    rows = [row for row, token in enumerate(words.target) if not token.special]
    texts = [words.target[row].text.casefold() for row in rows]
    looks = words.weights[rows].astype(np.float64) * once
    places: dict[str, list[int]] = {}
    for place, text in enumerate(texts):
        places.setdefault(text, []).append(place)
    best, span = 0.0, None
    for first, second in ((a, b) for group in places.values() for a in group for b in group if a < b):
        length = 0
        while (
            first + length < second and second + length < len(rows) and texts[first + length] == texts[second + length]
        ):
            length += 1
        stutter = length > 1 and first + length == second
        score = 0.0
        for step in range(length):
            one, other = looks[first + step], looks[second + step]
            share = min(one.sum(), other.sum()) if stutter else np.minimum(one, other).sum()
            score += float(share) * len(texts[first + step]) * _speaks(words.target[rows[first + step]])
        if score > best:
            begin, end = words.target[rows[second]].span, words.target[rows[second + length - 1]].span
            if begin and end:
                best, span = score, (begin[0], end[1])
    return best, span


def _copied(words: AttentionMatrix) -> float:
    """Share of the target's plain words in the longest stretch that stands in the source too."""
    source = [token.text.casefold() for token in words.source if _speaks(token)]
    target = [token for token in words.target if _speaks(token)]
    plain = [not _is_name(token, first=place == 0) for place, token in enumerate(target)]
    longest = 0
    before = [0] * (len(source) + 1)  # plain words in the common stretch that ends here
    for token, counts in zip(target, plain, strict=True):
        now = [0] * (len(source) + 1)
        for place, text in enumerate(source):
            if token.text.casefold() == text:
                now[place + 1] = before[place] + counts
        before = now
        longest = max(longest, *now)
    return longest / sum(plain) if longest >= _FEWEST_COPIED else 0.0


def _is_name(token: Token, *, first: bool) -> bool:
    """Whether a word may well be the same in both languages: a number, or capitalised within the sentence."""
    return _NUMBER.search(token.text) is not None or (not first and token.text[:1].isupper())
