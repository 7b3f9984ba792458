"""Making the next item while the caller is busy with this one."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

T = TypeVar("T")


def ahead(items: Iterator[T]) -> Iterator[T]:
    """The same items in the same order, each made by a thread while the caller has the one before.

    Reading and encoding a batch then costs nothing while a GPU computes. Errors come where their item would have.
    """
    nothing = object()
    with ThreadPoolExecutor(1, "ahead") as thread:
        waiting = thread.submit(next, items, nothing)
        while (item := waiting.result()) is not nothing:
            waiting = thread.submit(next, items, nothing)
            yield item  # type: ignore[misc]
