"""Settings that fit a corpus: the table by its size, and what follows from its lengths and scripts.

Small corpora want fewer units, smaller batches and more dropout (Sennrich & Zhang 2019); the row of
400,000 pairs is what the shipped models were trained with (benchmarks/results), the others follow that trend.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nmt.errors import CorpusError
from training.cleaning import digest, fold
from training.config import UnitsConfig
from training.corpus import SentencePair
from training.split import split
from training.subwords import train_character_vocabulary
from training.survey import Side


@dataclass(frozen=True, slots=True)
class Preset:
    """A row of the table.

    Attributes:
        pairs: It is for corpora of up to so many clean pairs.
        size: `units.size`.
        width: `model.embedding_size` and `model.decoder_size`.
        encoder: `model.encoder_size`.
        layers: `model.encoder_layers`.
        dropout: `model.dropout`.
        sampling: `training.sampling`; 0: off.
        batch_tokens: `training.batch_tokens`.
        learning_rate: `training.learning_rate`.
        epochs: How often every pair is seen; makes `training.max_updates`.
    """

    pairs: float
    size: int
    width: int
    encoder: int
    layers: int
    dropout: float
    sampling: float
    batch_tokens: int
    learning_rate: float
    epochs: int


PRESETS = (
    # pairs    size   width encoder layers dropout sampling batch rate epochs
    Preset(10_000, 2_000, 256, 192, 1, 0.4, 0.1, 1_024, 1.5e-3, 40),
    Preset(40_000, 4_000, 256, 256, 2, 0.3, 0.1, 2_048, 2e-3, 20),
    Preset(120_000, 5_000, 320, 256, 2, 0.25, 0.1, 3_072, 2e-3, 10),
    Preset(400_000, 6_000, 384, 256, 2, 0.2, 0.0, 3_072, 2e-3, 6),
    Preset(3_000_000, 16_000, 512, 384, 2, 0.15, 0.0, 6_144, 2e-3, 4),
    Preset(float("inf"), 32_000, 512, 512, 2, 0.1, 0.0, 12_288, 1.5e-3, 2),
)
"""By size; the widths are multiples of 32, as 8-bit decoding wants them."""

_LEAST_UPDATES = 1000
_WITHOUT_SPACES = {"Han", "Hiragana", "Katakana", "Thai", "Lao", "Khmer", "Myanmar", "Tibetan"}
_MANY_CHARACTERS = {"Han", "Hangul"}


@dataclass(frozen=True, slots=True)
class Setting:
    """A key of the recipe, such as `units.size`, its value, and why it has that value."""

    key: str
    value: Any
    why: str


def preset_for(pairs: float) -> Preset:
    """The row for so many clean pairs."""
    return next(one for one in PRESETS if pairs <= one.pairs)


def held_out(pairs: float, given: Sequence[str], whole: Sequence[SentencePair]) -> list[Setting]:
    """Sizes of validation and test set: 4% each, 2,000 at most; none for those `given` as files.

    Args:
        pairs: Clean pairs.
        given: `valid`, `test`, both or none.
        whole: The clean pairs themselves, to see whether so many can be split off; empty: not known.
    """
    names = [name for name in ("valid", "test") if name not in given]
    size = _rounded(min(2000.0, max(50.0, pairs / 25), pairs / 8))
    why = f"of about {count(pairs)} clean pairs"
    while names and size > 10 and whole and not _can_split(whole, size, len(names)):
        size = _rounded(size / 2)
        why = f"{why.partition(':')[0]}: more of them share sentences with others"
    return [Setting(f"data.{name}_size", size, why) for name in names]


def _can_split(pairs: Sequence[SentencePair], size: int, parts: int) -> bool:
    sources, targets = (np.array([digest(fold(text)) for text in side], np.uint64) for side in _texts(pairs))
    try:
        split(sources, targets, (size, size if parts == 2 else 0), np.zeros(len(pairs), np.int8))
    except CorpusError:
        return False
    return True


def _texts(pairs: Sequence[SentencePair]) -> list[list[str]]:
    return [[one.source for one in pairs], [one.target for one in pairs]]


def cleaning(source: Side, target: Side, ratios: NDArray[np.float64]) -> list[Setting]:
    """Limits from the lengths, scripts from the letters."""
    found = []
    for key, sides, step, least, most, unit in (
        ("max_words", (source.words, target.words), 10, 40, 150, "words"),
        ("max_characters", (source.characters, target.characters), 50, 100, 1000, "characters"),
    ):
        longer = np.maximum(*sides)
        usual, rare = np.percentile(longer, (50, 99.9))
        limit = int(min(most, max(least, _up(2 * rare, step))))
        why = f"half the longer sides have at most {usual:.0f} {unit}, 99.9% at most {rare:.0f}"
        why += f"; {_over(longer, limit)}"
        found.append(Setting(f"cleaning.{key}", limit, why))
    usual, rare = np.percentile(ratios, (50, 99.5))
    most_uneven = float(min(max(2.0, _up(1.25 * rare, 0.5)), max(4.0, _up(2 * usual, 0.5))))
    why = f"half the pairs are below {usual:.2f}, 99.5% below {rare:.2f}; {_over(ratios, most_uneven)}"
    found.append(Setting("cleaning.max_length_ratio", most_uneven, why))
    for name, side in (("source", source), ("target", target)):
        if side.scripts:
            script = "+".join(side.scripts)
            found.append(Setting(f"cleaning.{name}_script", script, f"what the {name} is written in"))
    return found


def units(preset: Preset, source: Side, target: Side, pairs: Sequence[SentencePair], total: float) -> list[Setting]:
    """The vocabulary: its kind, size, whether one or two, and how much of the rare characters it spells."""
    scripts = [set(side.scripts) for side in (source, target)]
    shared = bool(scripts[0] & scripts[1])
    short = [
        float(np.median(side.words))
        for side, of in zip((source, target), scripts, strict=True)
        if not of & _WITHOUT_SPACES
    ]
    many = (scripts[0] | scripts[1]) & _MANY_CHARACTERS
    coverage = 0.9995 if many else 0.99999
    texts = _texts(pairs)
    sides = [texts[0] + texts[1]] if shared else texts
    spelt, distinct = zip(*(_characters(side, coverage) for side in sides), strict=True)
    most = max(spelt)
    found = []
    if short and min(short) <= 2:
        found += [
            Setting("units.kind", "character", f"half the texts of a side have {min(short):.0f} words: no sentences"),
            Setting("units.size", _up(most + 10, 50), f"{most:,} characters"),
        ]
    else:
        size = preset.size
        why = f"{count(total)} pairs: {'few units, so that each is seen often' if preset.sampling else 'enough text'}"
        if 2 * most > size:
            size = _up(2 * most, 500)
            why = f"{most:,} characters to spell, and as many units for what they make up"
        found += [Setting("units.kind", "bpe", "sentences, so pieces of words"), Setting("units.size", size, why)]
    names = sorted({"+".join(side.scripts) or "no letters" for side in (source, target)})
    why = f"{' beside '.join(names)}: "
    why += "names and common roots are the same units" if shared else "next to nothing in common"
    rare = max(distinct) - most
    return [
        *found,
        Setting("units.shared", shared, why),
        Setting(
            "units.coverage", coverage, f"{most:,} characters are spelt, {rare:,} rare ones copied through attention"
        ),
    ]


def model(preset: Preset, total: float) -> list[Setting]:
    """Widths and dropout."""
    fits = f"fits {count(total)} pairs"
    why = "the fewer the pairs, the more of it" if preset.dropout > 0.2 else "enough text to need little"
    return [
        Setting("model.embedding_size", preset.width, fits),
        Setting("model.encoder_size", preset.encoder, "each way, so the memory is twice as wide"),
        Setting("model.encoder_layers", preset.layers, fits),
        Setting("model.decoder_size", preset.width, "as wide as the embeddings"),
        Setting("model.dropout", preset.dropout, why),
    ]


def batches(preset: Preset, lengths: NDArray[np.int64], kind: str) -> list[Setting]:
    """What a batch holds.

    Args:
        preset: The row of the table.
        lengths: Units of source and target, shape (N, 2).
        kind: Of the units; characters cannot be cut another way.
    """
    longer = lengths.max(axis=1)
    usual, rare = np.percentile(longer, (50, 99.9))
    limit = int(min(200, max(60, _up(2 * rare, 10))))
    why = f"half the longer sides have at most {usual:.0f} units, 99.9% at most {rare:.0f}; {_over(longer, limit)}"
    rows = round(preset.batch_tokens / float(usual))
    found = [
        Setting("training.batch_tokens", preset.batch_tokens, f"about {rows} pairs of the usual length"),
        Setting("training.max_tokens", limit, why),
    ]
    if preset.sampling and kind != "character":
        why = "the same text in other units each time: much like more text"
        found.append(Setting("training.sampling", preset.sampling, why))
    return found


def schedule(preset: Preset, total: float, batches_an_epoch: float) -> list[Setting]:
    """How long to train, and how the rate goes."""
    wanted = preset.epochs * batches_an_epoch
    updates = int(max(_LEAST_UPDATES, _rounded(wanted)))
    why = f"{updates / batches_an_epoch:.0f} times all of {count(total)} pairs, {batches_an_epoch:,.0f} updates each"
    if wanted < _LEAST_UPDATES:
        why += ": fewer updates are too few for any corpus"
    memory = min(1000, updates // 4)
    every = max(50, _up(updates / 12, 50))
    return [
        Setting("training.max_updates", updates, why),
        Setting("training.learning_rate", preset.learning_rate, f"for batches of {preset.batch_tokens:,}"),
        Setting("training.warmup", max(50, _up(updates / 24, 10)), f"the first of {updates:,} updates"),
        Setting("training.average", round(1 - 1 / memory, 3), f"over the last {memory:,} updates or so"),
        Setting("training.validate_every", every, f"{updates // every} times in all"),
        Setting("training.patience", 0, "the falling rate at the end brings much; the best weights are kept anyway"),
        Setting("training.precision", "auto", "bf16 where the processor has it, else fp32"),
    ]


def _characters(texts: Sequence[str], coverage: float) -> tuple[int, int]:
    """Characters that are spelt at this coverage, and all there are."""
    counts = Counter[str]()
    for text in texts:
        counts.update(text)
    del counts[" "]
    pieces = train_character_vocabulary(counts, UnitsConfig(kind="character", size=1_000_000, coverage=coverage))
    return sum(one in counts for one in pieces), len(counts)


def _over(values: NDArray[Any], limit: float) -> str:
    over = int(np.sum(values > limit))
    return f"{over:,} of {len(values):,} are over the limit" if over else "none is over the limit"


def _up(value: float, step: float) -> Any:
    """The next multiple of `step`."""
    return type(step)(np.ceil(value / step) * step)


def _rounded(value: float) -> int:
    """Two digits that count, as a person would write it: 2,473 -> 2,500."""
    whole = max(1, round(value))
    step = 10 ** max(0, len(str(whole)) - 2)
    return int(round(whole / step) * step)


def count(pairs: float) -> str:
    """A number of pairs, rounded, for people."""
    return f"{_rounded(pairs):,}"
