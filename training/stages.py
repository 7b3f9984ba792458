"""The pipeline's stages: each knows what it reads and writes, and skips itself when nothing changed.

    prepare -> backtranslate -> subwords -> align -> train -> aligner -> evaluate -> trust -> export -> report
    -> publish

`stages.json` in the run folder keeps a fingerprint of every finished stage: its part of the recipe
and the contents of its input files.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nmt.bundle import ALIGNER
from nmt.errors import ConfigError
from training.config import Recipe
from training.distributed import ALONE, Ranks
from training.files import write_json
from training.guidance import INDEX, LINKS
from training.initial import INITIAL
from training.run_folder import alone, claim, fingerprint_of, keep_checkpoints, read_record, same_data

_NOT_TRAINING = ("threads", "device", "checkpoint_seconds", "tensorboard", "max_skipped", "keep", "shortlist")
"""Keys of `[training]` that the weights do not depend on."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where a run works, and with whom.

    Attributes:
        folder: Intermediate files and checkpoints.
        models: Published bundles.
        command: What a person types to run a stage of this recipe, with `{stage}` in it.
        force: Run stages whose inputs have not changed, and publish what the gate refuses.
        ranks: This process among those that train together.
    """

    folder: Path
    models: Path
    command: str = "python -m training {stage} RECIPE"
    force: bool = False
    ranks: Ranks = ALONE


@dataclass(frozen=True, slots=True)
class Stage:
    """One step from raw files to a published bundle.

    Attributes:
        settings: What of the recipe it depends on.
        inputs: Files and folders it reads; all must exist.
        outputs: Files and folders it leaves.
        action: Does the work.
        wanted: Whether this recipe has that stage.
    """

    name: str
    settings: Callable[[Recipe, Place], Any]
    inputs: Callable[[Recipe, Place], list[Path]]
    outputs: Callable[[Recipe, Place], list[Path]]
    action: Callable[[Recipe, Place], None]
    wanted: Callable[[Recipe], bool] = lambda recipe: True


def _training_files(recipe: Recipe, folder: Path) -> list[Path]:
    return [folder / name for name in ("train.tsv", *(["synthetic.tsv"] if recipe.backtranslation.files else []))]


def vocabulary_files(recipe: Recipe, folder: Path) -> list[Path]:
    """The files that `subwords` writes."""
    suffix = "vocab.json" if recipe.units.kind == "character" else "spm"
    sides = ("source",) if recipe.units.shared else ("source", "target")
    return [folder / f"{side}.{suffix}" for side in sides]


def run_stages(recipe: Recipe, place: Place, names: Sequence[str]) -> None:
    """Run the named stages in the pipeline's order; those whose inputs have not changed are skipped.

    Raises:
        ConfigError: The run folder belongs to another recipe, or an earlier stage has not run.
    """
    place.folder.mkdir(parents=True, exist_ok=True)
    with alone(place.folder):
        claim(recipe, place.folder)
        for number, stage in enumerate(STAGES, 1):
            if stage.name in names and stage.wanted(recipe):
                _run(stage, recipe, place, f"[{number}/{len(STAGES)}] {stage.name}")


def _run(stage: Stage, recipe: Recipe, place: Place, title: str) -> None:
    record = read_record(place.folder)
    inputs = stage.inputs(recipe, place)
    if stage.name != "prepare":  # which says itself, and better, what is wrong with a corpus
        _require(inputs, place)
    fingerprint = fingerprint_of(stage.settings(recipe, place), inputs, record["files"])
    known = record["stages"].get(stage.name, {}).get("fingerprint")
    finished = all(path.exists() for path in stage.outputs(recipe, place))
    if known == fingerprint and finished and not place.force:
        print(f"{title}: nothing changed, skipped", flush=True)
        return
    if stage.name in ("prepare", "subwords", "align") and known not in (None, fingerprint):
        keep_checkpoints(place.folder, f"{stage.name} would make other data: its files or settings have changed")
    if stage.name == "train":
        same_data(record, inputs, place.folder)
    print(title, flush=True)
    started = time.monotonic()
    record["stages"].pop(stage.name, None)
    write_json(place.folder / "stages.json", record)
    stage.action(recipe, place)
    seconds = time.monotonic() - started
    record = read_record(place.folder)
    fingerprint = fingerprint_of(stage.settings(recipe, place), inputs, record["files"])
    record["stages"][stage.name] = {"fingerprint": fingerprint, "seconds": round(seconds, 1)}
    write_json(place.folder / "stages.json", record)
    print(f"{title}: done in {_duration(seconds)}", flush=True)


def _require(inputs: list[Path], place: Place) -> None:
    for path in inputs:
        if not path.exists():
            maker = next((name for name, made in _MADE_BY.items() if path.name in made), None)
            if maker is None:
                raise ConfigError(f"{path}: there is no such file; check backtranslation.files in the recipe")
            raise ConfigError(f"{path} is missing; run this first: {place.command.format(stage=maker)}")


def _duration(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min {rest} s" if minutes else f"{seconds:.1f} s"


def _prepare(recipe: Recipe, place: Place) -> None:
    from training.prepare import prepare

    prepare(recipe, place.folder)


def _backtranslate(recipe: Recipe, place: Place) -> None:
    from training.backtranslate import backtranslate

    backtranslate(recipe, place.folder)


def _subwords(recipe: Recipe, place: Place) -> None:
    from training.subwords import train_subwords

    train_subwords(recipe, place.folder)


def _align(recipe: Recipe, place: Place) -> None:
    from training.align import align

    align(recipe, place.folder)


def _train(recipe: Recipe, place: Place) -> None:
    from training.loop import train
    from training.precision import settled

    train(settled(recipe, place.folder), place.folder, place.ranks)


def _aligner(recipe: Recipe, place: Place) -> None:
    from training.aligner import aligner

    aligner(recipe, place.folder)


def _evaluate(recipe: Recipe, place: Place) -> None:
    from training.evaluation import evaluate

    evaluate(recipe, place.folder)


def _trust(recipe: Recipe, place: Place) -> None:
    from training.trust import trust

    trust(recipe, place.folder)


def _export(recipe: Recipe, place: Place) -> None:
    from training.export import export

    export(recipe, place.folder)


def _report(recipe: Recipe, place: Place) -> None:
    from training.report import report

    report(recipe, place.folder)


def _publish(recipe: Recipe, place: Place) -> None:
    from training.gate import gate
    from training.publish import publish

    gate(recipe, place.folder, place.models, force=place.force)
    publish(recipe, place.folder, place.models)


def _published(recipe: Recipe, place: Place) -> list[Path]:
    """The manifest of the newest version on the shelf, or of the first, where there is none yet."""
    shelf = place.models / recipe.name
    found = [path for path in shelf.glob("*/manifest.json") if path.parent.name.isdecimal()]
    return [max(found, key=lambda path: int(path.parent.name), default=shelf / "1" / "manifest.json")]


def _names(*names: str) -> Callable[[Recipe, Place], list[Path]]:
    return lambda recipe, place: [place.folder / name for name in names]


def _with_vocabulary(*names: str) -> Callable[[Recipe, Place], list[Path]]:
    return lambda recipe, place: [
        *(place.folder / name for name in names),
        *vocabulary_files(recipe, place.folder),
    ]


def _without(values: dict[str, Any], *names: str) -> dict[str, Any]:
    return {key: value for key, value in values.items() if key not in names}


_MADE_BY = {
    "prepare": ("train.tsv", "valid.tsv", "test.tsv", "cleaning.json"),
    "backtranslate": ("synthetic.tsv",),
    "subwords": (INITIAL, "source.spm", "target.spm", "source.vocab.json", "target.vocab.json"),
    "align": (LINKS, INDEX),
    "train": ("best.safetensors",),
    "aligner": (ALIGNER, "aligner.json"),
    "evaluate": ("evaluation.json",),
    "trust": ("trust.json",),
    "export": ("bundle",),
}

STAGES = (
    Stage(
        "prepare",
        lambda recipe, place: [_without(recipe.to_dict()["data"], "folder"), recipe.to_dict()["cleaning"]],
        lambda recipe, place: [
            *(path for name in ("train", "valid", "test") for path in recipe.data.paths(name)),
            *(path for also in recipe.data.also_test for path in recipe.data.places(also.test)),
        ],
        lambda recipe, place: [
            *(place.folder / name for name in ("train.tsv", "valid.tsv", "test.tsv", "cleaning.json")),
            *(place.folder / also.copy for also in recipe.data.also_test),
        ],
        _prepare,
    ),
    Stage(
        "backtranslate",
        lambda recipe, place: [recipe.to_dict()["backtranslation"], recipe.to_dict()["cleaning"]],
        lambda recipe, place: [
            *(place.folder / "valid.tsv", place.folder / "test.tsv"),
            *(place.folder / also.copy for also in recipe.data.also_test),
            *(Path(recipe.data.folder) / name for name in recipe.backtranslation.files),
        ],
        _names("synthetic.tsv"),
        _backtranslate,
        lambda recipe: bool(recipe.backtranslation.files),
    ),
    Stage(
        "subwords",
        lambda recipe, place: [recipe.to_dict()["units"], *([recipe.init_from] if recipe.init_from else [])],
        lambda recipe, place: _training_files(recipe, place.folder),
        lambda recipe, place: [
            *vocabulary_files(recipe, place.folder),
            *([place.folder / INITIAL] if recipe.init_from else []),
        ],
        _subwords,
    ),
    Stage(
        "align",
        lambda recipe, place: None,
        lambda recipe, place: _training_files(recipe, place.folder),
        _names(LINKS, INDEX),
        _align,
        lambda recipe: recipe.training.guidance > 0,
    ),
    Stage(
        "train",
        lambda recipe, place: [
            *(recipe.model, _without(recipe.to_dict()["training"], *_NOT_TRAINING), recipe.backtranslation.weight),
            [corpus.weight for corpus in recipe.data.training],
        ],
        lambda recipe, place: [
            *_training_files(recipe, place.folder),
            *(place.folder / "valid.tsv", *vocabulary_files(recipe, place.folder)),
            *([place.folder / INITIAL] if recipe.init_from else []),
            *([place.folder / LINKS, place.folder / INDEX] if recipe.training.guidance else []),
        ],
        _names("checkpoints/best.safetensors"),
        _train,
    ),
    Stage(
        "aligner",
        lambda recipe, place: [recipe.training.keep, recipe.training.casual_rate, recipe.training.seed],
        lambda recipe, place: [
            *_training_files(recipe, place.folder),
            *(place.folder / name for name in (LINKS, INDEX, "checkpoints/best.safetensors")),
        ],
        _names(ALIGNER, "aligner.json"),
        _aligner,
        lambda recipe: recipe.training.guidance > 0,
    ),
    Stage(
        "evaluate",
        lambda recipe, place: [recipe.source, recipe.target, recipe.training.keep],
        lambda recipe, place: [
            *_with_vocabulary("test.tsv", "checkpoints/best.safetensors")(recipe, place),
            *(place.folder / also.copy for also in recipe.data.also_test),
        ],
        _names("evaluation.json"),
        _evaluate,
    ),
    Stage(
        "trust",
        lambda recipe, place: [recipe.source, recipe.target, recipe.training.keep, recipe.training.shortlist],
        _with_vocabulary("train.tsv", "valid.tsv", "test.tsv", "checkpoints/best.safetensors"),
        _names("trust.json"),
        _trust,
    ),
    Stage(
        "export",
        lambda recipe, place: [
            recipe.to_dict()["card"],
            recipe.name,
            recipe.source,
            recipe.target,
            recipe.training.keep,
        ],
        lambda recipe, place: [
            *_with_vocabulary("train.tsv", "checkpoints/best.safetensors", "cleaning.json")(recipe, place),
            *(place.folder / name for name in ("evaluation.json", "trust.json")),
            *([place.folder / ALIGNER, place.folder / "aligner.json"] if recipe.training.guidance else []),
        ],
        _names("bundle"),
        _export,
    ),
    Stage(
        "report",
        lambda recipe, place: recipe.to_dict()["card"],
        _names("bundle", "test.tsv", "evaluation.json"),
        _names("report.html"),
        _report,
    ),
    Stage(
        "publish",
        lambda recipe, place: [recipe.name, str(place.models.resolve())],
        _names("bundle"),
        _published,
        _publish,
    ),
)
"""In the order they run."""
