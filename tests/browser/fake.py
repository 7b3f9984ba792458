"""A translator that needs no model: a few sentences by heart, the rest in capitals and backwards.

It stands behind the real application, so that what the page shows has come the whole way. A sentence
with the word "slow" waits after a few words until it may go on, one with "skip" is flagged, one with
"doubt" holds a doubtful word.
"""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from nmt.alignment import AttentionMatrix, Token
from nmt.options import SearchOptions
from nmt.quality import Flag, Judgement
from nmt.search import Sentence
from nmt.text import words
from nmt.translation import END, Alternative, StreamedToken, TranslatedHypothesis
from tests.service.fakes import FakeAligned, FakeBundle, FakePlan, FakeTranslator, text_of

HELD_AT = 3
"""Words a slow sentence has when it waits."""
SURE = -0.05
DOUBTFUL = math.log(0.2)
AER = 21.4
"""Of attention, in per cent."""
LINKED_AER = 12.3
"""Of links."""
SCORES = {"pairs": 100, "attention, alone": {"aer": AER}, "aligner, alone": {"aer": LINKED_AER}}
ALIGNED = "fr-en"
"""The one model that has an aligner."""

BY_HEART = {
    "How are you today?": (
        "Comment vas tu aujourd'hui ?",
        [
            [0.81, 0.11, 0.04, 0.02, 0.01, 0.01],
            [0.06, 0.47, 0.42, 0.03, 0.01, 0.01],
            [0.01, 0.11, 0.82, 0.03, 0.02, 0.01],
            [0.01, 0.01, 0.02, 0.93, 0.02, 0.01],
            [0.01, 0.01, 0.01, 0.03, 0.92, 0.02],
            [0.01, 0.01, 0.01, 0.01, 0.06, 0.90],
        ],
    ),
    "La voiture rouge roule.": (
        "The red car moves fast .",
        [  # "red" looked at its neighbour, "fast" at the end
            [0.90, 0.04, 0.02, 0.02, 0.01, 0.01],
            [0.08, 0.70, 0.16, 0.03, 0.02, 0.01],
            [0.02, 0.50, 0.40, 0.05, 0.02, 0.01],
            [0.01, 0.02, 0.03, 0.90, 0.03, 0.01],
            [0.01, 0.02, 0.03, 0.34, 0.10, 0.50],
            [0.01, 0.01, 0.01, 0.02, 0.90, 0.05],
            [0.01, 0.01, 0.01, 0.01, 0.06, 0.90],
        ],
    ),
}
LINKED = {"La voiture rouge roule.": {(0, 0): 0.95, (1, 2): 0.97, (2, 1): 0.98, (3, 3): 0.91, (4, 5): 0.03}}
"""What the aligner says of it, (source place, target place): "fast" has no counterpart, and a link may be faint."""


class Judge:
    """Confident, but for a source that says it was skipped."""

    def __init__(self, text: str) -> None:
        at = text.find("skip")
        self.flags = () if at < 0 else (Flag("source_skipped", (at, at + 4)),)

    def judge(self, subwords: AttentionMatrix, words: AttentionMatrix, *, unknown: int = 0) -> Judgement:
        """What the page shall show."""
        return Judgement(0.84, self.flags)


