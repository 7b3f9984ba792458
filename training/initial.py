"""Going on from a bundle: its architecture and vocabulary in the recipe, its files and weights in the run."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from nmt.bundle import ModelBundle
from nmt.errors import ConfigError
from nmt.manifest import MANIFEST
from nmt.model import Seq2Seq
from nmt.tokenizer import Tokenizer

INITIAL = "initial"
"""Copy of the bundle in the run folder: a newer version on the shelf shall not change a run half-way."""

_FREE = ("dropout", "source_word_dropout", "target_word_dropout")
"""What `[model]` may say beside a bundle: it changes training, not the weights."""


def inherit(values: dict[str, Any]) -> dict[str, Any]:
    """A recipe's plain values with `[units]` and `[model]` as the bundle `init_from` has them.

    A recipe with `[units]` of its own keeps those and may translate between other languages.

    Raises:
        BundleError: There is no such bundle.
        ConfigError: The recipe asks for another architecture, or for another direction in the bundle's units.
    """
    copy = Path(values.get("run") or f"runs/{values.get('name')}") / INITIAL
    bundle = ModelBundle.load(copy if (copy / MANIFEST).is_file() else values["init_from"])
    model = values.get("model") or {}
    if set(model) - set(_FREE):
        raise ConfigError(
            f"init_from brings its own architecture; leave out everything but {', '.join(_FREE)} in [model]"
        )
    config = bundle.config
    architecture = {key: value for key, value in config.architecture.items() if not key.endswith("_vocabulary")}
    values = {**values, "model": {**architecture, **model}}
    if values.get("units"):
        if (values.get("training") or {}).get("keep"):
            raise ConfigError("training.keep mixes weights of one vocabulary; leave it out, or leave out [units]")
        return values
    for side in ("source", "target"):
        if values.get(side) != getattr(bundle, side):
            raise ConfigError(
                f"init_from = {values['init_from']!r} translates {bundle.source} to {bundle.target}, "
                f"but the recipe says {side} = {values.get(side)!r}; for other languages give it [units] of its own"
            )
    units = {
        "kind": "character" if config.source_units.endswith(".json") else "bpe",
        "size": config.architecture["source_vocabulary"],
        "shared": config.source_units == config.target_units,
    }
    return {**values, "units": units, "inherits_units": True}


def copy_initial(init_from: str, folder: Path) -> ModelBundle:
    """Copy the bundle to `folder`/initial, whole or not at all."""
    bundle = ModelBundle.load(init_from)
    place, beside = folder / INITIAL, folder / f"{INITIAL}.part"
    shutil.rmtree(beside, ignore_errors=True)
    shutil.copytree(bundle.path, beside)
    shutil.rmtree(place, ignore_errors=True)
    beside.rename(place)
    return ModelBundle.load(place)


def initialise(model: Seq2Seq, bundle: ModelBundle, source: Tokenizer, target: Tokenizer) -> int:
    """Give a model the bundle's weights, the units of another vocabulary those of the same spelling.

    A unit the bundle does not have begins as a random one like those it has: each component is
    drawn from their normal distribution (Hewitt 2021, "Initializing new word embeddings"). The
    layers are taken over as they are (Zoph et al. 2016; Kocmi & Bojar 2018).

    Args:
        model: Of the bundle's architecture, its vocabularies aside.
        bundle: What to go on from.
        source: The model's tokenizer of sources.
        target: Of targets.

    Returns:
        How many units of both sides the bundle has too.
    """
    own, weights = model.state_dict(), bundle.model().state_dict()
    known = 0
    for side, new, old in zip(("encoder", "decoder"), (source, target), bundle.tokenizers(), strict=True):
        places = {old.piece(id_): id_ for id_ in range(old.size)}
        rows = torch.tensor([places.get(new.piece(id_), -1) for id_ in range(new.size)])
        known += int((rows >= 0).sum())
        for name in own:
            if name.startswith((f"{side}.embedding.", f"{side}.output.")):
                weights[name] = _choose(weights[name], rows)
    model.load_state_dict(weights)
    return known


def _choose(weight: Tensor, rows: Tensor) -> Tensor:
    """Rows of `weight`, shape (units, ...); -1 draws one like all of them."""
    mean, spread = weight.mean(dim=0), weight.std(dim=0)
    drawn = mean + spread * torch.randn(len(rows), *weight.shape[1:])
    return torch.where((rows >= 0).view(-1, *[1] * (weight.dim() - 1)), weight[rows.clamp_min(0)], drawn)
