"""Training pairs changed on the way, so that the model meets what a clean corpus does not hold."""

from __future__ import annotations

import numpy as np
import regex

UNKNOWN = "\ue000"
"""A private-use character no vocabulary spells: it becomes the unknown unit."""

_WORD = regex.compile(r"[\p{L}\p{N}][\p{L}\p{N}'-]*")
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
