"""A target prefix: the translation must begin with it, and the model writes the rest.

A prefix is characters, a model writes units, and "voudrais" may be cut as "▁voud" "rais", no unit
ending where the prefix "vou" does. So the prefix may be begun by any number of its characters, cut
as usual, followed by one unit that spells what is left and perhaps more. Where a unit ends, the
usual units of a text begin with the usual units of what stands before (by optimality for unigram,
because merges never cross it for BPE): this way every continuation in its usual units is found, and
hardly an unusual one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from typing_extensions import override

from nmt.config import EOS, UNK
from nmt.rules import Rule
from nmt.text import normalise
from nmt.tokenizer import SPACE, Tokenizer

History = tuple[int, ...]


@dataclass(frozen=True, slots=True)
class TargetPrefix:
    """The units that spell a prefix.

    Attributes:
        text: The prefix in the form the model writes: normalised, no white space at the end.
        following: After the units so far, those that may follow; a history that is not in it has
            the whole prefix behind it.
        unknown: After the units so far, what the unknown unit stands for.
        longest: Most units that the prefix takes.
    """

    text: str
    following: dict[History, list[int]] = field(default_factory=dict)
    unknown: dict[History, str] = field(default_factory=dict)
    longest: int = 0

    @classmethod
    def of(cls, raw: str, tokenizer: Tokenizer, *, spaced: bool = True) -> TargetPrefix | None:
        """Cut a prefix as it was typed.

        Args:
            raw: White space at its end ends its last word: a space or the end must follow.
            tokenizer: Of the target side.
            spaced: Whether the target language writes spaces; if not, one at the end says nothing.

        Returns:
            None when there is nothing in it.
        """
        text = normalise(raw).text
        if not text:
            return None
        closed = spaced and raw[-1:].isspace()
        made = _Paths(tokenizer, text)
        if closed:
            made.ways(text + " ")
            made.add(text, [EOS])
        else:
            made.add(text, [])
            made.ways(text)
        return made.result()

    @classmethod
    def exactly(cls, raw: str, tokenizer: Tokenizer, then: Sequence[int] = ()) -> TargetPrefix | None:
        """The usual units of a prefix and no others; next one of `then`, or anything if that is empty."""
        text = normalise(raw).text
        made = _Paths(tokenizer, text)
        made.add(text, then)
        return made.result() if text else None

    @classmethod
    def beyond(cls, raw: str, tokenizer: Tokenizer) -> TargetPrefix | None:
        """Only the ways in which a unit that ends beyond the prefix covers its end; None if there is none."""
        text = normalise(raw).text
        made = _Paths(tokenizer, text)
        made.ways(text, beyond=True)
        return made.result() if made.following else None

    @property
    def ids(self) -> list[int]:
        """Every unit that may occur in it."""
        return sorted({id_ for allowed in self.following.values() for id_ in allowed})

    def units_of(self, tokens: Sequence[int]) -> int:
        """How many of the first units of a hypothesis spell it."""
        return next((n for n in range(len(tokens)) if tuple(tokens[:n]) not in self.following), len(tokens))

    def copied(self, before: Sequence[int]) -> str | None:
        """What an unknown unit after the units `before` stands for; None if it is not the prefix's."""
        return self.unknown.get(tuple(before)) if len(before) < self.longest else None


@dataclass(frozen=True, slots=True)
class BeginsWith(Rule):
    """Every row begins with the prefix.

    Attributes:
        prefix: The prefix.
        histories: For each row, its units so far; None once the prefix lies behind it.
    """

    prefix: TargetPrefix
    histories: tuple[History | None, ...]

    @classmethod
    def start(cls, prefix: TargetPrefix, rows: int) -> BeginsWith:
        """Before the first unit of K rows."""
        return cls(prefix, ((),) * rows)

    @override
    def only(self, row: int) -> Sequence[int] | None:
        history = self.histories[row]
        return None if history is None else self.prefix.following[history]

    @override
    def advance(self, parents: Sequence[int], tokens: Sequence[int]) -> Rule:
        if not any(history is not None for history in self.histories):
            return self
        histories: list[History | None] = []
        for parent, token in zip(parents, tokens, strict=True):
            before = self.histories[parent]
            after = None if before is None else (*before, token)
            histories.append(after if after in self.prefix.following else None)
        return BeginsWith(self.prefix, tuple(histories))


class _Paths:
    """Collects ways to spell one prefix."""

    def __init__(self, tokenizer: Tokenizer, text: str) -> None:
        self.tokenizer, self.text = tokenizer, text
        self.following: dict[History, dict[int, None]] = {}  # ids in the order they came
        self.unknown: dict[History, str] = {}
        self.longest = 0

    def result(self) -> TargetPrefix:
        following = {history: list(ids) for history, ids in self.following.items()}
        return TargetPrefix(self.text, following, self.unknown, self.longest)

    def ways(self, text: str, *, beyond: bool = False) -> None:
        """Every beginning of `text` in its usual units, then a unit that spells the rest, or more."""
        spelled = " " * self.tokenizer.prefix + text
        for start in reversed(range(max(0, len(spelled) - self.tokenizer.longest), len(spelled))):
            rest = spelled[start:]
            covering = self.tokenizer.beginning_with(rest)
            if beyond:
                covering = [id_ for id_ in covering if self.tokenizer.spelled[id_] != rest]
            if not covering:
                continue
            if start == 0:
                self._enter([], [], covering)
            elif start == self.tokenizer.prefix:  # after the space that SentencePiece puts in front
                blank = [id_ for id_ in self.tokenizer.beginning_with(" ") if self.tokenizer.spelled[id_] == " "]
                self._enter([SPACE] * len(blank), blank, covering if blank else [])
            else:
                self.add(text[: start - self.tokenizer.prefix], covering)

    def add(self, text: str, then: Sequence[int]) -> None:
        """The usual units of `text`, then one of `then`, or anything if that is empty."""
        surfaces, ids = self.tokenizer.surfaces(text)
        if sum(map(len, surfaces)) == len(text) + self.tokenizer.prefix:  # it kept the space at the end
            self._enter(surfaces, ids, then)

    def _enter(self, surfaces: list[str], ids: list[int], then: Sequence[int]) -> None:
        path = tuple(ids)
        steps = [(path[:place], id_) for place, id_ in enumerate(path)]
        unknown = {history: surface for (history, id_), surface in zip(steps, surfaces, strict=True) if id_ == UNK}
        if any(self.unknown.get(history, text) != text for history, text in unknown.items()):
            return  # an unknown unit after the same units stands for other text already
        self.unknown.update(unknown)
        self.longest = max(self.longest, len(path) + bool(then))
        for history, id_ in steps:
            self.following.setdefault(history, {})[id_] = None
        if then:
            self.following.setdefault(path, {}).update(dict.fromkeys(then))
