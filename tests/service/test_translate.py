"""POST /v1/translate: the answer's shape, its options, its limits."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import pytest

from nmt.options import Sampling, SearchOptions
from nmt.quality import Flag, Judgement
from nmt.translation import TranslatedHypothesis
from service.answer_schemas import TranslateAnswer
from tests.service.conftest import Client, Serve, ask
from tests.service.fakes import FakeLoader, FakePlan, shouted, write_bundle

pytestmark = pytest.mark.anyio

EVERYTHING = ["tokens", "scores", "alignment", "attention"]
ALWAYS = {"text", "score", "confidence", "perplexity"}


async def test_answer_has_the_shape_of_the_schema(client: Client) -> None:
    response = await client.post(
        "/v1/translate", json=ask("How are you? Well.", "", n_best=2, **{"return": EVERYTHING})
    )
    assert response.status_code == 200
    answer = response.json()
    TranslateAnswer.model_validate(answer)
    assert answer["model"] == {"name": "en-fr", "version": 1, "sha256": f"{1:064x}"}
    assert answer["request_id"] == response.headers["x-request-id"]
    first, empty = answer["results"]
    assert first["text"] == "HOW ARE YOU? WELL."
    assert empty == {"text": "", "sentences": []}
    assert [sentence["source_span"] for sentence in first["sentences"]] == [[0, 12], [13, 18]]
    assert [len(sentence["hypotheses"]) for sentence in first["sentences"]] == [2, 2]


async def test_spans_point_into_the_text_as_sent(client: Client) -> None:
    text = "\U0001f642 Bon\ud83djour.\nÇa va?"
    response = await client.post("/v1/translate", content=json.dumps(ask(text, **{"return": ["tokens"]})), headers=JSON)
    sent = text.replace("\ud83d", "\ufffd")
    for sentence in response.json()["results"][0]["sentences"]:
        hypothesis = sentence["hypotheses"][0]
        for token in hypothesis["source_tokens"]:
            assert token.get("special") or token["text"] == sent[slice(*token["span"])]
        for token in hypothesis["target_tokens"]:
            assert token.get("special") or token["text"] == hypothesis["text"][slice(*token["span"])]


JSON = {"content-type": "application/json"}


async def test_rows_of_attention_sum_to_one(client: Client) -> None:
    text = " ".join(f"word{number}" for number in range(400))
    response = await client.post("/v1/translate", json=ask(text, **{"return": ["attention"]}))
    data = response.json()["results"][0]["sentences"][0]["hypotheses"][0]["attention"]["data"]
    assert len(data) == len(data[0]) == 401
    assert all(abs(sum(row) - 1) < 1e-2 for row in data)


async def test_only_what_was_asked_for_is_sent(client: Client) -> None:
    plain = (await client.post("/v1/translate", json=ask("Hi"))).json()
    assert set(plain["results"][0]["sentences"][0]["hypotheses"][0]) == ALWAYS
    tokens = (await client.post("/v1/translate", json=ask("Hi", **{"return": ["tokens"]}))).json()
    hypothesis = tokens["results"][0]["sentences"][0]["hypotheses"][0]
    assert set(hypothesis) == ALWAYS | {"source_tokens", "target_tokens"}
    assert not any("logprob" in token for token in hypothesis["target_tokens"])


@pytest.mark.parametrize(
    ("body", "pointer"),
    [
        (ask(), "/texts"),
        (ask("Hi") | {"texts": "Hi"}, "/texts"),
        (ask("Hi") | {"texts": ["Hi", 7]}, "/texts/1"),
        (ask("Hi", text="Hi"), "/text"),
        (ask("Hi", beam_size=0), "/beam_size"),
        (ask("Hi", beam_size=2.5), "/beam_size"),
        (ask("Hi", beam_size="5"), "/beam_size"),
        (ask("Hi", beam_size=True), "/beam_size"),
        (ask("Hi", beam_size=17), "/beam_size"),
        (ask("Hi", beam_size=10**30), "/beam_size"),
        (ask("Hi", n_best=11, beam_size=16), "/n_best"),
        (ask("Hi", n_best=3, beam_size=2), "/n_best"),
        (ask("Hi", length_penalty=10.5), "/length_penalty"),
        (ask("Hi", length_penalty=-1), "/length_penalty"),
        (ask("Hi", coverage_penalty=11), "/coverage_penalty"),
        (ask("Hi", no_repeat_ngram_size=21), "/no_repeat_ngram_size"),
        (ask("Hi", target_prefix=5), "/target_prefix"),
        (ask("One. Two.", target_prefix="UN"), "/target_prefix"),
        (ask("One.", "Two.", target_prefix="UN"), "/target_prefix"),
        (ask("Hi", sampling=True), "/sampling"),
        (ask("Hi", sampling={"temperature": 0}), "/sampling/temperature"),
        (ask("Hi", sampling={"temperature": 6}), "/sampling/temperature"),
        (ask("Hi", sampling={"top_k": -1}), "/sampling/top_k"),
        (ask("Hi", sampling={"top_p": 0}), "/sampling/top_p"),
        (ask("Hi", sampling={"top_p": 1.1}), "/sampling/top_p"),
        (ask("Hi", sampling={"seed": 2**63}), "/sampling/seed"),
        (ask("Hi", sampling={"heat": 1}), "/sampling/heat"),
        (ask("Hi", n_best=11, sampling={}), "/n_best"),
        (ask("Hi", granularity="letter"), "/granularity"),
        (ask("Hi", **{"return": ["attention", "colour"]}), "/return/1"),
        (ask("Hi", **{"return": "attention"}), "/return"),
        (ask("Hi", target="de"), "/target"),
        (ask("Hi", source="de"), "/source"),
        (ask("Hi", source="fr", target="en"), "/source"),
        (ask("Hi", source="e\ud800"), "/source"),
        (ask("Hi", model="fr-en"), "/model"),
        (ask("Hi", model="en-fr", version=2), "/version"),
        ({"texts": ["Hi"], "source": "en"}, "/target"),
        ([], ""),
        (None, ""),
    ],
)
async def test_a_wrong_field_is_pointed_at(client: Client, body: object, pointer: str) -> None:
    response = await client.post("/v1/translate", content=json.dumps(body), headers=JSON)
    assert response.status_code == 422
    assert response.headers["content-type"] == "application/problem+json"
    problem = response.json()
    assert problem["pointer"] == pointer
    assert {"type", "title", "status", "detail", "code", "request_id"} <= set(problem)


async def test_an_unknown_direction_comes_with_those_that_are_served(client: Client) -> None:
    problem = (await client.post("/v1/translate", json=ask("Hi", target="de"))).json()
    assert problem["code"] == "unsupported_direction"
    assert problem["directions"] == [["en", "fr"]]


async def test_limits_are_those_of_the_settings(serve: Serve) -> None:
    async with serve(max_texts=2, max_characters=10, max_attention_cells=8, max_body_bytes=500) as client:
        published = (await client.get("/v1/limits")).json()
        assert (published["max_texts"], published["max_characters"]) == (2, 10)
        for body, status, code in (
            (ask("a", "b", "c"), 413, "too_many_texts"),
            (ask("123456", "12345"), 413, "text_too_long"),
            (ask("x" * 600), 413, "body_too_large"),
            (ask("a b c", **{"return": ["attention"]}), 422, "attention_too_large"),
        ):
            response = await client.post("/v1/translate", json=body)
            assert (response.status_code, response.json()["code"]) == (status, code)
        assert (await client.post("/v1/translate", json=ask("a b c"))).status_code == 200


async def test_defaults_keep_within_the_settings(serve: Serve) -> None:
    async with serve(max_beam_size=4, max_alternatives=2) as client:
        assert (await client.post("/v1/translate", json=ask("a"))).status_code == 200
        drawn = ask("a", beam_size=16, sampling={"seed": 1})
        assert (await client.post("/v1/translate", json=drawn)).status_code == 200, "the beam is ignored"
        assert (await client.post("/v1/heatmap", json={"text": "a", "source": "en", "target": "fr"})).status_code == 200
        asked = {"text": "a", "source": "en", "target": "fr", "target_prefix": ""}
        assert len((await client.post("/v1/alternatives", json=asked)).json()["alternatives"]) == 2
        too_wide = await client.post("/v1/translate", json=ask("a", beam_size=5))
        assert (too_wide.status_code, too_wide.json()["code"]) == (422, "beam_size_too_large")


async def test_options_reach_the_search(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    plans: list[FakePlan] = []
    prepare = FakePlan.prepare

    def remember(plan: FakePlan, *arguments: Any) -> bool:
        plans.append(plan)
        return prepare(plan, *arguments)

    monkeypatch.setattr(FakePlan, "prepare", remember)
    sampling = {"temperature": 0.5, "top_k": 3, "top_p": 0.9, "seed": 7}
    penalties = {"length_penalty": 0.5, "coverage_penalty": 0.2, "no_repeat_ngram_size": 3}
    body = ask("hi you", beam_size=1, n_best=3, target_prefix="HI", sampling=sampling, **penalties)
    answer = (await client.post("/v1/translate", json=body)).json()
    assert len(answer["results"][0]["sentences"][0]["hypotheses"]) == 3
    assert plans[-1].options == SearchOptions(beam_size=1, n_best=3, sampling=Sampling(**sampling), **penalties)
    assert plans[-1].target_prefix == "HI"
    assert plans[-1].deadline is not None
    await client.post("/v1/translate", json=ask("Hi"))
    assert plans[-1].options == SearchOptions()
    assert plans[-1].target_prefix is None


async def test_flags_have_their_places(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    flags = (Flag("source_skipped", (0, 2)), Flag("repetition", (3, 5)), Flag("low_confidence"))
    monkeypatch.setattr("tests.service.fakes.FakeQuality.judge", lambda *pair, **more: Judgement(0.1, flags))
    answer = (await client.post("/v1/translate", json=ask("Hi you"))).json()
    [sentence] = answer["results"][0]["sentences"]
    assert sentence["flags"] == ["source_skipped", "repetition", "low_confidence"]
    assert sentence["flag_spans"] == [
        {"flag": "source_skipped", "side": "source", "span": [0, 2]},
        {"flag": "repetition", "side": "target", "span": [3, 5]},
    ]


async def test_a_model_can_be_chosen_by_name(folder: Path, serve: Serve, loader: FakeLoader) -> None:
    write_bundle(folder, "a-special", 4, source="en", target="fr", shout="?")
    async with serve() as client:
        for more, name, text in (({}, "en-fr", "HI"), ({"model": "a-special", "version": 4}, "a-special", "HI?")):
            answer = (await client.post("/v1/translate", json=ask("Hi", **more))).json()
            assert (answer["model"]["name"], answer["results"][0]["text"]) == (name, text)
        directions = (await client.get("/v1/languages")).json()["directions"]
        assert directions == [{"source": "en", "target": "fr", "model": "en-fr", "version": 1}]


async def test_a_model_without_attention_says_so(client: Client, loader: FakeLoader) -> None:
    loader.made[0].has_attention = False
    response = await client.post("/v1/translate", json=ask("Hi", **{"return": ["attention"]}))
    assert response.json()["code"] == "no_attention"
    assert (await client.post("/v1/translate", json=ask("Hi", **{"return": ["tokens"]}))).status_code == 200


async def test_a_score_without_end_is_null(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    def endless(*arguments: Any) -> TranslatedHypothesis:
        return dataclasses.replace(shouted(*arguments), score=float("-inf"))

    monkeypatch.setattr("tests.service.fakes.shouted", endless)
    answer = (await client.post("/v1/translate", json=ask("Hi"))).json()
    assert answer["results"][0]["sentences"][0]["hypotheses"][0]["score"] is None
