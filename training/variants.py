"""Training pairs changed on the way, so that the model meets what a clean corpus does not hold."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import regex

from nmt.case import Case
from training.guidance import Block

UNKNOWN = "\ue000"
"""A private-use character no vocabulary spells: it becomes the unknown unit."""

_WORD = regex.compile(r"[\p{L}\p{N}][\p{L}\p{N}'-]*")
_MOST_WORDS = 5
"""Linked words of the source in a fragment at most."""

_LAST_SIGN = regex.compile(r"(?<=[\p{L}\p{N}])\s*[.!?…。！？]$")


def teach_copying(source: str, target: str, random: np.random.Generator) -> tuple[str, str]:
    """Put the unknown unit at the same place of meaning on both sides.

    A word that stands on both sides (a name, a number) is replaced on both; if there is none, the
    unit is added at the end of both, as an emoji would be.
    """
    shared = sorted(set(_WORD.findall(source)) & set(_WORD.findall(target)))
    if not shared:
        return f"{source} {UNKNOWN}", f"{target} {UNKNOWN}"
    word = shared[int(random.integers(len(shared)))]

    def hide(found: regex.Match[str]) -> str:
        return UNKNOWN if found.group() == word else found.group()

    return _WORD.sub(hide, source), _WORD.sub(hide, target)


def as_typed(source: str, target: str, random: np.random.Generator) -> tuple[str, str]:
    """A pair as people type it: without the last sign on both sides, or the source in lower case, or both.

    Words stay at their places, so links between them stay true; the target keeps its case.
    """
    lower, bare = random.random() < 0.5, random.random() < 0.5
    if lower and len(source.lower()) == len(source):  # İ becomes two characters
        source = source.lower()
    if (bare or not lower) and _LAST_SIGN.search(source) and _LAST_SIGN.search(target):
        source, target = _LAST_SIGN.sub("", source), _LAST_SIGN.sub("", target)
    return source, target


def fragment(
    source: str, target: str, links: Sequence[Block], random: np.random.Generator
) -> tuple[str, str, list[Block]] | None:
    """Some words of a pair and what they are linked to, and their links.

    A third stays as it is, of a third the source is in lower case, and a third begins with a capital on both sides.

    What is cut out is a phrase pair (Koehn, Och & Marcu 2003): nothing in it is linked to what is left out. It begins
    with one word, long ones more often (they say more), or a few around it, and grows until that is true.

    Args:
        source: Of the pair.
        target: Of the pair.
        links: Linked words: half-open spans of source and target, in code points.
        random: Chooses.

    Returns:
        Source, target, and the links as spans of these; None where that takes more than `_MOST_WORDS` words, or where
        no word is linked.
    """
    words = sorted({(a, b) for a, b, _, _ in links if _WORD.search(source, a, b)})
    if not words:
        return None
    weights = np.array([(b - a) ** 2 for a, b in words], np.float64)
    anchor = int(random.choice(len(words), p=weights / weights.sum()))
    count = int(random.geometric(0.5))
    first = max(0, anchor - int(random.integers(count)))
    start, end = words[first][0], words[min(first + count, len(words)) - 1][1]
    while True:
        inside = [link for link in links if start <= link[0] and link[1] <= end]
        low, high = min(link[2] for link in inside), max(link[3] for link in inside)
        linked = [link for link in links if low < link[3] and link[2] < high]
        grown = min(link[0] for link in linked), max(link[1] for link in linked)
        if grown == (start, end):
            break
        start, end = grown
    if len({link[:2] for link in inside}) > _MOST_WORDS:
        return None
    source, target = source[start:end], target[low:high]
    case = int(random.integers(3))
    if case == 1 and len(source.lower()) == len(source):
        source = source.lower()
    elif case == 2:
        source, target = Case.CAPITAL_START.write(source), Case.CAPITAL_START.write(target)
    return source, target, [(a - start, b - start, c - low, d - low) for a, b, c, d in inside]
