"""Translator: raw text in, raw text and its attention out."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import regex
import torch
from numpy.typing import NDArray

from nmt.alignment import AttentionMatrix, Token, to_words
from nmt.batch import Batch, pad
from nmt.bundle import ModelBundle
from nmt.config import EOS, UNK
from nmt.device import resolve_device
from nmt.errors import InputError, InputTooLong
from nmt.model import Seq2Seq
from nmt.scoring import score
from nmt.search import Hypothesis, beam_search, check_search
from nmt.sentences import sentences
from nmt.text import Span, replace_surrogates, restore, split_long, words
from nmt.tokenizer import SPACE, SPECIAL, Piece, Tokenizer

BATCH_ROWS = 64
"""Sentences searched together with a beam of up to five; fewer with a wider one."""

BATCH_UNITS = 2048
"""Source units, padding included, of sentences searched together."""

_COPIED_WORDS = 100
"""A copied sentence of more words becomes several, so that their matrices stay small."""

_SPEAKS = regex.compile(r"[\p{L}\p{N}]")
_SPACELESS = ("zh", "ja", "th", "lo", "km", "my")


@dataclass(frozen=True, slots=True)
class TranslatedHypothesis:
    """One candidate translation of one sentence.

    Attributes:
        text: The candidate, as raw text.
        score: Log-probability divided by the length penalty; higher is better.
        confidence: Geometric mean of the token probabilities, 0 to 1.
        subwords: Attention between subwords; `source` spans are into the whole text as sent.
        words: The same between words (sum over a source word's pieces, mean over a target word's).
    """

    text: str
    score: float
    confidence: float
    subwords: AttentionMatrix
    words: AttentionMatrix

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
        flags: Names of what a reader should know: `truncated` (hit its length limit), `split`
            (too long for the model, translated in parts), `copied` (nothing in it that the model
            could read), `unknown_characters`.
        hypotheses: At least one.
    """

    source_span: Span
    target_span: Span
    flags: tuple[str, ...]
    hypotheses: tuple[TranslatedHypothesis, ...]


@dataclass(frozen=True, slots=True)
class Translation:
    """A translated text; white space and line breaks between sentences are the source's own."""

    text: str
    sentences: tuple[TranslatedSentence, ...]


@dataclass(slots=True)
class _Job:
    """One sentence, or one part of a long one, on its way through the model."""

    text: int
    span: Span
    pieces: list[Piece]
    flags: list[str]
    hypotheses: tuple[TranslatedHypothesis, ...] = ()


