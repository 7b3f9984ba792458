"""Which of many 64-bit digests occur before or elsewhere, in a fixed amount of memory."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

_CHUNK = 1 << 20
"""Digests looked at together."""


def repeated(digests: NDArray[np.uint64]) -> NDArray[np.bool_]:
    """True where the same digest stands at an earlier place, (N,)."""
    found = np.zeros(len(digests), np.bool_)
    for rows, values in _by_value(digests):
        order = np.argsort(values, kind="stable")  # equal ones stay in the order of their places
        same = values[order][1:] == values[order][:-1]
        found[rows[order[1:][same]]] = True
    return found


def shared(digests: NDArray[np.uint64]) -> NDArray[np.bool_]:
    """True where the same digest stands at any other place, (N,)."""
    found = np.zeros(len(digests), np.bool_)
    for rows, values in _by_value(digests):
        _, inverse, counts = np.unique(values, return_inverse=True, return_counts=True)
        found[rows[counts[inverse] > 1]] = True
    return found


def _by_value(digests: NDArray[np.uint64]) -> Iterator[tuple[NDArray[np.int64], NDArray[np.uint64]]]:
    """Places and digests in slices of the range of values, so that equal ones always come together.

    Digests are spread evenly, so a slice holds about a chunk of them. `digests` may be mapped from
    a file, which is read once a slice.
    """
    slices = -(-len(digests) // _CHUNK)
    bounds = [number * 2**64 // slices for number in range(slices + 1)]
    for low, high in pairwise(bounds):
        places: list[NDArray[np.int64]] = []
        values: list[NDArray[np.uint64]] = []
        for start in range(0, len(digests), _CHUNK):
            some = np.asarray(digests[start : start + _CHUNK])
            here = np.flatnonzero((some >= np.uint64(low)) & (some <= np.uint64(high - 1)))
            places.append(here + start)
            values.append(some[here])
        yield np.concatenate(places), np.concatenate(values)
