"""LibreTranslate's endpoints, as its clients call them."""

from __future__ import annotations

import shutil
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from nmt.translation import TranslatedSentence, Translation
from service.detection import detect
from service.routes.libretranslate import _alternative_texts
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


AUTO = {"q": "The weather is fine today.", "source": "auto", "target": "fr"}
FRENCH = "Il fait beau aujourd'hui, allons au marché."


async def test_alternatives_keep_what_stands_between_the_sentences() -> None:
    candidates = (SimpleNamespace(text="A"), SimpleNamespace(text="B"))
    spans = ((1, 2), (3, 4))
    found = tuple(TranslatedSentence((n, n + 1), span, (), candidates) for n, span in enumerate(spans))  # type: ignore[arg-type]
    assert _alternative_texts(Translation("-A A!", found), 2) == ["-B B!"]


async def test_auto_detects_the_language(serve: Serve, folder: Path) -> None:
    for name in ("fr-en", "de-fr", "de-en"):
        write_bundle(folder, name, 1)
    async with serve() as client:
        answer = (await client.post("/translate", json=AUTO)).json()
        assert answer["translatedText"] == AUTO["q"].upper()
        assert answer["detectedLanguage"]["language"] == "en"
        assert 90 < answer["detectedLanguage"]["confidence"] <= 100
        german = await client.post("/translate", json=AUTO | {"q": ["Das Wetter ist heute schön.", "Guten Morgen!"]})
        assert [found["language"] for found in german.json()["detectedLanguage"]] == ["de", "de"]
        form = await client.post("/translate", data=AUTO | {"q": FRENCH, "target": "en"})
        assert form.json()["detectedLanguage"]["language"] == "fr"


async def test_a_text_in_the_target_language_already_stays_as_it_is(serve: Serve, folder: Path) -> None:
    async with serve() as client:
        answer = await client.post("/translate", json=AUTO | {"q": [FRENCH, "Bonjour à tous"], "alternatives": 1})
    assert answer.json()["translatedText"] == [FRENCH, "Bonjour à tous"]
    assert answer.json()["alternatives"] == [[], []]
    assert answer.json()["detectedLanguage"][0]["language"] == "fr"


async def test_auto_says_so_when_the_language_is_not_translated(serve: Serve, folder: Path) -> None:
    write_bundle(folder, "en-zh", 1)
    async with serve() as client:
        answer = await client.post("/translate", json=AUTO | {"q": FRENCH, "target": "zh"})
        assert answer.status_code == 400
        assert answer.json() == {"error": "The text looks like French; into the target these are translated: en"}
        unclear = (await client.post("/translate", json=AUTO | {"q": "1234", "target": "zh"})).json()
        assert unclear["translatedText"] == "1234"
        assert unclear["detectedLanguage"]["confidence"] == pytest.approx(100 / 3, abs=0.1)


async def test_auto_without_a_language_that_can_be_detected(serve: Serve, folder: Path, loader: FakeLoader) -> None:
    shutil.rmtree(folder / "en-fr")
    write_bundle(folder, "xx-yy", 1)
    async with serve() as client:
        only = await client.post("/translate", json=AUTO | {"target": "yy"})
        assert only.json()["detectedLanguage"] == {"confidence": 0.0, "language": "xx"}
        none = await client.post("/detect", json={"q": "Hello"})
        assert none.status_code == 400
        assert "can be detected" in none.json()["error"]


async def test_detect_ranks_the_languages_that_are_served(client: Client) -> None:
    one = await client.post("/detect", data={"q": FRENCH})
    assert [found["language"] for found in one.json()] == ["fr", "en"]
    assert sum(found["confidence"] for found in one.json()) == pytest.approx(100, abs=0.2)
    several = await client.post("/detect", json={"q": ["How are you?", "Where is the station?"], "api_key": "x"})
    assert several.json()[0]["language"] == "en"


async def test_regions_and_other_names_of_languages() -> None:
    text = "Vi bor i et hus ved sjøen, og om sommeren er det fint her."
    assert [language for language, _ in await detect(text, {"nb", "en-GB", "xx"})] == ["nb", "en-GB"]
    assert await detect(text, {"xx"}) == []


async def test_health_and_settings_as_clients_expect_them(client: Client) -> None:
    assert (await client.get("/health")).json() == {"status": "ok"}
    settings = (await client.get("/frontend/settings")).json()
    assert settings["charLimit"] == 50_000
    assert settings["language"] == {
        "source": {"code": "auto", "name": "Auto Detect"},
        "target": {"code": "fr", "name": "French"},
    }
    assert not any(settings[name] for name in ("apiKeys", "keyRequired", "suggestions", "filesTranslation"))


async def test_health_waits_for_the_models(serve: Serve, folder: Path) -> None:
    shutil.rmtree(folder / "en-fr")
    async with serve() as client:
        answer = await client.get("/health")
    assert answer.status_code == 503
    assert answer.json() == {"error": "Not ready: no model."}


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
        ({"json": HELLO | {"source": "auto", "target": "de"}}, "No model"),
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
