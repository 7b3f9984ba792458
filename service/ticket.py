"""A request on its way through the engine: what it asks for, how far it is, how it ends."""

from __future__ import annotations

import asyncio
import logging
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

from service.events import Follower
from service.models import ServedModel

if TYPE_CHECKING:  # PyTorch takes seconds to import; the server answers before
    from nmt.search import Sentence

logger = logging.getLogger("interlinear.engine")


class Search(Protocol):
    """Sentences to be searched, and what comes of them."""

    @property
    def sentences(self) -> Sequence[Sentence]:
        """To be admitted to a running set, in any order."""

    def accept(self, sentence: Sentence) -> None:
        """Take a sentence that the search has ended."""

    def result(self) -> Any:
        """The outcome, once all sentences are accepted."""


class Work(Search, Protocol):
    """What the engine does for a request; `nmt.plan.Plan` is the usual one."""

    def prepare(self, seconds: float) -> bool:
        """Cut and encode text for about so long; True once `sentences` is complete."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What the engine made of a request.

    Attributes:
        result: What its `Work` gave.
        queue_seconds: From admission until its first sentence joined.
        compute_seconds: From then to the end.
    """

    result: Any
    queue_seconds: float
    compute_seconds: float


@dataclass(eq=False, slots=True)
class Ticket:
    """A request in the engine. The event loop reads `ended`; all else is the thread's.

    Attributes:
        begin: Makes the work; called in the engine's thread.
        units: Source units that the backlog counts for it: a guess until it is prepared.
        follower: Tells a stream's client what is new; None for a request that does not stream.
        work: None until its turn to be prepared has come.
        prepared: Whether all sentences are known.
        counted: Whether the backlog counts it as a waiting request.
        taken: How many sentences were moved to `ready`.
        ready: Sentences that wait for room.
        inside: Sentences that are being searched, with the rows of each.
        ended: Delivered, failed, or its client left.
    """

    model: ServedModel
    begin: Callable[[], Work]
    units: int
    future: asyncio.Future[Answer]
    loop: asyncio.AbstractEventLoop
    follower: Follower | None = None
    admitted: float = field(default_factory=time.monotonic)
    joined: float | None = None
    work: Work | None = None
    prepared: bool = False
    counted: bool = True
    taken: int = 0
    ready: deque[Sentence] = field(default_factory=deque)
    inside: dict[Sentence, int] = field(default_factory=dict)
    ended: bool = False

    @property
    def rows(self) -> int:
        """Rows that it has in the running set."""
        return sum(self.inside.values())

    @property
    def complete(self) -> bool:
        """Whether nothing of it is left to be searched."""
        return self.prepared and not self.ready and not self.inside

    def fail(self, error: BaseException) -> None:
        """Tell the client."""
        # an exception that is no Exception (SystemExit, say) would stop the event loop
        cause = error if isinstance(error, Exception) else RuntimeError(type(error).__name__)
        self._settle(lambda future: future.set_exception(cause))

    def deliver(self, result: Any) -> None:
        """Hand the client its answer."""
        now = time.monotonic()
        joined = now if self.joined is None else self.joined
        answer = Answer(result, joined - self.admitted, now - joined)
        self._settle(lambda future: future.set_result(answer))

    def _settle(self, outcome: Callable[[asyncio.Future[Answer]], None]) -> None:
        """On the future's own loop; a client that is gone is no trouble."""

        def settle() -> None:
            if not self.future.done():
                outcome(self.future)

        self.ended = True
        call_on(self.loop, settle)


def call_on(loop: asyncio.AbstractEventLoop, function: Callable[..., Any], *arguments: Any) -> None:
    """Call on a client's event loop, from the engine's thread."""
    try:
        loop.call_soon_threadsafe(function, *arguments)
    except RuntimeError:  # the loop is closed: nobody waits any more
        logger.debug("a result came after its event loop had closed")
