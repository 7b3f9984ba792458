"""The case in which a sentence is read, and its translation written (docs/decisions/capitals.md).

All changes go character by character, so that places stay what they were.
"""

from __future__ import annotations

from collections.abc import Callable
from enum import Enum, auto

import regex

from nmt.text import words

_LOWER_CASE = regex.compile(r"\p{Ll}")
_SHOUTED = regex.compile(r"\p{Lu}\p{M}*\p{Lu}")
_BEGINS = regex.compile(r"[\p{L}\p{N}]")
_SENTENCE_ENDS = regex.compile(r"[.!?…。！？]\P{L}*$")

_PHRASE, _CHARACTERS = 4, 100
"""Words, and characters, up to which a text without a last sign is a word or phrase by itself."""


class Case(Enum):
    """How the case of a sentence differs from the one that the model reads and writes."""

    AS_IT_IS = auto()
    CAPITALS = auto()
    """Words in capitals and no small letter: read in sentence case, written in capitals."""
    CAPITAL_START = auto()
    """A word or phrase by itself: read with a small letter at its start, written with a capital there."""
    CAPITAL_PHRASE = auto()
    """A word or phrase by itself in capitals: read in small letters, written in capitals."""

    @classmethod
    def of(cls, text: str, units: Callable[[str], int]) -> Case:
        """Of one sentence.

        Args:
            text: The sentence.
            units: How many units a text has. A phrase keeps its capital unless it has fewer without: inside sentences
                most words are small, and with a capital those fall to pieces that mean nothing.
        """
        shouted = not _LOWER_CASE.search(text)
        if shouted and not _SHOUTED.search(text):
            return cls.AS_IT_IS
        usual, phrase = (cls.CAPITALS, cls.CAPITAL_PHRASE) if shouted else (cls.AS_IT_IS, cls.CAPITAL_START)
        first = _BEGINS.search(text)
        if first is None or not first.group().isupper() or len(text) > _CHARACTERS:
            return usual
        if _SENTENCE_ENDS.search(text) or len(words(text)) > _PHRASE:
            return usual
        return phrase if units(phrase.read(text)) < units(usual.read(text)) else usual

    def read(self, text: str) -> str:
        """A text of this case as the model reads and writes it."""
        if self is Case.CAPITALS:
            first = next((place for place, character in enumerate(text) if character.lower() != character), 0)
            return text[: first + 1] + "".join(map(_small, text[first + 1 :]))
        if self is Case.CAPITAL_PHRASE:
            return "".join(map(_small, text))
        return _begin(text, _small) if self is Case.CAPITAL_START else text

    def write(self, text: str) -> str:
        """What the model writes, in this case; a character that would become two (ß) stays."""
        if self in (Case.CAPITALS, Case.CAPITAL_PHRASE):
            return "".join(map(_capital, text))
        return _begin(text, _capital) if self is Case.CAPITAL_START else text


def _begin(text: str, change: Callable[[str], str]) -> str:
    first = _BEGINS.search(text)
    return text if first is None else text[: first.start()] + change(first.group()) + text[first.end() :]


def _small(character: str) -> str:
    small = character.lower()
    return small if len(small) == 1 else character


def _capital(character: str) -> str:
    capital = character.upper()
    return capital if len(capital) == 1 else character
