"""Sentence pairs from TSV or parallel text, plain or compressed (.gz, .xz)."""

from __future__ import annotations

import gzip
import lzma
import zlib
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import zip_longest
from pathlib import Path
from typing import BinaryIO, cast

from nmt.errors import CorpusError
from training.progress import Progress

_LONGEST_LINE = 16 * 2**20
"""Bytes; a file with a longer line is no corpus (a binary file, or one without line breaks)."""


@dataclass(frozen=True, slots=True)
class SentencePair:
    """A sentence and its translation, as the file has them.

    Attributes:
        line: Line number in its file, from 1.
    """

    source: str
    target: str
    line: int


class Lines:
    """The lines of one text file, with its position in bytes for a progress bar."""

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            self._raw = path.open("rb")
            self.size = path.stat().st_size
        except FileNotFoundError:
            raise CorpusError(
                f"{path}: there is no such file; check data.folder and the file names in the recipe's [data]"
            ) from None
        except IsADirectoryError:
            raise CorpusError(f"{path} is a folder; name a file in it") from None
        except PermissionError:
            raise CorpusError(f"{path} cannot be read: permission denied; make it readable") from None
        self._file: BinaryIO = self._raw
        if path.suffix == ".gz":
            self._file = cast(BinaryIO, gzip.GzipFile(fileobj=self._raw))
        elif path.suffix == ".xz":
            self._file = cast(BinaryIO, lzma.LZMAFile(self._raw))  # noqa: SIM115 (closed below)

    @property
    def position(self) -> int:
        """Bytes read of the file as it lies on the disk."""
        return self._raw.tell()

    def close(self) -> None:
        """Close the file."""
        self._file.close()
        self._raw.close()

    def __iter__(self) -> Iterator[str]:
        number = 0
        try:
            # Only "\n" ends a line: text may hold the other characters that Unicode calls line breaks
            while raw := self._file.readline(_LONGEST_LINE + 1):
                number += 1
                if len(raw) > _LONGEST_LINE:
                    raise CorpusError(
                        f"{self.path}, line {number}: longer than {_LONGEST_LINE >> 20} MiB; "
                        "a corpus has one sentence pair on each line"
                    )
                yield self._decode(raw, number)
        except (EOFError, gzip.BadGzipFile, zlib.error, lzma.LZMAError) as error:
            raise CorpusError(
                f"{self.path}, after line {number}: the compressed file is damaged or cut off ({error}); "
                "download or compress it again"
            ) from None

    def _decode(self, raw: bytes, number: int) -> str:
        try:
            text = raw.decode("utf-8-sig" if number == 1 else "utf-8")
        except UnicodeDecodeError as error:
            raise CorpusError(
                f"{self.path}, line {number}: not UTF-8 at byte {error.start + 1} of the line; "
                "convert the file first, for example with iconv -f LATIN1 -t UTF-8"
            ) from None
        return text.rstrip("\r\n")


def read_pairs(paths: tuple[Path, ...], *, swap: bool = False, progress: str = "") -> Iterator[SentencePair]:
    """Read the pairs of one TSV file (source TAB target, further columns are ignored) or of two parallel files.

    Args:
        paths: One file, or source file and target file.
        swap: The files hold the target first.
        progress: Shown with a bar on standard error; empty: no bar.

    Raises:
        CorpusError: A file is missing, damaged or not UTF-8, a line has no tab, or the line
            counts differ; file and line are named.
    """
    with ExitStack() as stack:
        files = [Lines(path) for path in paths]
        for file in files:
            stack.callback(file.close)
        pairs = _columns(files[0]) if len(files) == 1 else _parallel(*files)
        bar = stack.enter_context(Progress(progress, files[0].size)) if progress else None
        number = 0
        for number, (first, second) in enumerate(pairs, 1):
            yield (SentencePair(second, first, number) if swap else SentencePair(first, second, number))
            if bar and number % 500 == 0:
                bar.advance(files[0].position, number)
        if number == 0:
            raise CorpusError(f"{paths[0]}: the file is empty; it must hold one sentence pair on each line")


def _columns(lines: Lines) -> Iterator[tuple[str, str]]:
    for number, line in enumerate(lines, 1):
        columns = line.split("\t")
        if len(columns) < 2 and line.strip():
            raise CorpusError(
                f"{lines.path}, line {number}: no tab between source and target; write source TAB target on each line, "
                "or name two parallel files in the recipe"
            )
        yield columns[0], columns[1] if len(columns) > 1 else ""


def _parallel(source: Lines, target: Lines) -> Iterator[tuple[str, str]]:
    for number, (first, second) in enumerate(zip_longest(source, target), 1):
        if first is None or second is None:
            shorter, longer = (source, target) if first is None else (target, source)
            raise CorpusError(
                f"{shorter.path} ends after line {number - 1}, but {longer.path} has a line {number}; "
                "parallel files need the same number of lines, line by line translations of each other"
            )
        yield first, second


def one_line(text: str) -> str:
    """`text` as a TSV column can hold it: tabs and whatever ends a line become spaces, nothing else changes."""
    return " ".join(text.replace("\t", " ").splitlines())


def read_tsv(path: Path) -> Iterator[tuple[str, str]]:
    """The pairs of a TSV file of the run folder, as written by `prepare`."""
    with path.open(encoding="utf-8", newline="\n") as file:
        for line in file:
            source, _, target = line.rstrip("\n").partition("\t")
            yield source, target
