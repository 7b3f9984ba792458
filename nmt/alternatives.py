"""Alternatives: the words that may stand next, after a target prefix.

The K best units that may follow are each continued greedily until their word ends; those that
spell the same word are one alternative. A word is as `nmt.text.words` sees it, but for Chinese and
its like, where a character is a word, all characters of the first unit count: "喜欢", not "喜".
A prefix that ends inside a word ("vou") is asked twice: for what follows its usual units, and for
units that reach beyond it ("▁vous"); the two have nothing in common, so probabilities add up.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import regex

from nmt.case import Case
from nmt.config import EOS, check_range
from nmt.errors import InputError, InputTooLong, SeveralSentences
from nmt.plan import is_readable
from nmt.prefix import BeginsWith, TargetPrefix
from nmt.search import Hypothesis, SearchOptions, Sentence
from nmt.sentences import sentences
from nmt.text import replace_surrogates, words
from nmt.translation import Alternative
from nmt.writing import Copies

if TYPE_CHECKING:
    from nmt.translator import Translator

_LONGEST_WORD = 12
"""Units; a word of more is cut."""

_HAN = regex.compile(r"\p{Han}+")


@dataclass(frozen=True, slots=True)
class _Candidate:
    prefix: str  # with the word
    text: str
    logprob: float  # of all units, from the first one of the sentence on


class AlternativesPlan:
    """See `Translator.plan_alternatives`.

    Attributes:
        sentences: One or two, to be admitted to a running set.
    """

    def __init__(
        self, translator: Translator, text: str, *, target_prefix: str, count: int, deadline: float | None = None
    ) -> None:
        check_range("count", count, 1, 50)
        self._translator, self._count = translator, count
        text = replace_surrogates(text)
        spans = sentences(text)
        if len(spans) != 1:
            raise SeveralSentences(
                f"alternatives need a text of one sentence, this one has {len(spans)}; send one of them"
            )
        self._case = translator.source_tokenizer.case_of(text[slice(*spans[0])])
        self._pieces = translator.source_tokenizer.encode(text[slice(*spans[0])], spans[0][0], case=self._case)
        if len(self._pieces) > translator.longest_source:
            raise InputTooLong(
                f"alternatives need a sentence of at most {translator.longest_source} units, this one has "
                f"{len(self._pieces)}; shorten it"
            )
        if not is_readable(text, spans[0], self._pieces):
            raise InputError("alternatives need a text that the model can read")
        tokenizer, given = translator.target_tokenizer, translator.check_prefix(target_prefix)
        if given != self._case.write(given):
            self._case = Case.AS_IT_IS
        given = self._case.read(given)
        closed = translator.spaced and given[-1:].isspace()
        usual = TargetPrefix.exactly(given, tokenizer, [*tokenizer.beginning_with(" "), EOS] if closed else [])
        beyond = None if closed or usual is None else TargetPrefix.beyond(given, tokenizer)
        self._text = usual.text if usual else ""
        self._usual_units = usual.longest - closed if usual else 0
        self._asked = {self._sentence(usual, deadline): usual}
        if beyond:
            self._asked[self._sentence(beyond, deadline)] = beyond
        self._beyond = beyond
        self.sentences = list(self._asked)

    def accept(self, sentence: Sentence) -> None:
        """Take back a finished sentence; `result` reads it."""
        assert sentence in self._asked

    def result(self) -> list[Alternative]:
        """The alternatives, most likely first."""
        given: list[float] = []  # log-probabilities of the ways in which the prefix can stand
        found: list[_Candidate] = []
        for sentence, prefix in self._asked.items():
            ways: dict[tuple[int, ...], float] = {}
            rows = sentence.hypotheses or []
            choice = _first_choice([hypothesis.tokens for hypothesis in rows])
            for hypothesis in rows:
                own = prefix.units_of(hypothesis.tokens) if prefix and prefix is self._beyond else self._usual_units
                ways[tuple(hypothesis.tokens[:own])] = float(hypothesis.token_scores[:own].sum())
                if candidate := self._read(hypothesis, prefix, choice):
                    found.append(candidate)
            given += ways.values()
        total = _log_sum(given)
        merged: dict[str, Alternative] = {}
        for candidate in found:
            before = merged.get(candidate.prefix)
            probability = math.exp(candidate.logprob - total) + (before.probability if before else 0.0)
            merged[candidate.prefix] = Alternative(candidate.text, min(probability, 1.0), candidate.prefix)
        written = map(self._written, merged.values())
        return sorted(written, key=lambda alternative: -alternative.probability)[: self._count]

    def _written(self, found: Alternative) -> Alternative:
        prefix = self._case.write(found.prefix)
        return Alternative(prefix[len(prefix) - len(found.text) :], found.probability, prefix)

    def _sentence(self, prefix: TargetPrefix | None, deadline: float | None) -> Sentence:
        rows = 2 * self._count  # some will spell the same word
        return Sentence(
            source=[*(piece.id for piece in self._pieces), EOS],
            limit=_LONGEST_WORD + (prefix.longest if prefix else 0),
            options=SearchOptions(beam_size=rows, n_best=rows),
            rules=[BeginsWith.start(prefix, rows)] if prefix else [],
            deadline=deadline,
            independent=True,
            stop=self._translator.ends_word,
        )

    def _read(self, found: Hypothesis, prefix: TargetPrefix | None, choice: int) -> _Candidate | None:
        """The word after the prefix; None where a row has none, cut off by the limit for instance.

        The unit at `choice`, in which rows differ, counts even when it only shows that the word has
        ended: so no two rows speak of the same continuation.
        """
        decoded = self._translator.target_tokenizer.decode(found.tokens, Copies(self._pieces, prefix).all(found))
        text = decoded.text
        start = len(self._text)
        while text[start : start + 1] == " ":
            start += 1
        if start >= len(text):
            ended = found.tokens[-1:] == [EOS]
            return _Candidate(self._text, "", float(found.token_scores.sum())) if ended else None
        begin, end = next(span for span in words(text) if span[1] > start)
        if han := _HAN.match(text, start):
            unit = next(stop for _, stop in decoded.spans if stop > start)
            end = max(end, min(unit, han.end()))
        units = next(place for place, span in enumerate(decoded.spans, 1) if span[1] >= end)
        return _Candidate(text[:end], text[begin:end], float(found.token_scores[: max(units, choice + 1)].sum()))


def _first_choice(rows: list[list[int]]) -> int:
    """The place where rows, which begin alike, first differ; 0 for a single one."""
    return next((place for place, units in enumerate(zip(*rows, strict=False)) if len(set(units)) > 1), 0)


def _log_sum(values: list[float]) -> float:
    highest = max(values, default=0.0)
    return highest + math.log(sum(math.exp(value - highest) for value in values)) if values else 0.0
