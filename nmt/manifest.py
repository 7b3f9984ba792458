"""The manifest of a bundle: size and SHA-256 of every other file, and how a folder takes its place whole."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Collection
from pathlib import Path
from typing import Any

from nmt.errors import BundleError

MANIFEST = "manifest.json"


def digest(path: Path) -> str:
    """SHA-256 of a file, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def seal(beside: Path, path: Path, *, version: int) -> None:
    """Write the manifest of the folder `beside` and rename it to `path`; what stood there is replaced."""
    for file in beside.iterdir():
        file.chmod(0o644)  # a server runs as another user
    files = {file.name: {"bytes": file.stat().st_size, "sha256": digest(file)} for file in sorted(beside.iterdir())}
    write_json(beside / MANIFEST, {"format_version": version, "files": files})
    aside = path.with_name(f".{path.name}.before")  # whole until the new one is in its place
    shutil.rmtree(aside, ignore_errors=True)
    if path.exists():
        path.rename(aside)
    beside.rename(path)
    shutil.rmtree(aside, ignore_errors=True)


def verify(path: Path, needed: Collection[str]) -> str:
    """Check every file against the manifest; return the manifest's own digest.

    Raises:
        BundleError: A file is missing or damaged, or `needed` are not all listed.
    """
    manifest = read_json(path / MANIFEST)
    files = manifest.get("files")
    if not isinstance(files, dict) or not set(needed) <= files.keys():
        raise BundleError(f"{path / MANIFEST} does not list the bundle's files; copy the whole folder again")
    for name, entry in files.items():
        if Path(name).name != name:
            raise BundleError(
                f"{path / MANIFEST} names {name!r}, which is not a file of this folder; copy the whole folder again"
            )
        file = path / name
        if not file.is_file():
            raise BundleError(f"{file} is missing; copy the whole folder again or export the model again")
        if not isinstance(entry, dict) or digest(file) != entry.get("sha256"):
            raise BundleError(
                f"{file} is damaged: its checksum is not the one in {MANIFEST}; "
                "copy the whole folder again or export the model again"
            )
    return digest(path / MANIFEST)


def read_json(path: Path) -> dict[str, Any]:
    """A JSON object of a bundle.

    Raises:
        BundleError: It is missing, or something else.
    """
    try:
        values = json.loads(path.read_text("utf-8"))
    except FileNotFoundError:
        raise BundleError(f"{path} is missing; copy the whole folder again or export the model again") from None
    except (ValueError, OSError) as error:
        raise BundleError(
            f"{path} is damaged ({error}); copy the whole folder again or export the model again"
        ) from None
    if not isinstance(values, dict):
        raise BundleError(
            f"{path} is damaged (not a JSON object); copy the whole folder again or export the model again"
        )
    return values


def write_json(path: Path, values: dict[str, Any]) -> None:
    """Write a JSON object, indented."""
    path.write_text(json.dumps(values, ensure_ascii=False, indent=2) + "\n", "utf-8")
