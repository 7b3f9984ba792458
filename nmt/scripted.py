"""Functions of many small tensor operations, without Python between them."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import ParamSpec, TypeVar

import torch

P = ParamSpec("P")
R = TypeVar("R")


def scripted(function: Callable[P, R]) -> Callable[P, R]:
    """`function` as TorchScript: the same operations in the same order, and so the same numbers, at less cost.

    Python spends several microseconds on every operation of torch, more than a small one takes.
    Torch means to drop TorchScript; where it is gone, the function stays what it is.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            return torch.jit.script(function)
        except (AttributeError, RuntimeError):
            return function
