"""Sentence pairs on disk -> batches, in an order that depends on nothing but seed and position.

No corpus is ever read whole: an index says where each line starts and how long its sides are. An
epoch (see `Mixture`) is cut into pools; each pool is sorted by length, cut into batches and the
batches shuffled. A batch is a function of its position, so resuming replays nothing.
"""

from __future__ import annotations

import os
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from nmt.batch import Batch
from nmt.errors import CorpusError
from nmt.tokenizer import Tokenizer
from training.guidance import Block, Links, UnitEnds, link_matrix, unit_blocks
from training.index import CorpusIndex
from training.mixture import Mixture, Part
from training.variants import as_typed, fragment, teach_copying

POOL = 200_000
"""Pairs sorted by length together."""


@dataclass(frozen=True, slots=True)
class Position:
    """Where the stream stands: the next batch is `batch` of pool `pool` of `epoch`."""

    epoch: int = 0
    pool: int = 0
    batch: int = 0


@dataclass(frozen=True, slots=True)
class Examples:
    """The pairs of one update, whoever computes them.

    Attributes:
        source, target: Ids of every pair, without EOS.
        lines: Where each came from, `train.tsv, line 17`.
        links: Linked units of every pair, for guidance.
    """

    source: list[list[int]]
    target: list[list[int]]
    lines: list[str]
    links: list[list[Block]] | None = None

    @property
    def tokens(self) -> int:
        """Target tokens, EOS included."""
        return sum(len(ids) + 1 for ids in self.target)

    def part(self, number: int, count: int) -> Examples:
        """Every `count`-th pair from `number` on; empty when there are fewer pairs."""
        at = slice(number, None, count)
        links = None if self.links is None else self.links[at]
        return Examples(self.source[at], self.target[at], self.lines[at], links)

    def batch(self, device: str = "cpu") -> Batch:
        """Padded, for the model."""
        batch = Batch.of(self.source, self.target, device)
        if self.links is None:
            return batch
        links = link_matrix(self.links, list(map(len, self.source)), list(map(len, self.target)))
        return replace(batch, links=links.to(device))


class Sampler(Protocol):
    """Cuts texts into units, another way every time (see `training.sampling`)."""

    def __call__(self, sources: Sequence[str], targets: Sequence[str], seed: int) -> list[list[list[int]]]:
        """Ids of the sources and of the targets."""
        ...


