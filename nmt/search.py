"""The running set: sentences come and go while all of them are decoded together.

`admit` lets sentences in, `step` gives every open hypothesis its next unit, `finished` returns those
that ended. A sentence gets the same answer alone and in any company: nothing it sees depends on who
shares the step. Offline translation and the server use the same set.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence

import torch

from nmt.beam import Beam, Committed, Hypothesis, Sentence, length_penalty
from nmt.errors import DeadlineExceeded
from nmt.half import Half
from nmt.model import DecodingModel
from nmt.options import Sampling, SearchOptions
from nmt.rules import Columns, Rule
from nmt.threads import one_thread

__all__ = [
    "Columns",
    "Committed",
    "DecodingModel",
    "Hypothesis",
    "Rule",
    "RunningSet",
    "Sampling",
    "SearchOptions",
    "Sentence",
    "length_penalty",
    "translate_all",
]

_WORTH_WAKING = 16
"""Rows from which a second thread takes the sentences that come."""

_AHEAD = 5
"""Of so many rows one may be what a half is ahead: the more sentences are encoded together, the less each costs."""


class RunningSet:
    """Sentences that are decoded together. Not for several threads at once.

    A finished hypothesis takes a slot of its sentence's beam, so a beam of one is greedy search.
    A sentence ends when no slot is open, or when no open hypothesis can still beat its n-th best
    finished one within the length limit. A hypothesis has no more unknown units than its source
    (each is copied from one of them).

    On two CPU cores half of the sentences belong to a second thread, which steps them at its own pace (`nmt.half`):
    two threads that share every product wait for each other after each.

    Args:
        model: In evaluation mode.
        max_rows: Rows (sentences times their K) that `room_for` allows.
        max_units: Source units, padding included, that `room_for` allows.
    """

    def __init__(self, model: DecodingModel, *, max_rows: int = 320, max_units: int = 8192) -> None:
        self.model = model
        self.max_rows, self.max_units = max_rows, max_units
        self._inside: dict[Sentence, tuple[Beam, Half]] = {}
        self._here = Half(model)
        self._beside = Half(model) if in_halves(model) else None
        self._entered: Half | None = None
        self._evenly = False
        self._finished: list[Sentence] = []

    def __len__(self) -> int:
        """Sentences inside."""
        return len(self._inside)

    @property
    def rows(self) -> int:
        """Rows that the sentences inside take."""
        return self._here.rows + (self._beside.rows if self._beside else 0)

    def room_for(self, sentence: Sentence) -> bool:
        """Whether the budget of rows and units allows one more; an empty set has room for anything."""
        if not self._inside:
            return True
        longest = max(len(sentence.source), *(len(other.source) for other in self._inside))
        return (
            self.rows + sentence.options.rows <= self.max_rows and (len(self._inside) + 1) * longest <= self.max_units
        )

    def admit(self, sentences: Sequence[Sentence]) -> None:
        """Let sentences in; they are encoded together at the next step."""
        for sentence in sentences:
            half = self._next_half()
            beam = Beam.of(sentence)
            self._inside[sentence] = beam, half
            half.rows += sentence.options.rows
            half.admit(beam)

    def _next_half(self) -> Half:
        """Who comes between two steps enters one half, the emptier one, until it is clearly ahead; more come evenly."""
        here, beside = self._here, self._beside
        if beside is None or here.rows < _WORTH_WAKING:
            return here
        emptier = here if here.rows < beside.rows else beside
        self._entered = self._entered or emptier
        ahead = 2 * self._entered.rows - self.rows
        if self._evenly or ahead >= max(1, self.rows // _AHEAD):
            self._evenly = True
            return emptier
        return self._entered

    def drop(self, sentence: Sentence) -> None:
        """Forget a sentence that nobody waits for; its rows are free before the next step."""
        if sentence in self._inside:
            self._remove(sentence)

    def step(self) -> None:
        """One unit for every open hypothesis of every sentence inside; none, one or several for a second thread's half.

        Raises:
            BaseException: What broke a step as a whole, of either half; never a sentence's own fault.
        """
        self._expire()
        self._entered, self._evenly = None, False
        here, beside = self._here, self._beside
        apart = beside is not None and beside.go_on()
        if here.rows:
            with one_thread(apart or self.rows <= self.model.few_rows):
                self._settle(here.step())
        if beside is not None:
            for ended in beside.outcome(wait=not here.rows and beside.rows > 0):
                self._settle(ended)

    def finished(self) -> list[Sentence]:
        """Those that ended since the last call, with `hypotheses` or `error` set."""
        finished, self._finished = self._finished, []
        return finished

    def _expire(self) -> None:
        late = [s for s in self._inside if s.deadline is not None]
        now = time.monotonic() if late else 0.0
        for sentence in late:
            if sentence.deadline is not None and now >= sentence.deadline:
                sentence.error = DeadlineExceeded(
                    "the time given for this translation has passed; send less text at once"
                )
                self._finished.append(sentence)
                self._remove(sentence)

    def _settle(self, ended: Iterable[Beam]) -> None:
        for beam in ended:
            found = self._inside.pop(beam.sentence, None)
            if found is not None:  # else nobody waits for it any more
                found[1].rows -= beam.sentence.options.rows
                self._finished.append(beam.sentence)

    def _remove(self, sentence: Sentence) -> None:
        beam, half = self._inside.pop(sentence)
        half.rows -= sentence.options.rows
        half.drop(beam)


def in_halves(model: DecodingModel) -> bool:
    """Whether two threads shall step half of the sentences each, instead of sharing every product."""
    return model.few_rows > 0 and torch.get_num_threads() == 2


def translate_all(
    model: DecodingModel, sentences: Sequence[Sentence], *, max_rows: int = 320, max_units: int = 8192
) -> None:
    """Decode sentences to their end, those of like length together; each gets its outcome.

    A sentence's failure is its own: look at `error`.

    Args:
        model: In evaluation mode.
        sentences: Any number, in any order.
        max_rows: As in `RunningSet`.
        max_units: As in `RunningSet`.
    """
    running = RunningSet(model, max_rows=max_rows, max_units=max_units)
    waiting = sorted(sentences, key=lambda sentence: len(sentence.source), reverse=True)
    try:
        while waiting or len(running):
            # a handful encoded together is far cheaper than one by one
            if running.rows <= max_rows - max_rows // 4:
                while waiting and running.room_for(waiting[-1]):
                    running.admit([waiting.pop()])
            running.step()
            running.finished()
    except BaseException:  # Ctrl+C, say: a second thread shall not go on
        for sentence in sentences:
            running.drop(sentence)
        raise
