"""Scores of a run on its validation or test file, with beam 5, as one JSON line.

    python -m benchmarks.recipe_score RECIPE [--set KEY=VALUE …] [--part valid|test] [--weights best|last] [--train]

BLEU as sacreBLEU reads text (cased), the same in lower case (13a, near the literature's "tokenised, lower case"), and
chrF2 of the weights that training would export, in fp32. `--train` runs the stages from `subwords` to `train` first.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from sacrebleu.metrics import BLEU, CHRF

from training import checkpoint
from training.__main__ import main as training
from training.config import Recipe, load_recipe
from training.evaluation import build_translator, load_best, translate_all
from training.journal import read_log
from training.loop import LAST
from training.validation import bleu_tokenizer


def score(recipe: Recipe, part: str, *, last: bool = False) -> dict[str, Any]:
    """Scores of a finished or interrupted run.

    Args:
        recipe: Of the run.
        part: `valid` or `test`.
        last: The weights after the last update instead of those with the best validation.
    """
    if recipe.training.threads:
        torch.set_num_threads(recipe.training.threads)
    folder = recipe.folder
    weights, best = load_best(recipe, folder)
    if last:
        tensors, state = checkpoint.load(folder / LAST)
        kind = "average." if recipe.training.average else "master."
        weights = {name.removeprefix(kind): one for name, one in tensors.items() if name.startswith(kind)}
        best = {"update": state["update"]}
    pairs = [line.split("\t") for line in (folder / f"{part}.tsv").read_text("utf-8").split("\n") if line]
    outputs = translate_all(build_translator(recipe, folder, weights), [pair[0] for pair in pairs], part)
    references = [[pair[1] for pair in pairs]]
    tokenizer = bleu_tokenizer(recipe.target)
    log = read_log(folder)
    return {
        "part": part,
        "pairs": len(pairs),
        "weights_of_update": best["update"],
        "updates": log[-1]["update"],
        "parameters": sum(one.numel() for one in weights.values()),
        "tokens_per_second": log[-1]["tokens"] / log[-1]["seconds"],
        "minutes": log[-1]["seconds"] / 60,
        "valid_loss": min(line["valid_loss"] for line in log),
        "bleu": BLEU(tokenize=tokenizer).corpus_score(outputs, references).score,
        "bleu_lower_case": BLEU(tokenize=tokenizer, lowercase=True).corpus_score(outputs, references).score,
        "chrf": CHRF().corpus_score(outputs, references).score,
    }


def main(arguments: Sequence[str] | None = None) -> None:
    """Score and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("recipe", type=Path)
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", dest="overrides")
    parser.add_argument("--part", choices=("valid", "test"), default="valid", help="default: valid")
    parser.add_argument("--weights", choices=("best", "last"), default="best", help="default: best on validation")
    parser.add_argument("--train", action="store_true", help="train first, or go on training")
    options = parser.parse_args(arguments)
    settings = [part for setting in options.overrides for part in ("--set", setting)]
    for stage in ("subwords", "align", "train") if options.train else ():
        if status := training([stage, str(options.recipe), *settings]):
            sys.exit(status)
    found = score(load_recipe(options.recipe, options.overrides), options.part, last=options.weights == "last")
    print(json.dumps(found))


if __name__ == "__main__":
    main()
