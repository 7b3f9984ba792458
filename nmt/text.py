"""Raw text -> sentences with spans -> text again.

Spans are half-open offsets in Unicode code points, `(start, end)`, into the text as given.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import regex

from nmt.sentences import CLUSTER, Span, sentences

__all__ = [
    "Normalised",
    "Span",
    "normalise",
    "replace_surrogates",
    "restore",
    "sentences",
    "split_long",
    "words",
]

_CLUSTER = regex.compile(CLUSTER)
_IRREGULAR = regex.compile(r"\p{Cc}|[\s--\x20]|\x20{2}|^\x20|\x20$", regex.VERSION1)
_LONGEST_CLUSTER = 64
"""Code points; sorting the marks of a longer one takes time that grows with the square of their number."""


@dataclass(frozen=True, slots=True)
class Normalised:
    """Text in the form the model reads, with the way back to the text as given.

    Attributes:
        text: NFC (but for clusters of more than 64 code points), no control characters, single
            spaces, none at either end.
        spans: For every character of `text`, the span of the raw text it came from.
    """

    text: str
    spans: tuple[Span, ...]


def replace_surrogates(text: str) -> str:
    """Lone surrogates become U+FFFD, one for one, so that offsets stay what they were."""
    return text if text.isascii() else regex.sub(r"[\ud800-\udfff]", "\ufffd", text)


def normalise(text: str) -> Normalised:
    """NFC and white space, nothing else; every character keeps the span it came from.

    NFKC is not used: it would rewrite Chinese punctuation and ligatures. Normalisation works
    cluster by cluster (UAX 29 grapheme clusters), which NFC never composes across. A cluster of
    more than 64 code points, which no language has, stays as it is.
    """
    # nearly all text is so already
    if unicodedata.is_normalized("NFC", text) and not _IRREGULAR.search(text, concurrent=False):
        return Normalised(text, tuple(zip(range(len(text)), range(1, len(text) + 1), strict=True)))
    characters: list[str] = []
    spans: list[Span] = []
    space: Span | None = None
    for match in _CLUSTER.finditer(text):
        start, end = match.span()
        cluster = match.group()
        if cluster.isspace():
            space = (space[0] if space else start, end)
            continue
        composed = unicodedata.normalize("NFC", cluster) if len(cluster) <= _LONGEST_CLUSTER else cluster
        exact = composed == cluster
        for offset, character in enumerate(composed):
            if unicodedata.category(character) == "Cc":
                continue
            if space is not None:
                if characters:
                    characters.append(" ")
                    spans.append(space)
                space = None
            characters.append(character)
            spans.append((start + offset, start + offset + 1) if exact else (start, end))
    return Normalised("".join(characters), tuple(spans))


# UAX 29 word boundaries with three tailorings that the annex itself names: a Han character is a
# word, ":" and the narrow no-break space join nothing, and French and Italian elisions (l'homme,
# qu'il) end at the apostrophe.
_SEEN = r"[^\s\x1c-\x1f]"  # str.isspace() takes U+001C to U+001F for white space; so do we
_EXTEND = r"[\p{WB=Extend}\p{WB=Format}\p{WB=ZWJ}]*+"
_LETTER = rf"(?:[\p{{WB=ALetter}}\p{{WB=Hebrew_Letter}}]{_EXTEND})"
_LETTERS = (
    rf"{_LETTER}++(?:[\p{{WB=MidLetter}}\p{{WB=MidNumLet}}\p{{WB=Single_Quote}}--[:：︓﹕]]{_EXTEND}{_LETTER}++)*+"
)
_DIGIT = rf"(?:\p{{WB=Numeric}}{_EXTEND})"
_DIGITS = rf"{_DIGIT}++(?:[\p{{WB=MidNum}}\p{{WB=MidNumLet}}\p{{WB=Single_Quote}}]{_EXTEND}{_DIGIT}++)*+"
_HEBREW = rf"(?:\p{{WB=Hebrew_Letter}}{_EXTEND})"
# not any number of them: in a run of joiners and nothing else, each would be looked at from all before it
_JOINERS = rf"(?:[\p{{WB=ExtendNumLet}}--\u202f]{_EXTEND}){{0,16}}+"
_UNIT = rf"(?:{_LETTERS}|{_DIGITS}|(?:\p{{WB=Katakana}}{_EXTEND})++)"
_ELIDED = r"(?:[cdjlmnst]|(?:jus|lors|puis|quoi)?qu|d?all|dell|nell|sull|quell|un)"
_WORD = regex.compile(
    rf"""
    (?={_SEEN})  # fails at once at a space, which else would try all of the below
    (?:
      (?-i:[A-Za-zÀ-ÖØ-öø-ÿ])++(?=\x20)  # most words; what follows would find the same, slower
    | \p{{Han}}{_EXTEND}
    | (?<![\p{{L}}\p{{N}}]){_ELIDED}['’](?=[\p{{L}}--[bcdfgjklmnpqrstvwxz]])
    | {_HEBREW}++(?:"{_HEBREW}++)++
    | {_JOINERS}{_UNIT}(?:{_JOINERS}{_UNIT})*+{_JOINERS}
    | [?!]{{2,}}+
    | (?<mark>{_SEEN})(?P=mark)++{_EXTEND}
    | {CLUSTER}
    | {_SEEN}
    )
    """,
    regex.VERBOSE | regex.VERSION1 | regex.IGNORECASE,
)

# Where a long text may be cut, strongest first: the places just before which the sense pauses. A
# pattern that fails at the start of white space must not try again at every character of it.
_PAUSES = tuple(
    regex.compile(pattern, regex.VERSION1)
    for pattern in (
        r"""(?<=[.!?…;؛؟;][\p{Pf}\p{Pe}"']{0,3})\s+|(?<=[。！？；।][\p{Pf}\p{Pe}]{0,3})(?![\p{Pf}\p{Pe}。！？])""",
        r"(?<=:)\s+|(?<=：)",
        r"(?<=[,،])\s+|(?<=[，、])",
        r"(?:(?<!\s)|\G)\s++(?=[\p{Pd}\p{Ps}\p{Pi}])|(?<=[\p{Pd}\p{Pe}\p{Pf}])\s+|(?<=[—）」』】》])(?![\p{P}])",
        r"\s+",
        r"(?<=[\p{Han}\p{Hiragana}\p{Katakana}\p{LB=SA}])(?![\p{M}\p{P}])|(?<=[\p{P}\p{S}])(?![\p{P}\p{S}\p{M}\p{Cf}])",
    )
)


def words(text: str) -> list[Span]:
    """The spans of the words of `text`, in order; together they cover all that is not white space.

    A word is a UAX 29 word, a Han character, or a mark (a run of one mark, such as `...`, is one
    word, and so is an emoji).
    """
    # matches are short: letting other threads run in each, and waiting for them, would take longer (concurrent=False)
    return [match.span() for match in _WORD.finditer(text, concurrent=False)]


def split_long(text: str, span: Span, limit: int, length: Callable[[str], int]) -> Iterator[Span]:
    """Parts of `text[span]`, in order, each at most `limit` long, without the white space between them.

    Cuts stand at the strongest pause in the second half of what would fit: a full stop or
    semicolon, a colon, a comma, a dash or bracket, white space, and only then inside a word.

    Args:
        text: The whole text.
        span: The sentence in it.
        limit: Greatest length of a part, at least 1, as `length` counts.
        length: Length of a piece of text, in tokens for instance. Called a few times a part, with
            pieces of about a part's size.

    Yields:
        The parts; one code point alone may be longer than `limit`.
    """
    start, end = _strip(text, *span)
    left = length(text[start:end]) if start < end else 0
    while left > limit:
        fits = _longest(text, start, end, limit, left, length)
        if fits == end:
            break
        middle = start + (end - start) // -(-left // limit)  # parts of one size, no crumb at the end
        part = _strip(text, start, _weakest(text, start, fits, middle))
        while (taken := length(text[slice(*part)])) > limit and part[1] - part[0] > 1:
            fits = start + (part[1] - start) * 3 // 4  # a cut inside a token can make more tokens
            part = _strip(text, start, _weakest(text, start, fits, fits))
        yield part
        start = _strip(text, part[1], end)[0]
        left -= taken
        if left <= 2 * limit:  # until here a difference will do; the last parts are measured
            left = length(text[start:end]) if start < end else 0
    if start < end:
        yield start, end


def restore(text: str, spans: Sequence[Span], translations: Sequence[str]) -> tuple[str, list[Span]]:
    """Put each translation where its span stood; all between, before and after stays as it is.

    Args:
        text: The text as given.
        spans: Its sentences, in order and disjoint.
        translations: One for each span.

    Returns:
        The new text, and the span of each translation in it.
    """
    pieces: list[str] = []
    placed: list[Span] = []
    source = target = 0
    for (start, end), translation in zip(spans, translations, strict=True):
        target += start - source
        placed.append((target, target + len(translation)))
        pieces += (text[source:start], translation)
        source, target = end, target + len(translation)
    pieces.append(text[source:])
    return "".join(pieces), placed


def _strip(text: str, start: int, end: int) -> Span:
    while start < end and text[end - 1].isspace():
        end -= 1
    while start < end and text[start].isspace():
        start += 1
    return start, end


def _longest(text: str, start: int, end: int, limit: int, left: int, length: Callable[[str], int]) -> int:
    """Where a piece from `start` ends that is within a twentieth of `limit`, or one code point."""
    fits, too_far = start + 1, end + 1
    reach = min(end, start + max(1, (end - start) * limit // left))
    while fits < reach < too_far:
        measured = length(text[start:reach])
        if measured <= limit:
            fits = reach
        else:
            too_far = reach
        if too_far - fits <= 1 + (fits - start) // 20:
            break
        guess = start + (reach - start) * limit // max(measured, 1)  # as if length grew evenly
        reach = max(guess, fits + 1 + (fits - start) // 20)
        if reach >= too_far:
            reach = (fits + too_far) // 2
    return fits


def _weakest(text: str, start: int, fits: int, wanted: int) -> int:
    """The best place to cut at or before `fits`: the strongest pause, the nearest to `wanted`."""
    low = start + max(1, (fits - start) // 2)
    for pause in _PAUSES:
        places = [found.start() for found in pause.finditer(text, low, fits + 2) if found.start() <= fits]
        if places:
            return min(places, key=lambda place: (abs(place - wanted), place))
    edges = [found.start() for found in _CLUSTER.finditer(text, start, fits + 64) if start < found.start() <= fits]
    return edges[-1] if edges else fits
