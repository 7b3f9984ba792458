"""A translator of a few lines: it shouts, one word a step, and looks at the word with the same number."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from nmt.aligner import Link
from nmt.alignment import AttentionMatrix, Token, to_pieces, to_words
from nmt.errors import BundleError, DeadlineExceeded, InputTooLong, SeveralSentences
from nmt.options import SearchOptions
from nmt.plan import Job
from nmt.quality import Judgement
from nmt.search import Committed, Hypothesis, Sentence
from nmt.text import restore, sentences, words
from nmt.translation import END, Alternative, StreamedToken, TranslatedHypothesis, TranslatedSentence, Translation

Before = Callable[[list[str]], None]
"""Runs in the engine's thread with the texts of the sentences that join at a step."""


@dataclass
class FakeConfig:
    format_version: int = 1


@dataclass
class FakeBundle:
    source: str
    target: str
    sha256: str
    card: dict[str, Any] = field(default_factory=lambda: {"data": "made up"})
    config: FakeConfig = field(default_factory=lambda: FakeConfig())


class FakeQuality:
    """Sure of everything."""

    def judge(self, subwords: AttentionMatrix, words: AttentionMatrix, *, unknown: int = 0) -> Judgement:
        return Judgement(0.75, ())


@dataclass(frozen=True)
class FakeAligned:
    """Stands in for `nmt.aligner.Aligned`: weights of word pairs (source place, target place) by heart."""

    pairs: Mapping[tuple[int, int], float]

    def agreement(
        self, subwords: AttentionMatrix, source_text: str, target_text: str, *, granularity: str = "word"
    ) -> AttentionMatrix:
        words = to_words(subwords, source_text, target_text)
        weights = np.zeros_like(words.weights)
        for (source, target), weight in self.pairs.items():
            weights[target, source] = weight
        found = AttentionMatrix(words.source, words.target, weights)
        return found if granularity == "word" else to_pieces(found, subwords, source_text, target_text)

    def links(self, agreement: AttentionMatrix) -> list[Link]:
        return [(int(s), int(t), float(agreement.weights[t, s])) for t, s in np.argwhere(agreement.weights)]


class FakePlan:
    """A sentence has one source unit for each word and an EOS, and takes as many steps."""

    def __init__(
        self,
        translator: FakeTranslator,
        texts: Sequence[str],
        *,
        options: SearchOptions,
        target_prefix: str | None = None,
        stream: bool = False,
        deadline: float | None = None,
    ) -> None:
        self.translator, self.texts, self.options = translator, list(texts), options
        self.target_prefix, self.stream, self.deadline = target_prefix, stream, deadline
        self.jobs: list[Job] = []
        self.sentences: list[Sentence] = []
        self._job_of: dict[Sentence, Job] = {}
        self._left = [
            (text, index, span) for text, whole in enumerate(texts) for index, span in enumerate(sentences(whole))
        ]
        if target_prefix and len(self._left) != 1:
            raise SeveralSentences("a target prefix needs a text of one sentence")

    def prepare(self, seconds: float | None = None) -> bool:
        many = len(self._left) if seconds is None else 100
        for text, index, span in self._left[:many]:
            whole = self.texts[text][slice(*span)]
            source = [*range(4, 4 + len(words(whole))), 3]
            sentence = Sentence(
                source, 99, self.options, deadline=self.deadline, stream=self.stream, owner=(self.translator, whole)
            )
            self.jobs.append(Job(text, index, span, [], [], sentence))
            self._job_of[sentence] = self.jobs[-1]
            self.sentences.append(sentence)
        self._left = self._left[many:]
        return not self._left

    def accept(self, sentence: Sentence) -> None:
        job = self._job(sentence)
        shout = self.texts[job.text][slice(*job.span)].upper() + self.translator.shout
        prefix = self.target_prefix or ""
        job.hypotheses = tuple(
            shouted(self.texts[job.text], job.span, prefix + shout[len(prefix) :] + "!" * rank, self.translator.pairs)
            for rank in range(self.options.n_best)
        )

    def result(self) -> list[Translation]:
        made = []
        for number, text in enumerate(self.texts):
            jobs = [job for job in self.jobs if job.text == number]
            whole, places = restore(text, [job.span for job in jobs], [job.hypotheses[0].text for job in jobs])
            found = (
                TranslatedSentence(job.span, place, tuple(job.notes), job.hypotheses)
                for job, place in zip(jobs, places, strict=True)
            )
            made.append(Translation(whole, tuple(found)))
        return made

    def sentence_result(self, which: Job | Sentence) -> tuple[int, int, TranslatedSentence]:
        job = self._job(which)
        found = TranslatedSentence(job.span, (0, len(job.hypotheses[0].text)), (), job.hypotheses)
        return job.text, job.index, found

    def source_tokens(self, which: Job | Sentence) -> tuple[Token, ...]:
        job = self._job(which)
        return shouted(self.texts[job.text], job.span, "").subwords.source

    def token(self, sentence: Sentence, index: int) -> StreamedToken:
        job = self._job(sentence)
        matrix = shouted(self.texts[job.text], job.span, sentence.owner[1].upper()).subwords  # type: ignore[index]
        token = matrix.target[index]
        return StreamedToken(token, (" " if index else "") + token.text, matrix.weights[index])

    def _job(self, which: Job | Sentence) -> Job:
        return which if isinstance(which, Job) else self._job_of[which]


