"""From a corpus on disk, through every stage on the command line, to a translation and its heatmap over HTTP."""

from __future__ import annotations

import asyncio
import itertools
import json
import random
import xml.etree.ElementTree as ElementTree
from pathlib import Path
from typing import Any

import httpx
import pytest
import torch

from nmt.bundle import ModelBundle
from nmt.translator import Translator
from service.app import create_app
from service.settings import Settings
from training.__main__ import main
from training.config import load_recipe
from training.evaluation import load_best

DETERMINERS = {"the": "le", "my": "mon", "this": "ce", "one": "un"}
ADJECTIVES = {"red": "rouge", "green": "vert", "small": "minuscule", "old": "antique", "quiet": "tranquille"}
NOUNS = {"cat": "chat", "dog": "chien", "horse": "cheval", "train": "train", "garden": "jardin", "boat": "bateau"}
VERBS = {"sleeps": "dort", "waits": "attend", "sings": "chante", "falls": "tombe", "works": "travaille"}

RECIPE = """
name = "toy"
source = "en"
target = "fr"

[data]
train = "toy.tsv"
valid_size = 40
test_size = 40

[[data.also_test]]
name = "dogs"
test = "dogs.tsv"

[units]
size = 100
coverage = 1.0

[model]
cell = "gru"
embedding_size = 48
encoder_size = 32
encoder_layers = 1
decoder_size = 64
decoder_layers = 1
wiring = "conditional"
score = "additive"
dropout = 0.0

[training]
max_updates = 250
batch_tokens = 1024
learning_rate = 0.01
warmup = 10
label_smoothing = 0.0
average = 0.9
copy_rate = 0.0
validate_every = 50
patience = 0
threads = 1
device = "cpu"

[card]
title = "A toy"
"""


