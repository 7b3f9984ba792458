"""One thread steps all models; requests join and leave a model's running set between two steps.

A request becomes a `Ticket`. The event loop admits it to a bounded backlog; the engine's thread
prepares it in slices, lets sentences of all waiting tickets join in turn, one each, advances every
running set by one step, and gives what ended back. Every ticket ends: with its result, with its own
exception, at its deadline, or abandoned because its client left; its rows are then free at the next
step. Nothing kills the thread.
"""

from __future__ import annotations

import asyncio
import queue
import threading
from collections.abc import AsyncGenerator, Callable

from nmt.errors import DeadlineExceeded
from service.backlog import Backlog
from service.errors import Problem
from service.events import Event, Follower
from service.metrics import Metrics
from service.models import ServedModel
from service.ticket import Answer, Ticket, Work, call_on
from service.turns import Turns


class Engine:
    """The backlog, the thread and its running sets.

    Args:
        queue_size: Requests that may wait when the model has no room; one more is refused at once.
        queue_units: Source units that may wait.
        max_rows: Hypotheses that a step of one model extends at once.
        max_units: Source units, padding included, in a model at once.
        threads: Of the CPU, for the models; 0 leaves the choice to PyTorch.
        metrics: Where to count.
    """

    def __init__(
        self, *, queue_size: int, queue_units: int, max_rows: int, max_units: int, threads: int = 0, metrics: Metrics
    ) -> None:
        self._metrics = metrics
        self._backlog = Backlog(requests=queue_size, units=queue_units, metrics=metrics)
        self._inbox: queue.SimpleQueue[Ticket | None] = queue.SimpleQueue()
        self._turns = Turns(
            self._inbox, self._backlog, max_rows=max_rows, max_units=max_units, threads=threads, metrics=metrics
        )
        self._draining = False
        self._thread = threading.Thread(target=self._turns.run, name="interlinear-engine", daemon=True)

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
        self._draining = self._turns.stopped = True
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
        loop = asyncio.get_running_loop()
        follower = Follower(lambda batch: call_on(loop, events.put_nowait, batch))
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
