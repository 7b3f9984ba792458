"""Where every line of a TSV file stands and how long its sides are, kept beside it and mapped into memory."""

from __future__ import annotations

import hashlib
import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nmt.tokenizer import Tokenizer
from training.files import read_json, replacing_bytes, write_json
from training.progress import Progress

ROW = np.dtype([("offset", "<i8"), ("source", "<u2"), ("target", "<u2")])
"""Byte offset of a line; units of its source and target, EOS included (65,535 stands for more)."""

_BLOCK = 1 << 20
_LONGEST = 65_535


@dataclass(frozen=True, slots=True)
class CorpusIndex:
    """The index of one TSV file of the run folder.

    Attributes:
        path: The TSV file.
        rows: One `ROW` for each line, and one more that marks the end of the last; mapped, not read.
        longest: How many lines have a longer side of so many units, by units.
        sources: How many lines have a source of so many units, by units.
    """

    path: Path
    rows: NDArray[np.void]
    longest: dict[int, int]
    sources: dict[int, int]

    def __len__(self) -> int:
        return len(self.rows) - 1

    def too_long(self, max_tokens: int) -> int:
        """Lines with a side of more than `max_tokens` units."""
        return sum(count for units, count in self.longest.items() if units > max_tokens)

    def lengths(self, lines: NDArray[np.integer[Any]]) -> NDArray[np.int64]:
        """Units of source and target of these lines (from 0), shape (N, 2)."""
        rows = self.rows[lines]
        return np.stack((rows["source"], rows["target"]), axis=1).astype(np.int64)

    def read(self, file: int, line: int) -> tuple[str, str]:
        """One line, by its number from 0, through the open file descriptor `file`."""
        begin, end = int(self.rows["offset"][line]), int(self.rows["offset"][line + 1])
        text = os.pread(file, end - begin, begin).decode("utf-8").rstrip("\n")
        source, _, target = text.partition("\t")
        return source, target


def open_index(path: Path, source: Tokenizer, target: Tokenizer) -> CorpusIndex:
    """The index of a TSV file; made first, in one pass, where there is none or the file or vocabulary is another."""
    place, about = path.with_suffix(".index"), path.with_suffix(".index.json")
    identity = _identity(path, source, target)
    known = read_json(about)
    if not isinstance(known, dict) or known.get("of") != identity or not place.is_file():
        known = {"of": identity, **_build(path, place, source, target)}
        write_json(about, known)
    return CorpusIndex(
        path,
        np.memmap(place, dtype=ROW, mode="r"),
        {int(units): count for units, count in known["longest"].items()},
        {int(units): count for units, count in known["sources"].items()},
    )


def _identity(path: Path, source: Tokenizer, target: Tokenizer) -> list[Any]:
    status = path.stat()
    units = [[tokenizer.piece(number) for number in range(tokenizer.size)] for tokenizer in (source, target)]
    return [status.st_size, status.st_mtime_ns, hashlib.sha256(json.dumps(units).encode()).hexdigest()]


def _build(path: Path, place: Path, source: Tokenizer, target: Tokenizer) -> dict[str, dict[int, int]]:
    longest, sources = np.zeros(_LONGEST + 1, np.int64), np.zeros(_LONGEST + 1, np.int64)
    offset = done = 0
    size = path.stat().st_size
    with path.open("rb") as file, replacing_bytes(place) as out, Progress(f"indexing {path.name}", size) as bar:
        while lines := file.readlines(_BLOCK):
            pairs = [line.decode("utf-8").rstrip("\n").partition("\t") for line in lines]
            rows = np.empty(len(lines), ROW)
            rows["offset"] = offset + np.cumsum([0, *map(len, lines[:-1])])
            for side, ids in (
                ("source", source.ids([p[0] for p in pairs])),
                ("target", target.ids([p[2] for p in pairs])),
            ):
                rows[side] = np.minimum([len(one) + 1 for one in ids], _LONGEST)
            out.write(rows.tobytes())
            longest += np.bincount(np.maximum(rows["source"], rows["target"]), minlength=_LONGEST + 1)
            sources += np.bincount(rows["source"], minlength=_LONGEST + 1)
            offset, done = offset + sum(map(len, lines)), done + len(lines)
            bar.advance(offset, done)
        out.write(np.array([(offset, 0, 0)], ROW).tobytes())
    return {"longest": _counts(longest), "sources": _counts(sources)}


def _counts(histogram: NDArray[np.int64]) -> dict[int, int]:
    return {int(units): int(histogram[units]) for units in np.flatnonzero(histogram)}
