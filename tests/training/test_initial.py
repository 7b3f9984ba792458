"""Going on from a bundle in another vocabulary and other languages."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from nmt.bundle import ModelBundle
from nmt.errors import ConfigError
from nmt.model import Seq2Seq
from nmt.tokenizer import SPECIAL
from tests.nmt.conftest import save_bundle
from training.__main__ import main
from training.config import load_recipe
from training.data import tokenizers
from training.initial import initialise

GREEK = {ord(letter): 0x3B1 + place for place, letter in enumerate("bdeghilmnoprsu")}
RECIPE = """
name = "greek"
source = "en"
target = "el"
init_from = "BUNDLE"

[data]
train = "greek.tsv"
valid_size = 10
test_size = 10

[units]
kind = "character"
size = 60

[training]
max_updates = 2
batch_tokens = 256
threads = 1
device = "cpu"
"""


@pytest.fixture
def recipe(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    lines = (f"{word} number {number}" for number in range(20) for word in ("ships", "gold", "rum"))
    Path("greek.tsv").write_text("".join(f"{line}\t{line.translate(GREEK)}\n" for line in lines))
    path = Path("greek.toml")
    path.write_text(RECIPE.replace("BUNDLE", str(save_bundle(tmp_path / "models" / "toy" / "1"))))
    return path


def test_what_another_vocabulary_shares_is_taken_over_and_the_rest_drawn_like_it(
    recipe: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for stage in ("prepare", "subwords", "train"):
        assert main([stage, str(recipe)]) == 0
    assert " units of both sides are those of " in capsys.readouterr().out
    bundle = ModelBundle.load("models/toy")
    old, new = bundle.tokenizers()[0], tokenizers(Path("runs/greek"))[0]
    places = {old.piece(id_): id_ for id_ in range(old.size)}
    shared = [(id_, places[new.piece(id_)]) for id_ in range(new.size) if new.piece(id_) in places]
    fresh = [id_ for id_ in range(new.size) if new.piece(id_) not in places]
    assert len(shared) > len(SPECIAL)
    assert fresh
    torch.manual_seed(1)
    before, after = bundle.model(), Seq2Seq(load_recipe(recipe).model_config(new.size, new.size))
    assert initialise(after, bundle, new, new) == 2 * len(shared)
    for mine, its in shared:
        for name in ("encoder.embedding.weight", "decoder.embedding.weight", "decoder.output.bias"):
            assert torch.equal(after.state_dict()[name][mine], before.state_dict()[name][its])
    spread = after.encoder.embedding.weight[fresh].std() / before.encoder.embedding.weight.std()
    assert 0.5 < spread.item() < 2
    layers = before.state_dict()
    for name, weight in after.state_dict().items():
        if "embedding" not in name and "output" not in name:
            assert torch.equal(weight, layers[name])


def test_weights_of_two_vocabularies_are_not_mixed(recipe: Path) -> None:
    with pytest.raises(ConfigError, match=r"training\.keep mixes weights of one vocabulary"):
        load_recipe(recipe, ["training.keep=0.5"])


def test_other_languages_need_units_of_their_own(recipe: Path) -> None:
    recipe.write_text(recipe.read_text().replace('[units]\nkind = "character"\nsize = 60\n', ""))
    with pytest.raises(ConfigError, match=r"for other languages give it \[units\] of its own"):
        load_recipe(recipe)
