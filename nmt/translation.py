"""What a translation is: texts, sentences, candidates, and what is known about each."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from nmt.aligner import Aligned, Link
from nmt.alignment import AttentionMatrix, Token, links, to_words
from nmt.config import EOS
from nmt.quality import Flag, Judgement, Quality
from nmt.text import Span
from nmt.tokenizer import SPECIAL

END = Token(SPECIAL[EOS], None, special=True)
"""The end of either side."""

UNCALIBRATED = Quality()
"""Judges where nothing was learned from validation data: confidence by probabilities, no flags."""


@dataclass(frozen=True)
class TranslatedHypothesis:
    """One candidate translation of one sentence, found or given.

    Words, confidence and flags are worked out when first asked for: most callers want the text alone.

    Attributes:
        text: The candidate, as raw text.
        score: Log-probability divided by the length penalty, and what rules took off; of a given
            pair, the mean log-probability. Higher is better.
        subwords: Attention between subwords; `source` spans are into the whole text as sent.
        source_text: The whole text as sent.
        quality: What judges it; None where the text was copied and no model had a say.
        unknown: Source units that the vocabulary cannot spell.
        aligned: The pair for the bundle's aligner; None where there is none.
    """

    text: str
    score: float
    subwords: AttentionMatrix
    source_text: str
    quality: Quality | None = UNCALIBRATED
    unknown: int = 0
    aligned: Aligned | None = None

    @cached_property
    def words(self) -> AttentionMatrix:
        """Attention between words (sum over a source word's pieces, mean over a target word's)."""
        return to_words(self.subwords, self.source_text, self.text)

    @property
    def alignment_by(self) -> Literal["aligner", "attention"]:
        """What says which tokens stand for which."""
        return "attention" if self.aligned is None else "aligner"

    def links(self, granularity: str = "word") -> list[Link]:
        """Which tokens stand for which, as (source place, target place, weight).

        The bundle's aligner says so, and the weight is how far its two directions agree; without an aligner
        it is where attention is strong (`nmt.alignment.links`).
        """
        if self.aligned is None:
            return links(self.words if granularity == "word" else self.subwords)
        agreement = self.aligned.agreement(self.subwords, self.source_text, self.text, granularity=granularity)
        return self.aligned.links(agreement)

    def link_matrix(self, granularity: str = "word") -> AttentionMatrix:
        """The links as a matrix that can be drawn: their weights, and zero elsewhere; rows need not sum to 1."""
        matrix = self.words if granularity == "word" else self.subwords
        weights = np.zeros_like(matrix.weights)
        for source, target, weight in self.links(granularity):
            weights[target, source] = weight
        return AttentionMatrix(matrix.source, matrix.target, weights)

    @cached_property
    def judgement(self) -> Judgement:
        """Confidence and flags."""
        if self.quality is None:
            return Judgement(1.0, ())
        return self.quality.judge(self.subwords, self.words, unknown=self.unknown)

    @property
    def confidence(self) -> float:
        """0 to 1: calibrated where the bundle is, else the geometric mean of the token probabilities."""
        return self.judgement.confidence

    @property
    def perplexity(self) -> float:
        """exp(-mean log-probability) of the target units, `</s>` among them; 1 where text was copied."""
        logprobs = [token.logprob for token in self.subwords.target if token.logprob is not None]
        return math.exp(min(-sum(logprobs) / len(logprobs), 700.0)) if logprobs else 1.0

    def tokens(self, granularity: str = "word") -> tuple[tuple[Token, ...], tuple[Token, ...]]:
        """The source and target tokens at `word` or `subword` level."""
        matrix = self.words if granularity == "word" else self.subwords
        return matrix.source, matrix.target


@dataclass(frozen=True, slots=True)
class TranslatedSentence:
    """One sentence of the text and its candidates, best first.

    Attributes:
        source_span: Where it stands in the text as sent.
        target_span: Where its best translation stands in `Translation.text`.
        notes: Flags that come from how it was translated: `truncated` (hit its length limit),
            `split` (too long for the model, translated in parts), `copied` (nothing in it that the
            model could read), `unknown_characters`.
        hypotheses: At least one.
    """

    source_span: Span
    target_span: Span
    notes: tuple[str, ...]
    hypotheses: tuple[TranslatedHypothesis, ...]

    @property
    def flag_spans(self) -> tuple[Flag, ...]:
        """All flags: `notes`, then those of the best candidate (`nmt.quality`) with their places."""
        return (*map(Flag, self.notes), *self.hypotheses[0].judgement.flags)

    @property
    def flags(self) -> tuple[str, ...]:
        """Their names, each once."""
        return tuple(dict.fromkeys(flag.name for flag in self.flag_spans))


@dataclass(frozen=True, slots=True)
class Translation:
    """A translated text; white space and line breaks between sentences are the source's own."""

    text: str
    sentences: tuple[TranslatedSentence, ...]


@dataclass(frozen=True, slots=True)
class StreamedToken:
    """One unit of a translation that is still being written.

    Attributes:
        token: The unit; its span is into the sentence's text so far.
        added: What it adds to that text, the space before a word included. One after the other,
            these make a beginning of the sentence's final text.
        attention: Its row of weights over the sentence's source tokens, (S,); None without attention.
    """

    token: Token
    added: str
    attention: NDArray[np.float32] | None


@dataclass(frozen=True, slots=True)
class Alternative:
    """A word that may stand next.

    Attributes:
        text: The word; empty for the end of the sentence.
        probability: Of the units that spell it, given what stands before.
        prefix: The target prefix with this word, ready for `Translator.translate`.
    """

    text: str
    probability: float
    prefix: str
