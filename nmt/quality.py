"""How far a translation can be trusted: a calibrated confidence, and flags with their places.

All of it comes from what a hypothesis carries already, the probabilities of its tokens and its
attention (`nmt.measures`). A bundle's `quality.json` holds what was learned about them on validation
data (`python -m training calibrate`); without it there is neither a flag nor a calibrated confidence,
since nobody has measured what they would be worth.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal

import numpy as np

from nmt.alignment import AttentionMatrix
from nmt.config import build, check_range
from nmt.errors import ConfigError
from nmt.measures import FEATURES, Measures, measure, skipping
from nmt.text import Span


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