class BatchStream:
    """Endless batches of one or more indexed files, from any position.

    Args:
        indexes: Of the files; their lines, one after the other, are the rows of `parts`.
        source, target: Tokenizers of the two sides.
        parts: How they are mixed; default: every pair once an epoch.
        batch_tokens: Largest rows times longest side of a batch.
        max_tokens: Longest side, EOS included; longer pairs are left out.
        copy_rate: Share of pairs that teach copying (see `TrainingConfig`).
        casual_rate: Share of pairs written as people type (see `TrainingConfig`).
        fragment_rate: Share of pairs of which a fragment is taken, where there are links (see `TrainingConfig`).
        seed: Of the order, of what is changed and of the sampled units.
        sampler: Cuts into units instead of the tokenizers; its lengths may differ from the index's.
        links: Of the rows, for guidance.

    Raises:
        CorpusError: No pair is short enough.
    """

    def __init__(
        self,
        indexes: Sequence[CorpusIndex],
        source: Tokenizer,
        target: Tokenizer,
        *,
        parts: Sequence[Part] = (),
        batch_tokens: int,
        max_tokens: int,
        copy_rate: float,
        casual_rate: float = 0.0,
        fragment_rate: float = 0.0,
        seed: int,
        sampler: Sampler | None = None,
        links: Links | None = None,
    ) -> None:
        self.indexes = list(indexes)
        self._starts = [0, *np.cumsum([len(index) for index in indexes]).tolist()]
        self._mixture = Mixture(parts or [Part(0, self._starts[-1])], seed)
        self._source, self._target, self._sampler = source, target, sampler
        self._batch_tokens, self._max_tokens = batch_tokens, max_tokens
        self._copy_rate, self._casual_rate, self._fragment_rate = copy_rate, casual_rate, fragment_rate
        self._seed = seed
        self._links, self._ends = links, (UnitEnds(source), UnitEnds(target))
        self.too_long = sum(index.too_long(max_tokens) for index in indexes)
        if self.too_long == self._starts[-1]:
            names = ", ".join(str(index.path) for index in indexes)
            raise CorpusError(f"{names}: no pair of at most {max_tokens} units; raise training.max_tokens")
        self._order = lru_cache(maxsize=1)(self._mixture.order)
        self._plan = lru_cache(maxsize=1)(self._plan_pool)

    def __call__(self, position: Position) -> Iterator[tuple[Examples, Position]]:
        """Batches from `position` on, each with the position after it."""
        files = [os.open(index.path, os.O_RDONLY) for index in self.indexes]
        try:
            while True:
                if position.pool * POOL >= len(self._order(position.epoch)):
                    position = Position(position.epoch + 1)
                    continue
                plan = self._plan(position.epoch, position.pool)
                if position.batch >= len(plan):
                    position = Position(position.epoch, position.pool + 1)
                    continue
                examples = self._read(files, plan[position.batch], position)
                position = replace(position, batch=position.batch + 1)
                yield examples, position
        finally:
            for file in files:
                os.close(file)

    def batches_in(self, epoch: int) -> int:
        """Number of batches of an epoch."""
        pools = -(-len(self._order(epoch)) // POOL)
        return sum(len(self._plan(epoch, pool)) for pool in range(pools))

    def _plan_pool(self, epoch: int, pool: int) -> list[NDArray[np.int64]]:
        rows = self._order(epoch)[pool * POOL : (pool + 1) * POOL].astype(np.int64)
        lengths = np.empty((len(rows), 2), np.int64)
        for start, stop, index in zip(self._starts, self._starts[1:], self.indexes, strict=False):
            here = (rows >= start) & (rows < stop)
            lengths[here] = index.lengths(rows[here] - start)
        longest = lengths.max(axis=1)
        fits = longest <= self._max_tokens
        rows, lengths, longest = rows[fits], lengths[fits], longest[fits]
        by_length = np.lexsort((lengths[:, 0], lengths[:, 1], longest))
        batches = _cut(rows[by_length], longest[by_length], self._batch_tokens)
        random = np.random.default_rng((self._seed, epoch, pool))
        return [batches[i] for i in random.permutation(len(batches))]

    def _read(self, files: list[int], rows: NDArray[np.int64], position: Position) -> Examples:
        random = np.random.default_rng((self._seed, position.epoch, position.pool, position.batch))
        sources: list[str] = []
        targets: list[str] = []
        lines: list[str] = []
        spans: list[list[Block]] = []
        for row in rows.tolist():
            number = bisect_right(self._starts, row) - 1
            index, line = self.indexes[number], row - self._starts[number]
            source, target = index.read(files[number], line)
            known = [] if self._links is None else self._links[row]
            if self._copy_rate and random.random() < self._copy_rate:
                source, target = teach_copying(source, target, random)
                known = []  # the words stand elsewhere now
            elif self._fragment_rate and random.random() < self._fragment_rate:
                source, target, known = fragment(source, target, known, random) or (source, target, known)
            elif self._casual_rate and random.random() < self._casual_rate:
                source, target = as_typed(source, target, random)
                known = [link for link in known if link[1] <= len(source) and link[3] <= len(target)]
            spans.append(known)
            sources.append(source)
            targets.append(target)
            lines.append(f"{index.path.name}, line {line + 1}")
        if self._sampler:
            sampled = self._sampler(sources, targets, int(random.integers(2**31)))
            ids = (sampled[0], sampled[1])
        else:
            ids = (self._source.ids(sources), self._target.ids(targets))
        if self._links is None:
            return Examples(*ids, lines)
        blocks = [self._blocks(*one) for one in zip(spans, *ids, sources, targets, strict=True)]
        return Examples(*ids, lines, blocks)

    def _blocks(
        self, spans: list[Block], source_ids: list[int], target_ids: list[int], source: str, target: str
    ) -> list[Block]:
        ends = (self._ends[0](source_ids, source), self._ends[1](target_ids, target)) if spans else (None, None)
        return [] if ends[0] is None or ends[1] is None else unit_blocks(spans, ends[0], ends[1])


def _cut(rows: NDArray[np.int64], longest: NDArray[np.int64], batch_tokens: int) -> list[NDArray[np.int64]]:
    """Cut rows sorted by length so that rows times longest stays within `batch_tokens`."""
    batches: list[NDArray[np.int64]] = []
    lengths = longest.tolist()
    start = 0
    for end in range(1, len(rows) + 1):
        if end == len(rows) or (end - start + 1) * lengths[end] > batch_tokens:
            batches.append(rows[start:end])
            start = end
    return batches
