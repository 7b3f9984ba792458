"""What the tests of the pipeline share: a made corpus and a recipe for it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

Write = Callable[..., Path]

RECIPE = """
name = "tiny"
source = "en"
target = "fr"

[data]
folder = "{folder}"
train = {train}
valid_size = 20
test_size = 20

[units]
kind = "character"
shared = false
"""


@pytest.fixture(autouse=True)
def working_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Every test works in a folder of its own, so that runs/ and var/ land there."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def corpus(tmp_path: Path) -> Path:
    """200 pairs in train.tsv, no sentence twice."""
    path = tmp_path / "train.tsv"
    path.write_text("".join(f"word number {n}\tmot numéro {n}\n" for n in range(200)), encoding="utf-8")
    return path


@pytest.fixture
def recipe_file(tmp_path: Path, corpus: Path) -> Write:
    """Writes a recipe for the corpus; `extra` is TOML put at its end."""

    def write(extra: str = "", *, train: str = '"train.tsv"', name: str = "tiny.toml") -> Path:
        path = tmp_path / name
        path.write_text(RECIPE.format(folder=tmp_path, train=train) + extra, encoding="utf-8")
        return path

    return write
