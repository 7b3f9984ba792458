"""POST /v1/heatmap: formats, sentences, given pairs."""

from __future__ import annotations

from typing import Any

import pytest

from tests.service.conftest import Client, Serve

pytestmark = pytest.mark.anyio


def figure(text: str, **more: Any) -> dict[str, Any]:
    return {"text": text, "source": "en", "target": "fr"} | more


@pytest.mark.parametrize(
    ("format", "kind", "inside"),
    [
        ("svg", "image/svg+xml", "<svg"),
        ("html", "text/html", "<svg"),
        ("csv", "text/csv", "WELL"),
        ("json", "application/json", "WELL"),
    ],
)
async def test_a_figure_comes_in_the_format_asked_for(client: Client, format: str, kind: str, inside: str) -> None:
    response = await client.post(f"/v1/heatmap?format={format}", json=figure("All is well."))
    assert response.status_code == 200
    assert response.headers["content-type"].startswith(kind)
    assert "sandbox" in response.headers["content-security-policy"]
    assert inside in response.text


async def test_svg_is_the_default(client: Client) -> None:
    response = await client.post("/v1/heatmap", json=figure("All is well."))
    assert response.headers["content-type"] == "image/svg+xml"


async def test_another_format_is_refused_with_those_there_are(client: Client) -> None:
    response = await client.post("/v1/heatmap?format=png", json=figure("Hi"))
    assert (response.status_code, response.json()["code"]) == (422, "unsupported_format")
    assert all(name in response.json()["detail"] for name in ("svg", "html", "csv", "json"))


async def test_one_sentence_is_drawn(client: Client) -> None:
    for number, inside, outside in ((0, "GOOD", "NIGHT"), (1, "NIGHT", "GOOD")):
        body = figure("Good day. Sleep this night.", sentence=number)
        drawn = (await client.post("/v1/heatmap?format=csv", json=body)).text
        assert inside in drawn
        assert outside not in drawn


async def test_a_given_pair_is_scored_not_translated(client: Client) -> None:
    response = await client.post("/v1/heatmap?format=csv", json=figure("Good day.", translation="Bon jour."))
    assert "Bon" in response.text
    assert "GOOD" not in response.text


@pytest.mark.parametrize(
    ("body", "code", "pointer"),
    [
        (figure("One. Two."), None, None),
        (figure("One. Two.", translation="Un."), "several_sentences", "/text"),
        (figure("One. Two.", sentence=2), "no_such_sentence", "/sentence"),
        (figure("One.", sentence=1, translation="Un."), "no_such_sentence", "/sentence"),
        (figure("One.", sentence=-1), "invalid_request", "/sentence"),
        (figure(" \n"), "empty_text", "/text"),
        (figure("One.", translation=" "), "empty_text", "/translation"),
        (figure("One.", translation=3), "invalid_request", "/translation"),
    ],
)
async def test_what_cannot_be_drawn_is_said(
    client: Client, body: object, code: str | None, pointer: str | None
) -> None:
    response = await client.post("/v1/heatmap", json=body)
    answer = response.json() if code else {}
    assert (answer.get("code"), answer.get("pointer")) == (code, pointer)
    assert response.status_code == (422 if code else 200)


async def test_a_figure_has_a_limit(serve: Serve) -> None:
    async with serve(max_attention_cells=20) as client:
        assert (await client.post("/v1/heatmap", json=figure("one two three"))).status_code == 200
        response = await client.post("/v1/heatmap", json=figure("one two three four"))
        assert response.json()["code"] == "attention_too_large"
