"""Bad requests: each gets its status and code, and none gets its text back."""

from __future__ import annotations

import json
import logging
from collections.abc import AsyncIterator
from typing import Any

import pytest

from nmt.errors import InputError, InputTooLong
from service.errors import PROBLEMS, pointer
from tests.service.conftest import Client, Serve, ask
from tests.service.fakes import FakeLoader

pytestmark = pytest.mark.anyio

JSON = {"content-type": "application/json"}
SECRET = "Wednesday-at-noon"


@pytest.mark.parametrize(
    ("content", "headers", "status", "code"),
    [
        (b"", JSON, 400, "invalid_json"),
        (b"{", JSON, 400, "invalid_json"),
        (b'{"beam_size": NaN}', JSON, 400, "invalid_json"),
        (b'{"beam_size": -Infinity}', JSON, 400, "invalid_json"),
        (b'{"texts": ["\xff"]}', JSON, 400, "invalid_json"),
        (b"[" * 100_000, JSON, 400, "invalid_json"),
        (b"1" * 5000, JSON, 400, "invalid_json"),
        (json.dumps(ask("Hi")).encode(), {"content-type": "text/plain"}, 415, "unsupported_media_type"),
        (json.dumps(ask("Hi")).encode(), {}, 415, "unsupported_media_type"),
        (b"\x1f\x8b", JSON | {"content-encoding": "gzip"}, 415, "unsupported_media_type"),
        (b"x" * 1_048_577, JSON, 413, "body_too_large"),
    ],
)
async def test_a_body_that_is_no_request(
    client: Client, content: bytes, headers: dict[str, str], status: int, code: str
) -> None:
    response = await client.post("/v1/translate", content=content, headers=headers)
    assert (response.status_code, response.json()["code"]) == (status, code)


async def test_no_more_than_twenty_places_are_told(client: Client) -> None:
    wrong = {f"unknown_{number}": 1 for number in range(500)} | {"x" * 500: 1}
    response = await client.post("/v1/translate", json=ask("a") | {"texts": [1] * 500} | wrong)
    assert response.status_code == 422
    assert len(response.json()["errors"]) == 20


async def test_a_body_is_cut_off_while_it_streams_in(client: Client) -> None:
    sent = 0

    async def endless() -> AsyncIterator[bytes]:
        nonlocal sent
        while True:
            sent += 65_536
            yield b" " * 65_536

    response = await client.post("/v1/translate", content=endless(), headers=JSON)
    assert response.json()["code"] == "body_too_large"
    assert sent <= 1_048_576 + 2 * 65_536


async def test_json_in_another_dress_is_taken(client: Client) -> None:
    body = json.dumps(ask("Hi"))
    for kind in ("application/json; charset=utf-8", "APPLICATION/JSON", "application/vnd.api+json"):
        response = await client.post("/v1/translate", content=body, headers={"content-type": kind})
        assert response.status_code == 200
    response = await client.post("/v1/translate", content=b"\xef\xbb\xbf" + body.encode(), headers=JSON)
    assert response.status_code == 200


@pytest.mark.parametrize(
    ("method", "path", "status", "code"),
    [
        ("GET", "/nothing", 404, "not_found"),
        ("GET", "/static/nothing.js", 404, "not_found"),
        ("GET", "/static/../settings.py", 404, "not_found"),
        ("GET", "/v1/models/nothing", 404, "model_not_found"),
        ("GET", "/v1/translate", 405, "method_not_allowed"),
        ("POST", "/v1/languages", 405, "method_not_allowed"),
        ("BREW", "/v1/translate", 405, "method_not_allowed"),
    ],
)
async def test_unknown_addresses_are_problems_too(
    client: Client, method: str, path: str, status: int, code: str
) -> None:
    response = await client.request(method, path)
    assert response.headers["content-type"] == "application/problem+json"
    assert (response.status_code, response.json()["code"]) == (status, code)


async def test_head_and_options_are_answered(client: Client) -> None:
    head = await client.head("/v1/languages")
    assert (head.status_code, head.content) == (200, b"")
    options = await client.options("/v1/translate")
    assert (options.status_code, options.headers["allow"]) == (204, "POST")


