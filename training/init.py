"""Looks at a corpus and writes a recipe that fits it: `python -m training init`."""

from __future__ import annotations

import argparse
import json
import os
import shlex
import sys
import tempfile
import tomllib
from collections.abc import Iterator, Sequence
from pathlib import Path
from textwrap import wrap
from typing import Any

import numpy as np

from nmt.errors import ConfigError, CorpusError
from nmt.model import Seq2Seq
from training import presets
from training.config import CleaningConfig, Recipe
from training.corpus import SentencePair, read_pairs
from training.data import open_stream, tokenizers
from training.doctor import examine
from training.files import read_json, write_bytes
from training.get import CARD
from training.loop import model_config
from training.presets import Setting
from training.survey import Cleaned, Sample, Side, clean, draw, learn_units, measure, ratios, seconds_an_update
from training.tmx import is_tmx

_DAY = 24 * 3600
_FEWEST = 100
_WIDTH = 118
_MANY = 0.1
"""A script that more of the pairs do not have is not the script of that side."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The command's options."""
    parser.add_argument("--source", required=True, metavar="CODE", help="language of the source, such as en")
    parser.add_argument("--target", required=True, metavar="CODE", help="language of the target, such as fr")
    one = "a TSV or TMX file, or source file and target file"
    parser.add_argument("--corpus", required=True, type=Path, nargs="+", metavar="FILE", help=one)
    parser.add_argument("--valid", type=Path, nargs="+", default=[], metavar="FILE", help="the same for validation")
    parser.add_argument("--test", type=Path, nargs="+", default=[], metavar="FILE", help="the same for the test set")
    parser.add_argument("--swap", action="store_true", help="the files hold the target first")
    parser.add_argument("--name", default="", help="the model's name (default: SOURCE-TARGET)")
    parser.add_argument("--output", type=Path, metavar="FILE", help="the recipe (default: recipes/NAME.toml)")
    parser.add_argument("--force", action="store_true", help="write over a recipe that is there")


def run(options: argparse.Namespace) -> None:
    """Look, choose, write, and say what comes next.

    Raises:
        ConfigError: There is such a recipe already, or an option cannot work.
        CorpusError: The corpus cannot be read, or is too small.
    """
    name = options.name or f"{options.source}-{options.target}"
    output = options.output or Path("recipes") / f"{name}.toml"
    if output.exists() and not options.force:
        raise ConfigError(f"{output} is there already; give --name or --output, or --force to write over it")
    head = {"name": name, "source": options.source, "target": options.target, "data": _data(options)}
    Recipe.from_dict(head)  # what is wrong with the options is said before the long look
    sample = draw(_read(options, options.corpus, "looking at the corpus"))
    given = {key: list(_read(options, getattr(options, key))) for key in ("valid", "test") if getattr(options, key)}
    settings, summary = choose(head, sample, given)
    text = recipe_text(
        head,
        settings,
        [one for one in summary if not one.startswith("the doctor")],
        read_json(options.corpus[0].parent / CARD) or {},
    )
    Recipe.from_dict(tomllib.loads(text))
    write_bytes(output, text.encode())
    print("\n".join(summary))
    print(f"\n{output} is written; its comments say why. Next:")
    files = shlex.join(map(str, options.corpus))
    languages = f" --source {options.source} --target {options.target}" if is_tmx(options.corpus[0]) else ""
    print(f"  python -m training doctor {files}{languages}")
    print(f"  python -m training run {output}")


def choose(
    head: dict[str, Any], sample: Sample, given: dict[str, list[SentencePair]]
) -> tuple[list[Setting], list[str]]:
    """Settings that fit the corpus, and what was found, line by line.

    Args:
        head: The recipe so far: name, languages, files.
        sample: Pairs of the corpus.
        given: Validation and test pairs that are given as files.

    Raises:
        CorpusError: Too few clean pairs.
    """
    source, target = measure([one.source for one in sample.pairs]), measure([one.target for one in sample.pairs])
    settings = presets.cleaning(source, target, ratios(sample.pairs))
    cleaned, settings = _clean(sample, settings, [one for pairs in given.values() for one in pairs])
    share = len(cleaned.pairs) / max(1, len(sample.pairs))
    if len(cleaned.pairs) < _FEWEST:
        raise CorpusError(
            f"only {len(cleaned.pairs)} of {sample.total:,} pairs are clean, which is too few to learn from: look at "
            "what is wrong with python -m training doctor"
        )
    held_out = presets.held_out(sample.total * share, list(given), cleaned.pairs if sample.whole else ())
    total = sample.total * share - sum(one.value for one in held_out)
    preset = presets.preset_for(total)
    settings = [*held_out, *settings, *presets.units(preset, source, target, cleaned.pairs, total)]
    settings += presets.model(preset, total)
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        recipe, lengths = learn_units(_recipe(head, settings), cleaned.pairs, folder)
        settings = [_filled(one, recipe.units.size) for one in settings]
        settings += presets.batches(preset, lengths, recipe.units.kind)
        recipe = _recipe(head, settings)
        stream = open_stream(recipe, folder, *tokenizers(folder))
        batches = stream.batches_in(0) * total / len(cleaned.pairs)
        settings += presets.schedule(preset, total, batches)
        recipe = _recipe(head, settings)
        print("timing a few updates", file=sys.stderr, flush=True)
        seconds = seconds_an_update(recipe, folder)
        parameters = sum(one.numel() for one in Seq2Seq(model_config(recipe, *tokenizers(folder))).parameters())
    updates = recipe.training.max_updates
    faults = [one for one in examine(sample.pairs, given, (head["source"], head["target"])) if one.fault]
    summary = [
        _size(sample, share),
        f"{head['source']}: {describe(source)}",
        f"{head['target']}: {describe(target)}",
        f"cleaning drops {1 - share:.2%}{_rules(cleaned)}",
        *(f"the doctor finds {one.count:,} pairs: {one.name}" for one in faults[:5]),
        f"the model: {parameters / 1e6:.1f} million parameters; {updates:,} updates, "
        f"{duration(seconds * updates)} of this machine alone ({seconds:.2f} s each, timed just now)",
    ]
    if seconds * updates > _DAY:
        summary.append(f"that is long: use a GPU, or lower training.max_updates ({_DAY / seconds:,.0f} fill a day)")
    return settings, summary


