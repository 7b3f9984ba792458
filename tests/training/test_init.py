"""From a corpus to a recipe that fits it, and trains."""

from __future__ import annotations

import itertools
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from training.__main__ import main
from training.config import Recipe, load_recipe
from training.corpus import SentencePair
from training.presets import PRESETS, preset_for
from training.scripts import main_scripts
from training.survey import draw

ROOT = Path(__file__).parents[2]
WORDS = {
    "en": ("the my this one", "red green small old quiet", "cat dog horse train garden boat", "sleeps waits sings"),
    "fr": (
        "le mon ce un",
        "rouge vert petit vieux calme",
        "chat chien cheval train jardin bateau",
        "dort attend parle",
    ),
    "zh": ("那只 我的 这个 一只", "红 绿 小 老 静", "猫 狗 马 火车 花园 小船", "睡觉 等待 唱歌"),
}


def sentences(code: str) -> list[str]:
    """360 sentences, in the same order in every language."""
    space = "" if code == "zh" else " "
    return [space.join(words) for words in itertools.product(*(group.split() for group in WORDS[code]))]


@pytest.fixture
def write() -> Callable[..., Path]:
    """Writes a TSV file of the made sentences, shuffled; `extra` pairs at its end."""

    def file(name: str, source: str, target: str, extra: list[tuple[str, str]] | None = None) -> Path:
        pairs = [*zip(sentences(source), sentences(target), strict=True)]
        random.Random(1).shuffle(pairs)
        Path(name).write_text("".join(f"{a}\t{b}\n" for a, b in [*pairs, *(extra or [])]), encoding="utf-8")
        return Path(name)

    return file


