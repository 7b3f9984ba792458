import json
import random
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from nmt.bundle import FORMAT_VERSION, BundleConfig, ModelBundle
from nmt.errors import ConfigError
from nmt.model import Seq2Seq
from nmt.tokenizer import SPACE, SPECIAL
from training.config import load_recipe
from training.gate import compare, gate

WORDS = ("the", "old", "cat", "sees", "a", "green", "dog", "and", "waits", "for", "one", "horse", "in", "my", "garden")


def sentences(count: int, wrong: float) -> tuple[list[str], list[str]]:
    """References, and translations with a share of wrong words."""
    chance = random.Random(1)
    references = [" ".join(chance.choices(WORDS, k=9)) for _ in range(count)]
    noise = random.Random(int(wrong * 1000))
    return references, [" ".join("x" if noise.random() < wrong else w for w in one.split()) for one in references]


def test_a_clearly_worse_model_is_told_from_one_that_differs_by_chance() -> None:
    references, good = sentences(150, 0.10)
    _, alike = sentences(150, 0.11)
    _, bad = sentences(150, 0.30)
    worse = compare(good, bad, references, "fr")
    assert worse.worse
    assert worse.p < 0.01
    assert worse.old - worse.new > 5
    assert not compare(bad, good, references, "fr").worse
    assert not compare(good, alike, references, "fr").worse
    same = compare(good, good, references, "fr")
    assert (same.old, same.worse) == (same.new, False)


def bundle(path: Path, folder: Path, seed: int) -> None:
    """A small bundle with random weights, or with zeros for seed 0."""
    pieces = [*SPECIAL.values(), SPACE, *"abcdefghijklmnopqrstuvwxyz"]
    (folder / "source.vocab.json").write_text(json.dumps({"pieces": pieces}))
    torch.manual_seed(seed)
    recipe = load_recipe(folder / "tiny.toml")
    architecture = recipe.model_config(len(pieces), len(pieces))
    weights = {name: p.detach() * (seed > 0) for name, p in Seq2Seq(architecture).named_parameters()}
    config = BundleConfig(
        format_version=FORMAT_VERSION, name="tiny", source="en", target="fr", architecture=architecture.to_dict(),
        source_units="source.vocab.json", target_units="source.vocab.json", longest_source=50,
    )  # fmt: skip
    ModelBundle.save(path, config=config, weights=weights, units=[folder / "source.vocab.json"], card={}, readme="x")


@pytest.fixture
def run(recipe_file: Callable[..., Path], tmp_path: Path) -> Path:
    recipe_file('[model]\ncell = "gru"\nembedding_size = 8\nencoder_size = 8\ndecoder_size = 8\ntying = "two_way"\n')
    bundle(tmp_path / "models/tiny/1", tmp_path, 1)
    bundle(tmp_path / "bundle", tmp_path, 2)
    (tmp_path / "test.tsv").write_text("abc def\tghi jkl\nmno pqr stu\tvwx yz\n")
    return tmp_path


def worse(monkeypatch: pytest.MonkeyPatch) -> None:
    references, good = sentences(60, 0.0)
    bad = ["x"] * 60
    monkeypatch.setattr("training.gate.compare", lambda *_: compare(good, bad, references, "fr"))


def test_a_worse_model_needs_force_and_leaves_a_comparison(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    worse(monkeypatch)
    recipe = load_recipe(run / "tiny.toml")
    with pytest.raises(ConfigError, match=r"worse than .*models/tiny/1 by 100\.00 BLEU.*comparison\.html.*--force"):
        gate(recipe, run, run / "models", force=False)
    page = (run / "comparison.html").read_text("utf-8")
    assert "What changed most" in page
    assert "abc def" in page
    assert page.count("data:image/svg+xml") >= 2
    gate(recipe, run, run / "models", force=True)


def test_the_first_version_and_the_same_again_pass(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("training.gate._SHIPPED", run / "nowhere")
    recipe = load_recipe(run / "tiny.toml")
    gate(recipe, run, run / "elsewhere", force=False)
    (run / "bundle").rename(run / "models/tiny/2")
    bundle(run / "bundle", run, 2)
    gate(recipe, run, run / "models", force=False)
    assert not (run / "comparison.html").exists()


def test_a_model_of_a_shipped_name_is_compared_with_the_shipped_one(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    worse(monkeypatch)
    monkeypatch.setattr("training.gate._SHIPPED", run / "models")
    with pytest.raises(ConfigError, match=r"worse than .*models/tiny/1"):
        gate(load_recipe(run / "tiny.toml"), run, run / "var/models", force=False)
