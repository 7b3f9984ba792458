"""Sentence pairs on disk -> batches, in an order that depends on nothing but seed and position.

`train.tsv` is never read whole: an index holds where each line starts and how long its sides are.
An epoch is a seeded permutation cut into pools; each pool is sorted by length, cut into batches
and the batches shuffled. A batch is a function of its position, so resuming replays nothing.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path

import numpy as np
import regex
from numpy.typing import NDArray

from nmt.batch import Batch
from nmt.errors import CorpusError
from nmt.tokenizer import Tokenizer

POOL = 200_000
"""Pairs sorted by length together."""

UNKNOWN = "\ue000"
"""A private-use character no vocabulary spells: it becomes the unknown unit."""

_WORD = regex.compile(r"[\p{L}\p{N}][\p{L}\p{N}'-]*")


@dataclass(frozen=True, slots=True)
class Position:
    """Where the stream stands: the next batch is `batch` of `epoch`."""

    epoch: int = 0
    batch: int = 0


@dataclass(frozen=True, slots=True)
class CorpusIndex:
    """Where every usable pair of a TSV file stands.

    Attributes:
        offsets: Byte offset of each pair's line, (N,).
        lengths: Units of source and target, (N, 2).
        too_long: Pairs left out because a side is longer than the limit.
    """

    offsets: NDArray[np.int64]
    lengths: NDArray[np.int32]
    too_long: int

    @classmethod
    def build(cls, path: Path, source: Tokenizer, target: Tokenizer, max_tokens: int) -> CorpusIndex:
        """Measure every line of `path` once.

        Raises:
            CorpusError: No pair is left.
        """
        offsets: list[int] = []
        lengths: list[tuple[int, int]] = []
        offset = too_long = 0
        with path.open("rb") as file:
            while lines := file.readlines(1 << 20):
                pairs = [line.decode("utf-8").rstrip("\n").split("\t") for line in lines]
                sides = zip(source.ids([p[0] for p in pairs]), target.ids([p[1] for p in pairs]), strict=True)
                for line, (source_ids, target_ids) in zip(lines, sides, strict=True):
                    if max(len(source_ids), len(target_ids)) < max_tokens:
                        offsets.append(offset)
                        lengths.append((len(source_ids) + 1, len(target_ids) + 1))
                    else:
                        too_long += 1
                    offset += len(line)
        if not offsets:
            raise CorpusError(f"{path} holds no pair of at most {max_tokens} units; raise training.max_tokens")
        return cls(np.array(offsets, np.int64), np.array(lengths, np.int32).reshape(-1, 2), too_long)


class BatchStream:
    """Endless batches of a corpus, from any position.

    Args:
        path: TSV file, `source TAB target` a line, normalised.
        source, target: Tokenizers of the two sides.
        batch_tokens: Largest rows times longest side of a batch.
        max_tokens: Longest side, EOS included.
        copy_rate: Share of pairs that teach copying (see `TrainingConfig`).
        seed: Of the order and of what is copied.
        device: Where batches go.
    """

    def __init__(
        self,
        path: Path,
        source: Tokenizer,
        target: Tokenizer,
        *,
        batch_tokens: int,
        max_tokens: int,
        copy_rate: float,
        seed: int,
        device: str = "cpu",
    ) -> None:
        self.index = CorpusIndex.build(path, source, target, max_tokens)
        self._path = path
        self._source, self._target = source, target
        self._batch_tokens, self._copy_rate, self._seed, self._device = batch_tokens, copy_rate, seed, device
        self._plan = lru_cache(maxsize=2)(self._plan_epoch)

    def batches_in(self, epoch: int) -> int:
        """Number of batches of an epoch."""
        return len(self._plan(epoch))

    def __call__(self, position: Position) -> Iterator[tuple[Batch, Position]]:
        """Batches from `position` on, each with the position after it."""
        while True:
            plan = self._plan(position.epoch)
            if position.batch >= len(plan):
                position = Position(position.epoch + 1)
                continue
            batch = self._read(plan[position.batch], position)
            position = replace(position, batch=position.batch + 1)
            yield batch, position

    def _plan_epoch(self, epoch: int) -> list[NDArray[np.int64]]:
        random = np.random.default_rng((self._seed, epoch))
        plan: list[NDArray[np.int64]] = []
        order = random.permutation(len(self.index.offsets))
        for start in range(0, len(order), POOL):
            pool = order[start : start + POOL]
            lengths = self.index.lengths[pool]
            longest = lengths.max(axis=1)
            by_length = np.lexsort((lengths[:, 0], lengths[:, 1], longest))
            batches = _cut(pool[by_length], longest[by_length], self._batch_tokens)
            plan += [batches[i] for i in random.permutation(len(batches))]
        return plan

    def _read(self, rows: NDArray[np.int64], position: Position) -> Batch:
        random = np.random.default_rng((self._seed, position.epoch, position.batch))
        sources: list[str] = []
        targets: list[str] = []
        with self._path.open("rb") as file:
            for row in rows:
                file.seek(int(self.index.offsets[row]))
                source, target = file.readline().decode("utf-8").rstrip("\n").split("\t")
                if self._copy_rate and random.random() < self._copy_rate:
                    source, target = teach_copying(source, target, random)
                sources.append(source)
                targets.append(target)
        return Batch.of(self._source.ids(sources), self._target.ids(targets), self._device)


def _cut(rows: NDArray[np.int64], longest: NDArray[np.int32], batch_tokens: int) -> list[NDArray[np.int64]]:
    """Cut rows sorted by length so that rows times longest stays within `batch_tokens`."""
    batches: list[NDArray[np.int64]] = []
    start = 0
    for end in range(1, len(rows) + 1):
        if end == len(rows) or (end - start + 1) * int(longest[end]) > batch_tokens:
            batches.append(rows[start:end])
            start = end
    return batches


def teach_copying(source: str, target: str, random: np.random.Generator) -> tuple[str, str]:
    """Put the unknown unit at the same place of meaning on both sides.

    A word that stands on both sides (a name, a number) is replaced on both; if there is none, the
    unit is added at the end of both, as an emoji would be.
    """
    shared = sorted(set(_WORD.findall(source)) & set(_WORD.findall(target)))
    if not shared:
        return f"{source} {UNKNOWN}", f"{target} {UNKNOWN}"
    word = shared[int(random.integers(len(shared)))]

    def hide(found: regex.Match[str]) -> str:
        return UNKNOWN if found.group() == word else found.group()

    return _WORD.sub(hide, source), _WORD.sub(hide, target)
