"""Rules that a sentence's hypotheses obey beside the model.

A rule forbids units or adds to the final score. It knows the K rows (slots of the beam) of one
sentence; its value travels like the decoder's state: `advance` gives a new rule that has followed
the beam's back-pointers. Shapes: K rows, U columns (ids that the step scored), T units, S source.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

import numpy as np
from numpy.typing import NDArray
from torch import Tensor
from typing_extensions import override

from nmt.config import EOS, UNK
from nmt.options import SearchOptions

if TYPE_CHECKING:
    from nmt.beam import Hypothesis


@dataclass(frozen=True, slots=True)
class Columns:
    """Where target ids stand among the columns of a step.

    Attributes:
        ids: The id of every column, ascending, (U,); None when column j is id j.
    """

    ids: NDArray[np.int64] | None = None

    def of(self, ids: Iterable[int]) -> list[int]:
        """The columns of those of `ids` that have one, in the order of `ids`."""
        if self.ids is None:
            return list(ids)
        wanted = np.fromiter(ids, np.int64)
        at = np.searchsorted(self.ids, wanted).clip(max=len(self.ids) - 1)
        return at[self.ids[at] == wanted].tolist()  # type: ignore[no-any-return]


class Rule:
    """One rule of one sentence; the defaults do nothing. Rules never change, they are replaced.

    What a rule raises ends its sentence with that error, and no other.
    """

    def forbid(self, log_probabilities: Tensor, columns: Columns) -> None:
        """Set to -inf, in place, what a row may not go on with.

        Args:
            log_probabilities: The model's own, shape (K, U).
            columns: Which target id each column is.
        """

    def only(self, row: int) -> Sequence[int] | None:
        """The ids that the row must go on with, whatever all rules forbid; None leaves it to them."""
        return None

    def advance(self, parents: Sequence[int], tokens: Sequence[int]) -> Rule:
        """The rule one unit later: row k is now what row `parents[k]` was, and `tokens[k]` after it.

        A row that is closed has PAD for its token; nothing depends on it any more.
        """
        return self

    def final(self, hypothesis: Hypothesis) -> float:
        """Added to the score of a finished hypothesis; never above 0, so that a bound stays one."""
        return 0.0


@dataclass(frozen=True, slots=True)
class UnknownBudget(Rule):
    """A hypothesis has no more unknown units than its source: each is copied from one of them.

    Attributes:
        left: For each row, how many it may still have.
    """

    left: tuple[int, ...]

    @override
    def forbid(self, log_probabilities: Tensor, columns: Columns) -> None:
        at = columns.of([UNK])
        for row, left in enumerate(self.left):
            if left <= 0:
                log_probabilities[row, at] = -math.inf

    @override
    def advance(self, parents: Sequence[int], tokens: Sequence[int]) -> Self:
        pairs = zip(parents, tokens, strict=True)
        return type(self)(tuple(self.left[parent] - (token == UNK) for parent, token in pairs))


@dataclass(frozen=True, slots=True)
class NoRepeat(Rule):
    """No hypothesis has the same `size` units twice in the same order; EOS is always allowed.

    Attributes:
        size: n of the n-grams.
        histories: For each row, its units so far.
    """

    size: int
    histories: tuple[tuple[int, ...], ...]

    @override
    def forbid(self, log_probabilities: Tensor, columns: Columns) -> None:
        for row, history in enumerate(self.histories):
            last = history[len(history) - self.size + 1 :]
            starts = range(len(history) - self.size + 1)
            seen = {history[i + self.size - 1] for i in starts if history[i : i + self.size - 1] == last}
            if seen := seen - {EOS}:
                log_probabilities[row, columns.of(seen)] = -math.inf

    @override
    def advance(self, parents: Sequence[int], tokens: Sequence[int]) -> Self:
        pairs = zip(parents, tokens, strict=True)
        return type(self)(self.size, tuple((*self.histories[parent], token) for parent, token in pairs))


@dataclass(frozen=True, slots=True)
class CoveragePenalty(Rule):
    """beta * sum over source units of log min(1, attention they got in all) (Wu et al. 2016, eq. 14).

    The source's EOS is no unit of its text and does not count. Without attention it is 0.
    """

    beta: float

    @override
    def final(self, hypothesis: Hypothesis) -> float:
        if hypothesis.attention is None:
            return 0.0
        covered = hypothesis.attention[:, :-1].sum(axis=0, dtype=np.float64)
        # attention rounded to 0 has no logarithm
        return self.beta * float(np.log(covered.clip(1e-10, 1.0)).sum())


def rules_for(options: SearchOptions, source: Sequence[int]) -> list[Rule]:
    """The rules that follow from the options and the source ids.

    A source without UNK needs no budget: its hypotheses have none at all.
    """
    rules: list[Rule] = []
    if unknowns := list(source).count(UNK):
        rules.append(UnknownBudget((unknowns,) * options.rows))
    if options.no_repeat_ngram_size:
        rules.append(NoRepeat(options.no_repeat_ngram_size, ((),) * options.rows))
    if options.coverage_penalty:
        rules.append(CoveragePenalty(options.coverage_penalty))
    return rules
