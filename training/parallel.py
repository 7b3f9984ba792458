"""A function over many items on all cores, results in order, never more than a few items in memory."""

from __future__ import annotations

import multiprocessing
import os
import signal
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from contextlib import contextmanager
from itertools import chain, islice
from multiprocessing import resource_tracker
from typing import Any, TypeVar

from training.interrupt import Interruption

Item = TypeVar("Item")
Result = TypeVar("Result")


def cores() -> int:
    """Cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def in_order(
    function: Callable[[Item], Result],
    items: Iterable[Item],
    *,
    prepare: Callable[..., None],
    arguments: tuple[Any, ...],
    workers: int = 0,
) -> Iterator[Result]:
    """`function(item)` for every item, computed by other processes when there is more than one.

    Args:
        function: At the top level of a module.
        items: Read only as far as the workers need.
        prepare: Called with `arguments` in every process before its first item.
        arguments: For `prepare`.
        workers: Processes; 0: as many as cores.
    """
    rest = iter(items)
    first = list(islice(rest, 2))
    workers = workers or cores()
    if len(first) < 2 or workers == 1:  # starting processes would take longer than the work
        prepare(*arguments)
        yield from map(function, chain(first, rest))
        return
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(workers, context, _prepare, (prepare, arguments)) as pool:
        waiting: deque[Future[Result]] = deque()
        try:
            for item in chain(first, rest):
                # it may start a process, which breaks in the middle of what this one tells it if this one stops
                with Interruption() as interruption, _deaf_to_interrupts():
                    waiting.append(pool.submit(function, item))
                if interruption.requested:
                    raise KeyboardInterrupt
                if len(waiting) > 2 * workers:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            pool.shutdown(cancel_futures=True)


@contextmanager
def _deaf_to_interrupts() -> Iterator[None]:
    """Processes started meanwhile never hear Ctrl+C, which reaches all; the first process ends the others."""
    if not hasattr(signal, "pthread_sigmask"):  # Windows: they are deaf once they have begun
        yield
        return
    resource_tracker.ensure_running()  # starting it would end the block
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _prepare(prepare: Callable[..., None], arguments: tuple[Any, ...]) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    prepare(*arguments)
