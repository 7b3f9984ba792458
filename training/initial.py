"""Going on from a bundle: its architecture and vocabulary in the recipe, its files in the run folder."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

from nmt.bundle import ModelBundle
from nmt.errors import ConfigError
from nmt.manifest import MANIFEST

INITIAL = "initial"
"""Copy of the bundle in the run folder: a newer version on the shelf shall not change a run half-way."""

_FREE = ("dropout", "source_word_dropout", "target_word_dropout")
"""What `[model]` may say beside a bundle: it changes training, not the weights."""


def inherit(values: dict[str, Any]) -> dict[str, Any]:
    """A recipe's plain values with `[units]` and `[model]` as the bundle `init_from` has them.

    Raises:
        BundleError: There is no such bundle.
        ConfigError: The recipe asks for other units, another architecture or another direction.
    """
    copy = Path(values.get("run") or f"runs/{values.get('name')}") / INITIAL
    bundle = ModelBundle.load(copy if (copy / MANIFEST).is_file() else values["init_from"])
    model = values.get("model") or {}
    if values.get("units") or set(model) - set(_FREE):
        raise ConfigError(
            "init_from brings its own vocabulary and architecture; leave out [units], "
            f"and everything but {', '.join(_FREE)} in [model]"
        )
    for side in ("source", "target"):
        if values.get(side) != getattr(bundle, side):
            raise ConfigError(
                f"init_from = {values['init_from']!r} translates {bundle.source} to {bundle.target}, "
                f"but the recipe says {side} = {values.get(side)!r}"
            )
    config = bundle.config
    architecture = {key: value for key, value in config.architecture.items() if not key.endswith("_vocabulary")}
    units = {
        "kind": "character" if config.source_units.endswith(".json") else "bpe",
        "size": config.architecture["source_vocabulary"],
        "shared": config.source_units == config.target_units,
    }
    return {**values, "units": units, "model": {**architecture, **model}}


def copy_initial(init_from: str, folder: Path) -> ModelBundle:
    """Copy the bundle to `folder`/initial, whole or not at all."""
    bundle = ModelBundle.load(init_from)
    place, beside = folder / INITIAL, folder / f"{INITIAL}.part"
    shutil.rmtree(beside, ignore_errors=True)
    shutil.copytree(bundle.path, beside)
    shutil.rmtree(place, ignore_errors=True)
    beside.rename(place)
    return ModelBundle.load(place)
