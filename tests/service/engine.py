"""Helpers of the engine's tests: hold its thread, post without waiting, read its gauges."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import httpx

from tests.service.conftest import Client, ask
from tests.service.fakes import FakeLoader


class Gate:
    """Holds the engine's thread inside a step until it is opened."""

    def __init__(self) -> None:
        self.reached = threading.Event()
        self.open = threading.Event()

    def __call__(self, anything: object) -> None:
        self.reached.set()
        assert self.open.wait(10)


@contextmanager
def held(loader: FakeLoader) -> Iterator[Gate]:
    """Held while the next sentences join."""
    gate = Gate()
    loader.before = gate
    try:
        yield gate
    finally:
        gate.open.set()
        loader.before = lambda texts: None


def post(client: Client, *texts: str, **more: Any) -> asyncio.Task[httpx.Response]:
    return asyncio.create_task(client.post("/v1/translate", json=ask(*texts, **more)))


def waiting(client: Client) -> int:
    return int(client.app.state.running.metrics.queue._value.get())


def waiting_units(client: Client) -> int:
    return int(client.app.state.running.metrics.queue_units._value.get())


async def metrics(client: Client) -> str:
    return (await client.get("/metrics")).text
