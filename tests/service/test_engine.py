"""The engine: batches, failures, deadlines, cancellation, the bounded queue."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import httpx
import pytest

from tests.service.conftest import Client, Serve, ask, until
from tests.service.fakes import FakeLoader

pytestmark = pytest.mark.anyio


class Gate:
    """Holds the engine's thread inside a batch until it is opened."""

    def __init__(self) -> None:
        self.reached = threading.Event()
        self.open = threading.Event()

    def __call__(self, texts: list[str]) -> None:
        self.reached.set()
        assert self.open.wait(10)


@contextmanager
def held(loader: FakeLoader) -> Iterator[Gate]:
    gate = Gate()
    loader.before = gate
    try:
        yield gate
    finally:
        gate.open.set()


def post(client: Client, *texts: str, **more: Any) -> asyncio.Task[httpx.Response]:
    return asyncio.create_task(client.post("/v1/translate", json=ask(*texts, **more)))


def waiting(client: Client) -> int:
    return int(client.app.state.running.metrics.queue._value.get())


async def test_requests_that_wait_together_share_a_batch(client: Client, loader: FakeLoader) -> None:
    with held(loader) as gate:
        first = post(client, "first")
        await until(gate.reached.is_set)
        others = [post(client, f"text {number}", f"more {number}") for number in range(5)]
        apart = post(client, "apart", beam_size=2)
        await until(lambda: waiting(client) == 6)
        gate.open.set()
        responses = [await task for task in (first, *others, apart)]
    assert [response.status_code for response in responses] == [200] * 7
    shared = [text for number in range(5) for text in (f"text {number}", f"more {number}")]
    assert loader.calls == [["first"], shared, ["apart"]]
    for number, response in enumerate(responses[1:6]):
        assert [result["text"] for result in response.json()["results"]] == [f"TEXT {number}", f"MORE {number}"]


async def test_a_batch_has_a_size_and_a_long_request_lets_others_in(serve: Serve, loader: FakeLoader) -> None:
    async with serve(batch_texts=4, batch_characters=40) as client:
        with held(loader) as gate:
            first = post(client, "first")
            await until(gate.reached.is_set)
            long = post(client, *(f"long {number}" for number in range(6)))
            await until(lambda: waiting(client) == 1)
            short = post(client, "short")
            await until(lambda: waiting(client) == 2)
            huge = post(client, "x" * 100)
            await until(lambda: waiting(client) == 3)
            gate.open.set()
            answers = [(await task).json()["results"] for task in (first, long, short, huge)]
    assert [len(results) for results in answers] == [1, 6, 1, 1]
    assert [result["text"] for result in answers[1]] == [f"LONG {number}" for number in range(6)]
    batches = [len(call) for call in loader.calls]
    assert max(batches) <= 4
    order = [text for call in loader.calls for text in call]
    assert order.index("short") < order.index("long 5")


async def test_a_request_fails_for_its_own_fault_alone(client: Client, loader: FakeLoader) -> None:
    def stumble(texts: list[str]) -> None:
        if "bad" in texts:
            raise SystemExit("not even this ends the thread")

    with held(loader) as gate:
        first = post(client, "first")
        await until(gate.reached.is_set)
        loader.before = stumble
        tasks = [post(client, text) for text in ("good", "bad", "also good")]
        await until(lambda: waiting(client) == 3)
        gate.open.set()
        statuses = [(await task).status_code for task in (first, *tasks)]
    assert statuses == [200, 200, 500, 200]
    assert (await post(client, "the thread goes on")).status_code == 200
    assert (await client.get("/livez")).status_code == 200


async def test_a_wrong_number_of_results_is_an_error(client: Client, loader: FakeLoader, monkeypatch: Any) -> None:
    monkeypatch.setattr(loader.made[0], "translate", lambda texts, **options: [])
    assert (await post(client, "Hi")).status_code == 500


