"""Which pairs an epoch holds, in which order: a function of seed and epoch, for one corpus or several mixed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nmt.errors import CorpusError


@dataclass(frozen=True, slots=True)
class Part:
    """One corpus of a mixture: consecutive rows.

    Attributes:
        start, stop: Its rows, half-open.
        weight: Its share of an epoch beside the other parts' weights; None: as many as it has.
    """

    start: int
    stop: int
    weight: float | None = None


class Mixture:
    """Epochs over several parts, each with its share.

    An epoch has as many pairs as there are. A part whose share is larger than its size is seen more
    than once; one whose share is smaller goes on in the next epoch where it stopped, so that every
    pair is seen before any is seen again.

    Args:
        parts: Disjoint, none empty.
        seed: Of the order.
    """

    def __init__(self, parts: Sequence[Part], seed: int) -> None:
        self.parts, self._seed = list(parts), seed
        self._size = sum(part.stop - part.start for part in parts)
        if not self._size:
            raise CorpusError("there is no pair to train on; look at what cleaning dropped in cleaning.json")
        weights = [part.stop - part.start if part.weight is None else part.weight for part in parts]
        self._quotas = [max(1, round(self._size * weight / sum(weights))) for weight in weights]
        self._kind: type[np.integer[Any]] = np.int32 if max(part.stop for part in parts) < 2**31 else np.int64

    def order(self, epoch: int) -> NDArray[np.integer[Any]]:
        """The rows of an epoch in their order."""
        drawn = [self._draw(number, epoch) for number in range(len(self.parts))]
        if len(drawn) == 1:
            return drawn[0]
        order = np.concatenate(drawn)
        np.random.default_rng((self._seed, epoch)).shuffle(order)
        return order

    def _draw(self, number: int, epoch: int) -> NDArray[np.integer[Any]]:
        """The part's endless row of permutations, cut into the epochs' quotas."""
        part, quota = self.parts[number], self._quotas[number]
        size = part.stop - part.start
        begin, end = epoch * quota, (epoch + 1) * quota
        pieces = []
        for cycle in range(begin // size, -(-end // size)):
            rows = np.arange(part.start, part.stop, dtype=self._kind)
            np.random.default_rng((self._seed, number, cycle)).shuffle(rows)
            pieces.append(rows[max(0, begin - cycle * size) : end - cycle * size])
        return np.concatenate(pieces) if len(pieces) > 1 else pieces[0]
