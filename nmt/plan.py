"""Plan: texts -> sentences for a running set -> translations.

A plan does everything around the search and nothing of it, so that one call in a program and a
thousand requests in a server share the same code: whoever owns the running set admits
`plan.sentences`, hands the finished ones back by `plan.accept`, and asks for `plan.result()`.
There is no torch in it, and no state but its own.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import regex

from nmt.aligner import Aligned
from nmt.alignment import AttentionMatrix, Token
from nmt.case import Case
from nmt.config import EOS, UNK
from nmt.errors import InputError, InputTooLong, SeveralSentences
from nmt.prefix import BeginsWith, TargetPrefix
from nmt.search import Hypothesis, SearchOptions, Sentence
from nmt.sentences import iterate, sentences
from nmt.text import (
    Span,
    replace_surrogates,
    restore,
    split_long,
    words,
)
from nmt.tokenizer import SPACE, Piece
from nmt.translation import END, StreamedToken, TranslatedHypothesis, TranslatedSentence, Translation
from nmt.writing import Copies, Writer, source_tokens, subword_matrix, target_token

if TYPE_CHECKING:
    from nmt.translator import Translator

_COPIED_WORDS = 100
"""A copied sentence of more words becomes several, so that their matrices stay small."""

_SPEAKS = regex.compile(r"[\p{L}\p{N}]")


@dataclass(slots=True, eq=False)
class Job:
    """One sentence, or one part of a long one.

    Attributes:
        text: Number of its text.
        index: Its number in that text.
        span: Where it stands there.
        pieces: Its units, without EOS.
        notes: See `TranslatedSentence`.
        sentence: What is searched; None where the sentence was copied.
        hypotheses: The outcome.
        case: In which the translation is written.
    """

    text: int
    index: int
    span: Span
    pieces: list[Piece]
    notes: list[str]
    sentence: Sentence | None = None
    hypotheses: tuple[TranslatedHypothesis, ...] = ()
    case: Case = Case.AS_IT_IS


class Plan:
    """See `Translator.plan`.

    Attributes:
        jobs: Every sentence, in reading order, the copied ones as well.
        sentences: Those to be searched, in the same order; admit them in any.
    """

    def __init__(
        self,
        translator: Translator,
        texts: Sequence[str],
        *,
        options: SearchOptions,
        target_prefix: str | None = None,
        stream: bool = False,
        deadline: float | None = None,
        shortlist: bool | None = None,
    ) -> None:
        self._translator = translator
        self._texts = [replace_surrogates(text) for text in texts]
        self._options, self._stream, self._deadline = options, stream, deadline
        self._prefix: TargetPrefix | None = None
        self._cased = True  # unless a prefix says otherwise
        if target_prefix:
            given = translator.check_prefix(target_prefix)
            case, *others = set(map(translator.source_tokenizer.case_of, self._texts)) or {Case.AS_IT_IS}
            self._cased = not others and given == case.write(given)
            given = case.read(given) if self._cased else given
            self._prefix = TargetPrefix.of(given, translator.target_tokenizer, spaced=translator.spaced)
        self._shortlist = translator.shortlist_for(shortlist)
        self.jobs: list[Job] = []
        self.sentences: list[Sentence] = []
        self._job_of: dict[Sentence, Job] = {}
        self._written: dict[Sentence, Writer] = {}
        self._work = self._find()

    def prepare(self, seconds: float | None = None) -> bool:
        """Split and encode on, appending to `jobs` and `sentences`.

        Args:
            seconds: For about how long, at least one sentence; None for all.

        Returns:
            Whether all is prepared.

        Raises:
            InputError: See `Translator.plan`.
        """
        end = None if seconds is None else time.monotonic() + seconds
        for _ in self._work:
            if end is not None and time.monotonic() >= end:
                break
        else:
            return True
        return False

    def accept(self, sentence: Sentence) -> None:
        """Take back a finished sentence that has hypotheses."""
        assert sentence.hypotheses, "a sentence with an error is its caller's to report"
        job = self._job_of[sentence]
        text = self._texts[job.text]
        if sentence.hypotheses[0].truncated:
            job.notes.append("truncated")
        unknown = sum(piece.id == UNK for piece in job.pieces)
        if unknown:
            job.notes.append("unknown_characters")
        job.hypotheses = tuple(self._read(text, job, unknown, found) for found in sentence.hypotheses)

    def result(self) -> list[Translation]:
        """The translations, once every sentence has been accepted."""
        jobs: list[list[Job]] = [[] for _ in self._texts]
        for job in self.jobs:
            jobs[job.text].append(job)
        return [self._assemble(text, mine) for text, mine in zip(self._texts, jobs, strict=True)]

    def sentence_result(self, which: Job | Sentence) -> tuple[int, int, TranslatedSentence]:
        """One sentence that has been accepted or copied, before all are.

        Returns:
            Number of its text, its number in that text, and the sentence; its `target_span` is into
            its own translation, since where that will stand may not be known yet.
        """
        job = which if isinstance(which, Job) else self._job_of[which]
        length = len(job.hypotheses[0].text)
        found = TranslatedSentence(job.span, (0, length), tuple(job.notes), job.hypotheses)
        return job.text, job.index, found

    def job(self, sentence: Sentence) -> Job:
        """The job that this sentence is searched for."""
        return self._job_of[sentence]

    def source_tokens(self, which: Job | Sentence) -> tuple[Token, ...]:
        """The columns of its attention between subwords, `</s>` last."""
        job = which if isinstance(which, Job) else self._job_of[which]
        if job.sentence is None:
            return job.hypotheses[0].subwords.source
        return source_tokens(job.pieces)

    def token(self, sentence: Sentence, index: int) -> StreamedToken:
        """What the committed unit number `index` of a streamed sentence adds to its text."""
        job = self._job_of[sentence]
        writer = self._written.get(sentence)
        if writer is None:
            writer = self._written[sentence] = Writer(
                self._translator.target_tokenizer, job.pieces, self._prefix, job.case
            )
        while len(writer.tokens) <= index:
            unit = sentence.committed[len(writer.tokens)]
            row = None if unit.attention is None else unit.attention[: len(job.pieces) + 1]
            writer.add(unit.token, unit.logprob, row)
        return writer.tokens[index]

    # --- texts to sentences ---

    def _find(self) -> Iterator[None]:
        for number, text in enumerate(self._texts):
            if self._prefix and (count := len(sentences(text))) != 1:
                raise SeveralSentences(
                    f"a target prefix needs a text of one sentence, this one has {count}; send one of them"
                )
            index = 0
            for span in iterate(text):
                for jobs in self._cut(number, text, span):
                    for job in jobs:
                        job.index = index
                        index += 1
                        self.jobs.append(job)
                    yield

    def _cut(self, number: int, text: str, span: Span) -> Iterator[list[Job]]:
        """The jobs of one sentence: one, or its parts one by one where it is longer than the model has seen."""
        translator = self._translator
        case, limit = translator.source_tokenizer.case_of(text[slice(*span)]), translator.longest_source

        def encode(part: str, offset: int = 0) -> list[Piece]:
            return translator.source_tokenizer.encode(part, offset, case=case)

        whole = encode(text[slice(*span)], span[0])
        if len(whole) <= limit or not is_readable(text, span, whole):
            yield self._job(number, text, span, whole, [], case)
            return
        if self._prefix:
            raise InputTooLong(
                f"a target prefix needs a sentence of at most {limit} units, this one has {len(whole)}; shorten it"
            )

        def length(piece: str) -> int:
            return len(whole) if len(piece) == span[1] - span[0] else len(encode(piece))

        for part in split_long(text, span, limit, length):
            yield self._job(number, text, part, encode(text[slice(*part)], part[0]), ["split"], case)

    def _job(self, number: int, text: str, span: Span, pieces: list[Piece], notes: list[str], case: Case) -> list[Job]:
        """The sentence for the model, or copied where the model can read nothing of it."""
        if is_readable(text, span, pieces):
            job = Job(number, 0, span, pieces, notes)
            job.case = case if self._cased else Case.AS_IT_IS
            job.sentence = self._sentence([*(piece.id for piece in pieces), EOS])
            self._job_of[job.sentence] = job
            self.sentences.append(job.sentence)
            return [job]
        if self._prefix:
            raise InputError("a target prefix needs a text that the model can read; this one would only be copied")
        notes = [*notes, "copied", *(["unknown_characters"] if _SPEAKS.search(text, *span) else [])]
        here = [(span[0] + start, span[0] + end) for start, end in words(text[slice(*span)])]
        blocks = [here[start : start + _COPIED_WORDS] for start in range(0, len(here), _COPIED_WORDS)]
        return [
            Job(number, 0, (block[0][0], block[-1][1]), [], list(notes), hypotheses=(_copied(text, block),))
            for block in blocks
        ]

    def _sentence(self, source: list[int]) -> Sentence:
        prefix = self._prefix
        shortlist = None if self._shortlist is None else self._shortlist.for_source(source)
        if prefix and shortlist is not None:
            shortlist = np.union1d(shortlist, prefix.ids)
        return Sentence(
            source=source,
            limit=2 * len(source) + 8 + (prefix.longest if prefix else 0),
            options=self._options,
            rules=[BeginsWith.start(prefix, self._options.rows)] if prefix else [],
            shortlist=shortlist,
            deadline=self._deadline,
            stream=self._stream,
        )

    # --- hypotheses to texts ---

    def _read(self, text: str, job: Job, unknown: int, found: Hypothesis) -> TranslatedHypothesis:
        """Ids -> text, copying what the vocabulary cannot spell."""
        assert job.sentence is not None
        copies = Copies(job.pieces, self._prefix).all(found)
        decoded = self._translator.target_tokenizer.decode(found.tokens, copies)
        written = job.case.write(decoded.text)
        target = tuple(
            target_token(id_, written[slice(*span)], span, logprob)
            for id_, span, logprob in zip(found.tokens, decoded.spans, found.token_scores.tolist(), strict=True)
        )
        matrix = subword_matrix(source_tokens(job.pieces), target, found.attention)
        aligner = self._translator.aligner
        aligned = None if aligner is None else Aligned(aligner, job.sentence.source, found.tokens)
        return TranslatedHypothesis(written, found.score, matrix, text, self._translator.quality, unknown, aligned)

    def _assemble(self, text: str, jobs: list[Job]) -> Translation:
        """Put the best candidates where their sentences stood."""
        best = [job.hypotheses[0].text for job in jobs]
        translated, places = restore(text, [job.span for job in jobs], self._spaced(text, jobs, best))
        found = [
            TranslatedSentence(job.span, (place[1] - len(candidate), place[1]), tuple(job.notes), job.hypotheses)
            for job, place, candidate in zip(jobs, places, best, strict=True)
        ]
        return Translation(translated, tuple(found))

    def _spaced(self, text: str, jobs: list[Job], translations: list[str]) -> list[str]:
        """Put a space before a sentence that followed the last one without any, where the target is spaced."""
        spaced = list(translations)
        for index in range(1, len(jobs)):
            before, after = jobs[index - 1], jobs[index]
            place = after.span[0]
            touching = before.span[1] == place and not (before.sentence is None and after.sentence is None)
            cut_word = touching and text[place - 1].isascii() and text[place - 1].isalnum()
            if self._translator.spaced and touching and not cut_word and translations[index]:
                spaced[index] = " " + translations[index]
        return spaced


def is_readable(text: str, span: Span, pieces: list[Piece]) -> bool:
    """Whether there is a letter or digit, and anything that the vocabulary can spell."""
    return bool(_SPEAKS.search(text, *span)) and any(p.id != UNK and p.text != SPACE for p in pieces)


def _copied(text: str, here: list[Span]) -> TranslatedHypothesis:
    """Words that stand for themselves: every one looks at itself."""
    start, end = here[0][0], here[-1][1]
    source = (*(Token(text[a:b], (a, b)) for a, b in here), END)
    target = (*(Token(text[a:b], (a - start, b - start), logprob=0.0) for a, b in here), Token("</s>", None, True, 0.0))
    matrix = AttentionMatrix(source, target, np.eye(len(source), dtype=np.float32))
    return TranslatedHypothesis(text[start:end], 0.0, matrix, text, quality=None)
