"""What is served is what is documented: docs/serving.md, openapi.json, /docs, the page."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path
from typing import Any

import pytest

from service.__main__ import parser
from service.app import create_app
from service.errors import PROBLEMS
from service.settings import PREFIX, Settings
from tests.service.conftest import Client

GUIDE = Path(__file__).parents[2] / "docs" / "serving.md"
GOLDEN = Path(__file__).with_name("openapi.json")
NOT_IN_THE_GUIDE = {"/docs/start.js"}


def guide() -> str:
    return GUIDE.read_text(encoding="utf-8")


@pytest.mark.parametrize("name", Settings.model_fields)
def test_every_setting_is_documented(name: str) -> None:
    row = re.search(rf"^\| `{PREFIX}{name.upper()}` \|(?: `([^`]*)`)? \|", guide(), re.MULTILINE)
    assert row, f"docs/serving.md has no row for {PREFIX}{name.upper()}"
    default = Settings.model_fields[name].get_default(call_default_factory=True)
    shown = ":".join(map(str, default)) if name == "models" else "" if default in ((), {}) else f"{default}"
    assert (row[1] or "") == shown


def test_every_flag_is_documented() -> None:
    for action in parser()._actions:
        assert any(f"`{option}`" in guide() for option in action.option_strings), action.option_strings


@pytest.mark.parametrize("code", PROBLEMS)
def test_every_problem_is_documented(code: str) -> None:
    assert f"| {PROBLEMS[code][0]} | `{code}` |" in guide()


def test_every_route_is_documented(openapi: dict[str, Any]) -> None:
    served = {getattr(route, "path", "") for route in create_app(Settings()).routes} | set(openapi["paths"])
    assert {path for path in served - NOT_IN_THE_GUIDE if path and f"`{path}`" not in _addresses()} == set()


def _addresses() -> str:
    return re.sub(r"`(?:GET|POST) ", "`", guide())


@pytest.fixture
def openapi() -> dict[str, Any]:
    document = create_app(Settings()).openapi()
    return document | {"info": document["info"] | {"version": ""}}  # a release is no change of the API


def test_openapi_is_as_agreed(openapi: dict[str, Any]) -> None:
    if os.environ.get("UPDATE_GOLDEN"):
        GOLDEN.write_text(json.dumps(openapi, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    agreed = json.loads(GOLDEN.read_text(encoding="utf-8"))
    assert openapi == agreed, "the API has changed; if that is meant: UPDATE_GOLDEN=1 pytest tests/service/test_docs.py"


@pytest.mark.anyio
async def test_docs_need_no_other_origin(client: Client) -> None:
    page = await client.get("/docs")
    assert "unsafe-inline' " not in page.headers["content-security-policy"].split("style-src")[0]
    links = re.findall(r'(?:src|href)="([^"]+)"', page.text)
    assert len(links) == 4
    for link in links:
        if not link.startswith("data:"):
            assert "//" not in link
            assert (await client.get("/" + link)).status_code == 200
    assert "<script>" not in page.text


@pytest.mark.anyio
async def test_the_page_is_served(client: Client) -> None:
    page = await client.get("/")
    assert page.status_code == 200
    assert "<html" in page.text
    assert page.headers["cache-control"] == "no-cache"
    for link in re.findall(r'(?:src|href)="([^"#]+)"', page.text):
        if not link.startswith(("data:", "http")):
            assert (await client.get("/" + link.lstrip("/"))).status_code == 200, link


@pytest.mark.anyio
async def test_metrics_are_counted_by_declared_route(client: Client) -> None:
    await client.get("/v1/models/en-fr")
    await client.get("/somewhere/else")
    await client.get("/static/nothing.js")
    text = (await client.get("/metrics")).text
    assert 'interlinear_http_requests_total{method="GET",route="/v1/models/{name}",status="200"} 1.0' in text
    assert 'route="unmatched",status="404"' in text
    assert 'interlinear_model_info{device="cpu",model="en-fr"' in text
    assert 'route="/static",status="404"' in text
    assert "somewhere" not in text
    assert "nothing" not in text
