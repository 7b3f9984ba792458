"""One thread steps all models; requests join and leave a model's running set between two steps.

A request becomes a `Ticket`. The event loop admits it to a bounded backlog; the engine's thread
prepares it in slices, lets sentences of all waiting tickets join in turn, one each, advances every
running set by one step, and gives what ended back. Every ticket ends: with its result, with its own
exception, at its deadline, or abandoned because its client left; its rows are then free at the next
step. Nothing kills the thread.
"""

from __future__ import annotations

import asyncio
import logging
import queue
import threading
import time
import traceback
import weakref
from collections import deque
from collections.abc import AsyncGenerator, Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, cast

from nmt.errors import DeadlineExceeded
from service.backlog import Backlog
from service.errors import Problem
from service.events import Event, Follower
from service.metrics import Metrics
from service.models import ServedModel
from service.ticket import Answer, Ticket, Work

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


@dataclass(eq=False, slots=True)
class Running:
    """A model's running set, and whose sentences are in it."""

    sentences: RunningSet
    owners: dict[Sentence, Ticket] = field(default_factory=dict)
    rows: int = 0


class Engine:
    """The backlog, the thread and its running sets.

    Args:
        queue_size: Requests that may wait for room; one more is refused at once.
        queue_units: Source units that may wait.
        max_rows: Hypotheses that a step of one model extends at once.
        max_units: Source units, padding included, in a model at once.
        metrics: Where to count.
    """

    def __init__(self, *, queue_size: int, queue_units: int, max_rows: int, max_units: int, metrics: Metrics) -> None:
        self._max_rows, self._max_units = max_rows, max_units
        self._metrics = metrics
        self._backlog = Backlog(requests=queue_size, units=queue_units, metrics=metrics)
        self._inbox: queue.SimpleQueue[Ticket | None] = queue.SimpleQueue()
        self._preparing: deque[Ticket] = deque()
        self._waiting: deque[Ticket] = deque()
        self._running: weakref.WeakKeyDictionary[ServedModel, Running] = weakref.WeakKeyDictionary()
        self._draining = False
        self._closed = False
        self._thread = threading.Thread(target=self._run, name="interlinear-engine", daemon=True)

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    @property
    def alive(self) -> bool:
        """Whether the thread runs."""
        return self._thread.is_alive()

    @property
    def draining(self) -> bool:
        """Whether new requests are refused."""
        return self._draining

    def drain(self) -> None:
        """Refuse new requests from now on; those admitted are finished."""
        self._draining = True

    def close(self) -> None:
        """Stop the thread after the step it is in; what is not ready ends with `draining`."""
        self._draining = self._closed = True
        self._inbox.put(None)
        self._thread.join()

    async def run(self, model: ServedModel, begin: Callable[[], Work], *, units: int, deadline: float) -> Answer:
        """The result of the work.

        Args:
            model: Whose running set it joins.
            begin: Makes the work, in the engine's thread; may raise what the client shall be told.
            units: About how many source units it has.
            deadline: A time of the event loop.

        Raises:
            Problem: `queue_full`, `draining`, `deadline_exceeded`; and whatever the work raises.
        """
        ticket = self._admit(model, begin, units)
        try:
            return await self._outcome(ticket, deadline)
        finally:
            self._leave(ticket)

    async def stream(
        self, model: ServedModel, begin: Callable[[], Work], *, units: int, deadline: float
    ) -> AsyncGenerator[list[Event] | Answer, None]:
        """The events of a plan as they come, and its answer at last; otherwise as `run`.

        Close the generator to abandon the request.
        """
        events: asyncio.Queue[list[Event] | None] = asyncio.Queue()
        follower = Follower(lambda batch: ticket.call(events.put_nowait, batch))
        ticket = self._admit(model, begin, units, follower)
        answer = asyncio.ensure_future(self._outcome(ticket, deadline))
        answer.add_done_callback(lambda _: events.put_nowait(None))
        try:
            while (batch := await events.get()) is not None:
                yield batch
            yield answer.result()
        finally:
            self._leave(ticket)
            answer.cancel()
            await asyncio.gather(answer, return_exceptions=True)

    def _admit(
        self,
        model: ServedModel,
        begin: Callable[[], Work],
        units: int,
        follower: Follower | None = None,
    ) -> Ticket:
        try:
            if self._draining:
                raise Problem("draining", "The server is stopping; ask again.", headers={"Retry-After": "5"})
            self._backlog.enter(units)
        except Problem:
            self._metrics.ended("refused")
            raise
        loop = asyncio.get_running_loop()
        ticket = Ticket(model, begin, units, loop.create_future(), loop, follower)
        self._inbox.put(ticket)
        return ticket

    async def _outcome(self, ticket: Ticket, deadline: float) -> Answer:
        outcome = "error"
        try:
            async with asyncio.timeout_at(deadline) as timeout:
                answer = await ticket.future
            outcome = "result"
            return answer
        except (TimeoutError, DeadlineExceeded) as error:
            if isinstance(error, TimeoutError) and not timeout.expired():
                raise
            outcome = "deadline"
            raise Problem(
                "deadline_exceeded", "The answer was not ready in time; send less text or a smaller beam."
            ) from None
        except asyncio.CancelledError:
            outcome = "cancelled"
            raise
        finally:
            self._metrics.ended(outcome)

    def _leave(self, ticket: Ticket) -> None:
        """Nobody waits for `ticket` any more."""
        ticket.future.cancel()
        if not ticket.ended:
            self._inbox.put(ticket)  # for the second time: the thread takes it out

    # --- the engine's thread ---

    def _run(self) -> None:
        while not self._closed:
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
        busy = self._preparing or self._waiting or any(running.owners for running in self._running.values())
        if not busy:
            self._receive(self._inbox.get())  # sleeps until there is something to do
        while not self._inbox.empty():
            self._receive(self._inbox.get())
        self._prepare()
        self._fill()
        for model, running in list(self._running.items()):
            if running.owners:
                self._step(model, running)

    def _receive(self, ticket: Ticket | None) -> None:
        if ticket is None or ticket.ended:
            return
        if ticket.future.cancelled():
            self._end(ticket)
        else:
            self._preparing.append(ticket)

    def _prepare(self) -> None:
        """Cut and encode texts, in turn, for a short while."""
        until = time.monotonic() + _SLICES
        while self._preparing:
            ticket = self._preparing.popleft()
            if ticket.ended:
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
            if time.monotonic() >= until:
                return

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

    def _fill(self) -> None:
        """One sentence of each ticket in turn, while there is room."""
        full: set[ServedModel] = set()
        stay: deque[Ticket] = deque()
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
        self._waiting = stay

    def _join(self, ticket: Ticket, full: set[ServedModel]) -> bool:
        """Let the ticket's next sentence join, if there is room."""
        running = self._running.get(ticket.model)
        if running is None:
            made = ticket.model.translator.running_set(max_rows=self._max_rows, max_units=self._max_units)
            running = self._running[ticket.model] = Running(made)
        sentence = ticket.ready[0]
        rows = sentence.options.rows
        has_much = ticket.rows + rows > _LITTLE * self._max_rows
        if has_much and running.rows and running.rows + rows > _OPEN_TO_ALL * self._max_rows:
            return False
        if not running.sentences.room_for(sentence):
            full.add(ticket.model)  # what is smaller waits too, else the large one never finds room
            return False
        running.sentences.admit([sentence])
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
            for ticket in set(running.owners.values()):
                self._fail(ticket, error)
            return
        seconds = time.perf_counter() - started
        self._metrics.step(model.name, rows, seconds)
        self._backlog.learn(seconds, sum(len(sentence.source) for sentence in finished))
        for sentence in finished:
            owner = running.owners.pop(sentence, None)
            if owner is not None:  # a sentence that failed has taken the others of its request along
                running.rows -= owner.inside.pop(sentence)
                self._finish(owner, sentence)
        for ticket in {ticket for ticket in running.owners.values() if ticket.follower is not None}:
            try:
                assert ticket.follower is not None
                ticket.follower.step(_plan(ticket.work), ticket.inside)
            except BaseException as error:
                self._fail(ticket, error)

    def _finish(self, ticket: Ticket, sentence: Sentence) -> None:
        """A sentence has ended."""
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
        owners = [ticket for running in self._running.values() for ticket in running.owners.values()]
        tickets = {*self._preparing, *self._waiting, *owners}
        self._running.clear()
        self._preparing.clear()
        self._waiting.clear()
        for ticket in tickets:
            if not ticket.ended:
                self._fail(ticket, error)


def _plan(work: Work | None) -> Plan:
    """The work of a stream, which is always a plan."""
    return cast("Plan", work)


def log_failure(message: str, error: BaseException) -> None:
    """Log where `error` came from, but not its message: that may hold text."""
    frames = "".join(traceback.format_tb(error.__traceback__))
    logger.error("%s: %s\n%s", message, type(error).__name__, frames)