class Plan(FakePlan):
    """The sentences of a request."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._matrices: dict[int, AttentionMatrix] = {}

    def accept(self, sentence: Sentence) -> None:
        """Write down the candidates: the one by rule, and others that shout louder."""
        job = self._job(sentence)
        text = self.texts[job.text]
        whole, weights = self.translation(text[slice(*job.span)])
        candidates = [(whole, weights), *((f"{whole} {'OUI ' * rank}".strip(), None) for rank in range(1, 9))]
        job.hypotheses = tuple(
            self.translator.hypothesis(text, job.span, target, rows, score=-0.31 * (rank + 1))
            for rank, (target, rows) in enumerate(candidates[: self.options.n_best])
        )

    def translation(self, sentence: str) -> tuple[str, list[list[float]] | None]:
        """The translation by rule, and its weights if they are known."""
        target, weights = by_rule(sentence)
        if self.translator.shout:
            target = target.lower()
        if self.target_prefix is None:
            return target, weights
        begun = len(words(self.target_prefix))
        rest = [slice(*span) for span in words(target)[begun:]]
        space = "" if self.target_prefix.endswith(" ") else " "
        # What comes after another beginning is said in small letters.
        return (self.target_prefix + space + " ".join(target[span].lower() for span in rest)).strip(), None

    def source_tokens(self, which: Any) -> tuple[Token, ...]:
        """The columns of a stream's attention rows."""
        return self._drawn(which).source

    def token(self, sentence: Sentence, index: int) -> StreamedToken:
        """A word as it is written."""
        matrix = self._drawn(sentence)
        row = min(index, len(matrix.target) - 1)
        token = matrix.target[row]
        added = "" if token.special else (" " if row else "") + token.text
        return StreamedToken(token, added if index == row else "", matrix.weights[row])

    def _drawn(self, which: Any) -> AttentionMatrix:
        job = self._job(which)
        text = self.texts[job.text]
        if id(job) not in self._matrices:
            self._matrices[id(job)] = _words(text, job.span, *self.translation(text[slice(*job.span)]))
        return self._matrices[id(job)]


class Alternatives(Plan):
    """The word by rule, two others, and the end."""

    def result(self) -> Any:
        """Most likely first."""
        prefix = self.target_prefix or ""
        target, _ = by_rule(self.texts[0].strip())
        begun = len(words(prefix))
        following = [target[slice(*span)] for span in words(target)]
        own = following[begun] if begun < len(following) else ""
        found = [(own, 0.83), ("vont", 0.07), ("<b>allez</b>", 0.05), ("", 0.004)]
        return [Alternative(word, share, prefix + word) for word, share in found][: self.options.beam_size]


class Scores(Plan):
    """Forced decoding: the first word surprises."""

    def result(self) -> Any:
        """One hypothesis for each pair."""
        return [
            self.translator.hypothesis(source, (0, len(source)), target, None, score=-1.5, first=DOUBTFUL)
            for source, target in self.pairs
        ]

    pairs: Sequence[tuple[str, str]] = ()


@dataclass
class Translator(FakeTranslator):
    """Stands in for `nmt.translator.Translator`.

    Attributes:
        released: Set while slow sentences need not wait.
        aligns: Whether it has an aligner.
    """

    released: threading.Event = field(default_factory=threading.Event)
    aligns: bool = False

    @property
    def has_aligner(self) -> bool:
        """Whether its hypotheses have links of their own."""
        return self.aligns

    def hypothesis(
        self,
        text: str,
        span: tuple[int, int],
        target: str,
        weights: list[list[float]] | None,
        *,
        score: float = -0.31,
        first: float = SURE,
    ) -> TranslatedHypothesis:
        """A candidate; weights that do not fit are spread evenly."""
        matrix = _split(_words(text, span, target, weights, first), text, target)
        aligned = FakeAligned(LINKED.get(text[slice(*span)], {})) if self.aligns else None
        return TranslatedHypothesis(target, score, matrix, text, Judge(text), aligned=aligned)  # type: ignore[arg-type]

    def plan(self, texts: Sequence[str], *, lazy: bool = False, **more: Any) -> Plan:
        """See `Plan`."""
        return Plan(self, texts, **more)

    def plan_alternatives(self, text: str, *, count: int = 5, **more: Any) -> Any:
        """See `Alternatives`."""
        plan = Alternatives(self, [text], options=SearchOptions(beam_size=count), **more)
        plan.prepare()
        return plan

    def plan_score(self, pairs: Sequence[tuple[str, str]], *, deadline: float | None = None) -> Any:
        """See `Scores`."""
        plan = Scores(self, [source for source, _ in pairs], options=SearchOptions(beam_size=1), deadline=deadline)
        plan.pairs = pairs
        plan.prepare()
        return plan

    def waits(self, sentence: Sentence, place: int) -> bool:
        """Whether it is a slow sentence that may not go on."""
        held = place >= HELD_AT and "slow" in text_of(sentence) and not self.released.is_set()
        if held:
            time.sleep(0.01)  # the engine asks again at once
        return held


