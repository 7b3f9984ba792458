"""Checkpoints: one safetensors file each, written beside and renamed, never half there."""

from __future__ import annotations

import json
import os
import sys
import zlib
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, uint8

from nmt.errors import NmtError


def save(path: Path, tensors: dict[str, Tensor], state: dict[str, Any], *, keep: bool = False) -> None:
    """Write tensors and state to `path` at once: a reader sees the old file or the new one.

    Args:
        path: The file.
        tensors: By name.
        state: Plain values, for JSON.
        keep: Leave what stood there as `before(path)`.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_suffix(".part")
    try:
        plain = {name: tensor.detach().contiguous().cpu() for name, tensor in tensors.items()}
        save_file(plain, beside, metadata={"state": json.dumps(state), "checksum": _checksum(plain)})
        with beside.open("rb") as file:
            os.fsync(file.fileno())
        if keep and path.exists():
            path.replace(before(path))  # a kill between the two renames leaves this one, and `load_last` finds it
        beside.replace(path)
    except (OSError, SafetensorError) as error:
        beside.unlink(missing_ok=True)
        raise NmtError(
            f"the checkpoint {path} could not be written ({error}); the one before it is unharmed. "
            "Free some space and start the same command again"
        ) from None


def before(path: Path) -> Path:
    """Where the checkpoint before the one at `path` is kept."""
    return path.with_name(f"{path.stem}-before{path.suffix}")


def load(path: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Tensors and state of a checkpoint.

    Raises:
        NmtError: The file is not a whole checkpoint, or not the one that was written.
    """
    try:
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
            state = json.loads(metadata["state"])
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (not a dict)
        if metadata["checksum"] != _checksum(tensors):
            raise ValueError("its checksum is another one")
    except (OSError, SafetensorError, KeyError, ValueError) as error:
        raise NmtError(f"{path} is not a whole checkpoint ({error}); delete it to start again") from None
    return tensors, state


def load_last(path: Path) -> tuple[dict[str, Tensor], dict[str, Any]] | None:
    """The checkpoint at `path`, or the one before it where that is missing or torn; None where there is neither.

    Raises:
        NmtError: Both are torn.
    """
    errors: list[NmtError] = []
    for place in (path, before(path)):
        if not place.exists():
            continue
        try:
            found = load(place)
        except NmtError as error:
            errors.append(error)
            continue
        for torn in errors:
            print(f"warning: {str(torn).partition(';')[0]}; going on from {place}", file=sys.stderr)
        return found
    if errors:
        raise errors[0]
    return None


def _checksum(tensors: dict[str, Tensor]) -> str:
    """CRC-32 of all contents: a disk that lost a block in a power cut is noticed."""
    total = 0
    for name in sorted(tensors):
        total = zlib.crc32(tensors[name].reshape(-1).view(uint8).numpy().data, total)
    return f"{total:08x}"
