"""Several processes at one training: who computes what of a batch, and how they agree (torchrun, gloo or NCCL).

Every process reads the same sequence of batches and computes its slices of each; gradients are
summed, so all hold the same weights. The first process alone validates and writes files.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from datetime import timedelta
from typing import NoReturn

import torch
from torch import distributed, nn
from torch.nn.parallel import DistributedDataParallel

from nmt.device import resolve_device

_PATIENCE = timedelta(hours=2)
"""How long a process waits for the others: the first one validates and writes meanwhile."""


@dataclass(frozen=True, slots=True)
class Ranks:
    """This process among those that train together.

    Attributes:
        number: Of this process, from 0.
        count: Of all processes.
    """

    number: int = 0
    count: int = 1

    @property
    def first(self) -> bool:
        """Whether this process validates, writes files and talks."""
        return self.number == 0

    def shares(self, slices: int) -> tuple[list[int], int]:
        """The slices of a batch that this process computes, and how many there are: at least one for each."""
        slices = max(slices, self.count)
        return list(range(self.number, slices, self.count)), slices

    def wrap(self, module: nn.Module) -> nn.Module:
        """`module`, with gradients that are averaged over the processes."""
        return DistributedDataParallel(module) if self.count > 1 else module

    def quiet(self, module: nn.Module, last: bool) -> AbstractContextManager[None]:
        """Gradients are exchanged once a batch, with the `last` of a process's slices."""
        if isinstance(module, DistributedDataParallel) and not last:
            return module.no_sync()
        return nullcontext()

    def sum(self, *values: float) -> list[float]:
        """The sum of each value over all processes."""
        return self._together(values, lambda tensor: distributed.all_reduce(tensor))

    def from_first(self, *values: float) -> list[float]:
        """The values of the first process, in all."""
        return self._together(values, lambda tensor: distributed.broadcast(tensor, src=0))

    def _together(self, values: tuple[float, ...], exchange: Callable[[torch.Tensor], object]) -> list[float]:
        if self.count == 1:
            return list(values)
        place = "cuda" if distributed.get_backend() == "nccl" else "cpu"
        tensor = torch.tensor(values, dtype=torch.float64, device=place)
        exchange(tensor)
        return [float(value) for value in tensor]

    def device(self, wanted: str) -> str:
        """The device of this process: with `auto` or `cuda`, one GPU for each process of a machine."""
        found = resolve_device(wanted)
        if found == "cuda" and self.count > 1:
            found = f"cuda:{int(os.environ['LOCAL_RANK'])}"
            torch.cuda.set_device(found)
        return found


ALONE = Ranks()


def started_by_torchrun() -> bool:
    """Whether this process is one of several."""
    return int(os.environ.get("WORLD_SIZE", "1")) > 1


@contextmanager
def group(device: str) -> Iterator[Ranks]:
    """Join the processes that torchrun started; one alone joins nobody.

    Args:
        device: The recipe's; NCCL joins GPUs, gloo CPUs.
    """
    if not started_by_torchrun():
        yield Ranks()
        return
    backend = "nccl" if resolve_device(device).startswith("cuda") else "gloo"
    distributed.init_process_group(backend, timeout=_PATIENCE)
    try:
        yield Ranks(distributed.get_rank(), distributed.get_world_size())
        distributed.barrier()  # gloo aborts when one is gone while another still speaks
    except KeyboardInterrupt:
        distributed.barrier()  # all agreed to stop
        raise
    finally:
        distributed.destroy_process_group()


def leave(code: int) -> NoReturn:
    """End one of several processes at once.

    Threads of gloo outlive their group; one that frees its last tensor while the interpreter is taken down aborts the
    process (pytorch issue 190489).
    """
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)
