"""What a caller may ask of the search."""

from __future__ import annotations

from dataclasses import dataclass

from nmt.config import check_range
from nmt.errors import ConfigError

MOST_ROWS = 200
"""Largest beam, and most samples of one sentence."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sampling:
    """Draw units instead of searching for the best ones.

    Attributes:
        temperature: Log-probabilities are divided by it; below 1 is more careful, above 1 bolder.
        top_k: Only the k most likely units may be drawn; 0 allows all.
        top_p: Only the most likely units that together reach this probability may be drawn
            (Holtzman et al. 2020); 1 allows all.
        seed: The same seed gives the same samples, in whatever company.
    """

    temperature: float = 1.0
    top_k: int = 0
    top_p: float = 1.0
    seed: int = 0

    def __post_init__(self) -> None:
        check_range("sampling.temperature", self.temperature, 0.01, 100.0)
        check_range("sampling.top_k", self.top_k, 0, 1_000_000)
        if not 0.0 < self.top_p <= 1.0:
            raise ConfigError(
                f"sampling.top_p = {self.top_p} is out of range; it must be above 0 and at most 1 (1 allows every unit)"
            )
        check_range("sampling.seed", self.seed, 0, 2**63 - 1)


@dataclass(frozen=True, slots=True, kw_only=True)
class SearchOptions:
    """How a sentence is searched.

    Attributes:
        beam_size: K, how many hypotheses stay open beside each other; 1 is greedy search.
        n_best: How many to return, at most `beam_size`; with sampling, how many independent
            samples to draw (`beam_size` is then ignored).
        length_penalty: alpha of Wu et al. 2016, eq. 14; 0 compares plain log-probabilities.
        coverage_penalty: beta of the same equation; 0 is off. Ranks finished hypotheses.
        no_repeat_ngram_size: No hypothesis has the same n units twice; 0 is off.
        sampling: Draw instead of search.
    """

    beam_size: int = 5
    n_best: int = 1
    length_penalty: float = 1.0
    coverage_penalty: float = 0.0
    no_repeat_ngram_size: int = 0
    sampling: Sampling | None = None

    def __post_init__(self) -> None:
        check_range("beam_size", self.beam_size, 1, MOST_ROWS)
        check_range("n_best", self.n_best, 1, MOST_ROWS)
        check_range("length_penalty", self.length_penalty, 0.0, 10.0)
        check_range("coverage_penalty", self.coverage_penalty, 0.0, 10.0)
        check_range("no_repeat_ngram_size", self.no_repeat_ngram_size, 0, 1000)
        if self.sampling is None and self.n_best > self.beam_size:
            raise ConfigError(
                f"n_best = {self.n_best} is larger than beam_size = {self.beam_size}; raise beam_size or lower n_best"
            )

    @property
    def rows(self) -> int:
        """K: rows that a sentence takes in a running set."""
        return self.beam_size if self.sampling is None else self.n_best
