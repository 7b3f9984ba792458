"""One sentence of a search: what is asked, the back-pointers of its hypotheses, what came of it.

Shapes: K rows (slots of the beam), T target units, S source length with EOS.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import repeat

import numpy as np
from numpy.typing import NDArray

from nmt.config import UNK
from nmt.errors import NmtError
from nmt.options import SearchOptions
from nmt.rules import Rule, rules_for


@dataclass(frozen=True, slots=True)
class Hypothesis:
    """One finished candidate.

    Attributes:
        tokens: Target ids; the last one is EOS unless `truncated` or ended by `Sentence.stop`.
        score: Sum of `token_scores` over the length penalty, and what rules add.
        token_scores: Natural-log probability of every token as the model gives it, (T,).
        attention: One row for each token, (T, S), S with the source's EOS; None without attention.
        truncated: The length limit ended it.
    """

    tokens: list[int]
    score: float
    token_scores: NDArray[np.float32]
    attention: NDArray[np.float32] | None
    truncated: bool = False


@dataclass(frozen=True, slots=True)
class Committed:
    """A unit that the best hypothesis will have at this place, whatever comes.

    Attributes:
        token: Target id.
        logprob: Natural-log probability as the model gives it.
        attention: Its row, (S,); None without attention.
    """

    token: int
    logprob: float
    attention: NDArray[np.float32] | None


@dataclass(slots=True, eq=False)
class Sentence:
    """One sentence on its way through a running set; used once.

    Attributes:
        source: Ids with EOS.
        limit: Most target units, EOS included; a prefix counts.
        options: How it is searched.
        rules: More rules than the options make, a target prefix for example.
        shortlist: Ascending target ids it may use, with EOS among them; the softmax runs over them
            alone, whoever shares the batch. None is all.
        deadline: On the clock of `time.monotonic()`; None is never.
        independent: Rows do not compete: the first step with a choice takes the K best units (K is
            `options.beam_size`), and each goes on greedily. All are returned, whatever `n_best` says.
        stop: For independent rows: whether to end a row before this unit, asked after the choice.
        stream: Keep `committed` up to date.
        owner: Whatever the caller wants back.
        hypotheses: The outcome, best first, `n_best` of them (fewer only if fewer exist).
        error: The outcome where there is none.
        committed: Units that cannot change any more; in the end those of the best hypothesis.
    """

    source: Sequence[int]
    limit: int
    options: SearchOptions
    rules: Sequence[Rule] = ()
    shortlist: NDArray[np.int64] | None = None
    deadline: float | None = None
    independent: bool = False
    stop: Callable[[int], bool] | None = None
    stream: bool = False
    owner: object = None
    hypotheses: list[Hypothesis] | None = None
    error: Exception | None = None
    committed: list[Committed] = field(default_factory=list)


def length_penalty(length: int, alpha: float) -> float:
    """((5 + length) / 6) ** alpha (Wu et al. 2016, eq. 14); EOS counts."""
    return float(((5 + length) / 6) ** alpha)


@dataclass(frozen=True, slots=True)
class Record:
    """One step of all sentences of a lane: A sentences, K rows each.

    Attributes:
        parents: Which row of the step before each went on from, (A, K).
        tokens: With which unit, (A, K).
        logprobs: Of that unit, (A, K).
        attention: Of the step, by parent: (A, K, S); None without attention.
    """

    parents: NDArray[np.int64]
    tokens: NDArray[np.int64]
    logprobs: NDArray[np.float32]
    attention: NDArray[np.float32] | None


@dataclass(frozen=True, slots=True)
class Ending:
    """Where a finished hypothesis left the beam.

    Attributes:
        length: Its units.
        slot: Its row after so many steps.
        score: As in `Hypothesis`.
        truncated: As in `Hypothesis`.
    """

    length: int
    slot: int
    score: float
    truncated: bool


@dataclass(slots=True, eq=False)
class Beam:
    """A sentence inside: its rules and its trail of back-pointers.

    Attributes:
        sentence: What is asked.
        rules: As they stand.
        trail: For each step the record and the sentence's place in it.
        endings: Finished hypotheses, in the order they finished.
        apart: Rows do not compete (any more).
        uniforms: What sampling draws with, (limit, K); empty without.
    """

    sentence: Sentence
    rules: list[Rule]
    trail: list[tuple[Record, int]]
    endings: list[Ending]
    apart: bool
    uniforms: NDArray[np.float32]

    @classmethod
    def of(cls, sentence: Sentence) -> Beam:
        """Before the first step."""
        options = sentence.options
        rules = [*rules_for(options, sentence.source), *sentence.rules]
        uniforms = np.zeros((0, options.rows), np.float32)
        if options.sampling is not None:
            generator = np.random.default_rng(options.sampling.seed)
            uniforms = generator.random((sentence.limit, options.rows), dtype=np.float32)
        return cls(sentence, rules, [], [], False, uniforms)

    @property
    def answers(self) -> int:
        """How many hypotheses end the sentence."""
        return self.sentence.options.rows if self.sentence.independent else self.sentence.options.n_best

    @property
    def special(self) -> bool:
        """Whether there is more to do after a step than to follow the back-pointers."""
        return bool(self.rules) or self.sentence.stream or self.sentence.stop is not None

    @property
    def copies(self) -> bool:
        """Whether the source has unknown units that the target may copy."""
        return UNK in self.sentence.source

    def end(self, length: int, slot: int, logprob: float, truncated: bool) -> Ending:
        """Finish the hypothesis of `slot` after `length` units of log-probability `logprob` in all."""
        score = logprob / length_penalty(length, self.sentence.options.length_penalty)
        ending = Ending(length, slot, score, truncated)
        if self.rules:
            hypothesis = self.trace(ending)
            score += sum(rule.final(hypothesis) for rule in self.rules)
            ending = Ending(length, slot, score, truncated)
        self.endings.append(ending)
        return ending

    def ranked(self) -> list[Ending]:
        """Best first; of equals the one that finished first."""
        return sorted(self.endings, key=lambda ending: -ending.score)

    def trace(self, ending: Ending) -> Hypothesis:
        """Follow the back-pointers."""
        tokens, logprobs, rows = self._walk(ending.length, ending.slot, 0)
        return Hypothesis(
            tokens=tokens,
            score=ending.score,
            token_scores=np.array(logprobs, np.float32),
            attention=np.array(rows) if rows else None,
            truncated=ending.truncated,
        )

    def _walk(self, length: int, slot: int, after: int) -> tuple[list[int], list[float], list[NDArray[np.float32]]]:
        """Units `after` + 1 to `length` of the hypothesis that stood in `slot` after `length` units.

        Returns:
            Tokens, their log-probabilities, and views of their attention, (S,) each; none without attention.
        """
        width = len(self.sentence.source)
        tokens, logprobs, rows = [], [], []
        for record, place in reversed(self.trail[after:length]):
            tokens.append(record.tokens.item(place, slot))
            logprobs.append(record.logprobs.item(place, slot))
            slot = record.parents.item(place, slot)
            if record.attention is not None:
                rows.append(record.attention[place, slot, :width])
        return tokens[::-1], logprobs[::-1], rows[::-1]

    def commit(self, scores: NDArray[np.float64]) -> None:
        """Extend `committed` by what all candidates that may still win agree on.

        Args:
            scores: Log-probabilities of the open rows, -inf where closed, (K,).
        """
        options = self.sentence.options
        length = len(self.trail)
        best = max(self.endings, key=lambda ending: ending.score, default=None)
        # log-probabilities only fall and rules only take away: an open row cannot do better than this
        hope = scores / length_penalty(self.sentence.limit, options.length_penalty)
        slots = set(np.flatnonzero(hope > (-np.inf if best is None else best.score)).tolist())
        level = length
        if best is not None and not slots:
            slots, level = {best.slot}, best.length
        common, agreed = -1, 0
        while level > len(self.sentence.committed):
            if best is not None and level == best.length:
                slots = slots | {best.slot}
            if len(slots) == 1 and (best is None or level <= best.length):
                (common,), agreed = slots, level
                break
            record, place = self.trail[level - 1]
            slots = {int(record.parents[place, slot]) for slot in slots}
            level -= 1
        if agreed:
            self._add(agreed, common)

    def settle(self) -> None:
        """Set the outcome."""
        if not self.endings:
            self.sentence.error = NmtError(
                "no translation is left that the model and the rules allow; drop a rule (no_repeat_ngram_size, "
                "target_prefix) or look for weights that are not finite"
            )
            return
        ranked = self.ranked()[: self.answers]
        self.sentence.hypotheses = [self.trace(ending) for ending in ranked]
        if self.sentence.stream:
            self._add(ranked[0].length, ranked[0].slot)

    def _add(self, length: int, slot: int) -> None:
        committed = self.sentence.committed
        tokens, logprobs, rows = self._walk(length, slot, len(committed))
        # a view would hold the whole batch's attention in memory
        copies = [row.copy() for row in rows] if rows else repeat(None)
        committed += map(Committed, tokens, logprobs, copies)