class Loader:
    """For `create_app`: the folder's name says the direction. Keeps what it made, by name."""

    def __init__(self) -> None:
        self.made: dict[str, Translator] = {}

    def __call__(self, path: Path, device: str) -> Translator:
        """A translator; a name of three parts lowers its voice."""
        name = path.parent.name
        source, target, *more = name.split("-")
        card = {"title": f"Card of {name}", "evaluation": {"bleu": {"score": 46.19}}, "alignment": {"news": SCORES}}
        bundle = FakeBundle(source, target, f"{len(name):064x}", card)
        self.made[name] = Translator(bundle, shout="".join(more), aligns=name == ALIGNED)
        return self.made[name]


def write_bundle(folder: Path, name: str) -> None:
    """As much of a bundle as the service wants to see before it loads one."""
    path = folder / name / "1"
    path.mkdir(parents=True)
    (path / "manifest.json").write_text("{}")


def by_rule(sentence: str) -> tuple[str, list[list[float]] | None]:
    """What becomes of a sentence."""
    sentence = sentence.strip()
    if sentence in BY_HEART:
        return BY_HEART[sentence]
    found = [sentence[slice(*span)] for span in words(sentence)]
    count = len(found)
    sharp, rest = 0.8, 0.2 / max(1, count)
    rows = [[sharp if s == count - 1 - t else rest for s in range(count + 1)] for t in range(count)]
    return " ".join(word.upper() for word in reversed(found)), [*rows, [rest] * count + [sharp]]


def _words(
    text: str, span: tuple[int, int], target: str, weights: list[list[float]] | None, first: float = SURE
) -> AttentionMatrix:
    def logprob(place: int, word: str) -> float:
        return first if place == 0 else DOUBTFUL if word.lower() == "doubt" else SURE

    source = [Token(text[a:b], (a, b)) for a, b in words(text) if span[0] <= a < span[1]]
    rows = [
        Token(target[a:b], (a, b), False, logprob(place, target[a:b])) for place, (a, b) in enumerate(words(target))
    ]
    shape = (len(rows) + 1, len(source) + 1)
    if weights is None or np.shape(weights) != shape:
        weights = np.full(shape, 1 / shape[1]).tolist()
    end = Token(END.text, None, True, SURE)
    return AttentionMatrix((*source, END), (*rows, end), np.array(weights, dtype=np.float32))


def _split(matrix: AttentionMatrix, source_text: str, target_text: str) -> AttentionMatrix:
    """The same with every word of more than four letters in two pieces."""
    source, columns = _pieces(matrix.source, source_text)
    target, rows = _pieces(matrix.target, target_text)
    weights = matrix.weights[np.ix_(rows, columns)] / np.bincount(columns)[columns]
    return AttentionMatrix(tuple(source), tuple(target), weights.astype(np.float32))


def _pieces(tokens: Sequence[Token], text: str) -> tuple[list[Token], list[int]]:
    pieces, places = [], []
    for place, token in enumerate(tokens):
        if token.span is None or token.span[1] - token.span[0] <= 4:
            spans = [token.span]
        else:
            start, end = token.span
            spans = [(start, start + 3), (start + 3, end)]
        for span in spans:
            piece = token.text if span is None else text[slice(*span)]
            share = None if token.logprob is None else token.logprob / len(spans)
            pieces.append(Token(piece, span, token.special, share))
            places.append(place)
    return pieces, places
