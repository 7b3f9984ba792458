"""Validation and test pairs split off a corpus, with no sentence of either side shared."""

from __future__ import annotations

import random
from array import array

import numpy as np
from numpy.typing import NDArray

from nmt.errors import CorpusError
from training.duplicates import shared

TRAIN, VALID, TEST = 0, 1, 2


_ENTANGLED = 2_000_000
"""Pairs up to which groups are followed; of more, only pairs are split off that share no sentence at all."""

_CHUNK = 1 << 20
"""Pairs looked at together."""


def split(
    sources: NDArray[np.uint64], targets: NDArray[np.uint64], sizes: tuple[int, int], parts: NDArray[np.int8]
) -> None:
    """Put pairs of the part 0, training, into part 1, validation, and part 2, test.

    Pairs that share a sentence, directly or through other pairs, form a group, and a group is
    never divided. The choice depends on the corpus alone, so it is the same in every run.

    Args:
        sources: Digest of each pair's folded source sentence.
        targets: The same of its target sentence.
        sizes: Pairs wanted for validation and for test; 0: none.
        parts: Changed in place; pairs of another part than 0 are left alone.

    Raises:
        CorpusError: The corpus is too small, or so entangled that not even half can be split off.
    """
    count = int(np.count_nonzero(parts == TRAIN))
    if 2 * sum(sizes) > count:
        raise CorpusError(
            f"{count:,} clean pairs are too few to split off {sizes[0]:,} for validation and "
            f"{sizes[1]:,} for test; lower data.valid_size and data.test_size, "
            "or name files in data.valid and data.test"
        )
    if count > _ENTANGLED:
        left = _alone(sources, targets, sizes, parts)
    else:
        free = np.flatnonzero(parts == TRAIN)
        left = _by_groups(sources[free], targets[free], sizes, parts, free)
    for part, name in ((VALID, "valid"), (TEST, "test")):
        if 2 * left[part] > sizes[part - 1]:
            raise CorpusError(
                f"data.{name}_size = {sizes[part - 1]} cannot be met: only {sizes[part - 1] - left[part]} pairs "
                f"can be split off without sharing a sentence with others; lower it, or name a file in data.{name}"
            )


def _alone(
    sources: NDArray[np.uint64], targets: NDArray[np.uint64], sizes: tuple[int, int], parts: NDArray[np.int8]
) -> dict[int, int]:
    """Choose among pairs whose sentences stand nowhere else; returns how many each part lacks."""
    candidates = (parts == TRAIN) & ~shared(sources) & ~shared(targets)
    count = int(np.count_nonzero(candidates))
    numbers = np.random.default_rng(1).choice(count, min(sum(sizes), count), replace=False)
    chosen = _places(candidates, numbers)
    valid, test = chosen[: sizes[0]], chosen[sizes[0] :]
    parts[valid], parts[test] = VALID, TEST
    return {VALID: sizes[0] - len(valid), TEST: sizes[1] - len(test)}


def _places(mask: NDArray[np.bool_], numbers: NDArray[np.int64]) -> NDArray[np.int64]:
    """Where the True values with these numbers (from 0) stand, without a list of all places."""
    found = np.empty_like(numbers)
    before = 0
    for start in range(0, len(mask), _CHUNK):
        here = np.flatnonzero(mask[start : start + _CHUNK])
        wanted = (numbers >= before) & (numbers < before + len(here))
        found[wanted] = start + here[numbers[wanted] - before]
        before += len(here)
    return found


def _by_groups(
    sources: NDArray[np.uint64],
    targets: NDArray[np.uint64],
    sizes: tuple[int, int],
    parts: NDArray[np.int8],
    free: NDArray[np.int64],
) -> dict[int, int]:
    """Choose whole groups among the pairs `free`; returns how many each part lacks."""
    count = len(free)
    groups = _groups(sources, targets)
    members = np.bincount(groups, minlength=count)
    roots = np.flatnonzero(members).tolist()
    random.Random(1).shuffle(roots)
    chosen = np.zeros(count, dtype=np.int8)  # the part of each group, by its root
    left = {VALID: sizes[0], TEST: sizes[1]}
    for root in roots:
        # A large group is not typical text for a test set: it holds many versions of one sentence
        part = next((one for one, room in left.items() if members[root] <= min(room, 1 + sizes[one - 1] // 50)), None)
        if part is not None:
            chosen[root] = part
            left[part] -= int(members[root])
    parts[free] = chosen[groups]
    return left


def _groups(sources: NDArray[np.uint64], targets: NDArray[np.uint64]) -> NDArray[np.int64]:
    """For every pair the number of the first pair of its group (union-find over shared sentences)."""
    parent = array("q", range(len(sources)))

    def root(pair: int) -> int:
        while parent[pair] != pair:
            parent[pair] = pair = parent[parent[pair]]
        return pair

    for side in (sources, targets):
        _, first, inverse = np.unique(side, return_index=True, return_inverse=True)
        earliest = first[inverse]
        for pair in np.flatnonzero(earliest != np.arange(len(side))).tolist():
            one, other = root(pair), root(int(earliest[pair]))
            if one != other:
                parent[max(one, other)] = min(one, other)
    return np.fromiter((root(pair) for pair in range(len(sources))), dtype=np.int64, count=len(sources))
