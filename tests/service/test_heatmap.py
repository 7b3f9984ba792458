"""POST /v1/heatmap: formats, sentences, given pairs."""

from __future__ import annotations

import csv
import io
from typing import Any

import pytest

from tests.service.conftest import Client, Serve
from tests.service.fakes import FakeLoader

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


def numbers(table: str) -> list[list[float]]:
    return [[float(cell) for cell in row[1:]] for row in list(csv.reader(io.StringIO(table)))[1:]]


@pytest.mark.parametrize("body", [figure("Hi you."), figure("Hi you.", translation="Toi salut.")])
async def test_links_are_those_of_the_aligner(client: Client, loader: FakeLoader, body: dict[str, Any]) -> None:
    loader.made[0].pairs = {(0, 1): 0.75, (1, 0): 0.5}
    drawn = (await client.post("/v1/heatmap?format=csv", json=body | {"show": "links"})).text
    assert numbers(drawn) == [[0, 0.5, 0, 0], [0.75, 0, 0, 0], [0, 0, 0, 0], [0, 0, 0, 0]]
    attention = (await client.post("/v1/heatmap?format=csv", json=body)).text
    assert [max(row) for row in numbers(attention)] == [pytest.approx(0.925)] * 4
    assert attention == (await client.post("/v1/heatmap?format=csv", json=body | {"show": "attention"})).text


async def test_links_of_a_model_without_aligner_are_what_alignment_says(client: Client) -> None:
    body = {"source": "en", "target": "fr", "granularity": "subword"}
    asked = {"texts": ["Hi you."], "return": ["alignment"]}
    answer = (await client.post("/v1/translate", json=body | asked)).json()
    [hypothesis] = answer["results"][0]["sentences"][0]["hypotheses"]
    drawn = await client.post("/v1/heatmap?format=csv", json=body | {"text": "Hi you.", "show": "links"})
    links = [
        [s, t, pytest.approx(weight)]
        for t, row in enumerate(numbers(drawn.text))
        for s, weight in enumerate(row)
        if weight
    ]
    assert hypothesis["alignment_by"] == "attention"
    assert hypothesis["alignment"] == links
    assert len(links) == 3


async def test_a_figure_says_what_it_shows(client: Client, loader: FakeLoader) -> None:
    for show, shows, title in (
        ("attention", "attention", "Attention, en to fr"),
        ("links", "links by attention", "Links, en to fr"),
        ("links", "links by aligner", "Links, en to fr"),
    ):
        loader.made[0].pairs = {(0, 0): 0.5} if shows == "links by aligner" else None
        response = await client.post("/v1/heatmap?format=json", json=figure("Hi you.", show=show))
        drawn = response.json()
        assert (drawn["show"], drawn["metadata"]["shows"], drawn["title"]) == (show, shows, title)
        assert f'filename="{show}.json"' in response.headers["content-disposition"]
        for format in ("svg", "html"):
            response = await client.post(f"/v1/heatmap?format={format}", json=figure("Hi you.", show=show))
            other = {"links": "looked at", "attention": "stands for"}[show]
            assert f"<title>{title}</title>" in response.text
            assert other not in response.text
            assert shows in response.text


async def test_a_model_without_attention_is_drawn_where_it_has_an_aligner(client: Client, loader: FakeLoader) -> None:
    loader.made[0].has_attention = False
    for show in ("links", "attention"):
        response = await client.post("/v1/heatmap", json=figure("Hi.", show=show))
        assert response.json()["code"] == "no_attention"
    loader.made[0].pairs = {(0, 0): 0.5}
    assert (await client.post("/v1/heatmap", json=figure("Hi.", show="links"))).status_code == 200
    assert (await client.post("/v1/heatmap", json=figure("Hi."))).json()["code"] == "no_attention"


async def test_what_is_shown_is_links_or_attention(client: Client) -> None:
    answer = (await client.post("/v1/heatmap", json=figure("Hi.", show="both"))).json()
    assert (answer["code"], answer["pointer"]) == ("invalid_request", "/show")