class Translator:
    """A model with its vocabulary: text in, translations with their attention out.

    Not for several threads at once; the service gives it one of its own.

    Args:
        model: In evaluation mode; moved to `device`.
        source_tokenizer, target_tokenizer: Of its two sides.
        target: Language code of the target side, which decides whether sentences are spaced.
        longest_source: Longest sentence, in units, that is translated whole.
        device: `auto`, `cpu`, `cuda`, `cuda:N`.
        bundle: Where the model came from, if from a bundle.
    """

    def __init__(
        self,
        model: Seq2Seq,
        source_tokenizer: Tokenizer,
        target_tokenizer: Tokenizer,
        *,
        target: str,
        longest_source: int,
        device: str = "auto",
        bundle: ModelBundle | None = None,
    ) -> None:
        self.device = resolve_device(device)
        if self.device != "cpu":
            torch.backends.cudnn.allow_tf32 = False  # whole sequences shall equal steps
        self.model = model.to(self.device).eval()
        self.source_tokenizer, self.target_tokenizer = source_tokenizer, target_tokenizer
        self.longest_source = longest_source
        self.has_attention = model.config.context == "attention"
        self._spaced = target.split("-")[0].lower() not in _SPACELESS
        self._bundle = bundle

    @classmethod
    def load(cls, path: Path | str, *, device: str = "auto") -> Translator:
        """Load `models/<name>/<version>`, or the highest version of `models/<name>`.

        Raises:
            BundleError: See `ModelBundle.load`.
            ConfigError: There is no such device.
        """
        bundle = ModelBundle.load(path)
        source, target = bundle.tokenizers()
        return cls(
            bundle.model(),
            source,
            target,
            target=bundle.target,
            longest_source=bundle.config.longest_source,
            device=device,
            bundle=bundle,
        )

    @property
    def bundle(self) -> ModelBundle:
        """The bundle it was loaded from."""
        if self._bundle is None:
            raise AttributeError("this translator was not loaded from a bundle")
        return self._bundle

    def translate(
        self, texts: Sequence[str], *, beam_size: int = 5, n_best: int = 1, alpha: float = 1.0
    ) -> list[Translation]:
        """Translate any texts; all their sentences are searched together.

        White space and line breaks between sentences stay. A sentence without letters and digits,
        or of which the vocabulary can spell nothing, is copied.

        Args:
            texts: Any text; lone surrogates become U+FFFD.
            beam_size: K.
            n_best: Candidates of each sentence, at most K.
            alpha: Exponent of the length penalty.

        Raises:
            ConfigError: The options do not go together.
        """
        check_search(beam_size, n_best, alpha)
        texts = [replace_surrogates(text) for text in texts]
        jobs = [job for index, text in enumerate(texts) for job in self._plan(index, text)]
        waiting = sorted((job for job in jobs if not job.hypotheses), key=lambda job: len(job.pieces))
        for batch in _batches(waiting, BATCH_ROWS * 5 // max(5, beam_size) or 1):
            self._search(batch, texts, beam_size=beam_size, n_best=n_best, alpha=alpha)
        return [self._assemble(text, [job for job in jobs if job.text == index]) for index, text in enumerate(texts)]

    def attend(self, source_text: str, target_text: str) -> TranslatedHypothesis:
        """Score a given translation of one sentence, with the attention behind it (forced decoding).

        Raises:
            InputError: A side is empty.
            InputTooLong: A side is longer than the model can be asked about.
        """
        source_text, target_text = replace_surrogates(source_text), replace_surrogates(target_text)
        pieces = self.source_tokenizer.encode(source_text)
        target = self.target_tokenizer.encode(target_text)
        if not pieces or not target:
            raise InputError("a given pair needs text on both sides; the source or the translation is empty")
        limit = 4 * self.longest_source
        if max(len(pieces), len(target)) > limit:
            raise InputTooLong(
                f"a given pair may have at most {limit} units on a side, this one has {len(pieces)} and {len(target)}; "
                "send one sentence of it at a time"
            )
        batch = Batch.of([[p.id for p in pieces]], [[p.id for p in target]], self.device)
        forced = score(self.model, batch)[0]
        tokens = [Token(p.text, p.span) for p in target]
        return self._hypothesis(
            source_text,
            pieces,
            target_text,
            [*tokens, _EOS],
            forced.token_scores,
            forced.attention,
            float(forced.token_scores.mean()),
        )

    def _plan(self, index: int, text: str) -> list[_Job]:
        jobs: list[_Job] = []
        for span in sentences(text):
            whole = self._encode(text, span)
            if len(whole) <= self.longest_source or not _readable(text, span, whole):
                jobs += self._job(index, text, span, whole, [])
                continue
            for part in split_long(text, span, self.longest_source, lambda t: len(self.source_tokenizer.encode(t))):
                jobs += self._job(index, text, part, self._encode(text, part), ["split"])
        return jobs

    def _job(self, index: int, text: str, span: Span, pieces: list[Piece], flags: list[str]) -> list[_Job]:
        """The sentence for the model, or copied where the model can read nothing of it."""
        if _readable(text, span, pieces):
            return [_Job(index, span, pieces, flags)]
        flags = [*flags, "copied", *(["unknown_characters"] if _SPEAKS.search(text, *span) else [])]
        here = [(span[0] + start, span[0] + end) for start, end in words(text[slice(*span)])]
        blocks = [here[start : start + _COPIED_WORDS] for start in range(0, len(here), _COPIED_WORDS)]
        return [_Job(index, (block[0][0], block[-1][1]), [], list(flags), (_copied(text, block),)) for block in blocks]

    def _encode(self, text: str, span: Span) -> list[Piece]:
        start, end = span
        return [
            Piece(p.id, p.text, (p.span[0] + start, p.span[1] + start))
            for p in self.source_tokenizer.encode(text[start:end])
        ]

    def _search(self, jobs: list[_Job], texts: Sequence[str], *, beam_size: int, n_best: int, alpha: float) -> None:
        source = pad([[*(p.id for p in job.pieces), EOS] for job in jobs], self.device)
        limits = [2 * len(job.pieces) + 10 for job in jobs]
        found = beam_search(self.model, source, limits=limits, beam_size=beam_size, n_best=n_best, alpha=alpha)
        for job, hypotheses in zip(jobs, found, strict=True):
            job.hypotheses = tuple(self._read(texts[job.text], job.pieces, h) for h in hypotheses)
            if hypotheses[0].truncated:
                job.flags.append("truncated")
            if any(p.id == UNK for p in job.pieces):
                job.flags.append("unknown_characters")

    def _read(self, text: str, pieces: list[Piece], hypothesis: Hypothesis) -> TranslatedHypothesis:
        """Ids -> text, copying what the vocabulary cannot spell."""
        decoded = self.target_tokenizer.decode(hypothesis.tokens, _copies(pieces, hypothesis))
        tokens = [
            _EOS if id_ == EOS else Token(decoded.text[slice(*span)] or SPECIAL.get(id_, SPACE), span)
            for id_, span in zip(hypothesis.tokens, decoded.spans, strict=True)
        ]
        return self._hypothesis(
            text, pieces, decoded.text, tokens, hypothesis.token_scores, hypothesis.attention, hypothesis.score
        )

    def _hypothesis(
        self,
        source_text: str,
        pieces: list[Piece],
        text: str,
        tokens: list[Token],
        token_scores: NDArray[np.float32],
        attention: NDArray[np.float32] | None,
        total: float,
    ) -> TranslatedHypothesis:
        source = (*(Token(p.text, p.span) for p in pieces), _EOS)
        target = tuple(
            Token(t.text, t.span, t.special, float(logprob)) for t, logprob in zip(tokens, token_scores, strict=True)
        )
        if attention is None:
            attention = np.zeros((len(target), len(source)), np.float32)
        subwords = AttentionMatrix(source, target, attention)
        return TranslatedHypothesis(
            text, total, math.exp(float(token_scores.mean())), subwords, to_words(subwords, source_text, text)
        )

    def _assemble(self, text: str, jobs: list[_Job]) -> Translation:
        """Put the best candidates where their sentences stood."""
        spans = [job.span for job in jobs]
        best = [job.hypotheses[0].text for job in jobs]
        translated, places = restore(text, spans, self._spaces(text, jobs, best))
        found: list[TranslatedSentence] = []
        for job, place, candidate in zip(jobs, places, best, strict=True):
            target_span = (place[1] - len(candidate), place[1])
            found.append(TranslatedSentence(job.span, target_span, tuple(job.flags), job.hypotheses))
        return Translation(translated, tuple(found))

    def _spaces(self, text: str, jobs: list[_Job], translations: list[str]) -> list[str]:
        """Put a space before a sentence that followed the last one without any, where the target is spaced."""
        spaced = list(translations)
        for index in range(1, len(jobs)):
            before, after = jobs[index - 1], jobs[index]
            place = after.span[0]
            touching = before.span[1] == place and not ("copied" in before.flags and "copied" in after.flags)
            cut_word = touching and text[place - 1].isascii() and text[place - 1].isalnum()
            if self._spaced and touching and not cut_word and translations[index]:
                spaced[index] = " " + translations[index]
        return spaced


_EOS = Token(SPECIAL[EOS], None, special=True)


def _batches(jobs: list[_Job], most: int) -> list[list[_Job]]:
    """Cut jobs sorted by length so that neither rows nor padded units grow too large."""
    batches: list[list[_Job]] = []
    for job in jobs:
        rows = len(batches[-1]) + 1 if batches else 0
        if not batches or rows > most or rows * len(job.pieces) > BATCH_UNITS:
            batches.append([])
        batches[-1].append(job)
    return batches


def _copies(pieces: list[Piece], hypothesis: Hypothesis) -> dict[int, str]:
    """For each unknown unit of the target, the unknown source text it looked at most.

    Each is copied once; the search makes no more of them than the source has.
    """
    left = [column for column, piece in enumerate(pieces) if piece.id == UNK]
    copies: dict[int, str] = {}
    for place, id_ in enumerate(hypothesis.tokens):
        if id_ == UNK and left:
            weights = hypothesis.attention
            column = left[0] if weights is None else max(left, key=lambda c: float(weights[place, c]))
            copies[place] = pieces[column].text
            left.remove(column)
    return copies


def _readable(text: str, span: Span, pieces: list[Piece]) -> bool:
    """Whether there is a letter or digit, and anything that the vocabulary can spell."""
    return bool(_SPEAKS.search(text, *span)) and any(p.id != UNK and p.text != SPACE for p in pieces)


def _copied(text: str, here: list[Span]) -> TranslatedHypothesis:
    """Words that stand for themselves: every one looks at itself."""
    start, end = here[0][0], here[-1][1]
    source = (*(Token(text[a:b], (a, b)) for a, b in here), _EOS)
    target = (*(Token(text[a:b], (a - start, b - start), logprob=0.0) for a, b in here), Token("</s>", None, True, 0.0))
    matrix = AttentionMatrix(source, target, np.eye(len(source), dtype=np.float32))
    return TranslatedHypothesis(text[start:end], 0.0, 1.0, matrix, matrix)
