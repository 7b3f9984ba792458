"""An app over a fake translator, with its lifespan, and a client for it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from fastapi import FastAPI

from service.app import create_app
from service.settings import Settings
from tests.service.fakes import FakeLoader, write_bundle


class Client(httpx.AsyncClient):
    """A client that knows its app."""

    app: FastAPI


Serve = Callable[..., AbstractAsyncContextManager[Client]]


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(autouse=True)
def no_settings_from_outside(monkeypatch: pytest.MonkeyPatch) -> None:
    import os

    for name in [name for name in os.environ if name.startswith("INTERLINEAR_")]:
        monkeypatch.delenv(name)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A model folder with en-fr 1."""
    write_bundle(tmp_path / "models", "en-fr", 1)
    return tmp_path / "models"


@pytest.fixture
def loader() -> FakeLoader:
    """The loader of the app under test."""
    return FakeLoader()


@pytest.fixture
def serve(folder: Path, loader: FakeLoader) -> Serve:
    """`async with serve(setting=value) as client`: an app in this event loop, ready unless told otherwise."""

    @asynccontextmanager
    async def start(ready: bool = True, **values: Any) -> AsyncIterator[Client]:
        app = create_app(Settings(**({"models": [folder], "poll_seconds": 0.05} | values)), load=loader)
        transport = httpx.ASGITransport(app)
        async with (
            app.router.lifespan_context(app),
            Client(transport=transport, base_url="http://server", timeout=20) as client,
        ):
            client.app = app
            if ready:
                await until(lambda: app.state.running.models.settled)
            yield client

    return start


@pytest.fixture
async def client(serve: Serve) -> AsyncIterator[Client]:
    """A client of a server that is ready."""
    async with serve() as client:
        yield client


async def until(condition: Callable[[], bool], seconds: float = 10.0) -> None:
    """Return once `condition` holds."""
    async with asyncio.timeout(seconds):
        while not condition():  # noqa: ASYNC110 - what is waited for happens in another thread
            await asyncio.sleep(0.005)


def ask(*texts: str, **more: Any) -> dict[str, Any]:
    """The body of a request from English to French."""
    return {"texts": list(texts), "source": "en", "target": "fr"} | more
