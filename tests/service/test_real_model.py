"""The service with the real translator: a tiny model with random weights, from its bundle on disk."""

from __future__ import annotations

import asyncio
import json
import math
from pathlib import Path

import httpx
import pytest
import torch

from nmt.bundle import BundleConfig, ModelBundle
from nmt.config import ModelConfig
from nmt.errors import NmtError
from nmt.model import Seq2Seq
from service.answer_schemas import TranslateAnswer
from service.app import create_app
from service.bundles import load_translator
from service.settings import Settings
from tests.service.conftest import ask, until

pytestmark = pytest.mark.anyio


def write_real_bundle(path: Path, seed: int, spoil: float = 0.0) -> None:
    torch.manual_seed(seed)
    pieces = ["<pad>", "<unk>", "<s>", "</s>", "▁", *"abcdefghijklmnopqrstuvwxyz"]
    sizes = {"embedding_size": 8, "encoder_size": 8, "decoder_size": 16}
    config = ModelConfig(source_vocabulary=len(pieces), target_vocabulary=len(pieces), tying="two_way", **sizes)
    units = path.parent.parent / "source.vocab.json"
    units.parent.mkdir(parents=True, exist_ok=True)
    units.write_text(json.dumps({"kind": "character", "pieces": pieces}), encoding="utf-8")
    described = BundleConfig(
        format_version=1,
        name="en-fr",
        source="en",
        target="fr",
        architecture=config.to_dict(),
        source_units=units.name,
        target_units=units.name,
        longest_source=60,
    )
    weights = {name: weight.detach() + spoil for name, weight in Seq2Seq(config).named_parameters()}
    ModelBundle.save(path, config=described, weights=weights, units=[units], card={"seed": seed}, readme="random")


def test_a_model_that_cannot_translate_is_not_loaded(tmp_path: Path) -> None:
    write_real_bundle(tmp_path / "en-fr" / "1", seed=1, spoil=math.nan)
    with pytest.raises(NmtError, match="finite"):
        load_translator(tmp_path / "en-fr" / "1", "cpu")


async def test_a_bundle_is_served_damaged_and_replaced(tmp_path: Path) -> None:
    folder = tmp_path / "models"
    write_real_bundle(folder / "en-fr" / "1", seed=1)
    app = create_app(Settings(models=(folder,), device="cpu", poll_seconds=0.05))
    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://server", timeout=30) as client,
    ):
        models = app.state.running.models
        await until(lambda: models.settled)
        body = ask("some words. more of them", "", "\U0001f642 zzz", n_best=2, beam_size=3) | {
            "return": ["tokens", "scores", "alignment", "attention"]
        }
        for granularity in ("word", "subword"):
            response = await client.post("/v1/translate", json=body | {"granularity": granularity})
            assert response.status_code == 200
            answer = TranslateAnswer.model_validate(response.json())
            for result in answer.results:
                for sentence in result.sentences:
                    for hypothesis in sentence.hypotheses:
                        assert hypothesis.attention is not None
                        assert len(hypothesis.attention.data) == len(hypothesis.target_tokens or [])
                        assert all(abs(sum(row) - 1) < 1e-2 for row in hypothesis.attention.data)
        pair = {"text": "some words", "translation": "mots", "source": "en", "target": "fr"}
        figure = await client.post("/v1/heatmap?format=svg", json=pair)
        assert figure.status_code == 200
        assert "<svg" in figure.text

        plain = {"text": "some words", "source": "en", "target": "fr"}
        streamed = (await client.post("/v1/translate/stream", json=body | {"n_best": 1})).text
        done = json.loads(streamed.split("event: done\ndata: ")[1])
        whole = (await client.post("/v1/translate", json=body | {"n_best": 1})).json()
        assert done["results"] == whole["results"]
        written = {(0, 0): "", (0, 1): "", (2, 0): ""}
        for block in streamed.split("\n\n"):
            if block.startswith("event: token"):
                data = json.loads(block.partition("data: ")[2])
                written[data["text"], data["sentence"]] += data["added"]
        for (text, sentence), made in written.items():
            assert whole["results"][text]["sentences"][sentence]["hypotheses"][0]["text"] == made
        scored = (await client.post("/v1/score", json=plain | {"translation": "des mots"})).json()
        logprobs = [token["logprob"] for token in scored["hypothesis"]["target_tokens"]]
        assert scored["score"] < 0
        assert len(logprobs) == 3
        words = (await client.post("/v1/alternatives", json=plain | {"target_prefix": "des "})).json()["alternatives"]
        assert 1 <= len(words) <= 5
        begun = ask("some words", target_prefix=words[0]["prefix"])
        result = (await client.post("/v1/translate", json=begun)).json()["results"][0]
        assert result["text"].startswith(words[0]["prefix"])

        together = await asyncio.gather(*(client.post("/v1/translate", json=ask(f"text {'x' * n}")) for n in range(8)))
        alone = [await client.post("/v1/translate", json=ask(f"text {'x' * n}")) for n in range(8)]
        for one, other in zip(together, alone, strict=True):
            first, second = one.json()["results"][0], other.json()["results"][0]
            assert first["text"] == second["text"]
            scores = [result["sentences"][0]["hypotheses"][0]["score"] for result in (first, second)]
            assert scores[0] == pytest.approx(scores[1], abs=1e-3)

        elsewhere = folder.parent / "en-fr" / "3"
        write_real_bundle(elsewhere, seed=3)
        damaged = elsewhere / "model.safetensors"
        damaged.write_bytes(damaged.read_bytes()[:-1] + b"?")
        elsewhere.rename(folder / "en-fr" / "3")  # it never was whole there
        write_real_bundle(folder / "en-fr" / "2", seed=2)
        await until(lambda: models.served[0].version == 2)
        entry = (await client.get("/v1/models/en-fr")).json()
        assert entry["card"] == {"seed": 2}
        statuses = {version["version"]: version["status"] for version in entry["versions"]}
        assert statuses == {3: "failed", 2: "ready", 1: "available"}
        assert "checksum" in entry["versions"][0]["error"]