class FakeAlternatives(FakePlan):
    """Three words that every sentence goes on with."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.prepare()

    def result(self) -> Any:
        prefix = self.target_prefix or ""
        found = (("UN", 0.5), ("DEUX", 0.25), ("", 0.125))
        return [Alternative(word, probability, prefix + word) for word, probability in found[: self.options.beam_size]]


class FakeScores(FakePlan):
    """What the pairs' words look at."""

    def __init__(self, translator: FakeTranslator, texts: Sequence[str], pairs: Any, deadline: float | None) -> None:
        super().__init__(translator, texts, options=SearchOptions(beam_size=1), deadline=deadline)
        self.pairs = pairs
        if any(len(words(target)) > 50 for _, target in pairs):
            raise InputTooLong("a given pair may have at most 50 words")
        self.prepare()

    def result(self) -> Any:
        return [shouted(source, (0, len(source)), target, self.translator.pairs) for source, target in self.pairs]


class FakeRunningSet:
    """As `nmt.search.RunningSet`, each sentence a word a step."""

    def __init__(self, translator: FakeTranslator, *, max_rows: int, max_units: int) -> None:
        self.translator, self.max_rows = translator, max_rows
        self.inside: dict[Sentence, int] = {}
        self.joining: list[Sentence] = []
        self.ended: list[Sentence] = []
        self.dropped: list[str] = []
        self.steps = 0
        self.most_rows = 0

    def __len__(self) -> int:
        return len(self.inside)

    @property
    def rows(self) -> int:
        return sum(sentence.options.rows for sentence in self.inside)

    def room_for(self, sentence: Sentence) -> bool:
        return not self.inside or self.rows + sentence.options.rows <= self.max_rows

    def admit(self, admitted: Sequence[Sentence]) -> None:
        self.joining += admitted
        self.inside |= dict.fromkeys(admitted, 0)

    def drop(self, sentence: Sentence) -> None:
        if self.inside.pop(sentence, None) is not None:
            self.dropped.append(text_of(sentence))
            self.joining = [other for other in self.joining if other is not sentence]

    def step(self) -> None:
        self.most_rows = max(self.most_rows, self.rows)
        joining, self.joining = self.joining, []
        if joining:
            self._join(joining)
        self.steps += 1
        for sentence in list(self.inside):
            if sentence.deadline is not None and time.monotonic() >= sentence.deadline:
                self._end(sentence, DeadlineExceeded("too late"))
                continue
            place = self.inside[sentence]
            if self.translator.waits(sentence, place):
                continue
            self.inside[sentence] += 1
            if sentence.stream:
                sentence.committed.append(Committed(sentence.source[place], -0.25, None))
            if place + 1 == len(sentence.source):
                length = len(sentence.source)
                found = Hypothesis(list(sentence.source), -0.5, np.zeros(length, np.float32), None)
                sentence.hypotheses = [found] * sentence.options.n_best
                self._end(sentence)
        self.translator.after(self)

    def finished(self) -> list[Sentence]:
        ended, self.ended = self.ended, []
        return ended

    def _join(self, joining: list[Sentence]) -> None:
        texts = [text_of(sentence) for sentence in joining]
        self.translator.calls.append(texts)
        try:
            self.translator.before(texts)
        except BaseException as error:
            if len(joining) == 1:
                self._end(joining[0], error)  # type: ignore[arg-type]
            else:
                for sentence in joining:
                    self._join([sentence])

    def _end(self, sentence: Sentence, error: Exception | None = None) -> None:
        del self.inside[sentence]
        sentence.error = error
        self.ended.append(sentence)


def text_of(sentence: Sentence) -> str:
    """What a fake plan's sentence stands for."""
    return sentence.owner[1]  # type: ignore[index,no-any-return]