async def test_library_errors_have_their_status(client: Client, loader: FakeLoader) -> None:
    for error, status, code in (
        (InputTooLong("at most 100 units"), 413, "text_too_long"),
        (InputError("a side is empty"), 422, "invalid_text"),
    ):
        loader.before = _raise(error)
        response = await client.post("/v1/translate", json=ask("Hi"))
        assert (response.status_code, response.json()["code"]) == (status, code)
        assert response.json()["detail"] == str(error)


async def test_text_comes_back_in_no_error_log_or_metric(
    serve: Serve, loader: FakeLoader, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    answers = []
    async with serve(max_characters=200) as client:

        async def send(path: str, **request: Any) -> None:
            answers.append(await client.post(path, **request))

        await send("/v1/translate", json={"texts": SECRET, "source": SECRET + "!", "target": [SECRET]})
        await send("/v1/translate", json=ask(SECRET, **{f"My secret: {SECRET}": SECRET}))
        await send("/v1/translate", json=ask(SECRET, target="de"))
        await send("/v1/translate", json=ask(SECRET * 20))
        await send("/v1/translate", content=f'{{"texts": ["{SECRET}"'.encode(), headers=JSON)
        await send(f"/v1/heatmap?format={SECRET}", json={"text": SECRET, "source": "en", "target": "fr"})
        await send(
            "/v1/heatmap", json={"text": f"{SECRET}. No.", "source": "en", "target": "fr", "translation": SECRET}
        )
        await send("/translate", json={"q": {"a": SECRET}, "source": "en", "target": "fr"})
        await send("/translate", data={"q": SECRET, "source": "en", "target": "xx"})
        await send(f"/translate?q={SECRET}&source=en&target=fr")
        await send(f"/{SECRET}?q={SECRET}")
        loader.before = lambda texts: {}[texts[0]]  # KeyError, whose message is the text
        await send("/v1/translate", json=ask(SECRET))
        await send("/translate", json={"q": [SECRET, SECRET], "source": "en", "target": "fr"})
        metrics = (await client.get("/metrics")).text
    assert [answer.status_code for answer in answers][-2:] == [500, 500]
    for answer in answers:
        assert answer.status_code >= 400
        assert SECRET not in answer.text
        assert SECRET not in str(answer.headers)
    ours = [record for record in caplog.records if not record.name.startswith(("httpx", "httpcore"))]
    assert ours
    assert SECRET not in "".join(logging.Formatter().format(record) for record in ours)
    assert SECRET not in metrics


async def test_a_request_id_is_kept_if_it_is_a_plain_one(client: Client) -> None:
    kept = await client.get("/livez", headers={"x-request-id": "abc-1.2_3"})
    assert kept.headers["x-request-id"] == "abc-1.2_3"
    made = await client.get("/livez", headers={"x-request-id": "two words"})
    assert len(made.headers["x-request-id"]) == 32


async def test_every_answer_carries_the_security_headers(client: Client) -> None:
    for path in ("/v1/languages", "/nothing", "/static/nothing"):
        headers = (await client.get(path)).headers
        assert headers["content-security-policy"].startswith("default-src 'self'")
        assert "unsafe" not in headers["content-security-policy"]
        assert headers["x-content-type-options"] == "nosniff"


async def test_other_origins_are_let_in_by_setting_alone(serve: Serve) -> None:
    origin = {"origin": "https://page.example"}
    async with serve() as client:
        assert "access-control-allow-origin" not in (await client.get("/v1/limits", headers=origin)).headers
    async with serve(cors_origins="https://page.example") as client:
        for path in ("/v1/limits", "/nothing"):
            headers = (await client.get(path, headers=origin)).headers
            assert headers["access-control-allow-origin"] == "https://page.example"
        preflight = await client.options("/v1/translate", headers=origin | {"access-control-request-method": "POST"})
        assert preflight.status_code == 200


def test_pointers_are_escaped() -> None:
    assert pointer("a/b", 0, "~c") == "/a~1b/0/~0c"


def test_statuses_are_errors() -> None:
    assert all(400 <= status < 600 for status, _ in PROBLEMS.values())


def _raise(error: Exception) -> Any:
    def before(texts: list[str]) -> None:
        raise error

    return before
