"""A translator that needs no model: a few sentences by heart, the rest in capitals and backwards."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from nmt.alignment import AttentionMatrix, Token
from nmt.translator import TranslatedHypothesis, TranslatedSentence, Translation

_SENTENCE = re.compile(r"[^\s.?!\u3002][^.?!\u3002\n]*[.?!\u3002]*|\S")
_WORD = re.compile(r"[\u4e00-\u9fff]|\w+(?:['-]\w+)*|[^\w\s]")

BY_HEART = {
    "How are you today?": (
        "Comment allez-vous aujourd'hui ?",
        [
            [0.81, 0.11, 0.04, 0.02, 0.01, 0.01],
            [0.06, 0.47, 0.42, 0.03, 0.01, 0.01],
            [0.01, 0.01, 0.02, 0.93, 0.02, 0.01],
            [0.01, 0.01, 0.01, 0.03, 0.92, 0.02],
            [0.01, 0.01, 0.01, 0.01, 0.06, 0.90],
        ],
    )
}


@dataclass
class FakeConfig:
    """A configuration with nothing in it that matters here."""

    format_version: int = 1


@dataclass
class FakeBundle:
    """What the service asks of a bundle."""

    source: str
    target: str
    sha256: str = "0" * 64
    card: dict[str, Any] = field(default_factory=dict)
    config: Any = field(default_factory=FakeConfig)


@dataclass
class FakeTranslator:
    """Stands in for `nmt.translator.Translator`."""

    bundle: FakeBundle
    device: str = "cpu"
    has_attention: bool = True

    def translate(self, texts: Sequence[str], *, beam_size: int = 5, n_best: int = 1) -> list[Translation]:
        """One translation for each text, sentence by sentence."""
        return [self._translate(text) for text in texts]

    def attend(self, source_text: str, target_text: str) -> TranslatedHypothesis:
        """The attention of a given pair, spread evenly."""
        return _hypothesis(source_text, (0, len(source_text)), target_text, None)

    def _translate(self, text: str) -> Translation:
        made, sentences, at = "", [], 0
        for match in _SENTENCE.finditer(text):
            span = (match.start(), match.start() + len(match.group().rstrip()))
            target, weights = _by_rule(text[slice(*span)])
            made += text[at : span[0]]
            where = (len(made), len(made) + len(target))
            made += target
            at = span[1]
            sentences.append(TranslatedSentence(span, where, (), (_hypothesis(text, span, target, weights),)))
        return Translation(made + text[at:], tuple(sentences))


def load(path: Path, device: str) -> FakeTranslator:
    """The loader for `create_app`: the folder's name says the direction."""
    source, _, target = path.parent.name.partition("-")
    return FakeTranslator(FakeBundle(source, target))


def write_bundle(folder: Path, name: str) -> None:
    """As much of a bundle as the service wants to see before it loads one."""
    path = folder / name / "1"
    path.mkdir(parents=True)
    (path / "manifest.json").write_text("{}")


def _by_rule(sentence: str) -> tuple[str, list[list[float]] | None]:
    if sentence in BY_HEART:
        return BY_HEART[sentence]
    words = _WORD.findall(sentence)
    target = " ".join(word.upper() for word in reversed(words))
    count = len(words)
    sharp, rest = 0.8, 0.2 / max(1, count)
    rows = [[sharp if s == count - 1 - t else rest for s in range(count + 1)] for t in range(count)]
    return target, [*rows, [rest] * count + [sharp]]


def _hypothesis(
    text: str, span: tuple[int, int], target: str, weights: list[list[float]] | None
) -> TranslatedHypothesis:
    words = _matrix(text, span, target, weights)
    return TranslatedHypothesis(target, -0.31, 0.84, words=words, subwords=_split(words, text, target))


def _matrix(text: str, span: tuple[int, int], target: str, weights: list[list[float]] | None) -> AttentionMatrix:
    end = Token("</s>", None, special=True)
    source = [Token(m.group(), m.span()) for m in _WORD.finditer(text, *span)] + [end]
    rows = [Token(m.group(), m.span(), logprob=-0.05) for m in _WORD.finditer(target)] + [end]
    if weights is None or np.shape(weights) != (len(rows), len(source)):
        weights = np.full((len(rows), len(source)), 1 / len(source)).tolist()
    return AttentionMatrix(tuple(source), tuple(rows), np.array(weights, dtype=np.float32))


def _split(words: AttentionMatrix, source_text: str, target_text: str) -> AttentionMatrix:
    """The same with every word of more than four letters in two pieces."""
    source, columns = _pieces(words.source, source_text)
    target, rows = _pieces(words.target, target_text)
    counts = np.bincount(columns)
    weights = words.weights[np.ix_(rows, columns)] / counts[columns]
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
            pieces.append(Token(piece, span, token.special, token.logprob))
            places.append(place)
    return pieces, places
