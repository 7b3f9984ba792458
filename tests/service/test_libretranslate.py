"""LibreTranslate's endpoints, as its clients call them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.service.conftest import Client, Serve
from tests.service.fakes import FakeLoader, write_bundle

pytestmark = pytest.mark.anyio

HELLO = {"q": "Hello!", "source": "en", "target": "fr"}


async def test_a_string_gives_a_string_and_a_list_a_list(client: Client) -> None:
    assert (await client.post("/translate", json=HELLO)).json() == {"translatedText": "HELLO!"}
    listed = await client.post("/translate", json=HELLO | {"q": ["One. Two.", ""], "format": "text", "api_key": "x"})
    assert listed.json() == {"translatedText": ["ONE. TWO.", ""]}


async def test_forms_are_taken_in_both_encodings(client: Client) -> None:
    plain = await client.post("/translate", data=HELLO | {"api_key": "", "alternatives": "1"})
    parts = await client.post("/translate", files={name: (None, value) for name, value in HELLO.items()})
    assert plain.json() == {"translatedText": "HELLO!", "alternatives": ["HELLO!!"]}
    assert parts.json() == {"translatedText": "HELLO!"}
    several = await client.post("/translate", data=HELLO | {"q": ["one", "two"]})
    assert several.json() == {"translatedText": ["ONE", "TWO"]}


async def test_alternatives_join_the_candidates_of_all_sentences(client: Client) -> None:
    answer = (await client.post("/translate", json=HELLO | {"q": "One.\n Two.", "alternatives": 2})).json()
    assert answer["alternatives"] == ["ONE.!\n TWO.!", "ONE.!!\n TWO.!!"]
    listed = (await client.post("/translate", json=HELLO | {"q": ["a", "b"], "alternatives": 1})).json()
    assert listed["alternatives"] == [["A!"], ["B!"]]


async def test_auto_is_the_only_language_that_fits(serve: Serve, folder: Path, loader: FakeLoader) -> None:
    write_bundle(folder, "fr-en", 1)
    async with serve() as client:
        answer = await client.post("/translate", json=HELLO | {"source": "auto"})
        found = {"confidence": 0.0, "language": "en"}
        assert answer.json() == {"translatedText": "HELLO!", "detectedLanguage": found}
        listed = await client.post("/translate", json=HELLO | {"source": "auto", "q": ["a", "b"]})
        assert listed.json()["detectedLanguage"] == [found, found]
        write_bundle(folder, "de-fr", 1)
        while len(client.app.state.running.models.served) < 3:
            await client.get("/livez")
        unclear = await client.post("/translate", json=HELLO | {"source": "auto"})
        assert unclear.status_code == 400
        assert "de, en" in unclear.json()["error"]


async def test_languages_come_with_their_targets(client: Client) -> None:
    assert (await client.get("/languages")).json() == [
        {"code": "en", "name": "English", "targets": ["fr"]},
        {"code": "fr", "name": "French", "targets": []},
    ]


@pytest.mark.parametrize(
    ("request_", "error"),
    [
        ({"json": {"source": "en", "target": "fr"}}, "missing q"),
        ({"json": HELLO | {"q": ""}}, "missing q"),
        ({"json": HELLO | {"q": []}}, "missing q"),
        ({"json": HELLO | {"q": ["a", 1]}}, "list of strings"),
        ({"json": HELLO | {"q": {"a": "b"}}}, "list of strings"),
        ({"json": HELLO | {"source": ["en"]}}, "must be strings"),
        ({"json": {"q": "Hi", "target": "fr"}}, "missing source"),
        ({"json": {"q": "Hi", "source": "en"}}, "missing target"),
        ({"json": HELLO | {"target": "de"}}, "en to fr"),
        ({"json": HELLO | {"source": "auto", "target": "de"}}, "no model"),
        ({"json": HELLO | {"format": "html"}}, "text format"),
        ({"json": HELLO | {"alternatives": -1}}, "alternatives"),
        ({"json": HELLO | {"alternatives": 10000}}, "at most 9 alternatives"),
        ({"json": ["Hi"]}, "JSON object"),
        ({"content": b"{", "headers": {"content-type": "application/json"}}, "must be JSON"),
        ({"content": b"q=Hi"}, "JSON or a form"),
        ({"files": {"q": ("q.txt", b"Hi")}}, "cannot be read"),
    ],
)
async def test_errors_have_the_one_member(client: Client, request_: dict[str, Any], error: str) -> None:
    response = await client.post("/translate", **request_)
    assert response.status_code == 400
    assert set(response.json()) == {"error"}
    assert error in response.json()["error"]


async def test_the_wrong_method_has_the_same_shape(client: Client) -> None:
    response = await client.get("/translate")
    assert (response.status_code, response.json()) == (405, {"error": "Use POST here."})
