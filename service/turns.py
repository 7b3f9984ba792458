"""The engine's thread: prepare, let sentences join, step every running set, hand back what ended."""

from __future__ import annotations

import logging
import queue
import time
import traceback
from collections import Counter, deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, cast

from service.backlog import Backlog
from service.errors import Problem
from service.memory import give_back
from service.metrics import Metrics
from service.models import ServedModel
from service.threads import compute_with
from service.ticket import Ticket, Work

if TYPE_CHECKING:  # PyTorch takes seconds to import; the server answers before
    from nmt.plan import Plan
    from nmt.search import RunningSet, Sentence

logger = logging.getLogger("interlinear.engine")

_SLICE = 0.002
"""Seconds for which one request's text is cut and encoded at a time."""

_SLICES = 0.004
"""Seconds between two steps for all of them."""

_OPEN_TO_ALL = 0.75
"""Share of the rows that large requests may fill; the rest is for those that have little in the set."""

_LITTLE = 0.125
"""Share of the rows up to which a request has little in the set."""

_MANY = 64
"""Rows from which a step takes so long, and turns everything else out of the processor's caches, that doing for
several what would be done for one shows: preparing and encoding newcomers, who would wait for room anyway."""

_CROWDED = 192
"""Rows from which that goes for giving answers back too: earlier, their delay costs more than it saves."""

_ROWS_A_COMPANION = 16
"""Who comes or has ended then waits until there is one for so many rows."""

_ROWS_A_STEP = 32
"""They wait one step for so many rows at most, and never more than `_LONGEST` steps."""

_LONGEST = 5

_IDLE = 0.5
"""Seconds without work after which memory is given back: nobody waits for that."""

_USUAL_ROWS = 5
"""Rows of a sentence with the default beam."""


@dataclass(eq=False, slots=True)
class Running:
    """A model's running set, as long as there is something in it.

    Attributes:
        sentences: Of all tickets.
        owners: Whose each is.
        rows: Of all.
        held: Steps that newcomers have waited for company.
        ended: Sentences that have left the set, and wait for company to be given back.
        kept: Steps since any were.
    """

    sentences: RunningSet
    owners: dict[Sentence, Ticket] = field(default_factory=dict)
    rows: int = 0
    held: int = 0
    ended: deque[tuple[Ticket, Sentence]] = field(default_factory=deque)
    kept: int = 0

    def enough(self, count: int, waited: int) -> bool:
        """Whether so many, after so many steps, need wait no longer for company."""
        company, steps = self.rows // _ROWS_A_COMPANION, min(self.rows // _ROWS_A_STEP, _LONGEST)
        return count >= company or waited >= steps


