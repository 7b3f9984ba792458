"""One thread owns the models; requests that wait at the same moment share a batch.

A request becomes a `Ticket`. The event loop admits it to a bounded queue; the engine thread takes
texts from all tickets that go together, translates them at once, and hands each ticket its own
results. Every ticket ends: with its results, with its own exception, at its deadline, or abandoned
because its client left. A failing batch is tried again ticket by ticket, so that a request fails
for its own fault alone.
"""

from __future__ import annotations

import asyncio
import logging
import math
import threading
import time
import traceback
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from service.errors import Problem
from service.metrics import Metrics
from service.models import ServedModel

if TYPE_CHECKING:  # PyTorch takes seconds to import; the server answers before
    from nmt.translator import TranslatedHypothesis, Translation

logger = logging.getLogger("interlinear.engine")


@dataclass(frozen=True, slots=True)
class Answer:
    """What the engine made of a request.

    Attributes:
        results: One `Translation` for each text, or the one scored pair.
        queue_seconds: From admission to the first batch.
        compute_seconds: Time of all batches that held a part of the request.
    """

    results: list[Any]
    queue_seconds: float
    compute_seconds: float


@dataclass(eq=False, slots=True)
class Ticket:
    """A request in the engine. The event loop sets `abandoned`; all else is the thread's.

    Attributes:
        texts: What to translate; for a given pair, source and target.
        pair: Whether `texts` is a pair to score.
        taken: How many texts have been put into a batch so far.
    """

    model: ServedModel
    texts: Sequence[str]
    beam_size: int
    n_best: int
    pair: bool
    future: asyncio.Future[Answer]
    loop: asyncio.AbstractEventLoop
    admitted: float = field(default_factory=time.monotonic)
    started: float | None = None
    compute_seconds: float = 0.0
    taken: int = 0
    results: list[Any] = field(default_factory=list)
    abandoned: bool = False

    def shares_batch_with(self, other: Ticket) -> bool:
        """Whether one call of the translator can serve both."""
        return (
            not (self.pair or other.pair)
            and self.model is other.model
            and (self.beam_size, self.n_best) == (other.beam_size, other.n_best)
        )

    def finish(self, outcome: Callable[[asyncio.Future[Answer]], None]) -> None:
        """Settle the future on its own loop; a client that is gone is no trouble."""

        def settle() -> None:
            if not self.future.done():
                outcome(self.future)

        self.abandoned = True
        try:
            self.loop.call_soon_threadsafe(settle)
        except RuntimeError:  # the loop is closed: nobody waits any more
            logger.debug("a result came after its event loop had closed")

    def fail(self, error: BaseException) -> None:
        """End with `error`."""
        # an exception that is no Exception (SystemExit, say) would stop the event loop
        cause = error if isinstance(error, Exception) else RuntimeError(type(error).__name__)
        self.finish(lambda future: future.set_exception(cause))

    def deliver(self) -> None:
        """End with the results."""
        started = self.admitted if self.started is None else self.started
        answer = Answer(self.results, started - self.admitted, self.compute_seconds)
        self.finish(lambda future: future.set_result(answer))


@dataclass(frozen=True, slots=True)
class Share:
    """The texts of one ticket in one batch."""

    ticket: Ticket
    texts: Sequence[str]