@pytest.fixture(autouse=True)
def no_timing(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """The updates that `init` times take seconds; one test has them."""
    if "says_why_and_trains" not in request.node.name:
        monkeypatch.setattr("training.init.seconds_an_update", lambda recipe, folder: 1.0)


def init(corpus: Path, *arguments: str, source: str = "en", target: str = "fr") -> tuple[Recipe, str]:
    """The recipe that `init` writes, and its text."""
    assert main(["init", "--source", source, "--target", target, "--corpus", str(corpus), *arguments]) == 0
    path = Path(f"recipes/{source}-{target}.toml")
    return load_recipe(path), path.read_text("utf-8")


def test_the_recipe_says_why_and_trains(write: Callable[..., Path], capsys: pytest.CaptureFixture[str]) -> None:
    recipe, text = init(write("toy.tsv", "en", "fr"))
    said = capsys.readouterr().out
    assert "360 pairs, all looked at" in said
    assert "s each, timed just now" in said
    assert "python -m training run recipes/en-fr.toml" in said
    body = text[text.index("[data]") : text.index("[card]")]
    reasons = [line for line in body.splitlines() if "=" in line and not line.startswith(("#", "folder", "train"))]
    assert all("  # " in line for line in reasons)
    assert "half the longer sides have at most 4 words, 99.9% at most 4; none is over the limit" in text
    assert "characters are spelt, 0 rare ones copied through attention" in text
    assert "2,000 would be more than this text can fill" in text
    assert (recipe.units.shared, recipe.cleaning.target_script) == (True, "Latin")
    assert (recipe.data.valid_size, recipe.data.test_size) == (45, 45)
    few = ("training.max_updates=3", "training.validate_every=3", "training.batch_tokens=256")
    small = [f"model.{name}_size=32" for name in ("embedding", "encoder", "decoder")]
    overrides = [part for one in (*few, *small) for part in ("--set", one)]
    for stage in ("prepare", "subwords", "train"):
        assert main([stage, "recipes/en-fr.toml", *overrides]) == 0, capsys.readouterr().err
    assert Path("runs/en-fr/checkpoints/best.safetensors").exists()


def test_scripts_with_nothing_in_common_get_vocabularies_of_their_own(write: Callable[..., Path]) -> None:
    recipe, _ = init(write("toy.tsv", "zh", "en"), "--swap", target="zh")
    assert (recipe.units.shared, recipe.units.coverage) == (False, 0.9995)
    assert (recipe.cleaning.source_script, recipe.cleaning.target_script) == ("Latin", "Han")
    assert recipe.data.swap


def test_words_instead_of_sentences_get_characters() -> None:
    path = Path("dates.tsv")
    path.write_text("".join(f"{n % 28 + 1} of May {1500 + n}\t{1500 + n}-05-{n % 28 + 1:02}\n" for n in range(400)))
    recipe, _ = init(path)
    assert recipe.units.kind == "character"
    assert recipe.cleaning.target_script == ""  # there are no letters


def test_given_files_are_named_and_nothing_is_split_off(write: Callable[..., Path]) -> None:
    corpus = write("toy.tsv", "en", "fr")
    lines = corpus.read_text().splitlines(keepends=True)
    Path("v.tsv").write_text("".join(lines[:20]))
    recipe, text = init(corpus, "--valid", "v.tsv")
    assert recipe.data.valid == "v.tsv"
    assert "valid_size" not in text
    assert "test_size" in text


def test_two_scripts_on_one_side_are_not_checked(
    write: Callable[..., Path], capsys: pytest.CaptureFixture[str]
) -> None:
    cyrillic = str.maketrans("aeiorst", "аеиорст")
    mixed = [(f"{a} {a}", b.translate(cyrillic)) for a, b in zip(sentences("en"), sentences("fr"), strict=True)]
    recipe, _ = init(write("toy.tsv", "en", "fr", mixed[:200]))
    assert recipe.cleaning.target_script == ""
    assert "wrong_script" not in capsys.readouterr().out


def test_a_recipe_is_not_written_over(write: Callable[..., Path], capsys: pytest.CaptureFixture[str]) -> None:
    corpus = write("toy.tsv", "en", "fr")
    Path("recipes").mkdir()
    Path("recipes/en-fr.toml").write_text("mine")
    assert main(["init", "--source", "en", "--target", "fr", "--corpus", str(corpus)]) == 2
    assert "recipes/en-fr.toml is there already" in capsys.readouterr().err
    assert Path("recipes/en-fr.toml").read_text() == "mine"
    assert init(corpus, "--force")[0].name == "en-fr"


@pytest.mark.parametrize(
    ("text", "arguments", "message"),
    [
        ("a cat\tun chat\n" * 500, (), "only 1 of 500 pairs are clean"),
        ("no tab\n", (), "corpus.tsv, line 1: no tab between source and target"),
        ("a\tb\n", ("--name", "../x"), "cannot name a bundle"),
    ],
)
def test_what_cannot_work_is_explained(
    text: str, arguments: tuple[str, ...], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("corpus.tsv").write_text(text)
    assert main(["init", "--source", "en", "--target", "fr", "--corpus", "corpus.tsv", *arguments]) == 2
    assert message in capsys.readouterr().err
    assert not Path("recipes").exists()


def test_a_sample_keeps_equal_pairs_together_and_the_order() -> None:
    pairs = [SentencePair(f"s {n % 3000}", f"t {n % 3000}", n) for n in range(6000)]  # every pair twice
    sample = draw(pairs, at_least=400)
    assert (sample.total, sample.whole) == (6000, False)
    assert 400 <= len(sample.pairs) <= 800
    assert len({one.source for one in sample.pairs}) == len(sample.pairs) / 2
    assert [one.line for one in sample.pairs] == sorted(one.line for one in sample.pairs)
    assert draw(pairs).whole


@pytest.mark.parametrize(
    ("text", "scripts"),
    [
        ("The old cat", ("Latin",)),
        ("使用 Python 的 asyncio.run 函数来启动", ("Han",)),
        ("Django を使う", ("Han", "Hiragana", "Katakana")),
        ("Старая кошка", ("Cyrillic",)),
        ("1998-03-03", ()),
    ],
)
def test_latin_names_do_not_hide_the_script_of_a_text(text: str, scripts: tuple[str, ...]) -> None:
    assert main_scripts([text]) == scripts


@pytest.mark.parametrize("pairs", [500, 20_000, 30_000, 161_000, 1_000_000, 20_000_000])
def test_the_more_pairs_the_larger_and_the_less_regularised(pairs: int) -> None:
    row, smaller = preset_for(pairs), preset_for(pairs / 10)
    assert (row.size, row.width, row.batch_tokens) >= (smaller.size, smaller.width, smaller.batch_tokens)
    assert (row.dropout, row.epochs) <= (smaller.dropout, smaller.epochs)


def test_the_documented_presets_are_the_real_ones() -> None:
    reference = (ROOT / "docs" / "training.md").read_text("utf-8")
    for row in PRESETS:
        upto = f"{row.pairs:,.0f}" if row.pairs < float("inf") else "more"
        cells: list[Any] = [f"{row.size:,}", row.width, row.encoder, row.layers, row.dropout, row.sampling or "off"]
        cells += [f"{row.batch_tokens:,}", row.learning_rate, row.epochs]
        assert f"| {upto} | {' | '.join(map(str, cells))} |" in reference


def test_every_preset_makes_a_model() -> None:
    for row in PRESETS:
        values = {"embedding_size": row.width, "decoder_size": row.width, "encoder_size": row.encoder}
        recipe = {"name": "x", "source": "en", "target": "fr", "data": {"train": "x"}, "model": values}
        assert Recipe.from_dict(recipe).model_config(row.size, row.size).encoder_size == row.encoder
