"""BLEU, chrF2 and TER of a run's best weights on its test file, with sacreBLEU's signatures."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path
from typing import Any

import sacrebleu
import torch
from sacrebleu.metrics import BLEU, CHRF, TER
from torch import Tensor
from tqdm import tqdm

from nmt.bundle import ModelBundle, dequantise, quantise
from nmt.errors import NmtError
from nmt.model import Seq2Seq
from nmt.options import SearchOptions
from nmt.tokenizer import Tokenizer
from nmt.translator import Translator
from training import checkpoint
from training.cleaning import WORD
from training.config import Recipe
from training.corpus import read_tsv
from training.data import open_indexes, tokenizers
from training.files import write_bytes, write_json
from training.initial import INITIAL
from training.loop import BEST, model_config
from training.validation import bleu_tokenizer, spread

BEAM_SIZE = 5
EXAMPLES = 20
OUTPUTS = "test.translated.txt"
CHUNK = 256
LENGTHS = (10, 20, 40, 10**9)
"""Longest source of each group whose BLEU is told apart, in words."""

SEEN = 20
"""A length counts as seen in training when at least so many sources are that long or longer."""


def scores(outputs: list[str], references: list[str], language: str) -> dict[str, dict[str, Any]]:
    """Corpus BLEU, chrF2 and TER, each with its signature."""
    spaceless = bleu_tokenizer(language) != "13a"
    ter = TER(normalized=True, asian_support=True) if spaceless else TER()  # else a sentence were one word
    metrics = {"bleu": BLEU(tokenize=bleu_tokenizer(language)), "chrf": CHRF(), "ter": ter}
    found = {}
    for name, metric in metrics.items():
        score = metric.corpus_score(outputs, [references])
        found[name] = {"score": round(score.score, 2), "signature": str(metric.get_signature())}
    return found


def by_length(sources: list[str], outputs: list[str], references: list[str], language: str) -> list[dict[str, Any]]:
    """BLEU by the length of the source in words (a Han character is one); lengths that do not occur are left out."""
    metric = BLEU(tokenize=bleu_tokenizer(language))
    found = []
    for low, high in pairwise((0, *LENGTHS)):
        at = [i for i, source in enumerate(sources) if low < len(WORD.findall(source)) <= high]
        if at:
            score = metric.corpus_score([outputs[i] for i in at], [[references[i] for i in at]]).score
            words = f"{low + 1} to {high}" if high < LENGTHS[-1] else f"{low + 1} and more"
            found.append({"words": words, "pairs": len(at), "bleu": round(score, 2)})
    return found


def load_best(recipe: Recipe, folder: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """The weights with the best validation score, and when they came; mixed with the first ones by `training.keep`.

    Raises:
        NmtError: The run has no such checkpoint yet.
    """
    if not (folder / BEST).exists():
        raise NmtError(f"{folder / BEST} is missing; train first: python -m training train RECIPE")
    weights, best = checkpoint.load(folder / BEST)
    if keep := recipe.training.keep:
        first = ModelBundle.load(folder / INITIAL).model().state_dict()
        weights = {name: torch.lerp(tensor, first[name], keep) for name, tensor in weights.items()}
    return weights, best


def longest_source(recipe: Recipe, folder: Path, source: Tokenizer, target: Tokenizer) -> int:
    """Units, without EOS, of the longest source that training has seen `SEEN` times; longer ones are split."""
    lengths = open_indexes(recipe, folder, source, target)[0].sources
    seen = 0
    for units in sorted((one for one in lengths if one <= recipe.training.max_tokens), reverse=True):
        seen += lengths[units]
        if seen >= SEEN:
            return max(1, units - 1)
    return max(1, min(lengths) - 1)


def build_translator(recipe: Recipe, folder: Path, weights: dict[str, Tensor]) -> Translator:
    """A translator with these weights and the run's vocabulary."""
    source, target = tokenizers(folder)
    model = Seq2Seq(model_config(recipe, source, target))
    model.load_state_dict(weights, strict=False)
    return Translator(
        model,
        source,
        target,
        target=recipe.target,
        longest_source=longest_source(recipe, folder, source, target),
        device=recipe.training.device,
    )


