"""The first stage: read, clean, split. Leaves train.tsv, valid.tsv, test.tsv and cleaning.json."""

from __future__ import annotations

from array import array
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Literal

from nmt.errors import CorpusError
from training.cleaning import Cleaner, clean_text, digest, fold, table
from training.config import Recipe
from training.corpus import one_line, read_pairs
from training.files import replacing, write_json
from training.split import TEST, TRAIN, VALID, split

_PARTS = {"train": TRAIN, "valid": VALID, "test": TEST}


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
            counts[name] = _copy(recipe, name, folder / f"{name}.tsv", held_out)
    cleaner = Cleaner(recipe.cleaning, held_out)
    clean = folder / "clean.tmp"
    try:
        sources, targets = _clean(recipe, cleaner, clean)
        if not cleaner.kept:
            worst = max(cleaner.dropped, key=lambda name: cleaner.dropped[name].count)
            raise CorpusError(
                f"{recipe.data.paths('train')[0]}: no pair is left of {cleaner.read:,} after cleaning; most broke the "
                f"rule {worst!r}: see [cleaning] in the recipe\n{table(cleaner.report())}"
            )
        _divide(recipe, clean, folder, sources, targets, counts)
    finally:
        clean.unlink(missing_ok=True)
    report = cleaner.report() | {"parts": counts}
    write_json(folder / "cleaning.json", report)
    print(table(report))


def _copy(recipe: Recipe, name: Literal["valid", "test"], path: Path, held_out: tuple[set[int], set[int]]) -> int:
    """Write a given validation or test file as it is, and remember its sentences."""
    given = recipe.data.paths(name)
    count = 0
    with replacing(path) as file:
        for pair in read_pairs(given, swap=recipe.data.swap):
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


def _clean(recipe: Recipe, cleaner: Cleaner, path: Path) -> tuple[array[int], array[int]]:
    """Write the kept pairs, clean, then as they were where that differs; return the digests of their sentences."""
    sources, targets = array("Q"), array("Q")
    with path.open("w", encoding="utf-8", newline="\n") as file:
        for pair in read_pairs(recipe.data.paths("train"), swap=recipe.data.swap, progress="reading and cleaning"):
            clean = cleaner(pair)
            if clean is None:
                continue
            sources.append(digest(fold(clean.source)))
            targets.append(digest(fold(clean.target)))
            raw = (one_line(pair.source), one_line(pair.target))
            raw = ("", "") if raw == (clean.source, clean.target) else raw
            file.write("\t".join((clean.source, clean.target, *raw)) + "\n")
    return sources, targets


def _divide(
    recipe: Recipe, clean: Path, folder: Path, sources: array[int], targets: array[int], counts: dict[str, Any]
) -> None:
    """Write train.tsv and the parts that the recipe gives no file for."""
    data = recipe.data
    sizes = (0 if data.valid else data.valid_size, 0 if data.test else data.test_size)
    parts = split(sources, targets, sizes).tolist() if any(sizes) else [TRAIN] * len(sources)
    names = ["train", *(name for name, size in zip(("valid", "test"), sizes, strict=True) if size)]
    with ExitStack() as stack:
        files = {_PARTS[name]: (name, stack.enter_context(replacing(folder / f"{name}.tsv"))) for name in names}
        lines = stack.enter_context(clean.open(encoding="utf-8", newline="\n"))
        for part, line in zip(parts, lines, strict=True):
            source, target, raw_source, raw_target = line.rstrip("\n").split("\t")
            if part != TRAIN and raw_source:
                source, target = raw_source, raw_target
            name, file = files[part]
            file.write(f"{source}\t{target}\n")
            counts[name] += 1
