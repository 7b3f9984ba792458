"""A translator of a few lines: it shouts, and looks at the word with the same number."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from nmt.alignment import AttentionMatrix, Token
from nmt.errors import BundleError
from nmt.text import restore, sentences, words
from nmt.translator import TranslatedHypothesis, TranslatedSentence, Translation


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


@dataclass
class FakeTranslator:
    """`calls` keeps the texts of every batch; `before` runs in the engine's thread, before each."""

    bundle: FakeBundle
    device: str = "cpu"
    has_attention: bool = True
    calls: list[list[str]] = field(default_factory=list)
    before: Callable[[list[str]], None] = lambda texts: None
    shout: str = ""

    def translate(self, texts: Sequence[str], *, beam_size: int = 5, n_best: int = 1) -> list[Translation]:
        self.calls.append(list(texts))
        self.before(list(texts))
        return [self._translate(text, n_best) for text in texts]

    def attend(self, source_text: str, target_text: str) -> TranslatedHypothesis:
        self.calls.append([source_text, target_text])
        self.before([source_text, target_text])
        return _hypothesis(source_text, (0, len(source_text)), target_text)

    def _translate(self, text: str, n_best: int) -> Translation:
        spans = sentences(text)
        candidates = [[text[a:b].upper() + self.shout + "!" * rank for rank in range(n_best)] for a, b in spans]
        whole, targets = restore(text, spans, [found[0] for found in candidates])
        return Translation(
            whole,
            tuple(
                TranslatedSentence(span, target, (), tuple(_hypothesis(text, span, candidate) for candidate in found))
                for span, target, found in zip(spans, targets, candidates, strict=True)
            ),
        )


def _hypothesis(text: str, span: tuple[int, int], target_text: str) -> TranslatedHypothesis:
    end = Token("</s>", None, special=True)
    source = [Token(text[a:b], (a, b)) for a, b in words(text) if span[0] <= a < span[1]]
    target = [Token(target_text[a:b], (a, b), logprob=-0.25) for a, b in words(target_text)]
    weights = np.full((len(target) + 1, len(source) + 1), 0.1 / (len(source) + 1), dtype=np.float32)
    for row in range(len(target) + 1):
        weights[row, min(row, len(source))] += 0.9
    matrix = AttentionMatrix((*source, end), (*target, Token("</s>", None, special=True, logprob=-0.1)), weights)
    return TranslatedHypothesis(target_text, -0.5, 0.75, matrix, matrix)


class FakeLoader:
    """Loads what `write_bundle` wrote, and remembers every translator it made."""

    def __init__(self, before: Callable[[list[str]], None] = lambda texts: None) -> None:
        self.made: list[FakeTranslator] = []
        self.before = before
        self.gate = threading.Event()
        self.gate.set()

    def __call__(self, path: Path, device: str) -> FakeTranslator:
        self.gate.wait(10)
        manifest = json.loads((path / "manifest.json").read_text())
        if manifest.get("broken"):
            raise BundleError(f"{path.name}: model.safetensors does not match its checksum; copy the bundle again")
        bundle = FakeBundle(manifest["source"], manifest["target"], manifest["sha256"])
        translator = FakeTranslator(bundle, "cpu", shout=manifest.get("shout", ""))
        translator.before = lambda texts: self.before(texts) if texts != ["1 2 3."] else None
        self.made.append(translator)
        return translator

    @property
    def calls(self) -> list[list[str]]:
        """The batches of all translators, without the warm-up."""
        return [call for translator in self.made for call in translator.calls if call != ["1 2 3."]]


def write_bundle(folder: Path, name: str, version: int, **values: Any) -> Path:
    """A bundle that `FakeLoader` understands."""
    source, _, target = name.partition("-")
    path = folder / name / str(version)
    path.mkdir(parents=True, exist_ok=True)
    manifest = {"source": source, "target": target, "sha256": f"{version:064x}"} | values
    (path / "manifest.json").write_text(json.dumps(manifest))
    return path