class Turns:
    """What the engine's thread does over and over; nothing here is for another thread.

    Args:
        inbox: Tickets: once when admitted, again when nobody waits for them any more; None wakes
            the thread to be stopped.
        backlog: Where what waits is counted.
        max_rows: Hypotheses that a step of one model extends at once.
        max_units: Source units, padding included, in a model at once.
        threads: Of the CPU, for the models; 0 leaves the choice to PyTorch.
        metrics: Where to count.
    """

    def __init__(
        self,
        inbox: queue.SimpleQueue[Ticket | None],
        backlog: Backlog,
        *,
        max_rows: int,
        max_units: int,
        threads: int,
        metrics: Metrics,
    ) -> None:
        self._inbox, self._backlog, self._metrics = inbox, backlog, metrics
        self._max_rows, self._max_units, self._threads = max_rows, max_units, threads
        self._preparing: deque[Ticket] = deque()
        self._waiting: deque[Ticket] = deque()
        self._running: dict[ServedModel, Running] = {}
        self._offer()
        self.stopped = False
        """Set from outside, before a None in the inbox."""

    def run(self) -> None:
        """Until stopped; nothing else ends it."""
        while not self.stopped:
            try:
                self._turn()
            except BaseException as error:  # the thread never dies; its requests learn what happened
                log_failure("the engine failed", error)
                self._fail_all(error)
        while not self._inbox.empty():
            self._receive(self._inbox.get())
        self._fail_all(Problem("draining", "The server has stopped.", headers={"Retry-After": "5"}))

    def _turn(self) -> None:
        """Everything once: news, preparing, joining, a step of every set."""
        if not (self._preparing or self._waiting or self._running):
            self._sleep()
        while not self._inbox.empty():
            self._receive(self._inbox.get())
        if self._preparing or self._waiting:
            held = self._held()
            self._prepare(held)
            self._fill(held)
        self._offer()
        for model, running in list(self._running.items()):
            if running.owners:
                self._step(model, running)
            self._hand_back(running)
            if not (running.owners or running.ended):  # nothing here keeps a model that is served no more
                self._running.pop(model, None)

    def _sleep(self) -> None:
        """Until there is something to do; memory that a load has left behind goes back meanwhile."""
        self._offer()
        try:
            ticket = self._inbox.get(timeout=_IDLE)
        except queue.Empty:
            give_back()
            ticket = self._inbox.get()
        self._receive(ticket)

    def _receive(self, ticket: Ticket | None) -> None:
        if ticket is None or ticket.ended:
            return
        if ticket.future.cancelled():
            self._end(ticket)
        else:
            self._preparing.append(ticket)

    def _prepare(self, held: set[ServedModel]) -> None:
        """Cut and encode texts, in turn, for a short while; new ones of the models in `held` wait."""
        until = time.monotonic() + _SLICES
        wait: list[Ticket] = []
        try:
            while self._preparing and time.monotonic() < until:
                ticket = self._preparing.popleft()
                if ticket.ended:
                    continue
                if ticket.work is None and ticket.model in held:
                    wait.append(ticket)
                    continue
                try:
                    if ticket.work is None:
                        ticket.work = ticket.begin()
                    ticket.prepared = ticket.work.prepare(_SLICE)
                    self._prepared(ticket, ticket.work)
                except BaseException as error:
                    self._fail(ticket, error)
                if not (ticket.prepared or ticket.ended):
                    self._preparing.append(ticket)
        finally:  # whatever happens, nobody is forgotten
            self._preparing.extendleft(reversed(wait))

    def _prepared(self, ticket: Ticket, work: Work) -> None:
        """Let the new sentences wait for room; a stream's all at once, after it has said which there are."""
        if ticket.follower is not None:
            if not ticket.prepared:
                return
            ticket.follower.begin(_plan(work))
        if not ticket.ready and ticket.taken < len(work.sentences):
            self._waiting.append(ticket)
        ticket.ready.extend(work.sentences[ticket.taken :])
        ticket.taken = len(work.sentences)
        if ticket.prepared:
            self._count(ticket, sum(len(sentence.source) for sentence in ticket.ready))
            if ticket.complete:
                self._conclude(ticket, work)

    def _fill(self, full: set[ServedModel]) -> None:
        """One sentence of each ticket in turn, while there is room; none for the models in `full`."""
        stay: list[Ticket] = []
        try:
            while self._waiting:
                ticket = self._waiting.popleft()
                if ticket.ended or not ticket.ready:
                    continue
                try:
                    joined = ticket.model not in full and self._join(ticket, full)
                except BaseException as error:
                    self._fail(ticket, error)
                    continue
                (self._waiting if joined else stay).append(ticket)
        finally:
            self._waiting.extend(stay)

    def _offer(self) -> None:
        """Say how many requests there is room for beside the largest set."""
        rows = max((running.rows for running in self._running.values()), default=0)
        self._backlog.offer(max(0, self._max_rows - rows) // _USUAL_ROWS)

    def _held(self) -> set[ServedModel]:
        """Models whose newcomers shall wait for company, or until there is room for some."""
        fitting = Counter[ServedModel]()
        new = (ticket for ticket in self._preparing if ticket.work is None)
        for ticket in (*self._waiting, *new):
            running = self._running.get(ticket.model)
            if running is not None and running.rows >= _MANY:
                most = _OPEN_TO_ALL if self._has_much(ticket, _USUAL_ROWS) else 1.0
                room = int(most * self._max_rows) - running.rows
                fitting[ticket.model] += min(len(ticket.ready) or 1, max(room, 0) // _USUAL_ROWS)
        held: set[ServedModel] = set()
        for model, count in fitting.items():
            running = self._running[model]
            count = min(count, (self._max_rows - running.rows) // _USUAL_ROWS)
            if running.rows >= _MANY and not running.enough(count, running.held):
                running.held += count > 0
                held.add(model)
        return held

    def _has_much(self, ticket: Ticket, rows: int) -> bool:
        """Whether so many rows more are much for one request; its first sentence never is."""
        return bool(ticket.inside) and ticket.rows + rows > _LITTLE * self._max_rows

    def _join(self, ticket: Ticket, full: set[ServedModel]) -> bool:
        """Let the ticket's next sentence join, if there is room."""
        running = self._running.get(ticket.model)
        if running is None:
            compute_with(self._threads)
            made = ticket.model.translator.running_set(max_rows=self._max_rows, max_units=self._max_units)
            running = self._running[ticket.model] = Running(made)
        sentence = ticket.ready[0]
        rows = sentence.options.rows
        if self._has_much(ticket, rows) and running.rows and running.rows + rows > _OPEN_TO_ALL * self._max_rows:
            return False
        if not running.sentences.room_for(sentence):
            full.add(ticket.model)  # what is smaller waits too, else the large one never finds room
            return False
        running.sentences.admit([sentence])
        running.held = 0
        ticket.ready.popleft()
        if ticket.joined is None:
            ticket.joined = time.monotonic()
        ticket.inside[sentence] = rows
        running.owners[sentence] = ticket
        running.rows += rows
        if ticket.prepared:
            self._count(ticket, ticket.units - len(sentence.source))
        return True

    def _step(self, model: ServedModel, running: Running) -> None:
        """Advance a model's sentences by one unit, and see which ended."""
        started = time.perf_counter()
        rows = running.rows
        try:
            running.sentences.step()
            finished = running.sentences.finished()
        except BaseException as error:
            log_failure(f"a step of {model.name} failed as a whole", error)
            del self._running[model]
            _abandon(running)
            self._hand_back(running, at_once=True)
            for ticket in set(running.owners.values()):
                self._fail(ticket, error)
            return
        seconds = time.perf_counter() - started
        self._metrics.step(model.name, rows, seconds)
        self._backlog.learn(seconds, sum(len(sentence.source) for sentence in finished))
        for sentence in finished:
            owner = running.owners.pop(sentence, None)
            if owner is not None:  # a sentence that failed has taken the others of its request along
                running.rows -= owner.inside[sentence]
                running.ended.append((owner, sentence))
        for ticket in {ticket for ticket in running.owners.values() if ticket.follower is not None}:
            try:
                assert ticket.follower is not None
                ticket.follower.step(_plan(ticket.work), ticket.inside)
            except BaseException as error:
                self._fail(ticket, error)

    def _hand_back(self, running: Running, *, at_once: bool = False) -> None:
        """Finish the sentences that have ended, several together unless `at_once` or somebody watches."""
        running.kept += 1
        if not running.ended:
            return
        at_once = at_once or running.rows < _CROWDED or any(ticket.follower is not None for ticket, _ in running.ended)
        if at_once or running.enough(len(running.ended), running.kept):
            running.kept = 0
            while running.ended:
                self._finish(*running.ended.popleft())

    def _finish(self, ticket: Ticket, sentence: Sentence) -> None:
        """A sentence has ended."""
        if ticket.ended:
            return
        del ticket.inside[sentence]
        work = ticket.work
        assert work is not None
        try:
            if sentence.error is not None:
                raise sentence.error
            work.accept(sentence)
            best = sentence.hypotheses[0] if sentence.hypotheses else None
            self._metrics.sentence(ticket.model.name, len(sentence.source), len(best.tokens) if best else 0)
            if ticket.follower is not None:
                ticket.follower.end(_plan(work), sentence)
            if ticket.complete:
                self._conclude(ticket, work)
        except BaseException as error:
            self._fail(ticket, error)

    def _conclude(self, ticket: Ticket, work: Work) -> None:
        if ticket.joined is None:
            ticket.joined = time.monotonic()
        result = work.result()
        self._end(ticket)
        ticket.deliver(result)

    def _fail(self, ticket: Ticket, error: BaseException) -> None:
        if not isinstance(error, Exception):
            log_failure("a request failed", error)
        self._end(ticket)
        ticket.fail(error)

    def _end(self, ticket: Ticket) -> None:
        """Free its rows and its place in the backlog."""
        running = self._running.get(ticket.model)
        for sentence, rows in ticket.inside.items():
            if running is not None and running.owners.pop(sentence, None) is not None:
                running.sentences.drop(sentence)
                running.rows -= rows
        ticket.inside.clear()
        ticket.ready.clear()
        ticket.ended = True
        self._count(ticket, 0)

    def _count(self, ticket: Ticket, units: int) -> None:
        """Correct what the backlog knows of the ticket."""
        gone = ticket.counted and (ticket.ended or (ticket.prepared and not ticket.ready))
        self._backlog.change(requests=-1 if gone else 0, units=units - ticket.units)
        ticket.units = units
        ticket.counted = ticket.counted and not gone

    def _fail_all(self, error: BaseException) -> None:
        tickets = {*self._preparing, *self._waiting}
        for running in self._running.values():
            tickets |= {*running.owners.values(), *(ticket for ticket, _ in running.ended)}
        for running in self._running.values():
            _abandon(running)
        self._running.clear()
        self._preparing.clear()
        self._waiting.clear()
        for ticket in tickets:
            if not ticket.ended:
                self._fail(ticket, error)


def _abandon(running: Running) -> None:
    """Let go of all that is in it, so that no thread goes on with it."""
    for sentence in running.owners:
        running.sentences.drop(sentence)


def _plan(work: Work | None) -> Plan:
    """The work of a stream, which is always a plan."""
    return cast("Plan", work)


def log_failure(message: str, error: BaseException) -> None:
    """Log where `error` came from, but not its message: that may hold text."""
    frames = "".join(traceback.format_tb(error.__traceback__))
    logger.error("%s: %s\n%s", message, type(error).__name__, frames)
