"""Tokens, the attention between them, and the step from subwords to words."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from nmt.text import Span, words


class Token(NamedTuple):
    """One unit of text, a subword or a word.

    Attributes:
        text: What a reader sees; for special tokens a name such as `</s>`.
        span: Half-open code-point offsets; None for special tokens. A source token's are into
            the text as sent, a target token's into its own hypothesis's text.
        special: True for `</s>` and its like.
        logprob: Natural-log probability the model gave it; None on the source side.
    """

    text: str
    span: Span | None
    special: bool = False
    logprob: float | None = None


@dataclass(frozen=True, slots=True)
class AttentionMatrix:
    """Who looked at what: one row for each target token, one column for each source token.

    Attributes:
        source: S column tokens, the last one `</s>`.
        target: T row tokens.
        weights: Shape (T, S), float32; every row sums to 1, or is 0 where a model has no attention.

    Raises:
        ValueError: The shape is not (T, S), or a weight is negative or not a number.
    """

    source: tuple[Token, ...]
    target: tuple[Token, ...]
    weights: NDArray[np.float32]

    def __post_init__(self) -> None:
        expected = (len(self.target), len(self.source))
        if self.weights.shape != expected:
            raise ValueError(f"attention of shape {self.weights.shape} does not fit its tokens; they need {expected}")
        if not bool((self.weights >= 0).all() and np.isfinite(self.weights).all()):
            raise ValueError("attention weights must be finite and not negative")


@dataclass(frozen=True, slots=True)
class _Grouping:
    """How pieces make up words.

    Attributes:
        spans: Span of each word, None for a token that stands alone.
        members: For each word, the indices of its pieces.
        shares: Shape (pieces, words): the part of each piece's characters that lies in each word;
            every row sums to 1.
    """

    spans: list[Span | None]
    members: list[list[int]]
    shares: NDArray[np.float64]


def to_words(
    matrix: AttentionMatrix, source_text: str, target_text: str, *, split: Callable[[str], list[Span]] = words
) -> AttentionMatrix:
    """From pieces to words: the sum over a source word's pieces, the mean over a target word's.

    A piece that lies across two words is shared between them by characters, so that rows still
    sum to 1. Special tokens keep their own row or column. A piece of white space alone belongs to
    the word after it.

    Args:
        matrix: Attention between pieces; one sentence of `source_text`.
        source_text: The whole text as sent, which the source spans are into.
        target_text: The hypothesis's text, which the target spans are into.
        split: Spans of a text's words; another one for text that has been cut into words already.

    Returns:
        Attention between the words that the matrix's tokens touch; a word's text is its slice of
        the raw text, a target word's logprob the sum of its pieces'.
    """
    columns = _group(matrix.source, source_text, split)
    rows = _group(matrix.target, target_text, split)
    weights = matrix.weights.astype(np.float64) @ columns.shares  # (T, source words)
    weights = (rows.shares / rows.shares.sum(axis=0)).T @ weights  # (target words, source words)
    return AttentionMatrix(
        _tokens(columns, matrix.source, source_text),
        _tokens(rows, matrix.target, target_text),
        weights.astype(np.float32),
    )


def to_pieces(
    matrix: AttentionMatrix,
    pieces: AttentionMatrix,
    source_text: str,
    target_text: str,
    *,
    split: Callable[[str], list[Span]] = words,
) -> AttentionMatrix:
    """From words back to pieces: every piece has the weights of its word, or the mean of its words'.

    Args:
        matrix: Between words, as `to_words` makes it of `pieces`.
        pieces: The tokens that are wanted.
        source_text: As in `to_words`.
        target_text: As in `to_words`.
        split: As in `to_words`.
    """
    columns, rows = _group(pieces.source, source_text, split), _group(pieces.target, target_text, split)
    weights = rows.shares @ matrix.weights.astype(np.float64) @ columns.shares.T
    return AttentionMatrix(pieces.source, pieces.target, weights.astype(np.float32))


def links(matrix: AttentionMatrix) -> list[tuple[int, int, float]]:
    """Which source words each target word comes from, as `(source, target, weight)`.

    A source token is linked when its weight is at least 0.1 and at least half of the strongest in
    its row. Special tokens take part in the comparison but are never linked, so a target word
    that looked at `</s>` alone has no link: nothing in the source stands for it.
    """
    found: list[tuple[int, int, float]] = []
    ordinary = np.array([not token.special for token in matrix.source], dtype=bool)
    for target, (token, row) in enumerate(zip(matrix.target, matrix.weights, strict=True)):
        if token.special or not row.size:
            continue
        strong = ordinary & (row >= max(0.1, float(row.max()) / 2))
        found += [(int(source), target, float(row[source])) for source in np.flatnonzero(strong)]
    return found


def _group(tokens: Sequence[Token], text: str, split: Callable[[str], list[Span]]) -> _Grouping:
    """Give every piece to the words it overlaps."""
    spans = [token.span for token in tokens if not token.special and token.span is not None]
    low, high = min((a for a, _ in spans), default=0), max((b for _, b in spans), default=0)
    found = [(low + start, low + end) for start, end in split(text[low:high])]  # of this sentence only
    places: dict[int, int] = {}  # number of a word in `found` -> its column, in order of appearance
    grouped: list[Span | None] = []
    members: list[list[int]] = []
    entries: list[tuple[int, int, float]] = []

    def add(piece: int, word: int | None, share: float) -> None:
        place = len(members) if word is None else places.setdefault(word, len(members))
        if place == len(members):
            grouped.append(None if word is None else found[word])
            members.append([piece])
        else:
            members[place].append(piece)
        entries.append((piece, place, share))

    first, last = 0, len(found) - 1
    for piece, token in enumerate(tokens):
        if token.special or token.span is None or not found:
            add(piece, None, 1.0)
            continue
        start, end = token.span
        while first > 0 and found[first - 1][1] > start:  # spans may step back by a character
            first -= 1
        while first < last and found[first][1] <= start:
            first += 1
        if end <= found[first][1]:  # white space alone goes to the word after it
            add(piece, first, 1.0)
            continue
        overlaps: list[tuple[int, int]] = []
        for word in range(first, len(found)):
            if found[word][0] >= end:
                break
            if (shared := min(end, found[word][1]) - max(start, found[word][0])) > 0:
                overlaps.append((word, shared))
        overlaps = overlaps or [(first, 1)]  # white space after the last word
        total = sum(shared for _, shared in overlaps)
        for word, shared in overlaps:
            add(piece, word, shared / total)

    matrix = np.zeros((len(tokens), len(members)))
    if entries:
        pieces, columns, shares = zip(*entries, strict=True)
        matrix[pieces, columns] = shares
    return _Grouping(grouped, members, matrix)


def _tokens(words: _Grouping, pieces: Sequence[Token], text: str) -> tuple[Token, ...]:
    made: list[Token] = []
    for span, members in zip(words.spans, words.members, strict=True):
        if span is None:
            made.append(pieces[members[0]])
            continue
        known = [logprob for member in members if (logprob := pieces[member].logprob) is not None]
        made.append(Token(text[span[0] : span[1]], span, False, sum(known) if known else None))
    return tuple(made)
