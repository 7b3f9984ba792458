"""Translations made wrong on purpose, to measure which faults the flags find."""

from __future__ import annotations

import random

from nmt.text import words


def drop(text: str, chance: random.Random) -> str | None:
    """Without a stretch of two words up to half of them; the mark at the end stays. None when too short."""
    spans = words(text)
    most = (len(spans) - 1) // 2
    if most < 2:
        return None
    count = chance.randint(2, most)
    first = chance.randint(0, len(spans) - 1 - count)
    return text[: spans[first][0]] + text[spans[first + count][0] :]


def repeat(text: str, chance: random.Random) -> str | None:
    """With a stretch of two to four words said twice in a row. None when too short."""
    spans = words(text)
    if len(spans) < 4:
        return None
    count = chance.randint(2, min(4, len(spans) - 1))
    first = chance.randint(0, len(spans) - 1 - count)
    start, end = spans[first][0], spans[first + count - 1][1]
    return f"{text[:end]} {text[start:end]}{text[end:]}"


def swap(texts: list[str], chance: random.Random) -> list[str]:
    """Everyone's translation given to someone else: the texts moved on by a random number of places."""
    by = chance.randint(1, max(1, len(texts) - 1))
    return texts[by:] + texts[:by]