def evaluate(recipe: Recipe, folder: Path) -> dict[str, Any]:
    """Translate `test.tsv` with the weights as they will be shipped; write `evaluation.json` and the translations.

    The weights are rounded to int8 rows as a bundle stores them; the BLEU of the fp32 weights
    stands beside.
    """
    if recipe.training.threads:
        torch.set_num_threads(recipe.training.threads)
    weights, best = load_best(recipe, folder)
    sources, references = read_sides(folder / "test.tsv")
    stored = build_translator(recipe, folder, dequantise(quantise(weights)))
    outputs = translate_all(stored, sources, "test, as stored")
    write_bytes(folder / OUTPUTS, "".join(f"{one}\n" for one in outputs).encode())
    also = {one.name: _also(recipe, folder / one.copy, stored) for one in recipe.data.also_test}
    exact = translate_all(build_translator(recipe, folder, weights), sources, "test, fp32")
    report: dict[str, Any] = {
        "pairs": len(sources),
        "beam_size": BEAM_SIZE,
        "update": best["update"],
        **scores(outputs, references, recipe.target),
        "fp32_bleu": round(BLEU(tokenize=bleu_tokenizer(recipe.target)).corpus_score(exact, [references]).score, 2),
        "by_length": by_length(sources, outputs, references, recipe.target),
        "also": also,
        "validation": {"bleu_greedy": round(best["bleu"], 2), "loss": round(best["loss"], 4)},
        "examples": _examples(sources, references, outputs),
    }
    write_json(folder / "evaluation.json", report)
    for name in ("bleu", "chrf", "ter"):
        print(f"{name.upper():5} {report[name]['score']:6.2f}  {report[name]['signature']}")
    print(f"BLEU of the fp32 weights {report['fp32_bleu']:.2f}; {len(sources)} pairs, beam {BEAM_SIZE}")
    for name, found in {"test": report, **also}.items():
        groups = "; ".join(f"{one['words']} words {one['bleu']:.2f} ({one['pairs']:,})" for one in found["by_length"])
        print(f"{name}: BLEU {found['bleu']['score']:.2f}, by length of the source: {groups}")
    return report


def read_sides(path: Path) -> tuple[list[str], list[str]]:
    """Sources and targets of a test file of a run folder."""
    pairs = list(read_tsv(path))
    return [pair[0] for pair in pairs], [pair[1] for pair in pairs]


def _also(recipe: Recipe, path: Path, translator: Translator) -> dict[str, Any]:
    """Scores on one more test file."""
    sources, references = read_sides(path)
    outputs = translate_all(translator, sources, path.stem)
    write_bytes(path.with_suffix(".translated.txt"), "".join(f"{one}\n" for one in outputs).encode())
    return {
        "pairs": len(sources),
        **scores(outputs, references, recipe.target),
        "by_length": by_length(sources, outputs, references, recipe.target),
    }


def translate_all(translator: Translator, sources: list[str], title: str, beam_size: int = BEAM_SIZE) -> list[str]:
    """Translate one text a line, with a progress bar; a line break inside a translation cannot occur."""
    options = SearchOptions(beam_size=beam_size)
    order = sorted(range(len(sources)), key=lambda i: len(sources[i]))
    outputs = [""] * len(sources)
    with tqdm(total=len(sources), desc=title, unit="sentence", dynamic_ncols=True) as progress:
        for start in range(0, len(order), CHUNK):
            rows = order[start : start + CHUNK]
            for row, translation in zip(
                rows, translator.translate([sources[i] for i in rows], options=options), strict=True
            ):
                outputs[row] = translation.text
            progress.update(len(rows))
    return outputs


def _examples(sources: list[str], references: list[str], outputs: list[str]) -> list[dict[str, Any]]:
    """Some of the test file, evenly spread, as they came out."""
    return [
        {
            "source": sources[i],
            "reference": references[i],
            "translation": outputs[i],
            "chrf": round(sacrebleu.sentence_chrf(outputs[i], [references[i]]).score, 1),
        }
        for i in spread(range(len(sources)), EXAMPLES)
    ]
