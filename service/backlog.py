"""How much waits for the engine, and when it is too much. Both the event loop and the engine's thread use it."""

from __future__ import annotations

import math
import threading

from service.errors import Problem
from service.metrics import Metrics

_MEMORY = 0.99
"""Weight of what was known before, at each step, in the running mean of the speed."""


class Backlog:
    """Requests that have sentences waiting, and the source units of those sentences.

    Args:
        requests: Most requests, beside those that there is room for in the model.
        units: Most source units; a request alone may have more.
        metrics: Where the two are shown.
    """

    def __init__(self, *, requests: int, units: int, metrics: Metrics) -> None:
        self._most_requests, self._most_units = requests, units
        self._metrics = metrics
        self._requests = self._units = self._room = 0
        self._lock = threading.Lock()
        self._steps_seconds, self._steps_units = 0.0, 0.0

    def enter(self, units: int) -> None:
        """One more request.

        Raises:
            Problem: `queue_full`; `Retry-After` says in how many seconds about half of it will be gone.
        """
        with self._lock:
            full = self._requests >= self._most_requests + self._room
            if not full and not (self._requests and self._units + units > self._most_units):
                self._requests += 1
                self._units += units
                self._show()
                return
            seconds = math.ceil(self._units * self._steps_seconds / max(self._steps_units, 1.0) / 2)
        what = f"{self._most_requests} requests" if full else "requests with much text"
        raise Problem(
            "queue_full",
            f"{what} are waiting already; ask again later.".capitalize(),
            headers={"Retry-After": str(min(max(seconds, 1), 60))},
        )

    def offer(self, room: int) -> None:
        """So many requests could join at once: a burst that finds the model idle is not turned away."""
        self._room = room

    def change(self, *, requests: int = 0, units: int = 0) -> None:
        """So many more, or fewer."""
        with self._lock:
            self._requests += requests
            self._units += units
            self._show()

    def learn(self, seconds: float, units: int) -> None:
        """A step took so long and ended sentences of so many source units."""
        self._steps_seconds = _MEMORY * self._steps_seconds + seconds
        self._steps_units = _MEMORY * self._steps_units + units

    def _show(self) -> None:
        self._metrics.queue.set(self._requests)
        self._metrics.queue_units.set(self._units)
