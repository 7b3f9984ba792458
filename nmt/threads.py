"""How many CPU threads compute."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch


@contextmanager
def one_thread(alone: bool) -> Iterator[None]:
    """Compute without OpenMP's team, if `alone`, and with it again afterwards.

    A team that waits for its members after every small product is several times slower than one
    thread as soon as another program wants one of the cores.
    """
    threads = torch.get_num_threads() if alone else 1
    if threads == 1:
        yield
        return
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)
