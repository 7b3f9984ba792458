"""Forced decoding: what the model thinks of a translation that is given.

A given pair is a sentence of the running set with one way to go, so it shares steps with what is
translated meanwhile, and every runtime scores as it searches.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from nmt.aligner import Aligned
from nmt.alignment import Token
from nmt.case import Case
from nmt.config import EOS, UNK
from nmt.errors import InputError, InputTooLong
from nmt.prefix import BeginsWith, TargetPrefix
from nmt.search import SearchOptions, Sentence
from nmt.text import replace_surrogates
from nmt.tokenizer import Piece
from nmt.translation import END, TranslatedHypothesis
from nmt.writing import source_tokens, subword_matrix

if TYPE_CHECKING:
    from nmt.translator import Translator

_ONE_WAY = SearchOptions(beam_size=1)


@dataclass(slots=True, eq=False)
class _Pair:
    source_text: str
    target_text: str
    source: list[Piece]
    target: list[Piece]
    target_read: str  # in the case the model writes
    hypothesis: TranslatedHypothesis | None = None


class ScorePlan:
    """See `Translator.plan_score`.

    Attributes:
        sentences: One for each pair, to be admitted to a running set in any order.
    """

    def __init__(
        self, translator: Translator, pairs: Sequence[tuple[str, str]], *, deadline: float | None = None
    ) -> None:
        self._translator = translator
        self._pairs = [self._cut(replace_surrogates(source), replace_surrogates(target)) for source, target in pairs]
        self.sentences = [self._sentence(pair, deadline) for pair in self._pairs]
        self._pair_of = dict(zip(self.sentences, self._pairs, strict=True))

    def accept(self, sentence: Sentence) -> None:
        """Take back a finished sentence that has hypotheses."""
        assert sentence.hypotheses, "a sentence with an error is its caller's to report"
        pair, found = self._pair_of[sentence], sentence.hypotheses[0]
        units = [*(Token(piece.text, piece.span) for piece in pair.target), END]
        target = tuple(
            Token(unit.text, unit.span, unit.special, logprob)
            for unit, logprob in zip(units, found.token_scores.tolist(), strict=True)
        )
        aligner = self._translator.aligner
        pair.hypothesis = TranslatedHypothesis(
            pair.target_text,
            float(found.token_scores.mean()),
            subword_matrix(source_tokens(pair.source), target, found.attention),
            pair.source_text,
            self._translator.quality,
            sum(piece.id == UNK for piece in pair.source),
            None if aligner is None else Aligned(aligner, sentence.source, [piece.id for piece in pair.target] + [EOS]),
        )

    def result(self) -> list[TranslatedHypothesis]:
        """The scored pairs, once every sentence has been accepted."""
        found = [pair.hypothesis for pair in self._pairs if pair.hypothesis]
        assert len(found) == len(self._pairs), "every sentence must have been accepted"
        return found

    def _cut(self, source_text: str, target_text: str) -> _Pair:
        case = self._translator.source_tokenizer.case_of(source_text)
        source = self._translator.source_tokenizer.encode(source_text, case=case)
        if target_text != case.write(target_text):
            case = Case.AS_IT_IS
        target = self._translator.target_tokenizer.encode(target_text, case=case)
        if not source or not target:
            raise InputError("a given pair needs text on both sides; the source or the translation is empty")
        limit = 4 * self._translator.longest_source
        if max(len(source), len(target)) > limit:
            raise InputTooLong(
                f"a given pair may have at most {limit} units on a side, this one has {len(source)} and "
                f"{len(target)}; send one sentence of it at a time"
            )
        return _Pair(source_text, target_text, source, target, case.read(target_text))

    def _sentence(self, pair: _Pair, deadline: float | None) -> Sentence:
        only = TargetPrefix.exactly(pair.target_read, self._translator.target_tokenizer, [EOS])
        assert only is not None
        return Sentence(
            source=[*(piece.id for piece in pair.source), EOS],
            limit=len(pair.target) + 1,
            options=_ONE_WAY,
            rules=[BeginsWith.start(only, 1)],
            deadline=deadline,
        )
