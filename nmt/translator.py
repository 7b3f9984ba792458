"""Translator: raw text in, raw text and its attention out."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

import torch

from nmt.aligner import Aligner
from nmt.alternatives import AlternativesPlan
from nmt.bundle import ModelBundle
from nmt.device import resolve_device
from nmt.errors import ConfigError, InputTooLong
from nmt.model import Seq2Seq
from nmt.plan import Plan
from nmt.quality import Quality
from nmt.runtime import runtime_for
from nmt.scoring import ScorePlan
from nmt.search import RunningSet, SearchOptions, Sentence, translate_all
from nmt.shortlist import Shortlist
from nmt.text import replace_surrogates, words
from nmt.tokenizer import Tokenizer
from nmt.translation import (
    UNCALIBRATED,
    Alternative,
    StreamedToken,
    TranslatedHypothesis,
    TranslatedSentence,
    Translation,
)

__all__ = [
    "Alternative",
    "Plan",
    "StreamedToken",
    "TranslatedHypothesis",
    "TranslatedSentence",
    "Translation",
    "Translator",
]

_SPACELESS = ("zh", "ja", "th", "lo", "km", "my")
_DEFAULT = SearchOptions()


class _AnyPlan(Protocol):
    sentences: list[Sentence]

    def accept(self, sentence: Sentence) -> None: ...


class Translator:
    """A model with its vocabulary: text in, translations with their attention out.

    Its plans share nothing and need no torch, so they may be made and read on any thread; the model
    is one thread's at a time.

    Args:
        model: In evaluation mode; moved to `device`.
        source_tokenizer, target_tokenizer: Of its two sides.
        target: Language code of the target side, which decides whether sentences are spaced.
        longest_source: Longest sentence, in units, that is translated whole.
        device: `auto`, `cpu`, `cuda`, `cuda:N`.
        compute: How the model computes, see `nmt.runtime`; only `reference` keeps `model` itself.
        quality: Judges translations.
        shortlist: The target units that a source's usually become.
        aligner: Says which word stands for which; without one, attention does.
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
        compute: str = "reference",
        quality: Quality = UNCALIBRATED,
        shortlist: Shortlist | None = None,
        aligner: Aligner | None = None,
        bundle: ModelBundle | None = None,
    ) -> None:
        self.device = resolve_device(device)
        if self.device != "cpu":
            torch.backends.cudnn.allow_tf32 = False  # whole sequences shall equal steps
        self.model = runtime_for(model.eval(), compute, self.device)
        self.has_attention = model.config.context == "attention"
        self.source_tokenizer, self.target_tokenizer = source_tokenizer, target_tokenizer
        self.longest_source = longest_source
        self.spaced = target.split("-")[0].lower() not in _SPACELESS
        self.quality, self.shortlist, self.aligner = quality, shortlist, aligner
        self._bundle = bundle
        self._ends_word: dict[int, bool] = {}

    @classmethod
    def load(cls, path: Path | str, *, device: str = "auto", compute: str = "default") -> Translator:
        """Load `models/<name>/<version>`, or the highest version of `models/<name>`.

        Args:
            path: The folder.
            device: `auto`, `cpu`, `cuda`, `cuda:N`.
            compute: How the model computes, see `nmt.runtime`.

        Raises:
            BundleError: See `ModelBundle.load`.
            ConfigError: There is no such device, or the model cannot compute so on it.
        """
        bundle = ModelBundle.load(path)
        source, target = bundle.tokenizers()
        model = bundle.model()
        return cls(
            model,
            source,
            target,
            target=bundle.target,
            longest_source=bundle.config.longest_source,
            device=device,
            compute=compute,
            quality=bundle.quality(),
            shortlist=bundle.shortlist(),
            aligner=bundle.aligner(model),
            bundle=bundle,
        )

    @property
    def bundle(self) -> ModelBundle:
        """The bundle it was loaded from."""
        if self._bundle is None:
            raise AttributeError("this translator was not loaded from a bundle")
        return self._bundle

    @property
    def has_aligner(self) -> bool:
        """Whether the bundle's aligner says which word stands for which, instead of attention."""
        return self.aligner is not None

    def translate(
        self,
        texts: Sequence[str],
        *,
        options: SearchOptions = _DEFAULT,
        target_prefix: str | None = None,
        shortlist: bool | None = None,
    ) -> list[Translation]:
        """Translate any texts; all their sentences are searched together.

        White space and line breaks between sentences stay. A sentence without letters and digits,
        or of which the vocabulary can spell nothing, is copied.

        Args:
            texts: Any text; lone surrogates become U+FFFD.
            options: How each sentence is searched.
            target_prefix: Every translation begins with it, normalised; a last word that no white
                space ends may go on ("vou", "voudrais").
            shortlist: Whether to choose among the target units that the source's usually become,
                instead of all; None is the bundle's default.

        Raises:
            SeveralSentences: With a target prefix, a text is not one sentence.
            InputError: With a target prefix, a text is too long or nothing the model can read.
            ConfigError: The model has no shortlist.
        """
        plan = self.plan(texts, options=options, target_prefix=target_prefix, shortlist=shortlist)
        self._run(plan)
        return plan.result()

    def plan(
        self,
        texts: Sequence[str],
        *,
        options: SearchOptions = _DEFAULT,
        target_prefix: str | None = None,
        stream: bool = False,
        deadline: float | None = None,
        shortlist: bool | None = None,
        lazy: bool = False,
    ) -> Plan:
        """Everything about `translate` but the search, for whoever owns a running set.

        Args:
            texts: See `translate`.
            options: See `translate`.
            target_prefix: See `translate`.
            shortlist: See `translate`.
            stream: Keep every sentence's `committed` up to date, for `Plan.token`.
            deadline: Of every sentence, on the clock of `time.monotonic()`.
            lazy: Leave all work, and the errors it may raise, to `Plan.prepare`.
        """
        plan = Plan(
            self,
            texts,
            options=options,
            target_prefix=target_prefix,
            stream=stream,
            deadline=deadline,
            shortlist=shortlist,
        )
        if not lazy:
            plan.prepare()
        return plan

    def score(self, pairs: Sequence[tuple[str, str]]) -> list[TranslatedHypothesis]:
        """Score given translations of one sentence each, with the attention behind them.

        Returns:
            For each (source, target) a hypothesis whose `score` is the mean log-probability of the
            target's units, `</s>` among them.

        Raises:
            InputError: A side is empty.
            InputTooLong: A side is longer than the model can be asked about.
        """
        plan = ScorePlan(self, pairs)
        self._run(plan)
        return plan.result()

    def plan_score(self, pairs: Sequence[tuple[str, str]], *, deadline: float | None = None) -> ScorePlan:
        """Everything about `score` but the decoding."""
        return ScorePlan(self, pairs, deadline=deadline)

    def attend(self, source_text: str, target_text: str) -> TranslatedHypothesis:
        """`score` one pair."""
        return self.score([(source_text, target_text)])[0]

    def alternatives(self, text: str, *, target_prefix: str, count: int = 5) -> list[Alternative]:
        """The words that may stand next, after `target_prefix`, most likely first; see `nmt.alternatives`.

        Args:
            text: One sentence.
            target_prefix: As in `translate`; may be empty.
            count: Most alternatives.

        Raises:
            InputError: The text is not one sentence that the model can read, or too long.
            ConfigError: `count` is out of range.
        """
        plan = self.plan_alternatives(text, target_prefix=target_prefix, count=count)
        self._run(plan)
        return plan.result()

    def plan_alternatives(
        self, text: str, *, target_prefix: str, count: int = 5, deadline: float | None = None
    ) -> AlternativesPlan:
        """Everything about `alternatives` but the search."""
        return AlternativesPlan(self, text, target_prefix=target_prefix, count=count, deadline=deadline)

    def running_set(self, **limits: int) -> RunningSet:
        """An empty running set of this model; `limits` as `RunningSet` takes them."""
        return RunningSet(self.model, **limits)

    # --- for plans ---

    def check_prefix(self, raw: str) -> str:
        """A target prefix as it may be used.

        Raises:
            InputTooLong: It is longer than any translation.
        """
        clean, limit = replace_surrogates(raw), 4 * self.longest_source
        if len(self.target_tokenizer.encode(clean)) > limit:
            raise InputTooLong(f"a target prefix may have at most {limit} units; shorten it")
        return clean

    def shortlist_for(self, wanted: bool | None) -> Shortlist | None:
        """The shortlist to use, if any; `wanted` as in `translate`."""
        if wanted and self.shortlist is None:
            raise ConfigError("this model has no shortlist; leave it out, or retrain for one")
        used = wanted if wanted is not None else self.shortlist is not None and self.shortlist.default
        return self.shortlist if used else None

    def ends_word(self, id_: int) -> bool:
        """Whether this target unit, wherever it stands, begins a new word and never continues one."""
        known = self._ends_word.get(id_)
        if known is None:
            unit = self.target_tokenizer.spelled[id_]
            known = all(words(around + unit + around)[0] == (0, 1) for around in "a1")
            self._ends_word[id_] = known
        return known

    def _run(self, plan: _AnyPlan) -> None:
        translate_all(self.model, plan.sentences)
        for sentence in plan.sentences:
            if sentence.error:
                raise sentence.error
            plan.accept(sentence)
