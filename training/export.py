"""A finished run -> a bundle: weights, vocabulary, card."""

from __future__ import annotations

import json
import subprocess
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from nmt import __version__
from nmt.bundle import FORMAT_VERSION, BundleConfig, ModelBundle
from nmt.errors import NmtError
from training.aligner import read_aligner
from training.config import Recipe
from training.data import tokenizers
from training.evaluation import load_best, longest_source
from training.loop import model_config
from training.trust import read_trust


def export(recipe: Recipe, folder: Path) -> Path:
    """Write `folder/bundle` from the best checkpoint and `evaluation.json`; returns its path.

    Raises:
        NmtError: An earlier stage has not run.
    """
    source, target = tokenizers(folder)
    weights, best = load_best(recipe, folder)
    try:
        evaluation = json.loads((folder / "evaluation.json").read_text("utf-8"))
        cleaning = json.loads((folder / "cleaning.json").read_text("utf-8"))
    except FileNotFoundError as error:
        raise NmtError(
            f"{error.filename} is missing; run the stages before this one: python -m training run RECIPE"
        ) from None
    if evaluation.get("update") != best["update"]:
        raise NmtError(
            f"{folder / 'evaluation.json'} is of update {evaluation.get('update')}, but the best weights are of update "
            f"{best['update']}; run this first: python -m training evaluate RECIPE"
        )
    units = [
        path
        for side in ("source", "target")
        for path in sorted(folder.glob(f"{side}.*"))
        if path.suffix in (".spm", ".json")
    ]
    architecture = model_config(recipe, source, target).to_dict()
    found = read_trust(folder)
    aligner = read_aligner(folder) if recipe.training.guidance else None
    config = BundleConfig(
        format_version=FORMAT_VERSION,
        name=recipe.name,
        source=recipe.source,
        target=recipe.target,
        architecture=architecture,
        source_units=units[0].name,
        target_units=units[-1].name,
        longest_source=longest_source(recipe, folder, source, target),
        shortlist=found.shortlist is not None and found.shortlist.default,
    )
    card = {
        "title": recipe.card.title or f"{recipe.source} to {recipe.target}",
        "source": recipe.source,
        "target": recipe.target,
        "date": datetime.now(UTC).date().isoformat(),
        "interlinear": __version__,
        "commit": _commit(),
        "data": {
            "description": recipe.card.data,
            "licence": recipe.card.licence,
            "attribution": recipe.card.attribution,
            "pairs": cleaning.get("parts", {}),
            "dropped_by_cleaning": cleaning.get("dropped", 0),
        },
        "architecture": architecture,
        "parameters": sum(tensor.numel() for tensor in weights.values()),
        "evaluation": {key: value for key, value in evaluation.items() if key != "examples"},
        "examples": evaluation["examples"],
        "notes": recipe.card.notes,
        **found.report,
        **({} if aligner is None else {"aligner": aligner.report}),
        "updates": best["update"],
        "recipe": _portable(asdict(recipe)),
    }
    readme = found.readme(_readme(recipe, card))
    bundle = folder / "bundle"
    ModelBundle.save(
        bundle,
        config=config,
        weights=weights,
        units=units,
        card=card,
        readme=readme if aligner is None else aligner.readme(readme),
        quality=found.calibration,
        shortlist=found.shortlist,
        aligner=None if aligner is None else aligner.weights,
    )
    return bundle


def _portable(recipe: dict[str, Any]) -> dict[str, Any]:
    """The recipe without the folders of the machine it ran on."""
    recipe["data"] = {**recipe["data"], "folder": "."}
    return {**recipe, "run": ""}


def _commit() -> str:
    """The project's commit, if it runs from a clone."""
    try:
        found = subprocess.run(
            ["git", "rev-parse", "--short", "HEAD"],
            cwd=Path(__file__).parent,
            capture_output=True,
            text=True,
            check=False,
        )
    except OSError:
        return ""
    return found.stdout.strip()


def _by_length(evaluation: dict[str, Any]) -> str:
    """A table of every test file's BLEU by the length of the source."""
    files = {"test file": evaluation, **evaluation["also"]}
    lengths = list(dict.fromkeys(one["words"] for found in files.values() for one in found["by_length"]))
    lengths.sort(key=lambda words: int(words.split()[0]))
    rows = []
    for name, found in files.items():
        by_words = {one["words"]: f"{one['bleu']:.1f} ({one['pairs']:,})" for one in found["by_length"]}
        cells = [
            name,
            f"{found['bleu']['score']:.2f} ({found['pairs']:,})",
            *(by_words.get(one, "") for one in lengths),
        ]
        rows.append(f"| {' | '.join(cells)} |")
    head = ["", "all", *(f"{words} words" for words in lengths)]
    return "\n".join([f"| {' | '.join(head)} |", "|---" * len(head) + "|", *rows])


def _readme(recipe: Recipe, card: dict[str, Any]) -> str:
    evaluation, data = card["evaluation"], card["data"]
    rows = "\n".join(
        f"| {title} | {evaluation[key]['score']:.2f} | `{_cell(evaluation[key]['signature'])}` |"
        for key, title in (("bleu", "BLEU"), ("chrf", "chrF2"), ("ter", "TER"))
    )
    examples = "\n".join(
        f"| {_cell(e['source'])} | {_cell(e['translation'])} | {_cell(e['reference'])} |" for e in card["examples"][:8]
    )
    settings = json.dumps(card["recipe"], ensure_ascii=False, indent=2)
    parts = data["pairs"]
    made = f"{card['date']} with Interlinear {card['interlinear']}" + (
        f", commit {card['commit']}" if card["commit"] else ""
    )
    architecture = card["architecture"]
    cell, context, size = architecture["cell"].upper(), architecture["context"], card["parameters"] / 1e6
    licence, attribution = data["licence"] or "not stated", data["attribution"] or "not stated"
    return f"""# {card["title"]}

Translates `{recipe.source}` to `{recipe.target}`. An encoder-decoder {cell}, context `{context}`, {size:.1f} million
parameters, stored as int8 with one scale a row. Trained {made}, {card["updates"]} updates.

## Data

{(data["description"] or "Not stated").rstrip(".")}. Licence: {licence}. Attribution: {attribution}.
Pairs: {parts.get("train", "?")} for training, {parts.get("valid", "?")} for validation,
{parts.get("test", "?")} for testing; cleaning dropped {data["dropped_by_cleaning"]}.

## Scores

On the test file ({evaluation["pairs"]} pairs), beam {evaluation["beam_size"]}, weights as stored
(BLEU of the fp32 weights: {evaluation["fp32_bleu"]:.2f}).

| metric | score | sacreBLEU signature |
|---|---|---|
{rows}

BLEU by the length of the source, and the sentences in brackets:

{_by_length(evaluation)}

## As it comes

Evenly spread over the test file, not chosen.

| source | translation | reference |
|---|---|---|
{examples}

{card["notes"] and card["notes"] + chr(10) * 2}## Recipe

```json
{settings}
```
"""


def _cell(text: str) -> str:
    return text.replace("|", "\\|")
