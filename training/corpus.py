"""Sentence pairs from TSV, parallel text or TMX, plain or compressed (.gz, .xz, .zst), block by block."""

from __future__ import annotations

import codecs
import gzip
import lzma
import sys
import zlib
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, cast

from nmt.errors import CorpusError
from training.progress import Progress

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

_LONGEST_LINE = 16 * 2**20
"""Bytes; a file with a longer line is no corpus (a binary file, or one without line breaks)."""

_BLOCK = 1 << 20
"""Bytes of text handed on at once."""

_DAMAGE = (EOFError, gzip.BadGzipFile, zlib.error, lzma.LZMAError, zstd.ZstdError)


@dataclass(frozen=True, slots=True)
class SentencePair:
    """A sentence and its translation, as the file has them.

    Attributes:
        line: Line number in its file, from 1; in a TMX file the number of the translation unit.
    """

    source: str
    target: str
    line: int


@dataclass(frozen=True, slots=True)
class Block:
    """Some consecutive lines, not yet decoded, so that another process can do that.

    Attributes:
        names: The file, or source and target file.
        first: Number of the first line, from 1.
        columns: TSV lines; or the lines of both files, as many in each.
        swap: The target stands first.
    """

    names: tuple[str, ...]
    first: int
    columns: tuple[bytes, ...]
    swap: bool

    def pairs(self) -> Iterator[SentencePair]:
        """The pairs.

        Raises:
            CorpusError: A line is not UTF-8, or a TSV line has no tab.
        """
        texts = [self._lines(name, data) for name, data in zip(self.names, self.columns, strict=True)]
        pairs = self._split(texts[0]) if len(texts) == 1 else zip(*texts, strict=True)
        for number, (first, second) in enumerate(pairs, self.first):
            yield SentencePair(second, first, number) if self.swap else SentencePair(first, second, number)

    def _lines(self, name: str, data: bytes) -> list[str]:
        try:
            lines = data.decode("utf-8").split("\n")  # only "\n" ends a line: text may hold Unicode's other breaks
        except UnicodeDecodeError:
            encoding = "UTF-16" if data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)) else "LATIN1"
            for number, line in enumerate(data.split(b"\n"), self.first):
                try:
                    line.decode("utf-8")
                except UnicodeDecodeError as error:
                    raise CorpusError(
                        f"{name}, line {number}: not UTF-8 at byte {error.start + 1} of the line; "
                        f"convert the file first, for example with iconv -f {encoding} -t UTF-8"
                    ) from None
        if data.endswith(b"\n"):
            lines.pop()
        return [line.rstrip("\r") for line in lines] if b"\r" in data else lines

    def _split(self, lines: list[str]) -> Iterator[tuple[str, str]]:
        for number, line in enumerate(lines, self.first):
            columns = line.split("\t", 2)
            if len(columns) < 2 and line.strip():
                raise CorpusError(
                    f"{self.names[0]}, line {number}: no tab between source and target; write source TAB target on "
                    "each line, or name two parallel files in the recipe"
                )
            yield columns[0], columns[1] if len(columns) > 1 else ""


class TextFile:
    """One file, unpacked on the way, with its position in bytes for a progress bar."""

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
        self._kept, self._lines = b"", 0
        if path.suffix == ".gz":
            self._file = cast(BinaryIO, gzip.GzipFile(fileobj=self._raw))
        elif path.suffix == ".xz":
            self._file = cast(BinaryIO, lzma.LZMAFile(self._raw))  # noqa: SIM115 (closed below)
        elif path.suffix == ".zst":
            self._file = cast(BinaryIO, zstd.ZstdFile(self._raw))

    @property
    def position(self) -> int:
        """Bytes read of the file as it lies on the disk."""
        return self._raw.tell()

    def close(self) -> None:
        """Close the file."""
        self._file.close()
        self._raw.close()

    def read(self, size: int = -1) -> bytes:
        """Bytes, unpacked; none at the end.

        Raises:
            CorpusError: The compressed file is damaged.
        """
        try:
            return self._file.read(size)
        except _DAMAGE as error:
            raise CorpusError(
                f"{self.path}, after line {self._lines}: the compressed file is damaged or cut off ({error}); "
                "download or compress it again"
            ) from None

    def some(self) -> bytes:
        """The next lines, about a block of them, none of them cut; empty at the end."""
        return self._next(lambda kept: kept.rfind(b"\n") + 1)

    def take(self, count: int) -> bytes:
        """The next `count` lines, fewer at the end."""

        def end(kept: bytes) -> int:
            if kept.count(b"\n") < count:
                return 0
            return len(kept) - len(kept.split(b"\n", count)[-1])

        return self._next(end)

    def _next(self, end: Callable[[bytes], int]) -> bytes:
        kept = self._kept
        while True:
            cut = end(kept)
            if cut:
                break
            more = self.read(_BLOCK)
            if not self._lines and not kept and more.startswith(b"\xef\xbb\xbf"):
                more = more[3:]  # a byte order mark is no text
            if not more:
                cut = len(kept)
                break
            kept += more
            if len(kept) - 1 - kept.rfind(b"\n") > _LONGEST_LINE:
                line = self._lines + kept.count(b"\n") + 1
                raise CorpusError(
                    f"{self.path}, line {line}: longer than {_LONGEST_LINE >> 20} MiB; "
                    "a corpus has one sentence pair on each line"
                )
        found, self._kept = kept[:cut], kept[cut:]
        self._lines += count_lines(found)
        return found


