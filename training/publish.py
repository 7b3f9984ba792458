"""Publishing: the bundle becomes the next version in the model folder, whole or not at all."""

from __future__ import annotations

import errno
import os
import shutil
from pathlib import Path

from nmt.errors import ConfigError
from training.config import Recipe


def publish(recipe: Recipe, folder: Path, models: Path) -> Path:
    """Copy `folder`/bundle to `models`/NAME/VERSION, one above the highest there; return that path.

    A bundle that is already the newest version is not published again. A running service sees the
    new version only once it is complete: it is copied beside its place and renamed.

    Raises:
        ConfigError: The run folder holds no complete bundle.
    """
    bundle = folder / "bundle"
    manifest = bundle / "manifest.json"
    if not manifest.is_file():
        raise ConfigError(f"{manifest} is missing, so {bundle} is no complete bundle; run the stage export first")
    shelf = models / recipe.name
    shelf.mkdir(parents=True, exist_ok=True)
    version = max((int(one.name) for one in shelf.iterdir() if one.name.isdecimal()), default=0)
    newest = shelf / str(version) / "manifest.json"
    if newest.is_file() and newest.read_bytes() == manifest.read_bytes():
        print(f"  {newest.parent} already is this bundle")
        return newest.parent
    part = shelf / f".{os.getpid()}.part"
    shutil.rmtree(part, ignore_errors=True)  # of a killed process that had the same number
    try:
        shutil.copytree(bundle, part)
        for file in part.rglob("*"):
            if file.is_file():
                _flush(file)
        place = _rename(part, shelf, version + 1)
    finally:
        shutil.rmtree(part, ignore_errors=True)
    print(f"  published: {place}")
    return place


def _rename(part: Path, shelf: Path, version: int) -> Path:
    while True:
        place = shelf / str(version)
        try:
            part.rename(place)
        except OSError as error:
            if error.errno not in (errno.ENOTEMPTY, errno.EEXIST):
                raise
            version += 1  # another run published in the meantime
        else:
            return place


def _flush(file: Path) -> None:
    with file.open("rb") as opened:
        os.fsync(opened.fileno())