@dataclass
class FakeTranslator:
    """`calls` keeps the texts of sentences that joined together; `after` runs after every step; `pairs` are links."""

    bundle: FakeBundle
    device: str = "cpu"
    has_attention: bool = True
    pairs: Mapping[tuple[int, int], float] | None = None
    calls: list[list[str]] = field(default_factory=list)
    before: Before = lambda texts: None
    after: Callable[[FakeRunningSet], None] = lambda running: None
    shout: str = ""
    sets: list[FakeRunningSet] = field(default_factory=list)

    @property
    def has_aligner(self) -> bool:
        return self.pairs is not None

    def waits(self, sentence: Sentence, place: int) -> bool:
        """Whether the sentence gets no word in this step."""
        return False

    def translate(self, texts: Sequence[str], *, options: SearchOptions | None = None) -> list[Translation]:
        plan = FakePlan(self, texts, options=options or SearchOptions())
        plan.prepare()
        for sentence in plan.sentences:
            plan.accept(sentence)
        return plan.result()

    def plan(self, texts: Sequence[str], *, lazy: bool = False, **more: Any) -> FakePlan:
        assert lazy
        return FakePlan(self, texts, **more)

    def plan_alternatives(
        self, text: str, *, target_prefix: str, count: int = 5, deadline: float | None = None
    ) -> FakeAlternatives:
        return FakeAlternatives(
            self, [text], options=SearchOptions(beam_size=count), target_prefix=target_prefix, deadline=deadline
        )

    def plan_score(self, pairs: Sequence[tuple[str, str]], *, deadline: float | None = None) -> FakeScores:
        return FakeScores(self, [source for source, _ in pairs], pairs, deadline)

    def running_set(self, *, max_rows: int, max_units: int) -> FakeRunningSet:
        self.sets.append(FakeRunningSet(self, max_rows=max_rows, max_units=max_units))
        return self.sets[-1]


def shouted(
    text: str, span: tuple[int, int], target_text: str, pairs: Mapping[tuple[int, int], float] | None = None
) -> TranslatedHypothesis:
    """A candidate whose words look at the words with the same number, and stand for those that `pairs` says."""
    here = [(span[0] + a, span[0] + b) for a, b in words(text[slice(*span)])]
    source = [Token(text[a:b], (a, b)) for a, b in here]
    target = [Token(target_text[a:b], (a, b), logprob=-0.25) for a, b in words(target_text)]
    weights = np.full((len(target) + 1, len(source) + 1), 0.1 / (len(source) + 1), dtype=np.float32)
    for row in range(len(target) + 1):
        weights[row, min(row, len(source))] += 0.9
    matrix = AttentionMatrix((*source, END), (*target, Token("</s>", None, special=True, logprob=-0.25)), weights)
    aligned = None if pairs is None else FakeAligned(pairs)
    return TranslatedHypothesis(target_text, -0.5, matrix, text, FakeQuality(), aligned=aligned)  # type: ignore[arg-type]


class FakeLoader:
    """Loads what `write_bundle` wrote, and remembers every translator it made."""

    def __init__(self, before: Before = lambda texts: None) -> None:
        self.made: list[FakeTranslator] = []
        self.before = before
        self.after: Callable[[FakeRunningSet], None] = lambda running: None
        self.gate = threading.Event()
        self.gate.set()

    def __call__(self, path: Path, device: str) -> FakeTranslator:
        self.gate.wait(10)
        manifest = json.loads((path / "manifest.json").read_text())
        if manifest.get("broken"):
            raise BundleError(f"{path.name}: model.safetensors does not match its checksum; copy the bundle again")
        bundle = FakeBundle(manifest["source"], manifest["target"], manifest["sha256"])
        translator = FakeTranslator(bundle, "cpu", shout=manifest.get("shout", ""))
        translator.before = lambda texts: self.before(texts)
        translator.after = lambda running: self.after(running)
        self.made.append(translator)
        return translator

    @property
    def calls(self) -> list[list[str]]:
        """The sentences of all translators that joined together."""
        return [call for translator in self.made for call in translator.calls]


def write_bundle(folder: Path, name: str, version: int, **values: Any) -> Path:
    """A bundle that `FakeLoader` understands."""
    source, _, target = name.partition("-")
    path = folder / name / str(version)
    path.mkdir(parents=True, exist_ok=True)
    manifest = {"source": source, "target": target, "sha256": f"{version:064x}"} | values
    (path / "manifest.json").write_text(json.dumps(manifest))
    return path
