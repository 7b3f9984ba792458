"""English sentences made up from a small grammar, for measurements that need text but no corpus."""

from __future__ import annotations

import itertools
import random
from pathlib import Path

_WHO = (
    "the old man", "my sister", "a young doctor", "our neighbour", "the teacher", "a tall woman", "the two boys",
    "your friend Tom", "nobody in the office", "the tired driver", "Mary", "the people of the village", "a small dog",
)  # fmt: skip
_DOES = (
    "has lost {what}", "is looking for {what}", "would like to buy {what}", "never talks about {what}", "forgot {what}",
    "put {what} on the table", "showed me {what}", "will bring {what}", "cannot find {what}", "was thinking of {what}",
)  # fmt: skip
_WHAT = (
    "the key", "a red car", "three tickets", "his new job", "the letter from the bank", "a glass of cold water",
    "some bread and cheese", "the book you gave me", "her umbrella", "an old map of the city", "money", "the answer",
)  # fmt: skip
_WHERE = ("in the kitchen", "near the station", "on the other side of the river", "at home", "behind the church")
_WHEN = ("yesterday", "every morning", "before dinner", "last year", "at half past seven", "when it was raining")
_AND = (", but {one}", ", because {one}", " and {one}", ", although {one}", " while {one}")
_SHORT = ("I don't know.", "Where are you?", "Thank you very much.", "It is too late.", "Come here!", "Who said that?")


def made_up(count: int, seed: int = 0) -> list[str]:
    """`count` different sentences of 2 to about 30 words, short ones most often, as people write them."""
    chance = random.Random(seed)
    found: dict[str, None] = {}
    while len(found) < count:
        found[chance.choice(_SHORT) if chance.random() < 0.02 else _sentence(chance)] = None
    return list(found)


def _sentence(chance: random.Random) -> str:
    text = _clause(chance)
    for likely in (0.35, 0.15):
        if chance.random() < likely:
            text += chance.choice(_AND).format(one=_clause(chance))
    return text[0].upper() + text[1:] + chance.choice("...!")


def _clause(chance: random.Random) -> str:
    parts = [chance.choice(_WHO), chance.choice(_DOES).format(what=chance.choice(_WHAT))]
    parts += [chance.choice(kind) for kind in (_WHERE, _WHEN) if chance.random() < 0.4]
    return " ".join(parts)


def read(path: Path | None, count: int, column: int = 0) -> list[str]:
    """The first `count` lines of a file (a TAB-separated column of it), or made-up ones without a file."""
    if path is None:
        return made_up(count)
    lines = [line.split("\t")[column].strip() for line in path.read_text("utf-8").split("\n") if line.strip()]
    return [line for line in lines if line][:count]


def foreign(count: int, seed: int = 0) -> list[tuple[str, str]]:
    """Pairs in two invented languages with as many words as real ones have, for timing training without a corpus.

    Word frequencies follow Zipf's law, every word has one translation, and neighbours change places now and then.
    """
    chance = random.Random(seed)
    syllables = [a + b for a in "bcdfgjklmnprstvz" for b in ("a", "e", "i", "o", "u", "en", "or", "ai")]
    words = [["".join(chance.choices(syllables, k=1 + rank % 4)) for rank in range(20_000)] for _ in range(2)]
    weights = list(itertools.accumulate(1 / (rank + 3) for rank in range(20_000)))
    pairs: list[tuple[str, str]] = []
    for _ in range(count):
        ranks = chance.choices(range(20_000), cum_weights=weights, k=max(3, round(chance.gauss(12, 4))))
        turned = list(ranks)
        for place in range(0, len(turned) - 1, 3):
            if chance.random() < 0.5:
                turned[place], turned[place + 1] = turned[place + 1], turned[place]
        pairs.append((" ".join(words[0][r] for r in ranks) + " .", " ".join(words[1][r] for r in turned) + " ."))
    return pairs