def count_lines(data: bytes) -> int:
    """Lines, the last one with or without its end."""
    return data.count(b"\n") + (bool(data) and not data.endswith(b"\n"))


def read_blocks(
    paths: tuple[Path, ...], *, swap: bool = False, languages: tuple[str, str] = ("", ""), progress: str = ""
) -> Iterator[Block]:
    """Read one TSV file (source TAB target, further columns are ignored), two parallel files, or one TMX file.

    Args:
        paths: One file, or source file and target file.
        swap: The files hold the target first (a TMX file names its languages).
        languages: Of source and target, for TMX.
        progress: Shown with a bar on standard error; empty: no bar.

    Raises:
        CorpusError: A file is missing, empty or damaged, or the line counts differ; file and line are named.
    """
    from training.tmx import is_tmx, read_tmx

    with ExitStack() as stack:
        files = [TextFile(path) for path in paths]
        for file in files:
            stack.callback(file.close)
        names = tuple(str(path) for path in paths)
        swap = swap and not is_tmx(paths[0])
        columns = _columns(files) if not is_tmx(paths[0]) else read_tmx(files[0], languages)
        bar = stack.enter_context(Progress(progress, files[0].size)) if progress else None
        first = 1
        for found in columns:
            block = Block(names, first, found, swap)
            first += count_lines(found[0])
            yield block
            if bar:
                bar.advance(files[0].position, first - 1)
        if first == 1:
            raise CorpusError(f"{paths[0]}: the file is empty; it must hold one sentence pair on each line")


def _columns(files: list[TextFile]) -> Iterator[tuple[bytes, ...]]:
    done = 0
    while True:
        source = files[0].some()
        count = count_lines(source)
        if len(files) == 1:
            if not source:
                return
            yield (source,)
            continue
        target = files[1].take(count) if count else files[1].take(1)
        other = count_lines(target)
        if count != other:
            (shorter, least), longer = ((files[0], count), files[1]) if count < other else ((files[1], other), files[0])
            raise CorpusError(
                f"{shorter.path} ends after line {done + least}, but {longer.path} has a line {done + least + 1}; "
                "parallel files need the same number of lines, line by line translations of each other"
            )
        if not count:
            return
        yield source, target
        done += count


def read_pairs(
    paths: tuple[Path, ...], *, swap: bool = False, languages: tuple[str, str] = ("", ""), progress: str = ""
) -> Iterator[SentencePair]:
    """The pairs of `read_blocks`, one by one.

    Raises:
        CorpusError: See `read_blocks`; also a line that is not UTF-8 or has no tab.
    """
    for block in read_blocks(paths, swap=swap, languages=languages, progress=progress):
        yield from block.pairs()


def one_line(text: str) -> str:
    """`text` as a TSV column can hold it: tabs and whatever ends a line become spaces, nothing else changes."""
    return " ".join(text.replace("\t", " ").splitlines())


def read_tsv(path: Path) -> Iterator[tuple[str, str]]:
    """The pairs of a TSV file of the run folder, as written by `prepare`."""
    with path.open(encoding="utf-8", newline="\n") as file:
        for line in file:
            source, _, target = line.rstrip("\n").partition("\t")
            yield source, target
