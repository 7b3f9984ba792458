"""POST /v1/score and /v1/alternatives."""

from __future__ import annotations

from typing import Any

import pytest

from service.answer_schemas import AlternativesAnswer, ScoreAnswer
from tests.service.conftest import Client, Serve
from tests.service.fakes import FakeLoader

pytestmark = pytest.mark.anyio


def pair(text: str, translation: str = "Bon jour.", **more: Any) -> dict[str, Any]:
    return {"text": text, "translation": translation, "source": "en", "target": "fr"} | more


def ahead(text: str, prefix: str = "UN ", **more: Any) -> dict[str, Any]:
    return {"text": text, "target_prefix": prefix, "source": "en", "target": "fr"} | more


async def test_a_given_translation_is_scored(client: Client) -> None:
    response = await client.post("/v1/score", json=pair("Good day."))
    assert response.status_code == 200
    answer = response.json()
    ScoreAnswer.model_validate(answer)
    assert answer["score"] == -0.5
    assert answer["perplexity"] == pytest.approx(2.71828**0.25, abs=1e-3)
    hypothesis = answer["hypothesis"]
    assert hypothesis["text"] == "Bon jour."
    assert [token["text"] for token in hypothesis["target_tokens"]] == ["Bon", "jour", ".", "</s>"]
    assert all(token["logprob"] == -0.25 for token in hypothesis["target_tokens"])
    assert [len(row) for row in hypothesis["attention"]["data"]] == [4] * 4
    assert hypothesis["alignment"]


async def test_a_model_without_attention_scores_too(client: Client, loader: FakeLoader) -> None:
    loader.made[0].has_attention = False
    hypothesis = (await client.post("/v1/score", json=pair("Good day."))).json()["hypothesis"]
    assert "target_tokens" in hypothesis
    assert "attention" not in hypothesis


async def test_alternatives_are_words_ready_to_be_sent_back(client: Client) -> None:
    response = await client.post("/v1/alternatives", json=ahead("One day."))
    assert response.status_code == 200
    answer = response.json()
    AlternativesAnswer.model_validate(answer)
    assert answer["alternatives"] == [
        {"text": "UN", "probability": 0.5, "prefix": "UN UN"},
        {"text": "DEUX", "probability": 0.25, "prefix": "UN DEUX"},
        {"text": "", "probability": 0.125, "prefix": "UN "},
    ]
    fewer = (await client.post("/v1/alternatives", json=ahead("One day.", "", count=1))).json()
    assert fewer["alternatives"] == [{"text": "UN", "probability": 0.5, "prefix": "UN"}]


@pytest.mark.parametrize(
    ("path", "body", "status", "code", "pointer"),
    [
        ("score", pair(" "), 422, "empty_text", "/text"),
        ("score", pair("One.", " \n"), 422, "empty_text", "/translation"),
        ("score", pair("One. Two."), 422, "several_sentences", "/text"),
        ("score", pair("One.", "x " * 60), 413, "text_too_long", None),
        ("score", pair("One.", "x" * 50_001), 413, "text_too_long", "/translation"),
        ("score", pair("One.", beam_size=2), 422, "invalid_request", "/beam_size"),
        ("score", pair("One.", granularity="letter"), 422, "invalid_request", "/granularity"),
        ("score", pair("One.", target="de"), 422, "unsupported_direction", "/target"),
        ("alternatives", ahead(""), 422, "empty_text", "/text"),
        ("alternatives", ahead("One. Two."), 422, "several_sentences", "/text"),
        ("alternatives", ahead("One.", "x" * 2001), 413, "text_too_long", "/target_prefix"),
        ("alternatives", ahead("One.", count=0), 422, "invalid_request", "/count"),
        ("alternatives", ahead("One.", count=21), 422, "too_many_alternatives", "/count"),
        ("alternatives", ahead("One.", count="5"), 422, "invalid_request", "/count"),
        ("alternatives", ahead("One.", model="de-fr"), 422, "unknown_model", "/model"),
        ("alternatives", {"text": "One.", "source": "en", "target": "fr"}, 422, "invalid_request", "/target_prefix"),
    ],
)
async def test_what_cannot_be_studied_is_said(
    client: Client, path: str, body: Any, status: int, code: str, pointer: str | None
) -> None:
    response = await client.post(f"/v1/{path}", json=body)
    assert (response.status_code, response.json()["code"]) == (status, code)
    assert response.json().get("pointer") == pointer


async def test_a_score_has_a_limit(serve: Serve) -> None:
    async with serve(max_attention_cells=8) as client:
        response = await client.post("/v1/score", json=pair("Good day."))
        assert response.json()["code"] == "attention_too_large"
