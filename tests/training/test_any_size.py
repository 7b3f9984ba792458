"""What keeps memory flat: digests sorted by slices, blocks cleaned by other processes."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from training import duplicates
from training.config import load_recipe
from training.corpus import read_tsv
from training.duplicates import repeated, shared
from training.prepare import prepare

Write = Callable[..., Path]


@pytest.mark.parametrize("chunk", [7, 1 << 20])
def test_repeated_and_shared_digests_are_found_in_any_number_of_slices(
    monkeypatch: pytest.MonkeyPatch, chunk: int
) -> None:
    monkeypatch.setattr(duplicates, "_CHUNK", chunk)
    digests = np.array([5, 2**63, 5, 0, 2**64 - 1, 0, 5, 77, 2**63 + 1, 2**64 - 1], np.uint64)
    assert np.flatnonzero(repeated(digests)).tolist() == [2, 5, 6, 9]
    assert np.flatnonzero(shared(digests)).tolist() == [0, 2, 3, 4, 5, 6, 9]


def test_other_processes_clean_as_this_one_does(
    recipe_file: Write, corpus: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lines = [f"word number {n % 900}\u00a0!\tmot numéro {n % 900} {'é' * (n % 50)}\n" for n in range(3000)]
    corpus.write_text("".join([*lines, "\tempty\n", "same\tsame\n"]), "utf-8")
    recipe = load_recipe(recipe_file())
    monkeypatch.setattr("training.corpus._BLOCK", 1 << 14)
    for name, workers in (("one", 1), ("two", 2)):
        monkeypatch.setattr("training.parallel.cores", lambda workers=workers: workers)
        prepare(recipe, tmp_path / name)
    for name in ("train.tsv", "valid.tsv", "test.tsv", "cleaning.json"):
        assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "two" / name).read_bytes()
    report = json.loads((tmp_path / "one" / "cleaning.json").read_text())
    assert report["rules"]["duplicate"]["count"] > 0
    assert report["rules"]["duplicate"]["examples"][0]["source"].endswith("\u00a0!")  # as it was
    assert report["kept"] == sum(report["parts"].values()) == report["read"] - report["dropped"]


def test_duplicates_are_pairs_equal_after_normalising(recipe_file: Write, corpus: Path) -> None:
    with corpus.open("a", encoding="utf-8") as file:
        file.write("Go!\tVa\u00a0!\nGo! \tVa !\nGo!\tAllez !\n")
    recipe = load_recipe(recipe_file())
    prepare(recipe, recipe.folder)
    pairs = [pair for name in ("train", "valid", "test") for pair in read_tsv(recipe.folder / f"{name}.tsv")]
    assert sorted(target.replace("\u00a0", " ") for source, target in pairs if source.strip() == "Go!") == [
        "Allez !",
        "Va !",
    ]


def test_several_corpora_are_counted_apart(recipe_file: Write, corpus: Path, tmp_path: Path) -> None:
    (tmp_path / "more.tsv").write_text("".join(f"other {n}\tautre {n}\n" for n in range(100)))
    entries = '\n[[data.corpora]]\ntrain = "train.tsv"\nweight = 1\n[[data.corpora]]\ntrain = "more.tsv"\nweight = 2\n'
    path = recipe_file(entries)
    path.write_text(path.read_text().replace('train = "train.tsv"\nvalid_size', "valid_size"))
    recipe = load_recipe(path)
    prepare(recipe, recipe.folder)
    report = json.loads((recipe.folder / "cleaning.json").read_text())
    assert [entry["files"] for entry in report["corpora"]] == [["train.tsv"], ["more.tsv"]]
    sizes = [entry["pairs"] for entry in report["corpora"]]
    assert sum(sizes) == report["parts"]["train"] == 260
    rows = [source.split()[0] for source, _ in read_tsv(recipe.folder / "train.tsv")]
    assert rows == ["word"] * sizes[0] + ["other"] * sizes[1]  # the mixture relies on this order
