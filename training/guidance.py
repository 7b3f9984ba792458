"""Guided attention (Chen et al. 2016): links between words, what they say of units, and the loss.

The stage `align` leaves `links.bin`, one record a link, and `links.index`, where the links of each
pair begin. A link joins two words by their code-point spans, so that it holds for whatever units
the words are cut into. Shapes: B batch, S source length, T target length, EOS included.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from nmt.config import UNK
from nmt.errors import CorpusError
from nmt.tokenizer import Tokenizer

LINKS, INDEX = "links.bin", "links.index"

LINK = np.dtype([("source", "<u2", 2), ("target", "<u2", 2)])
"""Half-open spans of a source word and a target word, in code points of their sides."""

_LEAST = 1e-12
"""Weights below this give no gradient, instead of one that is not finite."""

Block = tuple[int, int, int, int]
"""Source units `[a, b)` that the target units `[c, d)` are linked to: (a, b, c, d)."""


@dataclass(frozen=True, slots=True)
class Links:
    """The links of all training pairs, mapped, not read.

    Attributes:
        records: One `LINK` each.
        starts: Where the links of each pair begin, and the end of the last, shape (pairs + 1,).
    """

    records: NDArray[np.void]
    starts: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.starts) - 1

    def __getitem__(self, pair: int) -> list[Block]:
        """The links of a pair as (source start, source end, target start, target end)."""
        some = self.records[int(self.starts[pair]) : int(self.starts[pair + 1])]
        return [tuple(link) for link in np.concatenate((some["source"], some["target"]), axis=1).tolist()]


def open_links(folder: Path, pairs: int) -> Links:
    """The links of a run folder.

    Raises:
        CorpusError: There are none, or they are of other training pairs.
    """
    try:
        links = Links(
            np.memmap(folder / LINKS, dtype=LINK, mode="r"), np.memmap(folder / INDEX, dtype=np.int64, mode="r")
        )
    except (FileNotFoundError, ValueError):
        raise CorpusError(
            f"{folder / LINKS} is missing or empty; run the stage before: python -m training align RECIPE"
        ) from None
    if len(links) != pairs or links.starts[-1] != len(links.records):
        raise CorpusError(
            f"{folder / LINKS} holds the links of {len(links):,} pairs, but there are {pairs:,} to train on; "
            "run again: python -m training align RECIPE --force"
        )
    return links


class UnitEnds:
    """Says where in its text every unit ends.

    A unit that is only a space reaches half a character into the word after it, to which it
    belongs (as in `nmt.alignment`).

    Args:
        tokenizer: Which units there are.
    """

    def __init__(self, tokenizer: Tokenizer) -> None:
        self._spelled, self._prefix = tokenizer.spelled, tokenizer.prefix
        self._lengths = [len(spelled) for spelled in self._spelled]
        if not self._prefix:  # characters: the unknown unit is one of them
            self._lengths[UNK] = 1

    def __call__(self, ids: Sequence[int], text: str) -> list[float] | None:
        """Ends of the units in code points of `text`, shape (units,); None if they do not spell it."""
        if self._prefix and UNK in ids:
            lengths = list(self._with_unknown(ids, " " * self._prefix + text))
        else:
            lengths = [self._lengths[unit] for unit in ids]
        ends = list(accumulate(lengths, initial=-self._prefix))[1:]
        if not ends or ends[-1] != len(text):
            return None
        return [end + 0.5 if self._spelled[unit] == " " else end for unit, end in zip(ids, ends, strict=True)]

    def _with_unknown(self, ids: Sequence[int], text: str) -> Iterator[int]:
        """Lengths of the units: an unknown one, of characters no unit spells, ends where the next can begin."""
        place = 0
        for unit, after in zip(ids, [*ids[1:], None], strict=True):
            end = place + self._lengths[unit]
            if unit == UNK:
                end = len(text) if after is None else text.find(self._spelled[after], place + 1)
            yield end - place
            place = end


def unit_blocks(links: Sequence[Block], source_ends: Sequence[float], target_ends: Sequence[float]) -> list[Block]:
    """From linked words, as spans, to linked units: all that overlap the one with all that overlap the other.

    Args:
        links: Spans of words.
        source_ends: Where each unit of the source ends.
        target_ends: Where each unit of the target ends.
    """
    return [(*_units(source_ends, a, b), *_units(target_ends, c, d)) for a, b, c, d in links]


def _units(ends: Sequence[float], start: int, end: int) -> tuple[int, int]:
    return bisect_right(ends, start), min(bisect_left(ends, end) + 1, len(ends))


def link_matrix(blocks: Sequence[Sequence[Block]], sources: Sequence[int], targets: Sequence[int]) -> Tensor:
    """Which source units each target unit is linked to, shape (B, T, S), bool; EOS is linked to EOS.

    Args:
        blocks: Of each pair.
        sources: Units of each source, EOS not counted.
        targets: Units of each target, EOS not counted.
    """
    matrix = np.zeros((len(blocks), max(targets) + 1, max(sources) + 1), np.bool_)
    for links, source, target, rows in zip(blocks, sources, targets, matrix, strict=True):
        for a, b, c, d in links:
            rows[c:d, a:b] = True
        rows[target, source] = True
    return torch.from_numpy(matrix)


def guidance_loss(weights: Tensor, links: Tensor) -> Tensor:
    """Cross-entropy of attention against links, summed over target units, nats (Chen et al. 2016, eq. 4).

    The goal of a target unit is spread evenly over the source units it is linked to; one that is
    linked to none has no goal.

    Args:
        weights: Attention, shape (B, T, S).
        links: Bool, shape (B, T, S).
    """
    goal = links / links.sum(dim=2, keepdim=True).clamp_min(1)
    return -(goal * weights.clamp_min(_LEAST).log()).sum()
