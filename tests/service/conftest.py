"""An app over a fake translator, with its lifespan, and a client for it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from starlette.testclient import TestClient

from service.app import create_app
from service.settings import Settings
from tests.service.fakes import FakeLoader, write_bundle

Serve = Callable[..., AbstractAsyncContextManager[httpx.AsyncClient]]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A model folder with en-fr 1."""
    write_bundle(tmp_path / "models", "en-fr", 1)
    return tmp_path / "models"


@pytest.fixture
def loader() -> FakeLoader:
    """The loader of the app under test."""
    return FakeLoader()


def settings_for(folder: Path, **values: Any) -> Settings:
    return Settings(**({"models": [folder], "poll_seconds": 0.05} | values))


@pytest.fixture
def client(folder: Path, loader: FakeLoader) -> Iterator[TestClient]:
    """A client of a server that is ready."""
    with TestClient(create_app(settings_for(folder), load=loader)) as client:
        wait_until(lambda: client.get("/readyz").status_code == 200)
        yield client


@pytest.fixture
def serve(folder: Path, loader: FakeLoader) -> Serve:
    """`async with serve(setting=value) as client`: the app in this event loop."""

    @asynccontextmanager
    async def start(ready: bool = True, **values: Any) -> AsyncIterator[httpx.AsyncClient]:
        app = create_app(settings_for(folder, **values), load=loader)
        transport = httpx.ASGITransport(app)
        async with (
            app.router.lifespan_context(app),
            httpx.AsyncClient(transport=transport, base_url="http://server", timeout=20) as client,
        ):
            client.app = app  # type: ignore[attr-defined]
            while ready and not app.state.running.models.settled:
                await asyncio.sleep(0.01)
            yield client

    return start


def wait_until(condition: Callable[[], bool], seconds: float = 10.0) -> None:
    """Return once `condition` holds."""
    import time

    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "this never came true"
        time.sleep(0.01)
