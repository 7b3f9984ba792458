"""The recipe: everything that decides what a run produces, as a typed tree read from TOML."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from difflib import get_close_matches
from pathlib import Path
from typing import Any, Literal

import regex

from nmt.config import ModelConfig, build, check_choice, check_range
from nmt.errors import ConfigError
from training.data_config import BacktranslationConfig, CorpusConfig, DataConfig, TestConfig
from training.initial import inherit

UnitKind = Literal["bpe", "unigram", "character"]
Schedule = Literal["linear", "plateau"]
Precision = Literal["auto", "fp32", "bf16"]

_TRAINING_RANGES: tuple[tuple[str, float, float], ...] = (
    ("max_updates", 1, 1_000_000_000),
    ("batch_tokens", 1, 10_000_000),
    ("learning_rate", 1e-9, 10.0),
    ("warmup", 0, 1_000_000),
    ("decay", 0.0, 1.0),
    ("halve_after", 1, 1_000_000),
    ("label_smoothing", 0.0, 0.9),
    ("clip_norm", 1e-6, 1e6),
    ("average", 0.0, 0.999999),
    ("keep", 0.0, 1.0),
    ("copy_rate", 0.0, 1.0),
    ("casual_rate", 0.0, 1.0),
    ("fragment_rate", 0.0, 1.0),
    ("sampling", 0.0, 1.0),
    ("guidance", 0.0, 100.0),
    ("slices", 1, 4096),
    ("max_skipped", 0, 1_000_000),
    ("max_tokens", 1, 100_000),
    ("validate_every", 1, 1_000_000_000),
    ("patience", 0, 1_000_000),
    ("checkpoint_seconds", 1, 1_000_000),
    ("threads", 0, 4096),
    ("seed", 0, 2**63 - 1),
)

_SECTIONS = ("data", "cleaning", "backtranslation", "units", "model", "training", "card")


@dataclass(frozen=True, slots=True, kw_only=True)
class CleaningConfig:
    """Limits of the cleaning rules (training pairs only; validation and test stay as given).

    Attributes:
        max_characters: Longest side, in code points.
        max_words: Longest side, in white-space words (Han characters count one each).
        max_length_ratio: Longer side over shorter side, in characters (Han and kana count three), +10 on both.
        source_script, target_script: Unicode script at least a fifth of that side's letters are in,
            such as `Latin`; several are joined by `+` (`Han+Hiragana+Katakana`); empty: no check.
        identical_sides, duplicates, control_characters: Whether the rule is on.
    """

    max_characters: int = 1000
    max_words: int = 120
    max_length_ratio: float = 3.0
    source_script: str = ""
    target_script: str = ""
    identical_sides: bool = True
    duplicates: bool = True
    control_characters: bool = True

    def __post_init__(self) -> None:
        for name in ("max_characters", "max_words"):
            check_range(f"cleaning.{name}", getattr(self, name), 1, 1_000_000)
        check_range("cleaning.max_length_ratio", self.max_length_ratio, 1.0, 1000.0)
        for name in ("source_script", "target_script"):
            for script in filter(None, getattr(self, name).split("+")):
                if not re.fullmatch("[A-Za-z_ ]+", script) or not _is_script(script):
                    raise ConfigError(
                        f"cleaning.{name} = {getattr(self, name)!r} names no Unicode script; "
                        "write for example 'Latin', 'Cyrillic' or 'Han+Hiragana+Katakana'"
                    )


@dataclass(frozen=True, slots=True, kw_only=True)
class UnitsConfig:
    """The units of translation: `bpe` or `unigram` (SentencePiece) or `character`.

    Attributes:
        size: Vocabulary entries, special ones included (of each side when not shared).
        shared: One vocabulary for both sides.
        coverage: Share of characters the vocabulary spells; the rest is copied through attention.
    """

    kind: UnitKind = "bpe"
    size: int = 8000
    shared: bool = True
    coverage: float = 0.99999

    def __post_init__(self) -> None:
        check_choice("units.kind", self.kind, UnitKind)
        check_range("units.size", self.size, 16, 1_000_000)
        check_range("units.coverage", self.coverage, 0.9, 1.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainingConfig:
    """How the weights are found.

    Attributes:
        max_updates: Updates in all; the schedule ends there.
        batch_tokens: Largest number of rows times units of the longest side of a batch.
        learning_rate: Peak rate of Adam (Kingma & Ba 2015).
        warmup: Updates until the peak, linear.
        schedule: `linear` falls to zero over the last updates; `plateau` halves the rate when validation
            no longer improves.
        decay: Share of the updates, at the end, over which `linear` falls.
        halve_after: Validations without a better one after which `plateau` halves the rate.
        label_smoothing: Mass spread over the vocabulary (Szegedy et al. 2016).
        clip_norm: Largest global gradient norm (Pascanu et al. 2013).
        average: Decay of the exponential moving average of weights that is validated and exported; 0: off.
        keep: Share of the weights of `init_from` in those that are tested and exported (Wortsman et al. 2022).
        copy_rate: Share of training pairs in which a word that stands on both sides becomes the
            unknown unit on both, which teaches copying.
        casual_rate: Share of training pairs written as people type: without the last sign, or the source
            in lower case.
        fragment_rate: Share of training pairs of which only a few words and what they are linked to are
            shown, which teaches words and phrases by themselves; needs guidance, whose links it uses.
        sampling: Cut the text into other units every time: for BPE the probability that a merge is
            left out (Provilkov et al. 2020), for unigram the smoothing of Kudo 2018; 0: off.
        shortlist: Learn a vocabulary shortlist too, which takes time and some megabytes of the bundle.
        guidance: Weight of a loss that draws attention to the links of a word aligner (Chen et al.
            2016); 0: none. Needs `pip install "interlinear[align]"`.
        max_tokens: Longest side in training, in units; longer pairs are left out and counted.
        validate_every: Updates between validations (loss, and BLEU by greedy search).
        patience: Validations without a better one before the run stops early; 0: never.
        checkpoint_seconds: Seconds between checkpoints of the whole state.
        slices: Parts a batch is computed in, each with its own dropout, shared out among the processes
            of torchrun; one process takes them one after the other. Never fewer than processes.
        max_skipped: Batches that may be skipped because loss or gradient is not finite; one more stops the run.
        tensorboard: Write TensorBoard's files too (`pip install "interlinear[tensorboard]"`).
        precision: `fp32`, or `bf16` weights and activations with fp32 masters; `auto`: see `training.precision`.
        threads: CPU threads; 0: torch's default.
        device: `auto`, `cpu`, `cuda`, `cuda:N`.
        seed: Of first weights, order of batches and dropout.
    """

    max_updates: int = 4_000
    batch_tokens: int = 3072
    learning_rate: float = 2e-3
    warmup: int = 150
    schedule: Schedule = "linear"
    decay: float = 0.6
    halve_after: int = 2
    label_smoothing: float = 0.1
    clip_norm: float = 1.0
    average: float = 0.999
    keep: float = 0.0
    copy_rate: float = 0.02
    casual_rate: float = 0.0
    fragment_rate: float = 0.0
    sampling: float = 0.0
    shortlist: bool = True
    guidance: float = 0.0
    max_tokens: int = 120
    validate_every: int = 500
    patience: int = 8
    checkpoint_seconds: int = 180
    slices: int = 1
    max_skipped: int = 20
    tensorboard: bool = False
    precision: Precision = "auto"
    threads: int = 0
    device: str = "auto"
    seed: int = 1

    def __post_init__(self) -> None:
        for name, low, high in _TRAINING_RANGES:
            check_range(f"training.{name}", getattr(self, name), low, high)
        check_choice("training.precision", self.precision, Precision)
        check_choice("training.schedule", self.schedule, Schedule)
        if self.fragment_rate and not self.guidance:
            raise ConfigError(
                "training.fragment_rate cuts pairs by the links of guidance; set training.guidance too (0.5 is usual), "
                "or training.fragment_rate = 0"
            )
        if not re.fullmatch(r"auto|cpu|cuda(:\d+)?", self.device):
            raise ConfigError(f"training.device = {self.device!r} is not known; write auto, cpu, cuda or cuda:N")


@dataclass(frozen=True, slots=True, kw_only=True)
class CardConfig:
    """What the bundle's card says about the data; free text."""

    title: str = ""
    data: str = ""
    licence: str = ""
    attribution: str = ""
    notes: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """One run, from raw files to a published bundle.

    Attributes:
        name: Name of the bundle; letters, digits, `-`, `_`, `.`.
        source, target: Language codes (BCP 47).
        run: Folder of intermediate files and checkpoints; default `runs/NAME`.
        init_from: A bundle to go on from, such as `models/en-fr`: its weights, vocabulary and
            architecture are taken over, so `[units]` and `[model]` are left out (but for `dropout`).
            With `[units]` of its own the run learns another vocabulary and takes over what fits.
        inherits_units: Whether the vocabulary is that of `init_from`; follows from the above.
        model: `ModelConfig`'s fields, without the vocabulary sizes.
    """

    name: str
    source: str
    target: str
    run: str = ""
    init_from: str = ""
    inherits_units: bool = False
    data: DataConfig
    cleaning: CleaningConfig = field(default_factory=CleaningConfig)
    backtranslation: BacktranslationConfig = field(default_factory=BacktranslationConfig)
    units: UnitsConfig = field(default_factory=UnitsConfig)
    model: dict[str, Any] = field(default_factory=dict)
    training: TrainingConfig = field(default_factory=TrainingConfig)
    card: CardConfig = field(default_factory=CardConfig)

    def __post_init__(self) -> None:
        if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]*", self.name):
            raise ConfigError(
                f"name = {self.name!r} cannot name a bundle; use letters, digits, '-', '_', '.', no sign first"
            )
        for name in ("source", "target"):
            if not re.fullmatch(r"([A-Za-z]{2,8}|x)(-[A-Za-z0-9]{1,8})*", getattr(self, name)):
                raise ConfigError(
                    f"{name} = {getattr(self, name)!r} is not a language code; write for example 'en' or 'zh-Hans'"
                )
        if self.training.keep and not self.init_from:
            raise ConfigError(
                "training.keep is a share of the weights of init_from; name a bundle there, or leave it out"
            )
        if self.backtranslation.files:
            weighted = [bool(corpus.weight) for corpus in self.data.training if self.data.corpora]
            if any(one != bool(self.backtranslation.weight) for one in weighted):
                raise ConfigError("backtranslation.weight and the weights of data.corpora: give all or none")
            if not self.data.corpora and self.backtranslation.weight:
                raise ConfigError(
                    "backtranslation.weight needs a weight for the pairs too: "
                    "write them as [[data.corpora]] with a weight, instead of data.train"
                )
        model = self.model_config(self.units.size, self.units.size if self.units.shared else self.units.size + 1)
        if self.training.guidance and model.context != "attention":
            raise ConfigError(
                f"training.guidance guides attention, but model.context = {model.context!r} has none; "
                "set training.guidance = 0"
            )

    @property
    def folder(self) -> Path:
        """The run folder."""
        return Path(self.run or f"runs/{self.name}")

    def model_config(self, source_vocabulary: int, target_vocabulary: int) -> ModelConfig:
        """The whole architecture, once the sizes of the vocabularies are known."""
        sizes = {"source_vocabulary": source_vocabulary, "target_vocabulary": target_vocabulary}
        for name in sizes:
            if name in self.model:
                raise ConfigError(f"model.{name} follows from the units; leave it out and set units.size instead")
        tying = {} if self.units.shared else {"tying": "two_way"}  # three-way needs one vocabulary
        return build(ModelConfig, {**tying, **self.model, **sizes}, "model")

    def to_dict(self) -> dict[str, Any]:
        """Plain values, for JSON."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> Recipe:
        """Build from plain values, as TOML and JSON give them.

        Raises:
            ConfigError: A key is unknown, missing, or has a value that cannot work.
        """
        kinds = {"data": DataConfig, "cleaning": CleaningConfig, "units": UnitsConfig}
        kinds |= {"training": TrainingConfig, "card": CardConfig, "backtranslation": BacktranslationConfig}
        parts = dict(values)
        for section in _SECTIONS:
            if section in parts and not isinstance(parts[section], dict):
                raise ConfigError(f"recipe.{section} must be a table: write [{section}] and its keys below")
        for name, entry in (("corpora", CorpusConfig), ("also_test", TestConfig)):
            entries = parts.get("data", {}).get(name, ())
            if not isinstance(entries, list | tuple) or not all(isinstance(one, dict) for one in entries):
                raise ConfigError(f"data.{name} must be tables: write [[data.{name}]] and the keys of each below")
            if entries:
                parts["data"] = {**parts["data"], name: [build(entry, one, f"data.{name}") for one in entries]}
        for section, kind in kinds.items():
            if section in parts:
                parts[section] = build(kind, parts[section], section)
        return build(cls, parts, "recipe")


def load_recipe(path: Path, overrides: Sequence[str] = ()) -> Recipe:
    """Read a recipe from TOML; each override is `key=value`, such as `training.max_updates=500`.

    Raises:
        ConfigError: The file is missing or no TOML, or a key or value is wrong; the file is named.
    """
    try:
        values = tomllib.loads(path.read_text(encoding="utf-8-sig"))
    except (FileNotFoundError, NotADirectoryError):
        others = sorted(str(one) for one in path.parent.glob("*.toml"))
        near = get_close_matches(str(path), others, n=1)
        hint = f"did you mean {near[0]}?" if near else f"recipes there: {', '.join(others) or 'none'}"
        raise ConfigError(f"{path}: there is no such recipe; {hint}") from None
    except IsADirectoryError:
        raise ConfigError(f"{path} is a folder; name a recipe file in it, such as {path / 'NAME.toml'}") from None
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path}: not UTF-8 at byte {error.start}; save the recipe as UTF-8") from None
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"{path}: not valid TOML: {error}") from None
    for override in overrides:
        _override(values, override)
    try:
        if "inherits_units" in values:
            raise ConfigError("inherits_units follows from init_from and [units]; leave it out")
        if values.get("init_from"):
            values = inherit(values)
        return Recipe.from_dict(values)
    except ConfigError as error:
        raise ConfigError(f"{path}: {error}") from None


def _override(values: dict[str, Any], override: str) -> None:
    key, equals, text = override.partition("=")
    place = key.strip().split(".")
    if not equals or not all(place):
        raise ConfigError(f"--set {override}: write --set key=value, for example --set training.max_updates=500")
    try:
        value = tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        value = text  # a bare word is a string
    table = values
    for part in place[:-1]:
        table = table.setdefault(part, {})
        if not isinstance(table, dict):
            raise ConfigError(f"--set {override}: {part} is a value, not a table")
    table[place[-1]] = value


def _is_script(name: str) -> bool:
    try:
        regex.compile(rf"\p{{Script={name}}}")
    except regex.error:
        return False
    return True
