"""From the units of a hypothesis to text and tokens, at once or as they come."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from nmt.alignment import AttentionMatrix, Token
from nmt.case import Case
from nmt.config import EOS, UNK
from nmt.prefix import TargetPrefix
from nmt.search import Hypothesis
from nmt.text import Span
from nmt.tokenizer import SPACE, SPECIAL, Piece, Speller, Tokenizer
from nmt.translation import END, StreamedToken


class Copies:
    """What the unknown units of one hypothesis stand for, one after the other.

    In a prefix, the text they were cut from; after it, the unknown source text they looked at most.
    Each is copied once; the search makes no more of them than the source has.
    """

    def __init__(self, pieces: Sequence[Piece], prefix: TargetPrefix | None = None) -> None:
        self._pieces, self._prefix = pieces, prefix
        self._left = [column for column, piece in enumerate(pieces) if piece.id == UNK]

    def take(self, before: Sequence[int], weights: NDArray[np.float32] | None) -> str:
        """The text of an unknown unit after the units `before`; `weights` is its row of attention."""
        given = self._prefix.copied(before) if self._prefix else None
        if given is not None:
            same = [column for column in self._left if self._pieces[column].text == given]
            self._left = [column for column in self._left if column not in same[:1]]
            return given
        if not self._left:
            return ""
        column = self._left[0] if weights is None else max(self._left, key=lambda c: float(weights[c]))
        self._left.remove(column)
        return self._pieces[column].text

    def all(self, found: Hypothesis) -> dict[int, str]:
        """By place, those of a whole hypothesis."""
        tokens, rows = found.tokens, found.attention
        return {
            place: self.take(tokens[:place], None if rows is None else rows[place])
            for place, id_ in enumerate(tokens)
            if id_ == UNK
        }


class Writer:
    """Writes down one sentence unit by unit, as `Tokenizer.decode` would in the end.

    A space is written with what follows it: a translation does not end with one.
    """

    def __init__(
        self, tokenizer: Tokenizer, pieces: Sequence[Piece], prefix: TargetPrefix | None, case: Case = Case.AS_IT_IS
    ) -> None:
        self._case = case
        self._speller = Speller(tokenizer.spelled)
        self._copies = Copies(pieces, prefix)
        self._ids: list[int] = []
        self._shown = 0
        self.tokens: list[StreamedToken] = []

    def add(self, id_: int, logprob: float, weights: NDArray[np.float32] | None) -> None:
        """Append the next unit."""
        copy = self._copies.take(self._ids, weights) if id_ == UNK else ""
        span = self._speller.add(id_, copy)
        self._ids.append(id_)
        text = self._case.write(self._speller.text)
        shown = max(self._shown, len(text.rstrip(" ")))
        added, self._shown = text[self._shown : shown], shown
        self.tokens.append(StreamedToken(target_token(id_, text[slice(*span)], span, logprob), added, weights))


def subword_matrix(
    source: tuple[Token, ...], target: tuple[Token, ...], attention: NDArray[np.float32] | None
) -> AttentionMatrix:
    """The matrix between subwords, zeros where the model has no attention."""
    if attention is None:
        attention = np.zeros((len(target), len(source)), np.float32)
    return AttentionMatrix(source, target, attention)


def source_tokens(pieces: Sequence[Piece]) -> tuple[Token, ...]:
    """The columns of a matrix between subwords."""
    return (*(Token(piece.text, piece.span) for piece in pieces), END)


def target_token(id_: int, text: str, span: Span, logprob: float) -> Token:
    """One row of a matrix between subwords."""
    if id_ == EOS:
        return Token(END.text, None, True, logprob)
    return Token(text if text.strip(" ") else SPECIAL.get(id_, SPACE), span, False, logprob)
