"""A search over recipes, on a toy corpus."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest

from benchmarks import recipe_search

ROOT = Path(__file__).parents[1]
RECIPE = """
name = "toy"
source = "en"
target = "fr"
[data]
train = "corpus.tsv"
valid_size = 20
test_size = 20
[units]
kind = "character"
[model]
cell = "gru"
embedding_size = 8
encoder_size = 8
encoder_layers = 1
decoder_size = 8
[training]
max_updates = 4
batch_tokens = 256
validate_every = 2
"""
SEARCH = """
base = "toy.toml"
[variations]
base = []
"word dropout 0.2" = ["model.source_word_dropout=0.2"]
"dropout of all" = ["model.dropout=1.0"]
"""


@pytest.fixture
def toy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    Path("corpus.tsv").write_text("".join(f"word number {n}\tmot numéro {n}\n" for n in range(120)), "utf-8")
    Path("toy.toml").write_text(RECIPE, "utf-8")
    Path("toy-search.toml").write_text(SEARCH, "utf-8")
    return tmp_path


def read(path: Path) -> dict[str, dict[str, str]]:
    with path.open(newline="", encoding="utf-8") as file:
        return {row["variation"]: row for row in csv.DictReader(file)}


def test_every_variation_gets_a_row_failures_too_and_is_not_run_again(
    toy: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["toy-search.toml", "--jobs", "2", "--device", "cpu", "--table", "table.csv"]
    recipe_search.main(command)
    rows = read(Path("table.csv"))
    assert [rows[name]["outcome"] for name in ("base", "word dropout 0.2")] == ["done", "done"]
    assert "model.dropout = 1.0 is out of range" in rows["dropout of all"]["outcome"]
    assert rows["word dropout 0.2"]["changes"] == "model.source_word_dropout=0.2"
    for row in (rows["base"], rows["word dropout 0.2"]):
        assert (row["updates"], row["seed"]) == ("4", "1")
        assert float(row["chrf"]) >= 0
        assert int(row["parameters"]) > 0
    assert "word dropout 0.2" in Path("table.md").read_text("utf-8")
    monkeypatch.setattr(recipe_search.Search, "run", lambda *_: pytest.fail("run again"))
    recipe_search.main(command)
    assert read(Path("table.csv")) == rows


def test_the_searches_of_the_project_name_variations_on_a_recipe_of_the_project() -> None:
    for path in (ROOT / "recipes" / "search").glob("*.toml"):
        base, variations = recipe_search.read_search(path, [1, 2])
        assert (ROOT / base).exists()
        names = [(one.name, one.seed) for one in variations]
        assert len(set(names)) == len(names) > 2
