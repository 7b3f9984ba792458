"""What a run trains on: its indexed files, and how they are mixed."""

from __future__ import annotations

from pathlib import Path

from nmt.errors import NmtError
from nmt.tokenizer import Tokenizer
from training.config import Recipe
from training.files import read_json
from training.guidance import open_links
from training.index import CorpusIndex, open_index
from training.mixture import Part
from training.sampling import SubwordSampler
from training.stream import BatchStream

REAL, SYNTHETIC = "train.tsv", "synthetic.tsv"

TAG = "<bt>"
"""Stands before every back-translated source, so that the model knows it for what it is (Caswell et al. 2019)."""


def unit_files(folder: Path) -> tuple[Path, Path]:
    """The vocabulary file of each side; the same one when shared.

    Raises:
        NmtError: There is none yet.
    """
    found = {
        side: folder / name
        for side in ("source", "target")
        for name in (f"{side}.spm", f"{side}.vocab.json")
        if (folder / name).exists()
    }
    if "source" not in found:
        raise NmtError(f"{folder} has no vocabulary yet; run the stage before: python -m training subwords RECIPE")
    return found["source"], found.get("target", found["source"])


def tokenizers(folder: Path) -> tuple[Tokenizer, Tokenizer]:
    """Source and target tokenizer of a run folder; one object when the vocabulary is shared."""
    source, target = unit_files(folder)
    first = Tokenizer.load(source)
    return first, first if target == source else Tokenizer.load(target)


def training_files(recipe: Recipe, folder: Path) -> list[Path]:
    """The TSV files that training reads."""
    return [folder / REAL, *([folder / SYNTHETIC] if recipe.backtranslation.files else [])]


def open_indexes(recipe: Recipe, folder: Path, source: Tokenizer, target: Tokenizer) -> list[CorpusIndex]:
    """Their indexes, made where there are none."""
    return [open_index(path, source, target) for path in training_files(recipe, folder)]


def parts(recipe: Recipe, folder: Path, indexes: list[CorpusIndex]) -> list[Part]:
    """How the corpora are mixed: the recipe's weights over what `prepare` kept of each corpus."""
    corpora = recipe.data.training
    report = read_json(folder / "cleaning.json") or {}
    sizes = [entry["pairs"] for entry in report.get("corpora", [])] if len(corpora) > 1 else [len(indexes[0])]
    weights = [corpus.weight for corpus in corpora]
    if recipe.backtranslation.files:
        sizes, weights = [*sizes, len(indexes[1])], [*weights, recipe.backtranslation.weight]
    found = []
    start = 0
    for size, weight in zip(sizes, weights, strict=True):
        if size:
            found.append(Part(start, start + size, weight or None))
        start += size
    return found


def open_stream(recipe: Recipe, folder: Path, source: Tokenizer, target: Tokenizer) -> BatchStream:
    """The batches of a run."""
    config = recipe.training
    indexes = open_indexes(recipe, folder, source, target)
    return BatchStream(
        indexes,
        source,
        target,
        parts=parts(recipe, folder, indexes),
        batch_tokens=config.batch_tokens,
        max_tokens=config.max_tokens,
        copy_rate=config.copy_rate,
        casual_rate=config.casual_rate,
        fragment_rate=config.fragment_rate,
        seed=config.seed,
        sampler=SubwordSampler(*unit_files(folder), config.sampling) if config.sampling else None,
        links=open_links(folder, sum(map(len, indexes))) if config.guidance else None,
    )
