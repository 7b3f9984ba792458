"""The first stage: read, clean, split. Leaves train.tsv, valid.tsv, test.tsv and cleaning.json.

Blocks of lines are cleaned on all cores and written to clean.tmp with their digests beside; only
then is it known which pairs are duplicates and which are split off. Memory does not grow with the
corpus but for one byte and a few bits a pair.
"""

from __future__ import annotations

from collections.abc import Collection
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nmt.errors import CorpusError
from training.cleaning import Cleaner, Dropped, clean_text, digest, fold, report, table
from training.config import CleaningConfig, Recipe
from training.corpus import Block, SentencePair, one_line, read_blocks, read_pairs
from training.duplicates import repeated
from training.files import replacing, write_json
from training.parallel import in_order
from training.split import TEST, TRAIN, VALID, split

_PARTS = {"train": TRAIN, "valid": VALID, "test": TEST}
_DUPLICATE = 3
_COLUMNS = ("pair", "source", "target")

HeldOut = tuple[Collection[int], Collection[int]]


@dataclass(frozen=True, slots=True)
class Cleaned:
    """What became of one block.

    Attributes:
        lines: `LINE TAB source TAB target`, and the two as they were where that differs, for every pair kept.
        digests: Of pair, folded source and folded target, shape (3, kept).
        read: Pairs read.
        dropped: By rule.
    """

    lines: bytes
    digests: NDArray[np.uint64]
    read: int
    dropped: dict[str, Dropped]


def prepare(recipe: Recipe, folder: Path) -> None:
    """Write the clean training pairs and the validation and test pairs as given.

    Raises:
        CorpusError: A file cannot be read, or no pair is left.
    """
    folder.mkdir(parents=True, exist_ok=True)
    held_out: tuple[set[int], set[int]] = (set(), set())
    counts = dict.fromkeys(_PARTS, 0)
    for name in ("valid", "test"):
        if recipe.data.paths(name):
            counts[name] = _copy(recipe, name, recipe.data.paths(name), folder / f"{name}.tsv", held_out)
    for also in recipe.data.also_test:
        _copy(recipe, "test", recipe.data.places(also.test), folder / also.copy, held_out)
    clean, places = folder / "clean.tmp", [folder / f"{name}.digests.tmp" for name in _COLUMNS]
    try:
        read, dropped, sizes = _clean(recipe, held_out, clean, places)
        kept = sum(sizes)
        if not kept:
            worst = max(dropped, key=lambda name: dropped[name].count)
            raise CorpusError(
                f"{recipe.data.training[0].paths[0]}: no pair is left of {read:,} after cleaning; most broke the "
                f"rule {worst!r}: see [cleaning] in the recipe\n{table(report(read, 0, dropped))}"
            )
        pairs, sources, targets = (np.memmap(place, np.uint64, mode="r") for place in places)
        parts = np.full(kept, TRAIN, np.int8)
        if recipe.cleaning.duplicates:
            dropped["duplicate"] = Dropped()
            parts[repeated(pairs)] = _DUPLICATE
        data = recipe.data
        wanted = (0 if data.valid else data.valid_size, 0 if data.test else data.test_size)
        if any(wanted):
            split(sources, targets, wanted, parts)
        trained = _divide(clean, folder, parts, wanted, counts, sizes, dropped)
    finally:
        for path in (clean, *places):
            path.unlink(missing_ok=True)
    kept -= dropped["duplicate"].count if "duplicate" in dropped else 0
    found = report(read, kept, dropped) | {"parts": counts, "corpora": _corpora(recipe, trained)}
    write_json(folder / "cleaning.json", found)
    print(table(found))


def _copy(recipe: Recipe, name: str, given: tuple[Path, ...], path: Path, held_out: tuple[set[int], set[int]]) -> int:
    """Write a given validation or test file as it is, and remember its sentences."""
    count = 0
    with replacing(path) as file:
        for pair in read_pairs(given, swap=recipe.data.swap, languages=(recipe.source, recipe.target)):
            for side, seen in zip((pair.source, pair.target), held_out, strict=True):
                if not side.strip():
                    raise CorpusError(
                        f"{given[0]}, line {pair.line}: one side is empty; a {name} file is used as it is, "
                        "so remove the line or complete it"
                    )
                seen.add(digest(fold(clean_text(side))))
            file.write(f"{one_line(pair.source)}\t{one_line(pair.target)}\n")
            count += 1
    return count


