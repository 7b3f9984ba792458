"""Which units come on the lists, and that a report says what they cost."""

from __future__ import annotations

import json
from pathlib import Path
from typing import cast

import numpy as np
import pytest

from nmt.errors import CorpusError
from nmt.shortlist import Shortlist
from nmt.tokenizer import SPACE, SPECIAL, Tokenizer
from nmt.translation import Translation
from nmt.translator import Translator
from training.lexicon import learn
from training.shortlist import SIZES, cover, make, read_units, section, shortlist

PIECES = ["a", "b", "c", "1", "x", "y", "z"]


@pytest.fixture
def characters(tmp_path: Path) -> Tokenizer:
    path = tmp_path / "source.vocab.json"
    path.write_text(json.dumps({"pieces": [*SPECIAL.values(), SPACE, *PIECES]}), "utf-8")
    return Tokenizer.load(path)


class Pieces:
    """A vocabulary of whole words, one id each."""

    def __init__(self, pieces: list[str]) -> None:
        self.pieces = [*SPECIAL.values(), *pieces]
        self.size = len(self.pieces)

    def piece(self, id_: int) -> str:
        return self.pieces[id_]

    def ids(self, texts: list[str]) -> list[list[int]]:
        return [[self.pieces.index(SPACE + word) for word in text.split()] for text in texts]


SOURCE = Pieces([SPACE + word for word in ("the", "cat", "dog", "Tom", "1")])
TARGET = Pieces([SPACE + word for word in ("le", "chat", "chien", "Tom", "1", "rare")] + ["Tom"])
PAIRS = [("the cat", "le chat"), ("the dog", "le chien"), ("Tom", "Tom"), ("the cat", "le chat")]


def made(frequent: int, least: float) -> Shortlist:
    source, target = cast(Tokenizer, SOURCE), cast(Tokenizer, TARGET)
    sources, targets = read_units(PAIRS, source, target)
    frequency = np.bincount(np.concatenate([*map(np.array, targets)]), minlength=TARGET.size)
    return make(learn(sources, targets), frequency, source, target, frequent=frequent, least=least)


def names(shortlist: Shortlist, text: str) -> list[str]:
    return [TARGET.piece(int(id_)) for id_ in shortlist.for_source(SOURCE.ids([text])[0])[len(SPECIAL) :]]


def test_a_source_word_brings_its_translations_the_frequent_units_and_single_characters() -> None:
    lists = made(frequent=1, least=0.3)
    assert names(lists, "cat") == ["▁le", "▁chat", "▁1"]  # frequent, translation, single character
    assert names(lists, "the") == ["▁le", "▁1"]


def test_units_spelled_alike_come_with_and_without_a_space() -> None:
    assert names(made(frequent=0, least=2.0), "Tom") == ["▁Tom", "▁1", "Tom"]


def test_cover_counts_reference_units_on_the_lists() -> None:
    source, target = cast(Tokenizer, SOURCE), cast(Tokenizer, TARGET)
    found = cover(made(frequent=1, least=0.3), source, target, [("the cat", "le chat"), ("the", "le rare")])
    assert found == {"units": (7 + 6) / 2, "references_covered": 3 / 4}


def test_no_training_pairs_are_named(characters: Tokenizer) -> None:
    with pytest.raises(CorpusError, match="the training file holds none"):
        read_units([], characters, characters)


class Obedient:
    """Translates everything as the reference, but for what is not on the shortlist when it must use one."""

    def __init__(self, answers: dict[str, str], worse: bool) -> None:
        self.source_tokenizer, self.target_tokenizer = SOURCE, TARGET
        self.shortlist: Shortlist | None = None
        self.answers, self.worse = answers, worse

    def translate(self, texts: list[str], *, shortlist: bool) -> list[Translation]:
        return [Translation("nothing right" if shortlist and self.worse else self.answers[text], ()) for text in texts]


@pytest.mark.parametrize("worse", [False, True])
def test_default_is_on_only_where_translations_stay_as_they_are(worse: bool) -> None:
    pairs = [("the cat", "le chat le chien"), ("the dog", "le chien le chat")]
    translator = Obedient(dict(pairs), worse)
    found, report = shortlist(cast(Translator, translator), PAIRS, pairs, pairs, language="fr")
    assert found.default == report["default"] == (not worse)
    assert translator.shortlist is found
    assert len(report["validation"]["tried"]) == (len(SIZES) if worse else 1)
    text = section(report)
    assert text.splitlines()[2].startswith("Off by default" if worse else "On by default")
    assert f"{report['validation']['whole']:.2f} without it" in text
