"""Calibration and shortlist for a bundle that exists (a command), or for a run before its export (a stage)."""

from __future__ import annotations

import argparse
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from safetensors.numpy import load_file, save_file

from nmt.bundle import README, SHORTLIST, ModelBundle, dequantise, quantise
from nmt.errors import NmtError
from nmt.quality import Calibration
from nmt.shortlist import Shortlist
from nmt.translator import Translator
from training import calibrate
from training import shortlist as shortlists
from training.config import Recipe
from training.corpus import read_pairs, read_tsv
from training.evaluation import build_translator, load_best
from training.files import read_json, write_json

REPORT = "trust.json"
"""What the stage leaves in the run folder, the shortlist itself apart."""

SMALLEST_VOCABULARY = 2000
"""Target units; with fewer there is nothing to gain from a shortlist."""

Pair = tuple[str, str]


@dataclass(frozen=True, slots=True)
class Trust:
    """What goes into a bundle beside its weights.

    Attributes:
        calibration: None where there was too little to learn from.
        shortlist: None where none was made.
        report: For the card: `quality`, and `shortlist` where there is one.
    """

    calibration: Calibration | None
    shortlist: Shortlist | None
    report: dict[str, Any]

    def readme(self, text: str) -> str:
        """A bundle's README with the sections of the report, in place of older ones."""
        text = with_section(text, calibrate.section(self.report["quality"]))
        return with_section(text, shortlists.section(self.report["shortlist"])) if "shortlist" in self.report else text


def measure(
    translator: Translator, train: Iterable[Pair] | None, valid: list[Pair], test: list[Pair], *, language: str
) -> Trust:
    """Calibrate; make a shortlist, where there are training pairs and a vocabulary large enough."""
    calibration, quality = calibrate.calibration(translator, valid, test)
    print(f"  not calibrated: {quality['none']}" if calibration is None else summary(quality))
    size = translator.target_tokenizer.size
    if train is None or size < SMALLEST_VOCABULARY:
        why = "none was asked for" if train is None else f"the vocabulary has only {size} units"
        print(f"  no shortlist: {why}")
        return Trust(calibration, None, {"quality": quality})
    shortlist, cost = shortlists.shortlist(translator, train, valid, test, language=language)
    test_cost = cost["test"]
    print(
        f"  shortlist, {'on' if shortlist.default else 'off'} by default: {test_cost['units']:.0f} of {size} units, "
        f"test BLEU {test_cost['shortlist']:.2f} with it, {test_cost['whole']:.2f} without"
    )
    return Trust(calibration, shortlist, {"quality": quality, "shortlist": cost})


def summary(report: dict[str, Any]) -> str:
    """The report in a few lines for the terminal."""
    flags = "\n".join(
        f"  {name:15} precision {flag['own']['precision']:.2f}, recall {flag['own']['recall']:.2f} ({flag['damage']})"
        for name, flag in report["flags"].items()
    )
    return f"  expected calibration error {report['ece']:.3f} on {report['sentences']['test']} test sentences\n{flags}"


def with_section(text: str, section: str) -> str:
    """Markdown with a section in place of the one with the same heading, or before the examples, or at the end."""
    heading = section.splitlines()[0]
    start = text.find(heading + "\n")
    if start >= 0:
        end = text.find("\n## ", start + 1)
        return text[:start] + section.rstrip() + "\n" + (text[end:] if end >= 0 else "")
    place = text.find("## As it comes\n")
    if place < 0:
        return f"{text.rstrip()}\n\n{section.rstrip()}\n"
    return f"{text[:place]}{section.rstrip()}\n\n{text[place:]}"


def trust(recipe: Recipe, folder: Path) -> None:
    """The stage: measure the weights as they will be stored; leaves `trust.json`, `shortlist.safetensors`."""
    weights, _ = load_best(recipe, folder)
    translator = build_translator(recipe, folder, dequantise(quantise(weights)))
    valid, test = (list(read_tsv(folder / name)) for name in ("valid.tsv", "test.tsv"))
    train = read_tsv(folder / "train.tsv") if recipe.training.shortlist else None
    found = measure(translator, train, valid, test, language=recipe.target)
    (folder / SHORTLIST).unlink(missing_ok=True)
    if found.shortlist is not None:
        save_file(found.shortlist.to_arrays(), folder / SHORTLIST)
    values = None if found.calibration is None else found.calibration.to_dict()
    sizes = [translator.source_tokenizer.size, translator.target_tokenizer.size]
    write_json(folder / REPORT, {"calibration": values, "report": found.report, "sizes": sizes})


def read_trust(folder: Path) -> Trust:
    """What the stage left, for the export.

    Raises:
        NmtError: It has not run.
    """
    values = read_json(folder / REPORT)
    if values is None:
        raise NmtError(f"{folder / REPORT} is missing; run the stage before: python -m training trust RECIPE")
    calibration = None if values["calibration"] is None else Calibration.from_dict(values["calibration"])
    shortlist = None
    if (folder / SHORTLIST).exists():
        shortlist = Shortlist.from_arrays(
            load_file(folder / SHORTLIST),
            source_size=values["sizes"][0],
            target_size=values["sizes"][1],
            default=values["report"]["shortlist"]["default"],
        )
    return Trust(calibration, shortlist, values["report"])


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of `python -m training calibrate`."""
    parser.add_argument("bundle", type=Path, help="the bundle to calibrate, such as models/en-fr/5; it is written anew")
    parser.add_argument("--valid", type=Path, required=True, metavar="FILE", help="pairs to learn from, TSV")
    parser.add_argument("--test", type=Path, required=True, metavar="FILE", help="pairs to report on, TSV")
    parser.add_argument("--train", type=Path, metavar="FILE", help="training pairs: learn a vocabulary shortlist too")
    parser.add_argument("--swap", action="store_true", help="the files hold the target first")
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda, cuda:N (default: auto)")


def run(options: argparse.Namespace) -> None:
    """The command: the bundle gets `quality.json`, and with `--train` a shortlist; card and README say what they do."""
    bundle = ModelBundle.load(options.bundle)
    translator = Translator.load(bundle.path, device=options.device)
    valid, test, train = (_pairs(path, options.swap) for path in (options.valid, options.test, options.train))
    assert valid is not None
    assert test is not None
    found = measure(translator, train, list(valid), list(test), language=bundle.target)
    kept = found.shortlist or bundle.shortlist()
    bundle.amend(
        card={**bundle.card, **found.report},
        readme=found.readme((bundle.path / README).read_text("utf-8")),
        quality=found.calibration,
        shortlist=kept,
    )
    print(f"  written: {bundle.path}")


def _pairs(path: Path | None, swap: bool) -> Iterable[Pair] | None:
    return None if path is None else ((pair.source, pair.target) for pair in read_pairs((path,), swap=swap))