def _clean(
    recipe: Recipe, held_out: HeldOut, clean: Path, places: list[Path]
) -> tuple[int, dict[str, Dropped], list[int]]:
    """Write the kept pairs and their digests; return pairs read, what was dropped, and pairs kept of each corpus."""
    read, dropped = 0, {name: Dropped() for name in Cleaner(recipe.cleaning, held_out).dropped}
    sizes = []
    with ExitStack() as stack:
        out = stack.enter_context(clean.open("wb"))
        digests = [stack.enter_context(place.open("wb")) for place in places]
        for corpus in recipe.data.training:
            blocks = read_blocks(
                corpus.paths,
                swap=recipe.data.swap,
                languages=(recipe.source, recipe.target),
                progress=f"cleaning {corpus.paths[0].name}",
            )
            size = 0
            for found in in_order(clean_block, blocks, prepare=_begin, arguments=(recipe.cleaning, held_out)):
                read += found.read
                size += found.digests.shape[1]
                for name, one in found.dropped.items():
                    dropped[name].join(one)
                out.write(found.lines)
                for file, column in zip(digests, found.digests, strict=True):
                    file.write(column.tobytes())
            sizes.append(size)
    return read, dropped, sizes


_settings: tuple[CleaningConfig, HeldOut]


def _begin(config: CleaningConfig, held_out: HeldOut) -> None:
    global _settings
    _settings = (config, held_out)


def clean_block(block: Block) -> Cleaned:
    """Clean one block, in whichever process."""
    cleaner = Cleaner(*_settings)
    lines: list[str] = []
    digests: list[tuple[int, int, int]] = []
    for pair in block.pairs():
        clean = cleaner(pair)
        if clean is None:
            continue
        digests.append((digest(clean.source, clean.target), digest(fold(clean.source)), digest(fold(clean.target))))
        raw = (one_line(pair.source), one_line(pair.target))
        columns = (str(pair.line), clean.source, clean.target, *(() if raw == (clean.source, clean.target) else raw))
        lines.append("\t".join(columns) + "\n")
    array = np.array(digests, np.uint64).reshape(-1, 3).T
    return Cleaned("".join(lines).encode(), array, cleaner.read, cleaner.dropped)


def _divide(
    clean: Path,
    folder: Path,
    parts: NDArray[np.int8],
    wanted: tuple[int, int],
    counts: dict[str, int],
    sizes: list[int],
    dropped: dict[str, Dropped],
) -> list[int]:
    """Write train.tsv and the parts that the recipe gives no file for; return the training pairs of each corpus."""
    names = ["train", *(name for name, size in zip(("valid", "test"), wanted, strict=True) if size)]
    ends = np.cumsum(sizes).tolist()
    trained = [0] * len(sizes)
    corpus = 0
    with ExitStack() as stack:
        files = {_PARTS[name]: (name, stack.enter_context(replacing(folder / f"{name}.tsv"))) for name in names}
        lines = stack.enter_context(clean.open(encoding="utf-8", newline="\n"))
        for number, line in enumerate(lines):
            part = int(parts[number])
            while number >= ends[corpus]:
                corpus += 1
            place, source, target, *raw = line.rstrip("\n").split("\t")
            if part == _DUPLICATE:
                first, second = raw or (source, target)
                dropped["duplicate"].add(SentencePair(first, second, int(place)))
                continue
            if part == TRAIN:
                trained[corpus] += 1
            elif raw:
                source, target = raw
            name, file = files[part]
            file.write(f"{source}\t{target}\n")
            counts[name] += 1
    return trained


def _corpora(recipe: Recipe, trained: list[int]) -> list[dict[str, Any]]:
    return [
        {"files": [path.name for path in corpus.paths], "pairs": pairs}
        for corpus, pairs in zip(recipe.data.training, trained, strict=True)
    ]
