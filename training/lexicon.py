"""Which target units translate which source units: IBM model 1 (Brown et al. 1993, section 4.2).

Every pair of units that share a sentence pair is one row of a sparse table, so a round of
expectation maximisation is a few passes over flat arrays.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from nmt.config import PAD
from training.progress import Progress

NULL = PAD
"""The empty source word, which accounts for target units that nothing in the source stands for."""

ROUNDS = 5
MOST_LINKS = 40_000_000
"""Links (source units times target units, over all pairs) that are looked at; each takes 16 bytes."""


@dataclass(frozen=True, slots=True)
class Lexicon:
    """A sparse table of p(target unit | source unit).

    Attributes:
        source: Source unit of each entry, ascending; `NULL` among them, (P,).
        target: Its target unit, (P,).
        probability: Its probability, (P,); those of one source unit sum to 1.
    """

    source: NDArray[np.int64]
    target: NDArray[np.int64]
    probability: NDArray[np.float64]

    def best(self, count: int, source_size: int) -> NDArray[np.int64]:
        """The `count` most probable target units of every source unit, padded with PAD, (source_size, count)."""
        order = np.lexsort((self.target, -self.probability, self.source))
        source = self.source[order]
        first = np.searchsorted(source, source)  # where the entries of this source unit begin
        rank = np.arange(len(source)) - first
        keep = rank < count
        table = np.full((source_size, count), PAD, dtype=np.int64)
        table[source[keep], rank[keep]] = self.target[order][keep]
        table[NULL] = PAD
        return table


def learn(
    sources: Sequence[Sequence[int]], targets: Sequence[Sequence[int]], *, rounds: int = ROUNDS, title: str = "lexicon"
) -> Lexicon:
    """Learn the lexicon from sentence pairs, ids without EOS.

    More pairs than `MOST_LINKS` allows are thinned out evenly.

    Raises:
        ValueError: There is no pair.
    """
    if not sources:
        raise ValueError("a lexicon needs at least one sentence pair")
    sizes = np.array([(len(s) + 1) * len(t) for s, t in zip(sources, targets, strict=True)])
    step = max(1, -(-int(sizes.sum()) // MOST_LINKS))
    sources, targets = sources[::step], targets[::step]
    keys, places = _links(sources, targets)
    width = 1 + max((max(t) for t in targets if len(t)), default=0)
    known, entry = np.unique(keys, return_inverse=True)
    del keys
    source, target = known // width, known % width
    probability = np.ones(len(known))  # the first round makes it uniform within each target unit's sentence
    with Progress(title, rounds, unit="rounds") as progress:
        for number in range(rounds):
            share = probability[entry]
            share /= np.bincount(places, share)[places]  # expected links of each target unit sum to 1
            counts = np.bincount(entry, share, minlength=len(known))
            probability = counts / np.bincount(source, counts)[source]
            progress.advance(number + 1, number + 1)
    return Lexicon(source, target, probability)


def _links(
    sources: Sequence[Sequence[int]], targets: Sequence[Sequence[int]]
) -> tuple[NDArray[np.int64], NDArray[np.int32]]:
    """For every link its key (source unit times the target's width, plus target unit) and its target place."""
    width = 1 + max((max(t) for t in targets if len(t)), default=0)
    keys, places = [], []
    place = 0
    for source, target in zip(sources, targets, strict=True):
        from_ = np.array([NULL, *source], dtype=np.int64)
        to = np.array(target, dtype=np.int64)
        keys.append((from_[:, None] * width + to).ravel())
        places.append(np.tile(np.arange(place, place + len(to), dtype=np.int32), len(from_)))
        place += len(to)
    return np.concatenate(keys), np.concatenate(places)