class Engine:
    """The queue and its thread.

    Args:
        queue_size: Tickets that may wait; one more is refused at once.
        batch_texts: Texts in one batch.
        batch_characters: Characters in one batch; a single text may be longer.
        metrics: Where to count.
    """

    def __init__(self, *, queue_size: int, batch_texts: int, batch_characters: int, metrics: Metrics) -> None:
        self._queue_size = queue_size
        self._batch_texts = batch_texts
        self._batch_characters = batch_characters
        self._metrics = metrics
        self._waiting: deque[Ticket] = deque()
        self._condition = threading.Condition()
        self._draining = False
        self._closed = False
        self._seconds_per_ticket = 0.1
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
        """Stop the thread after the batch it is in; what still waits ends with `draining`."""
        with self._condition:
            self._draining = self._closed = True
            self._condition.notify_all()
        self._thread.join()

    async def translate(
        self, model: ServedModel, texts: Sequence[str], *, beam_size: int, n_best: int, deadline: float
    ) -> Answer:
        """Translate `texts`; `results` are `Translation`s. `deadline` is a time of the event loop."""
        return await self._submit(model, texts, beam_size=beam_size, n_best=n_best, pair=False, deadline=deadline)

    async def attend(self, model: ServedModel, source: str, target: str, *, deadline: float) -> Answer:
        """Score the given pair; `results` is one `TranslatedHypothesis`."""
        return await self._submit(model, (source, target), beam_size=1, n_best=1, pair=True, deadline=deadline)

    async def _submit(
        self, model: ServedModel, texts: Sequence[str], *, beam_size: int, n_best: int, pair: bool, deadline: float
    ) -> Answer:
        loop = asyncio.get_running_loop()
        future: asyncio.Future[Answer] = loop.create_future()
        ticket = Ticket(model, texts, beam_size, n_best, pair, future, loop)
        self._admit(ticket)
        try:
            async with asyncio.timeout_at(deadline) as timeout:
                answer = await future
            self._metrics.ended("result")
            return answer
        except TimeoutError:
            if not timeout.expired():
                self._metrics.ended("error")
                raise
            self._metrics.ended("deadline")
            raise Problem(
                "deadline_exceeded", "The answer was not ready in time; send less text or a smaller beam."
            ) from None
        except asyncio.CancelledError:
            self._metrics.ended("cancelled")
            raise
        except Exception:
            self._metrics.ended("error")
            raise
        finally:
            ticket.abandoned = True

    def _admit(self, ticket: Ticket) -> None:
        with self._condition:
            if self._draining:
                self._metrics.ended("refused")
                raise Problem("draining", "The server is stopping; ask again.", headers={"Retry-After": "5"})
            if len(self._waiting) >= self._queue_size:
                self._drop_abandoned()
            if len(self._waiting) >= self._queue_size:
                seconds = math.ceil(self._seconds_per_ticket * len(self._waiting))
                self._metrics.ended("refused")
                raise Problem(
                    "queue_full",
                    f"{self._queue_size} requests are waiting already; ask again later.",
                    headers={"Retry-After": str(min(max(seconds, 1), 60))},
                )
            self._waiting.append(ticket)
            self._metrics.queue.set(len(self._waiting))
            self._condition.notify()

    def _drop_abandoned(self) -> None:
        alive = [ticket for ticket in self._waiting if not ticket.abandoned]
        self._waiting.clear()
        self._waiting.extend(alive)

    # --- the engine thread ---

    def _run(self) -> None:
        while True:
            batch: list[Share] = []
            try:
                with self._condition:
                    self._condition.wait_for(lambda: self._waiting or self._closed)
                    if self._closed:
                        break
                    batch = self._take()
                if batch:
                    self._translate(batch)
            except BaseException as error:  # the thread never dies; its requests learn what happened
                log_failure("the engine failed", error)
                for share in batch:
                    share.ticket.fail(error)
        for ticket in self._waiting:
            ticket.fail(Problem("draining", "The server has stopped.", headers={"Retry-After": "5"}))
        self._waiting.clear()

    def _take(self) -> list[Share]:
        """The next batch: texts of the first ticket, and of all that can go with it, in turn."""
        self._drop_abandoned()
        batch: list[Share] = []
        rest: list[Ticket] = []
        unfinished: list[Ticket] = []
        texts, characters = self._batch_texts, self._batch_characters
        for ticket in self._waiting:
            if batch and not (texts > 0 and characters > 0 and ticket.shares_batch_with(batch[0].ticket)):
                rest.append(ticket)
                continue
            start = ticket.taken
            while ticket.taken < len(ticket.texts) and (ticket.pair or texts > 0):
                length = len(ticket.texts[ticket.taken])
                if length > characters and not ticket.pair and (batch or ticket.taken > start):
                    break
                ticket.taken += 1
                texts, characters = texts - 1, characters - length
            if ticket.taken > start:
                batch.append(Share(ticket, ticket.texts[start : ticket.taken]))
            if ticket.taken < len(ticket.texts):
                # what has had its turn goes to the end, so that one long request does not block the others
                (unfinished if ticket.taken > start else rest).append(ticket)
        self._waiting.clear()
        self._waiting.extend(rest + unfinished)
        self._metrics.queue.set(len(self._waiting))
        return batch

    def _translate(self, batch: list[Share]) -> None:
        started = time.monotonic()
        for share in batch:
            if share.ticket.started is None:
                share.ticket.started = started
        try:
            results = self._call(batch)
        except BaseException as error:
            if len(batch) == 1:
                batch[0].ticket.fail(error)
                return
            log_failure(f"a batch of {len(batch)} requests failed; each is tried alone", error)
            for share in batch:
                if not share.ticket.abandoned:
                    self._translate([share])
            return
        seconds = time.monotonic() - started
        self._seconds_per_ticket += 0.2 * (seconds / len(batch) - self._seconds_per_ticket)
        self._metrics.batch(batch[0].ticket.model.name, [text for share in batch for text in share.texts], seconds)
        position = 0
        for share in batch:
            ticket, count = share.ticket, 1 if share.ticket.pair else len(share.texts)
            ticket.results.extend(results[position : position + count])
            ticket.compute_seconds += seconds
            position += count
            if ticket.taken == len(ticket.texts):
                ticket.deliver()

    def _call(self, batch: list[Share]) -> Sequence[Translation | TranslatedHypothesis]:
        first = batch[0].ticket
        translator = first.model.translator
        if first.pair:
            return [translator.attend(*first.texts)]
        texts = [text for share in batch for text in share.texts]
        results = translator.translate(texts, beam_size=first.beam_size, n_best=first.n_best)
        if len(results) != len(texts):
            raise RuntimeError(f"{len(texts)} texts gave {len(results)} translations")
        return results


def log_failure(message: str, error: BaseException) -> None:
    """Log where `error` came from, but not its message: that may hold text."""
    frames = "".join(traceback.format_tb(error.__traceback__))
    logger.error("%s: %s\n%s", message, type(error).__name__, frames)
