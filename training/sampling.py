"""Subword sampling: the same text in other units every time it is seen, the same again from the same seed.

SentencePiece's own sampling is another one in every process, whatever the seed, so a resumed run
would not be the same run. Here the random numbers are Python's.
"""

from __future__ import annotations

import math
import random
from collections.abc import Sequence
from functools import lru_cache
from itertools import pairwise
from pathlib import Path

import sentencepiece

from nmt.config import UNK
from nmt.errors import ConfigError
from nmt.tokenizer import SPACE

_CANDIDATES = 16
"""Segmentations of a word that unigram sampling chooses among (the l of Kudo 2018)."""

_KNOWN = 50_000
"""Words, and words cut so far, whose next cuts are remembered."""

Parts = tuple[str, ...]


class SubwordSampler:
    """Samples units, word by word: BPE-dropout (Provilkov et al. 2020) or unigram sampling (Kudo 2018).

    Args:
        source, target: The `.spm` files.
        rate: For BPE, the probability that a merge is left out at a step; for unigram, the
            smoothing of the distribution (smaller: more varied).

    Raises:
        ConfigError: The units are characters, which can be cut in one way only.
    """

    def __init__(self, source: Path, target: Path, rate: float) -> None:
        if source.suffix != ".spm":
            raise ConfigError("training.sampling needs units.kind = 'bpe' or 'unigram'; set it to 0 for characters")
        first = _Side(source, rate)
        self._sides = (first, first if target == source else _Side(target, rate))

    def __call__(self, sources: Sequence[str], targets: Sequence[str], seed: int) -> list[list[list[int]]]:
        """Ids of the sources and of the targets; equal for equal texts and seed."""
        chance = random.Random(seed)
        return [
            [side.sample(text, chance) for text in texts]
            for side, texts in zip(self._sides, (sources, targets), strict=True)
        ]


class _Side:
    def __init__(self, path: Path, rate: float) -> None:
        self._model = sentencepiece.SentencePieceProcessor(model_file=str(path))
        self._rate = rate
        size = self._model.vocab_size()
        self._ids = {self._model.id_to_piece(number): number for number in range(size)}
        self._scores = [self._model.get_score(number) for number in range(size)]
        # SentencePiece gives BPE pieces the scores 0, -1, -2, … and user-defined ones 0
        self._bpe = self._scores[size - 1] == round(self._scores[size - 1])
        self._symbols = {piece for piece in self._ids if piece.startswith("<") and piece.endswith(">")}
        self._candidates = lru_cache(maxsize=_KNOWN)(self._nbest)
        self._way = lru_cache(maxsize=_KNOWN)(self._best_merges)
        self._merges = lru_cache(maxsize=_KNOWN)(self._all_merges)
        self._numbers = lru_cache(maxsize=_KNOWN)(self._ids_of)

    def sample(self, text: str, chance: random.Random) -> list[int]:
        """Ids of one text in form (single spaces)."""
        ids: list[int] = []
        for word in text.split(" "):
            if any(symbol in word for symbol in self._symbols):
                found = self._model.encode(word)
            elif self._bpe:
                found = self._merge(SPACE + word, chance)
            else:
                units, weights = self._candidates(word)
                found = chance.choices(units, weights)[0]
            ids += found[1:] if ids and found and ids[-1] == UNK == found[0] else found
        return ids

    def _merge(self, word: str, chance: random.Random) -> list[int]:
        """Merge the best pair that is not left out, until there is none."""
        parts: Parts = tuple(word)
        while True:
            way = self._way(parts)
            kept = self._kept(chance, len(way) - 1)
            if kept == len(way) - 1:
                return self._numbers(way[-1])
            parts = way[kept]  # whose best merge is left out
            for others in self._merges(parts)[1:]:
                if chance.random() >= self._rate:
                    parts = others
                    break
            else:
                return self._numbers(parts)

    def _kept(self, chance: random.Random, most: int) -> int:
        """How many of `most` merges in a row are done until one is left out, drawn at once."""
        if not 0 < self._rate < 1:
            return most if self._rate == 0 else 0
        return min(most, int(math.log(1 - chance.random()) / math.log1p(-self._rate)))

    def _best_merges(self, parts: Parts) -> tuple[Parts, ...]:
        """`parts` and what becomes of them by the best merge, and the best after it, to the end."""
        way = [parts]
        while merges := self._merges(way[-1]):
            way.append(merges[0])
        return tuple(way)

    def _all_merges(self, parts: Parts) -> list[Parts]:
        """What one merge can make of `parts`, the best first, and the first of equals."""
        pairs = [self._ids.get(left + right) for left, right in pairwise(parts)]
        found = [(-self._scores[number], place) for place, number in enumerate(pairs) if number is not None]
        return [(*parts[:at], parts[at] + parts[at + 1], *parts[at + 2 :]) for _, at in sorted(found)]

    def _ids_of(self, parts: Parts) -> list[int]:
        ids: list[int] = []
        for part in parts:
            number = self._ids.get(part, UNK)
            if number != UNK or not ids or ids[-1] != UNK:  # unknown characters in a row are one unit
                ids.append(number)
        return ids

    def _nbest(self, word: str) -> tuple[list[list[int]], list[float]]:
        units = self._model.nbest_encode(word, nbest_size=_CANDIDATES)
        scores = [sum(self._scores[number] for number in ids) for ids in units]
        return units, [math.exp(self._rate * (score - max(scores))) for score in scores]
