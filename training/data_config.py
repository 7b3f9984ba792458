"""The recipe's `[data]` and `[backtranslation]`: which files, and how they are mixed."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from nmt.config import check_range
from nmt.errors import ConfigError


@dataclass(frozen=True, slots=True, kw_only=True)
class CorpusConfig:
    """One of several training corpora, an entry of `[[data.corpora]]`.

    Attributes:
        train: A file, or a list of two: source file and target file.
        weight: Its share of the pairs of an epoch, beside the weights of the others.
    """

    train: str | tuple[str, ...]
    weight: float = 0.0

    def __post_init__(self) -> None:
        object.__setattr__(self, "train", _file_names("data.corpora: train", self.train))
        if not self.train:
            raise ConfigError("data.corpora: train is empty; name a file, or a list of two files")
        check_range("data.corpora: weight", self.weight, 0.0, 1e6)


@dataclass(frozen=True, slots=True, kw_only=True)
class TestConfig:
    """One more test file, an entry of `[[data.also_test]]`.

    Attributes:
        name: What the card calls it: letters, digits, `-`, `_`.
        test: A file, or a list of two: source file and target file.
    """

    name: str
    test: str | tuple[str, ...]

    def __post_init__(self) -> None:
        object.__setattr__(self, "test", _file_names("data.also_test: test", self.test))
        if not self.test:
            raise ConfigError("data.also_test: test is empty; name a file, or a list of two files")
        if not re.fullmatch(r"[A-Za-z0-9_-]+", self.name):
            raise ConfigError(f"data.also_test: name = {self.name!r}; use letters, digits, '-' and '_'")

    @property
    def copy(self) -> str:
        """Its file in the run folder."""
        return f"test.{self.name}.tsv"


@dataclass(frozen=True, slots=True)
class Corpus:
    """Files to train on, and their weight; None: every pair once an epoch."""

    paths: tuple[Path, ...]
    weight: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class DataConfig:
    """Where the sentence pairs are.

    Attributes:
        folder: Put before every relative path below; relative to the working directory.
        train: A TSV file (source TAB target), a TMX file, or a list of two: source file and target
            file. Plain, .gz, .xz or .zst.
        corpora: Several instead of `train`, each with a weight or none with one.
        valid, test: Like `train`; when empty, split off the training files with no sentence of
            either side shared.
        also_test: More test files, each with a name: text of other kinds than `test`, scored beside it.
        swap: The files hold target first.
        valid_size, test_size: Pairs to split off when a file is not given.
    """

    folder: str = "."
    train: str | tuple[str, ...] = ""
    corpora: tuple[CorpusConfig, ...] = ()
    valid: str | tuple[str, ...] = ""
    test: str | tuple[str, ...] = ""
    also_test: tuple[TestConfig, ...] = ()
    swap: bool = False
    valid_size: int = 1000
    test_size: int = 1000

    def __post_init__(self) -> None:
        for name in ("train", "valid", "test"):
            object.__setattr__(self, name, _file_names(f"data.{name}", getattr(self, name)))
        entries = tuple(self.corpora)
        object.__setattr__(self, "corpora", entries)
        if not self.train and not self.corpora:
            raise ConfigError("data.train is empty; name the training file (source TAB target), or a list of two files")
        if self.train and self.corpora:
            raise ConfigError(
                "data.train and data.corpora are both given; make the file of data.train one of the corpora"
            )
        if 0 < sum(bool(one.weight) for one in entries) < len(entries):
            raise ConfigError(
                "data.corpora: give every corpus a weight, or none (then every pair is seen once an epoch)"
            )
        object.__setattr__(self, "also_test", tuple(self.also_test))
        names = [one.name for one in self.also_test]
        if len(set(names)) < len(names):
            raise ConfigError("data.also_test: two entries have the same name")
        for name in ("valid_size", "test_size"):
            check_range(f"data.{name}", getattr(self, name), 1, 1_000_000)

    @property
    def training(self) -> list[Corpus]:
        """The corpora to train on."""
        if self.train:
            return [Corpus(self.places(self.train), None)]
        return [Corpus(self.places(one.train), one.weight or None) for one in self.corpora]

    def paths(self, name: Literal["train", "valid", "test"]) -> tuple[Path, ...]:
        """The files of one part: for validation and test none, one, or a source and a target file."""
        if name == "train":
            return tuple(path for corpus in self.training for path in corpus.paths)
        return self.places(getattr(self, name))

    def places(self, value: str | tuple[str, ...]) -> tuple[Path, ...]:
        """The file or files of an entry, in their folder."""
        names = (value,) if isinstance(value, str) else value
        return tuple(Path(self.folder) / one for one in names if one)


_HOLDS_PAIRS = re.compile(r"\.(tsv|tmx)(\.\w+)?$", re.IGNORECASE)


def _file_names(name: str, value: Any) -> str | tuple[str, ...]:
    if isinstance(value, str):
        return value
    names = tuple(value)  # TOML gives a list
    if len(names) != 2 or not all(isinstance(one, str) and one for one in names):
        raise ConfigError(f"{name} = {list(names)!r} must be one file or a list of two: source file, target file")
    if pairs := [one for one in names if _HOLDS_PAIRS.search(one)]:
        raise ConfigError(
            f"{name} = {list(names)!r} must be a source file and a target file, but {pairs[0]} holds pairs; "
            "several files of pairs are a [[data.corpora]] each"
        )
    return names


@dataclass(frozen=True, slots=True, kw_only=True)
class BacktranslationConfig:
    """Text of the target language alone, which a reverse model turns into training pairs (Sennrich et al. 2016).

    Attributes:
        files: One sentence a line, in the target language; relative to `data.folder`.
        model: The bundle that translates target to source, such as `models/fr-en`.
        weight: Share of an epoch, like the weights of `data.corpora`; 0: every sentence once an epoch.
        beam_size: Of that translation; 1 is greedy and fast.
    """

    files: tuple[str, ...] = ()
    model: str = ""
    weight: float = 0.0
    beam_size: int = 1

    def __post_init__(self) -> None:
        files = (self.files,) if isinstance(self.files, str) else tuple(self.files)
        object.__setattr__(self, "files", tuple(one for one in files if one))
        if bool(self.files) != bool(self.model):
            raise ConfigError("backtranslation.files and backtranslation.model belong together; give both or neither")
        check_range("backtranslation.weight", self.weight, 0.0, 1e6)
        check_range("backtranslation.beam_size", self.beam_size, 1, 20)
