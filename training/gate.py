"""The gate before publishing: a new model replaces the current one only if it is at least as good on the test set."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import sacrebleu
from sacrebleu.metrics import BLEU
from sacrebleu.significance import PairedTest, Result

from nmt.bundle import versions
from nmt.drawing import safe
from nmt.errors import BundleError, ConfigError
from nmt.manifest import MANIFEST
from nmt.translator import Translator
from training.config import Recipe
from training.corpus import read_tsv
from training.evaluation import translate_all
from training.files import write_bytes
from training.page import facts, heatmaps, page
from training.validation import bleu_tokenizer

COMPARISON = "comparison.html"
LEVEL = 0.05
"""Probability below which a difference is not taken for chance."""

_SAMPLES = 1000
_SHOWN = 20


@dataclass(frozen=True, slots=True)
class Verdict:
    """The paired bootstrap (Koehn 2004) of two models on one test set, by sacreBLEU.

    Attributes:
        old, new: BLEU.
        p: Probability of such a difference by chance.
        pairs: Of the test set.
        signature: SacreBLEU's.
    """

    old: float
    new: float
    p: float
    pairs: int
    signature: str

    @property
    def worse(self) -> bool:
        """Whether the new model is worse, and not by chance."""
        return self.new < self.old and self.p < LEVEL

    def __str__(self) -> str:
        return (
            f"BLEU {self.new:.2f} against {self.old:.2f} of the current version, {self.new - self.old:+.2f} "
            f"(p = {self.p:.3f}, paired bootstrap, {self.pairs} test pairs)"
        )


_SHIPPED = Path("models")
"""Where a server looks too, after the folder that is published to."""


def compare(old: list[str], new: list[str], references: list[str], language: str) -> Verdict:
    """Whether two sets of translations differ."""
    metric = BLEU(tokenize=bleu_tokenizer(language))
    test = PairedTest([("old", old), ("new", new)], {"BLEU": metric}, [references], test_type="bs", n_samples=_SAMPLES)
    signatures, scores = test()
    before, after = (result for result in scores["BLEU"] if isinstance(result, Result))
    p = 1.0 if after.p_value is None else float(after.p_value)
    return Verdict(before.score, after.score, p, len(references), str(signatures["BLEU"]))


def gate(recipe: Recipe, folder: Path, models: Path, *, force: bool) -> None:
    """Compare `folder`/bundle with the current version on `test.tsv`; leave `comparison.html`.

    The current version is the highest in `models`, or where that has none of the name, the one that ships: a server
    would go over from that one. Nothing is compared where there is neither, or it already is this bundle.

    Raises:
        ConfigError: The new model is worse, and `force` is off.
    """
    shelf = next((shelf / recipe.name for shelf in (models, _SHIPPED) if versions(shelf / recipe.name)), None)
    if shelf is None:
        return
    number = versions(shelf)[-1]
    current = shelf / str(number)
    bundle = folder / "bundle"
    if (current / MANIFEST).read_bytes() == (bundle / MANIFEST).read_bytes():
        return
    try:
        old = Translator.load(current, device=recipe.training.device)
    except BundleError as error:
        print(f"  warning: the current version cannot be compared with: {error}")
        return
    new = Translator.load(bundle, device=recipe.training.device)
    pairs = list(read_tsv(folder / "test.tsv"))
    sources, references = [pair[0] for pair in pairs], [pair[1] for pair in pairs]
    before = translate_all(old, sources, "test, current version")
    after = translate_all(new, sources, "test, new version")
    verdict = compare(before, after, references, recipe.target)
    place = folder / COMPARISON
    content = comparison(f"{recipe.name}: version {number} and the new one", verdict, (old, new), pairs, before, after)
    write_bytes(place, content.encode("utf-8", "replace"))
    print(f"  {verdict}; {place}")
    if verdict.worse and not force:
        raise ConfigError(
            f"the new model is worse than {current} by {verdict.old - verdict.new:.2f} BLEU: {verdict}. "
            f"Look at {place}; train longer or with more text, or publish it all the same: --force"
        )


def comparison(
    title: str,
    verdict: Verdict,
    translators: tuple[Translator, Translator],
    pairs: list[tuple[str, str]],
    before: list[str],
    after: list[str],
) -> str:
    """The page: scores, and the sentences that changed most, old and new side by side."""

    def likeness(index: int) -> float:
        return float(sacrebleu.sentence_chrf(after[index], [before[index]]).score)

    changed = sorted((index for index in range(len(pairs)) if before[index] != after[index]), key=likeness)
    words = "worse" if verdict.worse else "better" if verdict.new > verdict.old and verdict.p < LEVEL else "as good"
    body = f"<h1>{safe(title)}</h1>\n<p>The new model is <b{' class=worse' if verdict.worse else ''}>{words}</b>: "
    body += f'{safe(str(verdict))}.</p>\n<p class="soft">{safe(verdict.signature)}</p>\n'
    body += facts(
        {
            "BLEU, current": f"{verdict.old:.2f}",
            "BLEU, new": f"{verdict.new:.2f}",
            "p": f"{verdict.p:.3f}",
            "sentences changed": f"{len(changed)} of {len(pairs)}",
        }
    )
    body += "<h2>What changed most</h2>\n"
    for index in changed[:_SHOWN]:
        source, reference = pairs[index]
        scores = [sacrebleu.sentence_chrf(text[index], [reference]).score for text in (before, after)]
        body += (
            f"<article><dl><dt>source</dt><dd>{safe(source)}</dd><dt>reference</dt><dd>{safe(reference)}</dd></dl>\n"
        )
        body += '<div class="pair">'
        for name, translator, text, score in zip(("current", "new"), translators, (before, after), scores, strict=True):
            picture = heatmaps(translator.translate([source])[0], "")
            body += (
                f"<div><dl><dt>{name}</dt><dd>{safe(text[index])} <small>chrF {score:.0f}</small></dd></dl>"
                f"{picture}</div>"
            )
        body += "</div></article>\n"
    return page(title, body)
