from collections.abc import Callable
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any

import pytest

from nmt.config import ModelConfig
from nmt.errors import ConfigError
from training.config import CardConfig, CleaningConfig, Recipe, TrainingConfig, UnitsConfig, load_recipe
from training.data_config import BacktranslationConfig, DataConfig

ROOT = Path(__file__).parents[2]
SECTIONS = {
    "data": DataConfig,
    "cleaning": CleaningConfig,
    "backtranslation": BacktranslationConfig,
    "units": UnitsConfig,
    "model": ModelConfig,
    "training": TrainingConfig,
    "card": CardConfig,
}


@pytest.mark.parametrize("path", sorted((ROOT / "recipes").glob("*.toml")), ids=lambda path: path.stem)
def test_every_recipe_of_the_project_loads(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)  # where the shipped models are that some go on from
    assert load_recipe(path).name


def test_a_recipe_survives_json(recipe_file: Callable[..., Path]) -> None:
    recipe = load_recipe(recipe_file())
    assert Recipe.from_dict(recipe.to_dict()) == recipe


def test_overrides_win_and_are_typed(recipe_file: Callable[..., Path]) -> None:
    recipe = load_recipe(
        recipe_file(), ["training.max_updates=7", "data.folder=/somewhere", "training.learning_rate=1e-4", "run=a b"]
    )
    assert (recipe.training.max_updates, recipe.training.learning_rate) == (7, 1e-4)
    assert recipe.data.paths("train") == (Path("/somewhere/train.tsv"),)
    assert recipe.folder == Path("a b")


def test_an_absolute_path_needs_no_folder(recipe_file: Callable[..., Path]) -> None:
    recipe = load_recipe(recipe_file(), ["data.train=/data/a.tsv.gz"])
    assert recipe.data.paths("train") == (Path("/data/a.tsv.gz"),)


def test_the_run_folder_follows_the_name(recipe_file: Callable[..., Path]) -> None:
    assert load_recipe(recipe_file()).folder == Path("runs/tiny")


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("training.max_update=5", r"training\.max_update is not a known key; did you mean 'max_updates'"),
        ("trainign.seed=5", r"recipe\.trainign is not a known key; did you mean 'training'"),
        ("training=5", r"recipe\.training must be a table"),
        ("training.max_updates=many", r"training\.max_updates = 'many' has the wrong type; it must be a whole number"),
        ("training.keep=0.5", r"training\.keep is a share of the weights of init_from; name a bundle there"),
        ("inherits_units=true", r"inherits_units follows from init_from and \[units\]; leave it out"),
        ('data.also_test="a.tsv"', r"data\.also_test must be tables: write \[\[data\.also_test\]\]"),
        ("training.max_updates=0", r"training\.max_updates = 0 is out of range; it must lie between 1"),
        ("training.learning_rate=nan", r"training\.learning_rate = nan is out of range"),
        ("training.precision=fp16", r"training\.precision = 'fp16' is not known; choose one of auto, fp32, bf16"),
        ("training.device=gpu", r"training\.device = 'gpu' is not known; write auto, cpu, cuda"),
        ("units.kind=words", r"units\.kind = 'words' is not known; choose one of bpe, unigram, character"),
        ("units.size=2", r"units\.size = 2 is out of range"),
        ("units.coverage=99.9", r"units\.coverage = 99\.9 is out of range"),
        ("cleaning.target_script=Roman", r"cleaning\.target_script = 'Roman' names no Unicode script"),
        ("cleaning.max_length_ratio=0.5", r"cleaning\.max_length_ratio = 0\.5 is out of range"),
        ("data.train=", r"data\.train is empty"),
        ('data.train=["a", "b", "c"]', r"must be one file or a list of two"),
        (
            'data.train=["a.tsv", "b.tsv"]',
            r"a\.tsv holds pairs; several files of pairs are a \[\[data\.corpora\]\] each",
        ),
        ('data.train=["a.tmx.gz", "b"]', r"a\.tmx\.gz holds pairs"),
        ("data.valid_size=0", r"data\.valid_size = 0 is out of range"),
        ("model.cell=transformer", r"model\.cell = 'transformer' is not known"),
        ("model.wirings=1", r"model\.wirings is not a known key; did you mean 'wiring'"),
        ("model.source_vocabulary=9", r"model\.source_vocabulary follows from the units"),
        ("model.tying=three_way", r"model\.tying = 'three_way' needs one shared vocabulary"),  # this recipe has two
        ("model.decoder_layers=1", r"'parallel' needs decoder_layers of 2 or more"),
        ("name=../elsewhere", r"name = '\.\./elsewhere' cannot name a bundle"),
        ("source=English language", r"source = 'English language' is not a language code"),
        ("training.seed", r"--set training\.seed: write --set key=value"),
        ("name.first=x", r"--set name\.first=x: name is a value, not a table"),
    ],
)
def test_a_bad_value_is_named(recipe_file: Callable[..., Path], override: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        load_recipe(recipe_file(), [override])


def test_a_missing_key_is_named(tmp_path: Path) -> None:
    (tmp_path / "r.toml").write_text('source = "en"\ntarget = "fr"\n[data]\ntrain = "t"\n')
    with pytest.raises(ConfigError, match=r"r\.toml: recipe lacks the key 'name'"):
        load_recipe(tmp_path / "r.toml")


def test_broken_toml_names_the_line(tmp_path: Path) -> None:
    (tmp_path / "r.toml").write_text('name = "x"\nsource = \n')
    with pytest.raises(ConfigError, match=r"r\.toml: not valid TOML.*line 2"):
        load_recipe(tmp_path / "r.toml")


def test_a_missing_recipe_suggests_its_neighbour(recipe_file: Callable[..., Path]) -> None:
    path = recipe_file()
    with pytest.raises(ConfigError, match=r"tinny\.toml: there is no such recipe; did you mean .*tiny\.toml"):
        load_recipe(path.with_name("tinny.toml"))


def all_keys() -> list[str]:
    keys = [field.name for field in fields(Recipe) if field.name not in SECTIONS]
    for section, kind in SECTIONS.items():
        made = [field.name for field in fields(kind) if not field.name.endswith("_vocabulary")]
        keys += [f"{section}.{name}" for name in made]
    return keys


@pytest.mark.parametrize("key", all_keys())
def test_every_recipe_key_is_documented(key: str) -> None:
    reference = (ROOT / "docs" / "training.md").read_text("utf-8")
    assert f"| `{key}` |" in reference


def test_the_documented_defaults_are_the_real_ones() -> None:
    reference = (ROOT / "docs" / "training.md").read_text("utf-8")
    for section, kind in SECTIONS.items():
        assert is_dataclass(kind)
        for field in fields(kind):
            if isinstance(field.default, int | float | str):
                assert f"| `{section}.{field.name}` | {shown(field.default)} |" in reference, f"{section}.{field.name}"


def shown(value: Any) -> str:
    """A default as the reference writes it."""
    if isinstance(value, bool):
        return f"`{str(value).lower()}`"
    return f'`"{value}"`' if isinstance(value, str) else f"`{value}`"
