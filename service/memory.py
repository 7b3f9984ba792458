"""What the process holds on to: glibc gives freed memory back, and keeps few heaps.

Loading a model frees as much as it keeps (the fp32 weights), and glibc makes a heap for every
thread, none of which shrinks by itself. Other C libraries are left as they are.
"""

from __future__ import annotations

import ctypes
import sys

_ARENA_MAX = -8
"""`M_ARENA_MAX` of malloc.h."""

_ARENAS = 1


def keep_few_heaps() -> None:
    """From now on; before other threads begin."""
    if mallopt := _of_libc("mallopt"):
        mallopt(_ARENA_MAX, _ARENAS)


def give_back() -> None:
    """Return freed memory to the system: some milliseconds."""
    if malloc_trim := _of_libc("malloc_trim"):
        malloc_trim(0)


def _of_libc(name: str) -> ctypes._NamedFuncPointer | None:
    return getattr(ctypes.CDLL(None), name, None) if sys.platform == "linux" else None
