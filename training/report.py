"""report.html: one page that says how a run went."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import sacrebleu

from nmt.drawing import safe
from nmt.translator import Translator
from training.config import Recipe
from training.corpus import read_tsv
from training.evaluation import OUTPUTS
from training.files import read_json, write_bytes
from training.journal import read_log
from training.page import chart, facts, heatmaps, page, table

REPORT = "report.html"
_SHOWN = 6


def report(recipe: Recipe, folder: Path) -> None:
    """Write `report.html` from what the stages left in the run folder."""
    log, evaluation = read_log(folder), read_json(folder / "evaluation.json")
    pairs = list(read_tsv(folder / "test.tsv"))
    outputs = (folder / OUTPUTS).read_text("utf-8").split("\n")[: len(pairs)]
    title = recipe.card.title or f"{recipe.source} to {recipe.target}"
    last: dict[str, Any] = log[-1] if log else {}
    direction = f"{recipe.name}, {recipe.source} → {recipe.target}"
    body = f'<h1>{safe(title)}</h1>\n<p class="soft">{safe(direction)}</p>\n'
    body += facts(
        {
            "BLEU on the test set": f"{evaluation['bleu']['score']:.2f}",
            "chrF2": f"{evaluation['chrf']['score']:.2f}",
            "TER": f"{evaluation['ter']['score']:.2f}",
            "updates": f"{last.get('update', 0):,}",
            "target tokens seen": f"{last.get('tokens', 0):,}",
            "training time": _hours(last.get("seconds", 0)),
        }
    )
    body += f'<p class="soft">{safe(evaluation["bleu"]["signature"])}</p>\n<h2>Learning</h2>\n<div class="charts">\n'
    body += _curves(log) + "</div>\n<h2>BLEU by length of the source</h2>\n" + _by_length(evaluation)
    body += _sentences(recipe, folder, pairs, outputs)
    body += "<h2>What cleaning dropped</h2>\n" + _cleaning(read_json(folder / "cleaning.json") or {})
    settings = json.dumps(read_json(folder / "recipe.json"), ensure_ascii=False, indent=2)
    body += f"<h2>The recipe</h2>\n<pre>{safe(settings)}</pre>\n"
    write_bytes(folder / REPORT, page(f"{title}: report", body).encode("utf-8", "replace"))
    print(f"  {folder / REPORT}")


def _hours(seconds: float) -> str:
    minutes = round(seconds / 60)
    return (
        f"{minutes // 60} h {minutes % 60} min"
        if minutes >= 60
        else f"{minutes} min"
        if minutes
        else f"{seconds:.0f} s"
    )


def _curves(log: list[dict[str, Any]]) -> str:
    def curve(key: str) -> list[tuple[float, float]]:
        return [(line["update"], line[key]) for line in log if key in line]

    layers: dict[str, list[tuple[float, float]]] = {}
    for line in log:
        for name, norm in line.get("norms", {}).items():
            layers.setdefault(name, []).append((line["update"], norm))
    return (
        chart("Loss, nats a token", {"training": curve("loss"), "validation": curve("valid_loss")})
        + (chart("Guidance loss, nats a token", {"training": guided}) if (guided := curve("guidance")) else "")
        + chart("BLEU on the validation set", {"BLEU": curve("valid_bleu")}, zero=True)
        + chart("Learning rate", {"rate": curve("rate")}, zero=True)
        + chart("Target tokens a second", {"tokens": curve("tokens_per_second")}, zero=True)
        + chart("Gradient norm by layer", layers, zero=True)
    )


def _by_length(evaluation: dict[str, Any]) -> str:
    rows = [
        [name, f"{one['words']} words", f"{one['pairs']:,}", f"{one['bleu']:.1f}"]
        for name, found in {"test": evaluation, **evaluation["also"]}.items()
        for one in found["by_length"]
    ]
    return table(["file", "length", "sentences", "BLEU"], rows)


def _length(text: str) -> int:
    words = text.split()
    return len(words) if len(words) > 1 else max(1, len(text) // 3)  # unspaced scripts: a word is a few characters


def _sentences(recipe: Recipe, folder: Path, pairs: list[tuple[str, str]], outputs: list[str]) -> str:
    translator = Translator.load(folder / "bundle", device=recipe.training.device)
    scores = [sacrebleu.sentence_chrf(one, [pair[1]]).score for one, pair in zip(outputs, pairs, strict=True)]
    order = sorted(range(len(pairs)), key=lambda index: (scores[index], -len(pairs[index][0])))
    longer = [index for index in order if _length(pairs[index][0]) >= 4] or order  # a single word says little
    text = ""
    for name, chosen in (("Worst sentences", longer[:_SHOWN]), ("Best sentences", longer[::-1][:_SHOWN])):
        text += f'<h2>{name}</h2>\n<p class="soft">By chrF, of four words and more.</p>\n'
        for index in chosen:
            source, reference = pairs[index]
            picture = heatmaps(translator.translate([source])[0], "")
            text += (
                f"<article><dl><dt>source</dt><dd>{safe(source)}</dd><dt>reference</dt><dd>{safe(reference)}</dd>"
                f"<dt>translation</dt><dd>{safe(outputs[index])} <small>chrF {scores[index]:.0f}</small></dd></dl>"
                f"<details><summary>attention</summary>{picture}</details></article>\n"
            )
    return text


def _cleaning(found: dict[str, Any]) -> str:
    read = max(found.get("read", 0), 1)
    rows = [["pairs read", f"{found.get('read', 0):,}", "", ""]]
    for name, rule in found.get("rules", {}).items():
        example = rule["examples"][0] if rule["examples"] else None
        shown = f"line {example['line']}: {example['source'][:60]} | {example['target'][:60]}" if example else ""
        rows.append([name.replace("_", " "), f"{rule['count']:,}", f"{rule['count'] / read:.2%}", shown])
    rows.append(["pairs kept", f"{found.get('kept', 0):,}", f"{found.get('kept', 0) / read:.2%}", ""])
    return table(["rule", "pairs", "share", "first example"], rows)
