"""Whose run folder it is, what has been done there, and whether its inputs have changed since."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from nmt.errors import ConfigError, CorpusError
from training.config import Recipe
from training.files import read_json, sha256, write_json

HARMLESS = (
    *("run", "card", "data.folder", "training.max_updates", "training.validate_every", "training.patience"),
    *("training.threads", "training.device", "training.checkpoint_seconds"),
    *("training.max_skipped", "training.tensorboard", "training.keep", "training.shortlist"),
    *("training.learning_rate", "training.clip_norm", "training.precision"),  # what helps when the loss is not finite
)
"""Keys that may change between two runs in one folder without making its checkpoints worthless."""


def read_record(folder: Path) -> dict[str, Any]:
    """`stages.json`: fingerprints of finished stages, and known digests of files."""
    record = read_json(folder / "stages.json")
    if not isinstance(record, dict) or not all(isinstance(record.get(key), dict) for key in ("stages", "files")):
        return {"stages": {}, "files": {}}
    return record


def fingerprint_of(settings: Any, inputs: list[Path], known: dict[str, Any]) -> str:
    """A digest of settings and of the files' contents; `known` holds digests of files and is added to."""
    contents = [[path.name, _contents(path, known)] for path in inputs]
    return hashlib.sha256(json.dumps([settings, contents], sort_keys=True).encode()).hexdigest()


def _contents(path: Path, known: dict[str, Any]) -> Any:
    """The SHA-256 of a file, or of every file of a folder; taken from `known` when size and time are the same."""
    if path.is_dir():
        return [[str(one.relative_to(path)), _contents(one, known)] for one in sorted(path.rglob("*")) if one.is_file()]
    if not path.is_file():
        return None
    status = path.stat()
    entry = known.get(str(path))
    if not entry or entry[:2] != [status.st_size, status.st_mtime_ns]:
        entry = known[str(path)] = [status.st_size, status.st_mtime_ns, sha256(path)]
    return entry[2]


def claim(recipe: Recipe, folder: Path) -> None:
    """Write recipe.json, unless the folder holds the work of another recipe.

    Raises:
        ConfigError: It does: another name or direction, or checkpoints trained otherwise.
    """
    path = folder / "recipe.json"
    values = json.loads(json.dumps(recipe.to_dict()))
    before = read_json(path)
    if isinstance(before, dict):
        old, new = _flat(before), _flat(values)
        changed = [key for key in sorted(old | new) if old.get(key) != new.get(key) and not _is_harmless(key)]
        says = "; ".join(f"{key} was {old.get(key)!r}, is {new.get(key)!r}" for key in changed[:5])
        if any(key in ("name", "source", "target") for key in changed):
            raise ConfigError(f"{folder} belongs to another recipe: {says}. {_own_folder(folder)}")
        if changed:
            keep_checkpoints(folder, f"they are of another recipe: {says}")
    if before != values:
        write_json(path, values)


def keep_checkpoints(folder: Path, why: str) -> None:
    """Raise `ConfigError` when there are checkpoints, which what is about to happen would make worthless."""
    checkpoints = folder / "checkpoints"
    if checkpoints.is_dir() and any(checkpoints.iterdir()):
        raise ConfigError(
            f"{folder} holds checkpoints that this run cannot go on from; {why}. "
            f"{_own_folder(folder)}, or delete {checkpoints} to train anew"
        )


def _own_folder(folder: Path) -> str:
    return f"Give this recipe a folder of its own, for example --set run={folder}-2"


def same_data(record: dict[str, Any], inputs: list[Path], folder: Path) -> None:
    """Raise `CorpusError` unless checkpoints there were begun with these data and this vocabulary."""
    data = fingerprint_of(None, inputs, record["files"])
    checkpoints = folder / "checkpoints"
    if record.get("trained_on") not in (None, data) and checkpoints.is_dir() and any(checkpoints.iterdir()):
        raise CorpusError(
            f"{folder}: train.tsv, valid.tsv or the vocabulary is not the one the checkpoints were trained on. "
            f"{_own_folder(folder)}, or delete {checkpoints} to train anew"
        )
    record["trained_on"] = data


def _flat(values: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for key, value in values.items():
        flat |= _flat(value, f"{prefix}{key}.") if isinstance(value, dict) else {prefix + key: value}
    return flat


def _is_harmless(key: str) -> bool:
    return key in HARMLESS or key.partition(".")[0] in HARMLESS


@contextmanager
def alone(folder: Path) -> Iterator[None]:
    """Hold the run folder: a second run would write the same files."""
    try:
        import fcntl
    except ImportError:  # Windows
        yield
        return
    with (folder / "lock").open("a") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise ConfigError(f"another run is at work in {folder}; wait for it, or stop it first") from None
        yield
