"""Ctrl+C and SIGTERM between two updates, never inside one."""

from __future__ import annotations

import signal
import threading
from types import FrameType, TracebackType

SIGNALS = (signal.SIGINT, signal.SIGTERM)


class Interruption:
    """Notes a request to stop while its block runs; the loop asks `requested` when it is ready.

    A second request does not wait: it raises `KeyboardInterrupt` at once.
    """

    requested = False

    def __enter__(self) -> Interruption:
        if threading.current_thread() is threading.main_thread():  # signals reach no other thread
            self._before = {number: signal.signal(number, self._note) for number in SIGNALS}
        else:
            self._before = {}
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _note(self, number: int, frame: FrameType | None) -> None:
        if self.requested:
            raise KeyboardInterrupt
        self.requested = True
