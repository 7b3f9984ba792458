"""The stage `align`: an aligner links the words of the training pairs, for guided attention.

The aligner, eflomal, is a program of its own (`pip install "interlinear[align]"`, see
docs/decisions/guided-alignment.md): it gets two files of words and gives two of links. The corpus
goes through it in blocks, so that its memory does not grow with the corpus.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sysconfig
import tempfile
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

from nmt.errors import ConfigError, CorpusError, NmtError
from nmt.text import Span, words
from training.align_eval import Links, grow_diag
from training.config import Recipe
from training.corpus import read_tsv
from training.data import TAG, training_files
from training.files import read_json, write_json
from training.guidance import INDEX, LINK, LINKS
from training.progress import Progress

PROGRAM = "eflomal-align"

BLOCK = 1_000_000
"""Pairs aligned together at most, 400 MB of the aligner's memory; more pairs would be little better."""

_FAR = 65_535
"""Code points that a link can count; words behind them have none."""

Pairs = Iterator[tuple[str, str]]


def align(recipe: Recipe, folder: Path) -> None:
    """The stage: `align_files` for the pairs that training reads."""
    align_files(training_files(recipe, folder), folder, recipe.training.threads)


def align_files(files: Sequence[Path], folder: Path, threads: int = 0) -> None:
    """Write `links.bin` and `links.index` for the pairs of TSV files; goes on after the last whole block.

    Args:
        files: One after the other.
        folder: Where the links come to.
        threads: CPU threads; 0: all.

    Raises:
        ConfigError: The aligner is not installed.
        NmtError: It failed.
        CorpusError: It found no link at all.
    """
    program = find_aligner()

    def read() -> Pairs:
        return (pair for path in files for pair in read_tsv(path))

    size = sum(1 for _ in read())
    blocks = -(-size // BLOCK)
    parts, note = [folder / f"{name}.part" for name in (LINKS, INDEX)], folder / "align.json"
    identity = [BLOCK, *([path.name, path.stat().st_size, path.stat().st_mtime_ns] for path in files)]
    known = read_json(note)
    fresh = not isinstance(known, dict) or known.get("of") != identity or not all(path.exists() for path in parts)
    state: dict[str, Any] = {"of": identity, "blocks": 0, "pairs": 0, "links": 0} if fresh else known
    to_align, to_join = (islice(read(), state["pairs"], None) for _ in range(2))
    with parts[0].open("ab") as out, parts[1].open("ab") as index:
        out.truncate(state["links"] * LINK.itemsize)
        index.truncate((state["pairs"] + 1) * 8)  # zeros where there was nothing: the first pair begins at 0
        for block in range(state["blocks"], blocks):
            # blocks of one size: a small one would be aligned badly
            count = size * (block + 1) // blocks - size * block // blocks
            some = islice(to_align, count), islice(to_join, count)
            found = state["links"]
            for linked in _aligned(program, *some, count, f"block {block + 1} of {blocks}", threads):
                out.write(np.array(linked, LINK).tobytes())
                found += len(linked)
                index.write(np.array([found], np.int64).tobytes())
            for file in (out, index):
                file.flush()
                os.fsync(file.fileno())
            state |= {"blocks": block + 1, "pairs": state["pairs"] + count, "links": found}
            write_json(note, state)
    if not state["links"]:
        raise CorpusError(f"{files[0]}: the aligner linked no words; are the sides translations of each other?")
    for part, name in zip(parts, (LINKS, INDEX), strict=True):
        part.replace(folder / name)
    note.unlink()
    print(f"  {state['links']:,} links between the words of {size:,} pairs, {state['links'] / size:.1f} a pair")


def _aligned(
    program: str, to_align: Pairs, to_join: Pairs, count: int, title: str, threads: int
) -> Iterator[list[tuple[Span, Span]]]:
    """Linked spans of each pair of a block, which is read twice."""
    with tempfile.TemporaryDirectory(prefix="interlinear-align-") as name:
        place = Path(name)
        _write_words(to_align, count, place, title)
        print(f"  {title}: {count:,} pairs are with the aligner", flush=True)
        run_aligner(program, place, threads)
        yield from _join(to_join, count, place, title)


def find_aligner() -> str:
    """The aligner's command, of this environment or on the PATH.

    Raises:
        ConfigError: There is none.
    """
    path = os.pathsep.join((sysconfig.get_path("scripts"), os.environ.get("PATH", os.defpath)))
    found = shutil.which(PROGRAM, path=path)
    if found is None:
        raise ConfigError(
            "this needs the word aligner eflomal: pip install 'interlinear[align]' (where there is no "
            "wheel for it, that needs a C compiler); in a recipe, training.guidance = 0 does without"
        )
    return found


def run_aligner(program: str, place: Path, threads: int = 0) -> None:
    """Align the lines of `place/source.words` and `target.words`: `forward.links` and `backward.links`, `i-j` from 0.

    Args:
        program: See `find_aligner`.
        place: A folder.
        threads: CPU threads; 0: all.

    Raises:
        NmtError: The aligner failed; what it said is quoted.
    """
    names = {"-s": "source.words", "-t": "target.words", "-f": "forward.links", "-r": "backward.links"}
    command = [program, *(part for option, name in names.items() for part in (option, str(place / name)))]
    environment = {**os.environ, **({"OMP_NUM_THREADS": str(threads)} if threads else {})}
    with subprocess.Popen(
        command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, process_group=0
    ) as process:
        try:
            said, _ = process.communicate()
        except BaseException:
            os.killpg(process.pid, signal.SIGTERM)  # it has started a process of its own
            raise
    if process.returncode or not all((place / name).exists() for name in names.values()):
        raise NmtError(
            f"{PROGRAM} failed with exit code {process.returncode}: {said.strip()[-500:] or 'it said nothing'}"
        )


def _write_words(pairs: Pairs, count: int, place: Path, title: str) -> None:
    with (
        (place / "source.words").open("w", encoding="utf-8") as sources,
        (place / "target.words").open("w", encoding="utf-8") as targets,
        Progress(f"cutting words, {title}", count) as bar,
    ):
        for number, pair in enumerate(pairs, 1):
            for text, spans, file in zip(pair, _spans(pair), (sources, targets), strict=True):
                file.write(" ".join(text[start:end].lower() for start, end in spans) + "\n")
            if number % 1000 == 0:
                bar.advance(number, number)


def _join(pairs: Pairs, count: int, place: Path, title: str) -> Iterator[list[tuple[Span, Span]]]:
    """Linked spans of each pair, of both directions together."""
    with (
        (place / "forward.links").open() as forwards,
        (place / "backward.links").open() as backwards,
        Progress(f"joining links, {title}", count) as bar,
    ):
        for number, pair in enumerate(pairs, 1):
            forward, backward = forwards.readline(), backwards.readline()
            if not (forward and backward):
                raise NmtError(f"{PROGRAM} stopped after {number - 1:,} of {count:,} pairs; is the disk full?")
            sources, targets = _spans(pair)
            yield [(sources[i], targets[j]) for i, j in sorted(grow_diag(_links(forward), _links(backward)))]
            if number % 1000 == 0:
                bar.advance(number, number)


def _spans(pair: tuple[str, str]) -> tuple[list[Span], list[Span]]:
    """The words that can be linked, of either side; the tag of a made source is none."""
    tag = len(TAG) if pair[0].startswith(TAG) else 0
    source, target = ([span for span in words(text) if span[1] <= _FAR] for text in pair)
    return [span for span in source if span[0] >= tag], target


def _links(line: str) -> Links:
    return frozenset((int(i), int(j)) for i, _, j in (link.partition("-") for link in line.split()))
