"""The running set: sentences come and go while all of them are decoded together.

`admit` lets sentences in, `step` gives every open hypothesis its next unit, `finished` returns those
that ended. A sentence gets the same answer alone and in any company: nothing it sees depends on who
shares the step. Offline translation and the server use the same set.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence

import torch

from nmt.batch import pad
from nmt.beam import Beam, Committed, Hypothesis, Sentence, length_penalty
from nmt.errors import DeadlineExceeded
from nmt.lane import Lane, LaneKey
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


class RunningSet:
    """Sentences that are decoded together. Not for several threads at once.

    A finished hypothesis takes a slot of its sentence's beam, so a beam of one is greedy search.
    A sentence ends when no slot is open, or when no open hypothesis can still beat its n-th best
    finished one within the length limit. A hypothesis has no more unknown units than its source
    (each is copied from one of them).

    Args:
        model: In evaluation mode.
        max_rows: Rows (sentences times their K) that `room_for` allows.
        max_units: Source units, padding included, that `room_for` allows.
    """

    def __init__(self, model: DecodingModel, *, max_rows: int = 320, max_units: int = 8192) -> None:
        self.model = model
        self.max_rows, self.max_units = max_rows, max_units
        self._inside: dict[Sentence, Beam] = {}
        self._waiting: list[Beam] = []
        self._lanes: dict[LaneKey, Lane] = {}
        self._gone: set[Beam] = set()
        self._finished: list[Sentence] = []
        self._rows = 0

    def __len__(self) -> int:
        """Sentences inside."""
        return len(self._inside)

    @property
    def rows(self) -> int:
        """Rows that the sentences inside take."""
        return self._rows

    def room_for(self, sentence: Sentence) -> bool:
        """Whether the budget of rows and units allows one more; an empty set has room for anything."""
        if not self._inside:
            return True
        longest = max(len(sentence.source), *(len(other.source) for other in self._inside))
        return (
            self._rows + sentence.options.rows <= self.max_rows and (len(self._inside) + 1) * longest <= self.max_units
        )

    def admit(self, sentences: Sequence[Sentence]) -> None:
        """Let sentences in; they are encoded together at the next step."""
        for sentence in sentences:
            beam = Beam.of(sentence)
            self._inside[sentence] = beam
            self._waiting.append(beam)
            self._rows += sentence.options.rows

    def drop(self, sentence: Sentence) -> None:
        """Forget a sentence that nobody waits for; its rows are free before the next step."""
        beam = self._inside.get(sentence)
        if beam is not None:
            self._gone.add(beam)
            self._remove(beam)

    @torch.inference_mode()
    def step(self) -> None:
        """One unit for every open hypothesis of every sentence inside. Never raises for a sentence's fault."""
        with one_thread(self._rows <= self.model.few_rows):
            self._step()

    def _step(self) -> None:
        self._expire()
        if self._gone:
            self._waiting = [beam for beam in self._waiting if beam not in self._gone]
            for lane in self._lanes.values():
                lane.leave(self._gone)
            self._gone.clear()
        if self._waiting:
            self._enter()
        for key, lane in list(self._lanes.items()):
            if lane.beams:
                self._settle(lane.step())
            if not lane.beams:
                del self._lanes[key]

    def finished(self) -> list[Sentence]:
        """Those that ended since the last call, with `hypotheses` or `error` set."""
        finished, self._finished = self._finished, []
        return finished

    def _expire(self) -> None:
        late = [s for s in self._inside if s.deadline is not None]
        now = time.monotonic() if late else 0.0
        for sentence in late:
            if sentence.deadline is not None and now >= sentence.deadline:
                beam = self._inside[sentence]
                sentence.error = DeadlineExceeded(
                    "the time given for this translation has passed; send less text at once"
                )
                self._gone.add(beam)
                self._settle([beam])

    def _enter(self) -> None:
        """Encode what waits, sentences of a lane together; if that fails, one by one."""
        groups: dict[LaneKey, list[Beam]] = {}
        for beam in self._waiting:
            groups.setdefault(LaneKey.of(beam.sentence), []).append(beam)
        self._waiting = []
        for key, beams in groups.items():
            try:
                self._join(key, beams)
            except Exception:
                for beam in beams:
                    try:
                        self._join(key, [beam])
                    except Exception as error:
                        beam.sentence.error = error
                        self._settle([beam])

    def _join(self, key: LaneKey, beams: list[Beam]) -> None:
        model = self.model
        state = model.start(model.encode(pad([beam.sentence.source for beam in beams], model.device)))
        if key not in self._lanes:
            self._lanes[key] = Lane(model, key)
        self._lanes[key].join(beams, state)

    def _settle(self, beams: Iterable[Beam]) -> None:
        for beam in beams:
            self._finished.append(beam.sentence)
            self._remove(beam)

    def _remove(self, beam: Beam) -> None:
        del self._inside[beam.sentence]
        self._rows -= beam.sentence.options.rows


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
    while waiting or len(running):
        # a handful encoded together is far cheaper than one by one
        if running.rows <= max_rows - max_rows // 4:
            while waiting and running.room_for(waiting[-1]):
                running.admit([waiting.pop()])
        running.step()
        running.finished()