@pytest.fixture
def published(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Path:
    """The model folder after `python -m training run`."""
    words = itertools.product(DETERMINERS, ADJECTIVES, NOUNS, VERBS)
    pairs = [f"{d} {a} {n} {v} .\t{DETERMINERS[d]} {NOUNS[n]} {ADJECTIVES[a]} {VERBS[v]} .\n" for d, a, n, v in words]
    random.Random(1).shuffle(pairs)
    dogs = [pair for pair in pairs if " dog " in pair][:6]
    (tmp_path / "dogs.tsv").write_text("".join(dogs) + "my dog the dog the dog this dog the dog waits .\tmon chien .\n")
    (tmp_path / "toy.tsv").write_text("".join(pairs), encoding="utf-8")
    (tmp_path / "toy.toml").write_text(RECIPE)
    assert main(["run", "toy.toml", "--models", "models"]) == 0, capsys.readouterr().err
    return tmp_path / "models"


def test_a_corpus_becomes_a_translation_and_its_heatmap(published: Path, capsys: pytest.CaptureFixture[str]) -> None:
    evaluation = json.loads(Path("runs/toy/evaluation.json").read_text("utf-8"))
    assert evaluation["bleu"]["score"] > 90
    dogs = evaluation["also"]["dogs"]
    assert (dogs["pairs"], [one["pairs"] for one in dogs["by_length"]]) == (7, [6, 1])
    assert dogs["by_length"][0]["bleu"] > 50 > dogs["by_length"][1]["bleu"]
    seen = {line.split("\t")[0] for line in Path("runs/toy/train.tsv").read_text("utf-8").splitlines()}
    assert not seen & set(Path("runs/toy/test.dogs.tsv").read_text("utf-8").replace("\t", "\n").splitlines())
    card = (published / "toy" / "1" / "README.md").read_text("utf-8")
    assert "| dogs | " in card
    assert "|  | all | 1 to 10 words | 11 to 20 words |" in card
    pairs = [line.split("\t") for line in Path("runs/toy/test.tsv").read_text("utf-8").splitlines()]
    report = Path("runs/toy/report.html").read_text("utf-8")
    for part in (
        "Gradient norm by layer",
        "BLEU by length",
        "Worst sentences",
        "What cleaning dropped",
        "batch_tokens",
    ):
        assert part in report
    assert "http" not in report.replace("http://www.w3.org", "")
    answer, picture = asyncio.run(served(published, [source for source, _ in pairs]))

    assert (answer["model"]["name"], answer["model"]["version"]) == ("toy", 1)
    right = [result["text"] == target for result, (_, target) in zip(answer["results"], pairs, strict=True)]
    assert sum(right) >= 0.9 * len(right)
    links = [strongest_noun_link(result, source) for result, (source, _) in zip(answer["results"], pairs, strict=True)]
    assert sum(links) >= 0.8 * len(links)  # noun and adjective change places, and the attention shows it
    assert ElementTree.fromstring(picture).tag == "{http://www.w3.org/2000/svg}svg"
    assert all(word in picture for word in pairs[0][0].split())

    capsys.readouterr()
    assert main(["run", "toy.toml", "--models", "models"]) == 0
    assert capsys.readouterr().out.count("nothing changed, skipped") == 8
    assert [path.name for path in (published / "toy").iterdir()] == ["1"]
    Path("runs/toy/evaluation.json").write_text(json.dumps(evaluation | {"update": 1}))
    assert main(["export", "toy.toml", "--models", "models"]) == 2
    assert "is of update 1, but the best weights are of update" in capsys.readouterr().err


def test_a_published_model_is_fine_tuned_and_learns_from_text_of_one_language(published: Path) -> None:
    recipe = Path("toy.toml").read_text()
    reverse = recipe.replace('source = "en"\ntarget = "fr"', 'source = "fr"\ntarget = "en"').replace(
        '"toy"', '"reverse"'
    )
    Path("reverse.toml").write_text(reverse.replace('train = "toy.tsv"', 'train = "toy.tsv"\nswap = true'))
    assert main(["run", "reverse.toml", "--models", "models"]) == 0
    new = [f"{d} {a} fox {v} .\t{DETERMINERS[d]} renard {ADJECTIVES[a]} {VERBS[v]} .\n"
           for d, a, v in itertools.product(DETERMINERS, ADJECTIVES, VERBS)]  # fmt: skip
    random.Random(2).shuffle(new)
    Path("new.tsv").write_text("".join(new))
    Path("only.fr").write_text(
        "".join(line.split("\t")[1] for line in Path("toy.tsv").read_text().splitlines(True)[:200])
    )
    tuned = recipe[: recipe.index("[units]")].replace('train = "toy.tsv"', "").replace("= 40", "= 10")
    tuned = tuned.replace('target = "fr"', 'target = "fr"\nrun = "runs/tuned"\ninit_from = "models/toy"')
    tuned += """
[[data.corpora]]
train = "new.tsv"
weight = 3
[[data.corpora]]
train = "toy.tsv"
weight = 1
[backtranslation]
files = ["only.fr"]
model = "models/reverse"
weight = 1
[model]
source_word_dropout = 0.02
""" + recipe[recipe.index("[training]") :].replace("max_updates = 250", "max_updates = 60")
    Path("tuned.toml").write_text(tuned)
    assert main(["run", "tuned.toml", "--models", "models"]) == 0
    synthetic = Path("runs/tuned/synthetic.tsv").read_text("utf-8").splitlines()
    assert len(synthetic) > 100
    assert all(line.startswith("<bt> ") for line in synthetic)
    held_out = {
        line.split("\t")[1]
        for name in ("valid", "test")
        for line in Path(f"runs/tuned/{name}.tsv").read_text().splitlines()
    }
    assert not held_out & {line.split("\t")[1] for line in synthetic}
    old, new_model = (Translator.load(published / "toy" / version) for version in "12")
    text = "the old fox sings ."
    assert "renard" not in old.translate([text])[0].text
    assert new_model.translate([text])[0].text == "le renard antique chante ."

    folder = Path("runs/tuned")
    first = ModelBundle.load(folder / "initial").model().state_dict()
    tuned_weights, kept, half = (
        load_best(load_recipe(Path("tuned.toml"), [f"training.keep={share}"]), folder)[0] for share in (0.0, 1.0, 0.5)
    )
    for name, tensor in tuned_weights.items():
        assert torch.equal(kept[name], first[name])
        torch.testing.assert_close(half[name], (tensor + first[name]) / 2)
    assert main(["evaluate", "tuned.toml", "--set", "training.keep=0.5"]) == 0  # without training again


def strongest_noun_link(result: dict[str, Any], source: str) -> bool:
    """Whether the second target word, the noun, looks most at the third source word, the noun."""
    best = result["sentences"][0]["hypotheses"][0]
    row = best["attention"]["data"][1]
    tokens = [token["text"] for token in best["source_tokens"]]
    return bool(tokens[row.index(max(row))] == source.split()[2])


async def served(models: Path, texts: list[str]) -> tuple[dict[str, Any], str]:
    """The service's answer for the texts, and the first one's heatmap."""
    app = create_app(Settings(models=(models,), device="cpu"))
    pair = {"source": "en", "target": "fr"}
    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://server", timeout=30) as client,
    ):
        for _ in range(200):
            if (await client.get("/readyz")).status_code == 200:
                break
            await asyncio.sleep(0.05)
        body = {"texts": texts, "return": ["tokens", "attention"], "beam_size": 2, **pair}
        answer = await client.post("/v1/translate", json=body)
        assert answer.status_code == 200, answer.text
        picture = await client.post("/v1/heatmap?format=svg", json={"text": texts[0], **pair})
        assert picture.status_code == 200, picture.text
        return answer.json(), picture.text