async def test_a_full_queue_refuses_at_once(serve: Serve, loader: FakeLoader) -> None:
    async with serve(queue_size=2) as client:
        with held(loader) as gate:
            tasks = [post(client, "first")]
            await until(gate.reached.is_set)
            tasks += [post(client, "second"), post(client, "third")]
            await until(lambda: waiting(client) == 2)
            refused = await post(client, "fourth")
            assert (refused.status_code, refused.json()["code"]) == (429, "queue_full")
            assert int(refused.headers["retry-after"]) >= 1
            compatible = await client.post("/translate", json={"q": "Hi", "source": "en", "target": "fr"})
            assert compatible.status_code == 429
            assert set(compatible.json()) == {"error"}
            gate.open.set()
            assert [(await task).status_code for task in tasks] == [200, 200, 200]


async def test_the_deadline_ends_a_request(serve: Serve, loader: FakeLoader) -> None:
    async with serve(deadline_seconds=0.2) as client:
        with held(loader) as gate:
            tasks = [post(client, "running"), post(client, "waiting", beam_size=2)]
            for task in tasks:
                response = await task
                assert (response.status_code, response.json()["code"]) == (504, "deadline_exceeded")
            gate.open.set()
        loader.before = lambda texts: None
        assert (await post(client, "next")).status_code == 200
        assert ["waiting"] not in loader.calls


async def test_a_slow_body_ends_at_the_deadline(serve: Serve) -> None:
    async def slow() -> Any:
        yield b"{"
        await asyncio.sleep(5)

    async with serve(deadline_seconds=0.1) as client:
        response = await client.post("/v1/translate", content=slow(), headers={"content-type": "application/json"})
        assert (response.status_code, response.json()["code"]) == (408, "body_timeout")


async def test_a_client_that_leaves_is_not_computed(client: Client, loader: FakeLoader) -> None:
    with held(loader) as gate:
        first = post(client, "first")
        await until(gate.reached.is_set)
        engine, model = client.app.state.running.engine, client.app.state.running.models.served[0]
        deadline = asyncio.get_running_loop().time() + 10
        gone = asyncio.create_task(engine.translate(model, ["gone"], beam_size=5, n_best=1, deadline=deadline))
        await until(lambda: waiting(client) == 1)
        gone.cancel()
        with pytest.raises(asyncio.CancelledError):
            await gone
        gate.open.set()
        assert (await first).status_code == 200
    assert (await post(client, "next")).status_code == 200
    assert loader.calls == [["first"], ["next"]]
    assert 'outcome="cancelled"} 1.0' in (await client.get("/metrics")).text


async def test_a_stopping_server_finishes_what_it_has(client: Client, loader: FakeLoader) -> None:
    with held(loader) as gate:
        tasks = [post(client, "running"), post(client, "waiting", beam_size=1)]
        await until(gate.reached.is_set)
        await until(lambda: waiting(client) == 1)
        client.app.state.running.engine.drain()
        refused = await post(client, "late")
        assert (refused.status_code, refused.json()["code"]) == (503, "draining")
        assert (await client.get("/readyz")).status_code == 503
        assert (await client.get("/livez")).status_code == 200
        gate.open.set()
        assert [(await task).status_code for task in tasks] == [200, 200]


async def test_what_still_waits_when_the_engine_closes_is_told(client: Client, loader: FakeLoader) -> None:
    with held(loader) as gate:
        tasks = [post(client, "running"), post(client, "waiting", beam_size=1)]
        await until(gate.reached.is_set)
        await until(lambda: waiting(client) == 1)
        closing = asyncio.create_task(asyncio.to_thread(client.app.state.running.engine.close))
        await asyncio.sleep(0.05)
        gate.open.set()
        assert [(await task).status_code for task in tasks] == [200, 503]
        await closing
    assert (await client.get("/livez")).status_code == 500


async def test_timing_says_where_the_time_went(client: Client, loader: FakeLoader) -> None:
    with held(loader) as gate:
        first = post(client, "first")
        await until(gate.reached.is_set)
        second = post(client, "second")
        await asyncio.sleep(0.05)
        gate.open.set()
        timing = (await first).json()["timing_ms"]
        assert timing["compute"] >= 50
        assert (await second).json()["timing_ms"]["queue"] >= 40
