"""What a corpus looks like, in numbers: the ground on which `init` chooses settings."""

from __future__ import annotations

import io
import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import redirect_stdout
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from nmt.device import resolve_device
from nmt.errors import ConfigError
from nmt.model import Seq2Seq
from training.cleaning import WORD, Cleaner, clean_text, digest, fold, ratio, report
from training.config import CleaningConfig, Recipe
from training.corpus import SentencePair
from training.data import open_indexes, open_stream, tokenizers
from training.files import replacing
from training.loss import TrainingModel
from training.optimizer import MasterAdam
from training.precision import fitting
from training.scripts import main_scripts
from training.stream import Position
from training.subwords import train_subwords

SAMPLE = 60_000
"""Pairs looked at closely, at least; a corpus of up to twice as many is looked at whole."""


@dataclass(frozen=True, slots=True)
class Sample:
    """Some pairs of a corpus, in its order.

    Attributes:
        pairs: Those looked at closely.
        total: Pairs of the whole corpus.
    """

    pairs: list[SentencePair]
    total: int

    @property
    def whole(self) -> bool:
        """Whether it is the whole corpus."""
        return len(self.pairs) == self.total


def draw(pairs: Iterable[SentencePair], at_least: int = SAMPLE) -> Sample:
    """A sample spread over the corpus, in memory that does not grow with it.

    A pair is chosen by the digest of its text, so equal pairs are chosen together and their share
    among the chosen is what it is in the whole corpus.
    """
    kept: list[tuple[int, SentencePair]] = []
    total = mask = 0
    for pair in pairs:
        total += 1
        key = digest(pair.source, pair.target)
        if key & mask:
            continue
        kept.append((key, pair))
        if len(kept) > 2 * at_least:
            mask = 2 * mask + 1
            kept = [one for one in kept if not one[0] & mask]
    return Sample([pair for _, pair in kept], total)


@dataclass(frozen=True, slots=True)
class Side:
    """One side of the corpus.

    Attributes:
        scripts: What it is written in; empty when no script has its share.
        words: Words of each text, shape (N,); each Han character is one.
        characters: The same in code points.
    """

    scripts: tuple[str, ...]
    words: NDArray[np.int64]
    characters: NDArray[np.int64]


def measure(texts: Sequence[str]) -> Side:
    """Scripts and lengths."""
    clean = [clean_text(text) for text in texts]
    words = np.array([len(WORD.findall(text)) for text in clean], np.int64)
    return Side(main_scripts(clean), words, np.array([len(text) for text in clean], np.int64))


def ratios(pairs: Iterable[SentencePair]) -> NDArray[np.float64]:
    """Of each pair, longer over shorter side as `cleaning.max_length_ratio` measures it; empty sides are left out."""
    clean = (SentencePair(clean_text(one.source), clean_text(one.target), one.line) for one in pairs)
    return np.array([ratio(one) for one in clean if one.source and one.target] or [1.0])


@dataclass(frozen=True, slots=True)
class Cleaned:
    """What cleaning leaves of a sample.

    Attributes:
        pairs: Kept, each once.
        dropped: Share of the sample that each rule drops; `duplicate` among them.
    """

    pairs: list[SentencePair]
    dropped: dict[str, float]


def clean(sample: Sample, config: CleaningConfig, held_out: Iterable[SentencePair]) -> Cleaned:
    """Apply the rules as `prepare` does."""
    given = list(held_out)
    digests = tuple({digest(fold(clean_text(getattr(one, side)))) for one in given} for side in ("source", "target"))
    cleaner = Cleaner(config, (digests[0], digests[1]))
    kept = [one for one in map(cleaner, sample.pairs) if one]
    found: dict[str, Any] = report(cleaner.read, cleaner.kept, cleaner.dropped)["rules"]
    unique = list({digest(one.source, one.target): one for one in reversed(kept)}.values())[::-1]
    count = max(1, len(sample.pairs))
    dropped = {name: rule["count"] / count for name, rule in found.items()}
    return Cleaned(unique, dropped | {"duplicate": (len(kept) - len(unique)) / count})


def learn_units(recipe: Recipe, pairs: Sequence[SentencePair], folder: Path) -> tuple[Recipe, NDArray[np.int64]]:
    """Learn the recipe's vocabulary on some pairs, as the stage `subwords` does, and count units.

    Args:
        recipe: Its `units.size` is lowered where the text cannot fill it.
        pairs: Clean ones.
        folder: Becomes a run folder with vocabulary and index.

    Returns:
        The recipe, and units of source and target of every pair, EOS included, shape (N, 2).

    Raises:
        ConfigError: No vocabulary can be learnt on this text.
    """
    with replacing(folder / "train.tsv") as file:
        file.writelines(f"{one.source}\t{one.target}\n" for one in pairs)
    while True:
        try:
            with redirect_stdout(io.StringIO()):
                train_subwords(recipe, folder)
            break
        except ConfigError:
            smaller = recipe.units.size * 3 // 4 // 10 * 10
            if smaller < 20:
                raise
            recipe = replace(recipe, units=replace(recipe.units, size=smaller))
    index = open_indexes(recipe, folder, *tokenizers(folder))[0]
    return recipe, index.lengths(np.arange(len(index)))


def seconds_an_update(recipe: Recipe, folder: Path, updates: int = 3) -> float:
    """How long an update takes on this machine when nothing else runs: a few are made, on batches of a run folder."""
    config = recipe.training
    device = resolve_device(config.device)
    precision = fitting(device) if config.precision == "auto" else config.precision
    source, target = tokenizers(folder)
    model = Seq2Seq(recipe.model_config(source.size, target.size))
    model = model.to(device, torch.bfloat16 if precision == "bf16" else torch.float32).train()
    optimizer, training = MasterAdam(model, config), TrainingModel(model, config.label_smoothing)
    alone = device == "cpu"  # the processor's time tells what a machine busy with other things would hide
    clock: Callable[[], float] = time.process_time if alone else time.perf_counter
    taken = []
    stream = open_stream(recipe, folder, source, target)
    for update, (examples, _) in enumerate(islice(stream(Position()), updates + 1)):
        began = clock()
        batch = (examples if update else examples.part(0, 8)).batch(device)  # the first only warms up
        training(batch)[0].backward()
        optimizer.step(update)  # reads the norm, so it waits for the device
        taken.append(clock() - began)
    return float(np.median(taken[1:])) / (torch.get_num_threads() if alone else 1)
