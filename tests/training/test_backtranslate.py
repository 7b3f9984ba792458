"""Monolingual text: what of it is translated back."""

from pathlib import Path
from types import SimpleNamespace

import pytest

from nmt.translator import Translator
from training.backtranslate import backtranslate
from training.config import load_recipe

RECIPE = """
name = "tiny"
source = "en"
target = "fr"
[data]
folder = "."
train = "all.tsv"
[[data.also_test]]
name = "other"
test = "other.tsv"
[backtranslation]
files = ["only.fr"]
model = "models/fr-en"
"""


def test_no_sentence_of_any_test_is_translated_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    reverse = SimpleNamespace(
        bundle=SimpleNamespace(source="fr", target="en", sha256="0"),
        translate=lambda texts, options: [
            SimpleNamespace(text=f"back {number} {text}") for number, text in enumerate(texts)
        ],
    )
    monkeypatch.setattr(Translator, "load", lambda *given, **named: reverse)
    Path("recipe.toml").write_text(RECIPE, "utf-8")
    recipe = load_recipe(Path("recipe.toml"), [])
    folder = Path("run")
    folder.mkdir()
    said = {
        "valid.tsv": "Le chat dort.",
        "test.tsv": "La porte est rouge.",
        recipe.data.also_test[0].copy: "Il pleut fort.",
    }
    for name, text in said.items():
        (folder / name).write_text(f"x\t{text}\n", "utf-8")
    Path("only.fr").write_text("\n".join([*said.values(), "Un homme mange ici."]), "utf-8")
    backtranslate(recipe, folder)
    lines = (folder / "synthetic.tsv").read_text("utf-8").splitlines()
    assert [line.split("\t")[1] for line in lines] == ["Un homme mange ici."]
