"""Which thread computes in parallel: the engine's alone.

OpenMP keeps a team for every thread that ever computed in parallel. As soon as the teams together
have more threads than there are cores, all of them wait by sleeping instead of spinning, and a step
made of small products takes twice as long.
"""

from __future__ import annotations

import sys

_default = 0


def compute_alone() -> None:
    """The calling thread computes by itself from now on."""
    global _default
    import torch

    _default = _default or torch.get_num_threads()
    torch.set_num_threads(1)


def compute_with(threads: int) -> None:
    """The calling thread computes with so many threads from now on; 0 leaves the choice to PyTorch."""
    if torch := sys.modules.get("torch"):  # not with a test's fake models
        torch.set_num_threads(threads or _default or torch.get_num_threads())
