"""Sentences that one thread steps: a whole running set, or half of it beside another thread.

A row is one hypothesis of one sentence.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Iterator

import torch

from nmt.batch import pad
from nmt.beam import Beam
from nmt.lane import Lane, LaneKey
from nmt.model import DecodingModel


class Half:
    """Lanes, what comes to them and what leaves.

    The owner's thread calls `admit`, `drop`, and either `step`, or `go_on` and `outcome`: then a thread of its own
    makes the steps, one after the other as long as there are sentences, and no step waits for the owner.

    Attributes:
        rows: Rows of its sentences; the owner counts them.
    """

    def __init__(self, model: DecodingModel) -> None:
        self.rows = 0
        self._model = model
        self._lanes: dict[LaneKey, Lane] = {}
        self._lock = threading.Lock()  # for the next three
        self._waiting: list[Beam] = []
        self._gone: set[Beam] = set()
        self._runs = False
        self._outcomes: queue.SimpleQueue[list[Beam] | BaseException] = queue.SimpleQueue()

    def admit(self, beam: Beam) -> None:
        """Let a sentence in at the next step."""
        with self._lock:
            self._waiting.append(beam)

    def drop(self, beam: Beam) -> None:
        """Let a sentence out before the next step; it may have ended meanwhile."""
        with self._lock:
            if beam in self._waiting:
                self._waiting.remove(beam)
            else:
                self._gone.add(beam)

    @torch.inference_mode()
    def step(self) -> list[Beam]:
        """Encode what waits, then one unit for all; those that ended are returned, their outcome set.

        A sentence that fails ends with its `error`; nothing is raised for it.
        """
        with self._lock:
            waiting, self._waiting = self._waiting, []
            gone, self._gone = self._gone, set()
        if gone:
            for lane in self._lanes.values():
                lane.leave(gone)
        ended = self._enter(waiting) if waiting else []
        for key, lane in list(self._lanes.items()):
            if lane.beams:
                ended += lane.step()
            if not lane.beams:
                del self._lanes[key]
        return ended

    def go_on(self) -> bool:
        """See to it that its thread makes steps while there are sentences; whether it does.

        Raises:
            RuntimeError: The system gives no thread.
        """
        with self._lock:
            if self._waiting and not self._runs:
                threading.Thread(target=self._run, name="interlinear-half").start()  # its first step waits for the lock
                self._runs = True
            return self._runs

    def outcome(self, *, wait: bool) -> Iterator[list[Beam]]:
        """What ended in the steps since the last call; with `wait`, not before there was one.

        Raises:
            BaseException: What a step raised.
        """
        while wait or not self._outcomes.empty():
            ended = self._outcomes.get()
            if isinstance(ended, BaseException):
                raise ended
            yield ended
            wait = False

    def _run(self) -> None:
        torch.set_num_threads(1)
        while True:
            try:
                self._outcomes.put(self.step())
            except BaseException as error:
                self._outcomes.put(error)
                self._lanes.clear()
            with self._lock:
                if not self._lanes and not self._waiting:
                    self._runs = False
                    return

    def _enter(self, waiting: list[Beam]) -> list[Beam]:
        """Encode sentences, those of a lane together; if that fails, one by one. The guilty are returned."""
        groups: dict[LaneKey, list[Beam]] = {}
        for beam in waiting:
            groups.setdefault(LaneKey.of(beam.sentence), []).append(beam)
        failed: list[Beam] = []
        for key, beams in groups.items():
            try:
                self._join(key, beams)
            except Exception:
                for beam in beams:
                    try:
                        self._join(key, [beam])
                    except Exception as error:
                        beam.sentence.error = error
                        failed.append(beam)
        return failed

    def _join(self, key: LaneKey, beams: list[Beam]) -> None:
        model = self._model
        state = model.start(model.encode(pad([beam.sentence.source for beam in beams], model.device)))
        if key not in self._lanes:
            self._lanes[key] = Lane(model, key)
        self._lanes[key].join(beams, state)