def _size(sample: Sample, share: float) -> str:
    looked = "all looked at" if sample.whole else f"{len(sample.pairs):,} of them, spread evenly, looked at"
    return f"{sample.total:,} pairs, {looked}; about {presets.count(sample.total * share)} are clean"


def _rules(cleaned: Cleaned) -> str:
    dropped = [f"{name} {share:.2%}" for name, share in cleaned.dropped.items() if share >= 0.00005]
    return f": {', '.join(dropped)}" if dropped else ""


def _clean(sample: Sample, settings: list[Setting], held_out: list[SentencePair]) -> tuple[Cleaned, list[Setting]]:
    """What cleaning leaves; without the check of scripts where it would drop a tenth of the corpus."""
    config = {one.key.partition(".")[2]: one.value for one in settings}
    cleaned = clean(sample, CleaningConfig(**config), held_out)
    if cleaned.dropped.get("wrong_script", 0.0) > _MANY:
        plain = [one for one in settings if not one.key.endswith("_script")]
        return _clean(sample, plain, held_out)
    return cleaned, settings


def _filled(setting: Setting, size: int) -> Setting:
    """`units.size` as the text could fill it."""
    if setting.key != "units.size" or setting.value == size:
        return setting
    return Setting("units.size", size, f"{setting.value:,} would be more than this text can fill")


def describe(side: Side) -> str:
    """Script and lengths, for people."""
    usual, long = np.percentile(side.words, (50, 95))
    script = "+".join(side.scripts) or "no script of letters"
    most = int(side.words.max())
    return f"{script}; half the texts have at most {usual:.0f} words, 95% at most {long:.0f}, the longest {most:,}"


def duration(seconds: float) -> str:
    """About how long."""
    minutes = round(seconds / 60)
    if minutes < 2:
        return "a minute or two"
    return f"about {minutes} minutes" if minutes < 120 else f"about {minutes / 60:.0f} hours"


def _recipe(head: dict[str, Any], settings: Sequence[Setting]) -> Recipe:
    values: dict[str, Any] = {**head, "data": dict(head["data"])}
    for one in settings:
        section, _, key = one.key.partition(".")
        values.setdefault(section, {})[key] = one.value
    return Recipe.from_dict(values)


def recipe_text(head: dict[str, Any], settings: Sequence[Setting], about: Sequence[str], card: dict[str, str]) -> str:
    """The recipe as TOML, every setting with its reason; `card` is what is known of `[card]`."""
    lines = [f"# {one}" for one in ("Written by python -m training init for this corpus:", *about)]
    lines += [f"{key} = {_toml(value)}" for key, value in head.items() if key != "data"]
    lines += ["", "[data]", *(f"{key} = {_toml(value)}" for key, value in head["data"].items())]
    section = "data"
    for one in settings:
        table, _, key = one.key.partition(".")
        if table != section:
            section = table
            lines += ["", f"[{table}]"]
        line = f"{key} = {_toml(one.value)}"
        short = f"{line}  # {one.why}"
        lines += [short] if len(short) <= _WIDTH else [*(f"# {part}" for part in wrap(one.why, _WIDTH - 2)), line]
    lines += ["", "[card]  # for readers of the model's card: what the text is, and whom it asks to name"]
    lines += [f"{key} = {_toml(card.get(key, ''))}" for key in ("data", "licence", "attribution")]
    return "\n".join(lines) + "\n"


def _toml(value: Any) -> str:
    """A value as TOML: JSON writes strings, lists and truth values the same way."""
    if isinstance(value, int) and not isinstance(value, bool):
        return f"{value:_}" if value >= 10_000 else str(value)
    return json.dumps(value, ensure_ascii=False)


def _data(options: argparse.Namespace) -> dict[str, Any]:
    """The recipe's `[data]`."""
    folder = Path(os.path.commonpath([one.parent.resolve() for one in options.corpus]))
    inside = folder.is_relative_to(Path.cwd())
    names: dict[str, Any] = {"folder": str(folder.relative_to(Path.cwd()) if inside else folder)}
    for key in ("corpus", "valid", "test"):
        paths = [one.resolve() for one in getattr(options, key)]
        near = [str(one.relative_to(folder) if one.is_relative_to(folder) else one) for one in paths]
        if near:
            names["train" if key == "corpus" else key] = near[0] if len(near) == 1 else near
    return names | ({"swap": True} if options.swap else {})


def _read(options: argparse.Namespace, paths: list[Path], progress: str = "") -> Iterator[SentencePair]:
    languages = (options.source, options.target)
    return read_pairs(tuple(paths), swap=options.swap, languages=languages, progress=progress)
