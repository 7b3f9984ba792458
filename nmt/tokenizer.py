"""Text <-> vocabulary units, with the code-point span of every unit.

Two kinds share one face: SentencePiece (BPE or unigram, `*.spm`) and characters
(`*.vocab.json`). SentencePiece runs with the identity rule on text that `nmt.text.normalise`
has already put in form, so the pieces joined are exactly that text and spans are exact.
"""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from bisect import bisect_left
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import sentencepiece
from typing_extensions import override

from nmt.case import Case
from nmt.config import BOS, EOS, PAD, UNK
from nmt.errors import BundleError
from nmt.text import Span, normalise

SPACE = "▁"
"""Stands for a space inside a unit, as in SentencePiece."""

SPECIAL = {PAD: "<pad>", UNK: "<unk>", BOS: "<s>", EOS: "</s>"}


@dataclass(frozen=True, slots=True)
class Piece:
    """One unit of a raw text.

    Attributes:
        id: Its vocabulary id; `UNK` when the vocabulary cannot spell it.
        text: The raw text it stands for, or `▁` for a unit that is only a space.
        span: Code-point offsets of that text; empty for the space that SentencePiece puts in front.
    """

    id: int
    text: str
    span: Span


@dataclass(frozen=True, slots=True)
class Decoded:
    """Units joined to text, with the span of every unit in it."""

    text: str
    spans: tuple[Span, ...]


class Speller:
    """Units -> text, one after the other, by the one rule that decoding and streaming share.

    Attributes:
        text: What the units so far spell; it never begins with a space or holds two in a row where
            units, and not what is copied, would make them.

    Args:
        surfaces: What every id spells, with spaces.
    """

    def __init__(self, surfaces: Sequence[str]) -> None:
        self._surfaces = surfaces
        self.text = ""

    def add(self, id_: int, copy: str = "") -> Span:
        """Append a unit, or `copy` where it is the unknown one; its span, without the space before a word."""
        start = len(self.text)
        if id_ == UNK:
            surface = copy
        elif id_ in SPECIAL:
            return start, start
        else:
            surface = self._surfaces[id_]
            if surface.startswith(" ") and (not start or self.text.endswith(" ")):
                surface = surface.lstrip(" ")
        self.text += surface
        if len(surface) > 1 and surface.startswith(" "):
            start += 1
        return start, len(self.text)


