"""`training.precision = "auto"`: bf16 where the machine computes in it, else fp32; a run keeps what it began with."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import cast

import torch

from nmt.device import resolve_device
from training.config import Precision, Recipe
from training.files import write_json
from training.run_folder import read_record


def fitting(device: str) -> Precision:
    """The faster precision of a device (`cpu`, `cuda`, `cuda:N`).

    Without instructions for it bf16 is many times slower than fp32, so a CPU must have AVX512-BF16
    or AMX-BF16; an older torch cannot be asked, and gets fp32.
    """
    if device != "cpu":
        with torch.cuda.device(device):
            return "bf16" if torch.cuda.is_bf16_supported(including_emulation=False) else "fp32"
    asked = getattr(torch.cpu, "get_capabilities", None)
    found = asked() if asked else {}
    return "bf16" if found.get("avx512_bf16") or found.get("amx_bf16") else "fp32"


def settled(recipe: Recipe, folder: Path) -> Recipe:
    """The recipe with `auto` decided, and the decision noted in the run folder.

    While there are checkpoints `auto` means what the run has used before, whatever machine it goes on on.
    """
    record = read_record(folder)
    precision = recipe.training.precision
    if precision == "auto":
        checkpoints, before = folder / "checkpoints", record.get("precision")
        if before and checkpoints.is_dir() and any(checkpoints.iterdir()):
            precision, why = cast(Precision, before), "as before"
        else:
            precision, why = fitting(resolve_device(recipe.training.device)), "which fits this machine"
        print(f"  precision: {precision}, {why}", flush=True)
    if record.get("precision") != precision:
        write_json(folder / "stages.json", {**record, "precision": precision})
    return with_precision(recipe, precision)


def noted(recipe: Recipe, folder: Path) -> Recipe:
    """The same for a process that trains along: what the first one noted."""
    return with_precision(recipe, read_record(folder).get("precision", "fp32"))


def with_precision(recipe: Recipe, precision: Precision) -> Recipe:
    """The recipe with this `training.precision`."""
    return replace(recipe, training=replace(recipe.training, precision=precision))