class Tokenizer(ABC):
    """A vocabulary and the way to cut text into its units."""

    prefix = 0
    """Characters that `surfaces` puts before the text itself."""

    @property
    @abstractmethod
    def size(self) -> int:
        """V, the number of vocabulary entries, special ones included."""

    @abstractmethod
    def surfaces(self, text: str) -> tuple[list[str], list[int]]:
        """Units and ids of a normalised text; the units joined spell it with `▁` for spaces."""

    @abstractmethod
    def ids(self, texts: Sequence[str]) -> list[list[int]]:
        """Ids of many normalised texts, without EOS."""

    @abstractmethod
    def piece(self, id_: int) -> str:
        """The unit with this id."""

    @staticmethod
    def load(path: Path) -> Tokenizer:
        """Read `*.spm` or `*.vocab.json`.

        Raises:
            BundleError: The file is missing or not what its name says.
        """
        try:
            if path.suffix == ".spm":
                return SentencePieceTokenizer(path.read_bytes())
            return CharacterTokenizer(json.loads(path.read_text("utf-8"))["pieces"])
        except FileNotFoundError:
            raise BundleError(f"{path} is missing; copy the whole folder again or retrain") from None
        except (RuntimeError, ValueError, KeyError, TypeError) as error:
            raise BundleError(f"{path} is damaged ({error}); copy it again or retrain") from None

    @cached_property
    def spelled(self) -> list[str]:
        """What every unit spells, by id, with spaces for `▁`."""
        return [self.piece(id_).replace(SPACE, " ") for id_ in range(self.size)]

    @cached_property
    def _sorted(self) -> tuple[list[str], list[int]]:
        """What units spell, in order, and their ids; special ones apart."""
        pairs = sorted((text, id_) for id_, text in enumerate(self.spelled) if id_ not in SPECIAL and text)
        return [text for text, _ in pairs], [id_ for _, id_ in pairs]

    @cached_property
    def longest(self) -> int:
        """Characters of the longest unit."""
        return max(map(len, self._sorted[0]), default=0)

    def beginning_with(self, text: str) -> list[int]:
        """Ids of the units that spell `text` (spaces for `▁`), or begin so."""
        texts, ids = self._sorted
        start = bisect_left(texts, text)
        return ids[start : bisect_left(texts, text + "\U0010ffff", start)]

    def encode(self, text: str, offset: int = 0, *, case: Case = Case.AS_IT_IS) -> list[Piece]:
        """Cut raw text into pieces; EOS is not added.

        Args:
            text: The pieces have their text from it, and their spans are into it.
            offset: Added to spans.
            case: The ids are those of `text` as it is read in this case.
        """
        normalised = normalise(text)
        if not normalised.text:
            return []
        form, origins = normalised.text, normalised.spans
        pieces: list[Piece] = []
        position = -self.prefix
        for surface, id_ in zip(*self.surfaces(case.read(form)), strict=True):
            first, end = max(position, 0), position + len(surface)
            position = end
            if end <= 0:  # only the space that SentencePiece puts in front
                place = origins[0][0] + offset
                pieces.append(Piece(id_, SPACE, (place, place)))
                continue
            if end - first > 1 and form[first] == " ":
                first += 1  # the space belongs to the gap before the unit
            start, stop = origins[first][0], origins[end - 1][1]
            blank = end - first == 1 and form[first] == " "
            pieces.append(Piece(id_, SPACE if blank else text[start:stop], (start + offset, stop + offset)))
        return pieces

    def case_of(self, text: str) -> Case:
        """The case of one sentence."""
        return Case.of(text, lambda one: len(self.ids([one])[0]))

    def decode(self, ids: Sequence[int], copies: Mapping[int, str] | None = None) -> Decoded:
        """Join ids to text.

        Args:
            ids: Ids of one hypothesis; special ones other than UNK add nothing.
            copies: What to write for the unknown unit at a place in `ids`; nothing by default.
        """
        copies = copies or {}
        speller = Speller(self.spelled)
        spans = [speller.add(id_, copies.get(place, "")) for place, id_ in enumerate(ids)]
        text = speller.text.rstrip(" ")
        limit = len(text)
        return Decoded(text, tuple((min(start, limit), min(end, limit)) for start, end in spans))


class SentencePieceTokenizer(Tokenizer):
    """BPE or unigram units (Sennrich et al. 2016; Kudo 2018) by SentencePiece."""

    prefix = 1

    def __init__(self, model: bytes) -> None:
        self._processor = sentencepiece.SentencePieceProcessor(model_proto=model)
        self._pieces: list[str] = self._processor.id_to_piece(list(range(self._processor.vocab_size())))

    @property
    @override
    def size(self) -> int:
        return int(self._processor.vocab_size())

    @override
    def surfaces(self, text: str) -> tuple[list[str], list[int]]:
        ids = self._processor.encode(text)
        if UNK in ids:
            return self._processor.encode(text, out_type=str), ids
        pieces = self._pieces
        return [pieces[id_] for id_ in ids], ids

    @override
    def ids(self, texts: Sequence[str]) -> list[list[int]]:
        return self._processor.encode(list(texts)) if texts else []

    @override
    def piece(self, id_: int) -> str:
        return self._pieces[id_]


class CharacterTokenizer(Tokenizer):
    """One unit for each character."""

    def __init__(self, pieces: Sequence[str]) -> None:
        self._pieces = list(pieces)
        self._ids = {piece: id_ for id_, piece in enumerate(pieces) if id_ not in SPECIAL}

    @property
    @override
    def size(self) -> int:
        return len(self._pieces)

    @override
    def surfaces(self, text: str) -> tuple[list[str], list[int]]:
        characters = list(text.replace(" ", SPACE))
        return characters, [self._ids.get(character, UNK) for character in characters]

    @override
    def ids(self, texts: Sequence[str]) -> list[list[int]]:
        return [self.surfaces(text)[1] for text in texts]

    @override
    def piece(self, id_: int) -> str:
        return self._pieces[id_]
