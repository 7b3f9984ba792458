"""The engine: failures, deadlines, cancellation, the bounded backlog."""

from __future__ import annotations

import asyncio
import gc
import time
import weakref
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from nmt.options import SearchOptions
from service import turns, work
from service.ticket import Ticket
from tests.service.conftest import Client, Serve, until
from tests.service.engine import Gate, held, metrics, post, waiting, waiting_units
from tests.service.fakes import FakeLoader, FakePlan, FakeRunningSet, write_bundle

pytestmark = pytest.mark.anyio


async def test_a_request_fails_for_its_own_fault_alone(client: Client, loader: FakeLoader) -> None:
    def stumble(texts: list[str]) -> None:
        if "bad" in texts:
            raise SystemExit("not even this ends the thread")

    with held(loader) as gate:
        first = post(client, "first")
        await until(gate.reached.is_set)
        loader.before = stumble
        tasks = [post(client, *texts) for texts in (["good"], ["fine", "bad", "fine too"], ["also good"])]
        await until(lambda: waiting(client) == 3)
        gate.open.set()
        statuses = [(await task).status_code for task in (first, *tasks)]
    assert statuses == [200, 200, 500, 200]
    assert (await post(client, "the thread goes on")).status_code == 200
    assert (await client.get("/livez")).status_code == 200
    assert loader.made[0].sets[0].rows == 0


@pytest.mark.parametrize("method", ["prepare", "accept", "result"])
async def test_a_plan_that_fails_fails_its_own_request(
    client: Client, loader: FakeLoader, monkeypatch: pytest.MonkeyPatch, method: str
) -> None:
    whole = getattr(FakePlan, method)

    def fail(plan: FakePlan, *arguments: Any) -> Any:
        if plan.texts == ["bad"]:
            raise KeyboardInterrupt
        return whole(plan, *arguments)

    monkeypatch.setattr(FakePlan, method, fail)
    with held(loader) as gate:
        tasks = [post(client, "good")]
        await until(gate.reached.is_set)
        tasks += [post(client, "bad"), post(client, "good too")]
        await until(lambda: waiting(client) == 2)
        gate.open.set()
        assert [(await task).status_code for task in tasks] == [200, 500, 200]
    assert waiting(client) == 0
    assert waiting_units(client) == 0


@pytest.mark.parametrize("method", ["step", "finished", "room_for", "admit"])
async def test_a_broken_running_set_is_replaced(
    client: Client, loader: FakeLoader, monkeypatch: pytest.MonkeyPatch, method: str
) -> None:
    def fail(*arguments: Any) -> Any:
        raise MemoryError

    with monkeypatch.context() as broken:
        broken.setattr(FakeRunningSet, method, fail)
        responses = [await task for task in [post(client, f"text {number}") for number in range(3)]]
        assert [response.status_code for response in responses] == [500] * 3
    assert (await post(client, "again")).json()["results"][0]["text"] == "AGAIN"
    assert waiting(client) == 0


async def test_nobody_is_forgotten_when_telling_one_fails(
    client: Client, loader: FakeLoader, monkeypatch: pytest.MonkeyPatch
) -> None:
    fail, prepare = Ticket.fail, FakePlan.prepare
    failed: list[Ticket] = []

    def fail_once(ticket: Ticket, error: BaseException) -> None:
        failed.append(ticket)
        if len(failed) == 1:
            raise MemoryError
        fail(ticket, error)

    def stumble(plan: FakePlan, seconds: float) -> bool:
        if plan.texts == ["bad"]:
            raise KeyError
        return prepare(plan, seconds)

    monkeypatch.setattr(Ticket, "fail", fail_once)
    monkeypatch.setattr(FakePlan, "prepare", stumble)
    with held(loader) as gate:
        tasks = [post(client, "good")]
        await until(gate.reached.is_set)
        bad = post(client, "bad")
        await until(lambda: waiting(client) == 1)
        tasks += [post(client, f"text {number}") for number in range(3)]
        await until(lambda: waiting(client) == 4)
        gate.open.set()
        done, _ = await asyncio.wait(tasks, timeout=10)
    bad.cancel()
    assert {task.result().status_code for task in done} == {500}
    assert len(done) == 4
    assert (await post(client, "again")).status_code == 200


async def test_what_has_ended_outlives_a_running_set_that_breaks(client: Client, loader: FakeLoader) -> None:
    left: list[int] = []

    def fail(running: FakeRunningSet) -> None:
        left.append(len(running.inside))
        if left[-2:] == [41, 41] and max(left) == 43:  # a step ago the second short sentence ended
            left.clear()
            raise MemoryError

    with held(loader) as gate:
        large = post(client, *(" ".join(["word"] * 30) for _ in range(39)), beam_size=5)
        await until(gate.reached.is_set)
        short = [post(client, " ".join(["short"] * length)) for length in (3, 4, 9, 9)]
        await until(lambda: waiting(client) == 4)
        loader.after = fail
        gate.open.set()
        statuses = [(await task).status_code for task in (*short, large)]
    assert statuses == [200, 200, 500, 500, 500], "the second ended in the step before, and waited for company"


async def test_a_model_without_a_running_set_fails_its_own_requests(
    serve: Serve, folder: Path, loader: FakeLoader, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_bundle(folder, "en-de", 1)
    async with serve() as client:
        broken = next(made for made in loader.made if made.bundle.target == "de")
        monkeypatch.setattr(broken, "running_set", lambda **limits: {}["nothing"])
        wrong, right = post(client, "Hi", target="de"), post(client, "Hi")
        assert [(await wrong).status_code, (await right).status_code] == [500, 200]


async def test_a_full_queue_refuses_at_once(serve: Serve, loader: FakeLoader) -> None:
    async with serve(queue_size=2, max_rows=5) as client:
        with held(loader) as gate:
            tasks = [post(client, "first")]
            await until(gate.reached.is_set)
            tasks += [post(client, "second"), post(client, "third")]
            await until(lambda: waiting(client) == 2)
            refused = await post(client, "fourth")
            assert (refused.status_code, refused.json()["code"]) == (429, "queue_full")
            assert 1 <= int(refused.headers["retry-after"]) <= 60
            compatible = await client.post("/translate", json={"q": "Hi", "source": "en", "target": "fr"})
            assert compatible.status_code == 429
            assert set(compatible.json()) == {"error"}
            gate.open.set()
            assert [(await task).status_code for task in tasks] == [200, 200, 200]
        assert 'outcome="refused"} 2.0' in await metrics(client)


async def test_a_burst_that_there_is_room_for_is_not_turned_away(serve: Serve, loader: FakeLoader) -> None:
    async with serve(queue_size=1, max_rows=20) as client:
        with held(loader) as gate:
            tasks = [post(client, "first")]
            await until(gate.reached.is_set)
            tasks += [post(client, f"text {number}") for number in range(4)]  # room for three, and one may wait
            await until(lambda: waiting(client) == 4)
            assert (await post(client, "one too many")).status_code == 429
            gate.open.set()
            assert [(await task).status_code for task in tasks] == [200] * 5


async def test_an_idle_engine_gives_memory_back_once(
    serve: Serve, loader: FakeLoader, monkeypatch: pytest.MonkeyPatch
) -> None:
    given: list[bool] = []
    monkeypatch.setattr(turns, "_IDLE", 0.01)
    monkeypatch.setattr(turns, "give_back", lambda: given.append(True))
    async with serve() as client:
        await until(lambda: len(given) == 1)
        assert (await post(client, "Hi")).status_code == 200
        await until(lambda: len(given) == 2)


async def test_text_that_waits_has_a_budget(serve: Serve, loader: FakeLoader) -> None:
    async with serve(queue_units=1000) as client:
        with held(loader) as gate:
            tasks = [post(client, "first")]
            await until(gate.reached.is_set)
            tasks.append(post(client, "word " * 900))  # alone it may be large
            await until(lambda: waiting(client) == 1)
            refused = await post(client, "word " * 900)
            assert (refused.status_code, refused.json()["code"]) == (429, "queue_full")
            gate.open.set()
            assert [(await task).status_code for task in tasks] == [200, 200]
        assert (waiting(client), waiting_units(client)) == (0, 0)


async def test_the_deadline_ends_a_request_and_frees_its_rows(serve: Serve, loader: FakeLoader) -> None:
    async with serve(deadline_seconds=1.5) as client:
        with held(loader) as gate:
            tasks = [post(client, "running")]
            await until(gate.reached.is_set)
            tasks.append(post(client, "waiting"))
            for task in tasks:
                response = await task
                assert (response.status_code, response.json()["code"]) == (504, "deadline_exceeded")
            gate.open.set()
        assert (await post(client, "next")).status_code == 200
        await until(lambda: loader.made[0].sets[0].rows == 0)
        assert ["waiting"] not in loader.calls
        assert 'outcome="deadline"} 2.0' in await metrics(client)


async def test_a_slow_body_ends_at_the_deadline(serve: Serve) -> None:
    async def slow() -> Any:
        yield b"{"
        await asyncio.sleep(5)

    async with serve(deadline_seconds=0.1) as client:
        response = await client.post("/v1/translate", content=slow(), headers={"content-type": "application/json"})
        assert (response.status_code, response.json()["code"]) == (408, "body_timeout")


def directly(client: Client, text: str) -> asyncio.Task[Any]:
    """As a route does; cancelling it is a client that leaves."""
    running = client.app.state.running
    deadline = asyncio.get_running_loop().time() + 10
    model = running.models.served[0]
    return asyncio.create_task(
        work.translate(running.engine, model, [text], options=SearchOptions(), deadline=deadline)
    )


async def leave(task: asyncio.Task[Any]) -> None:
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_a_client_that_leaves_is_not_computed(client: Client, loader: FakeLoader) -> None:
    with held(loader) as gate:
        first = post(client, "first")
        await until(gate.reached.is_set)
        gone = directly(client, "gone")
        await until(lambda: waiting(client) == 1)
        await leave(gone)
        gate.open.set()
        assert (await first).status_code == 200
    assert (await post(client, "next")).status_code == 200
    assert loader.calls == [["first"], ["next"]]
    assert 'outcome="cancelled"} 1.0' in await metrics(client)


async def test_a_client_that_leaves_frees_its_rows_at_the_next_step(client: Client, loader: FakeLoader) -> None:
    gate = Gate()
    loader.after = lambda running: gate(running) if running.steps == 3 else None
    gone = directly(client, "One two three. Four five six. Seven eight nine.")
    await until(gate.reached.is_set)
    running = loader.made[0].sets[0]
    assert running.rows == 15
    await leave(gone)
    gate.open.set()
    await until(lambda: running.rows == 0)
    assert running.steps == 3
    assert len(running.dropped) == 3
    assert (await post(client, "next")).status_code == 200


async def test_a_stopping_server_finishes_what_it_has(client: Client, loader: FakeLoader) -> None:
    with held(loader) as gate:
        tasks = [post(client, "running")]
        await until(gate.reached.is_set)
        tasks.append(post(client, "waiting"))
        await until(lambda: waiting(client) == 1)
        client.app.state.running.engine.drain()
        refused = await post(client, "late")
        assert (refused.status_code, refused.json()["code"]) == (503, "draining")
        assert (await client.get("/readyz")).status_code == 503
        assert (await client.get("/livez")).status_code == 200
        gate.open.set()
        assert [(await task).status_code for task in tasks] == [200, 200]


async def test_what_is_not_ready_when_the_engine_closes_is_told(client: Client, loader: FakeLoader) -> None:
    with held(loader) as gate:
        tasks = [post(client, "running")]
        await until(gate.reached.is_set)
        tasks.append(post(client, "waiting"))
        await until(lambda: waiting(client) == 1)
        engine = client.app.state.running.engine
        closing = asyncio.create_task(asyncio.to_thread(engine.close))
        await until(lambda: engine.draining)
        gate.open.set()
        for task in tasks:
            assert ((await task).status_code, (await task).json()["code"]) == (503, "draining")
        await closing
    assert (await client.get("/livez")).status_code == 500


async def test_timing_says_where_the_time_went(client: Client, loader: FakeLoader) -> None:
    with held(loader) as gate:
        first = post(client, "first")
        await until(gate.reached.is_set)
        second = post(client, "second")
        await until(lambda: waiting(client) == 1)
        await asyncio.sleep(0.05)
        gate.open.set()
        timing = (await first).json()["timing_ms"]
        assert timing["compute"] >= 50
        assert (await second).json()["timing_ms"]["queue"] >= 40


async def test_a_new_version_lets_sentences_finish_on_the_old_one(
    serve: Serve, loader: FakeLoader, folder: Path
) -> None:
    async with serve() as client:
        models = client.app.state.running.models
        gate = Gate()
        loader.after = lambda running: gate(running) if running.steps == 2 else None
        old = post(client, "One two three. Four five six.")
        await until(gate.reached.is_set)
        write_bundle(folder, "en-fr", 2, shout="!")
        await until(lambda: models.served[0].version == 2)
        loader.after = lambda running: None
        new = post(client, "Hi")
        await until(lambda: waiting(client) == 1)
        gate.open.set()
        first, second = (await old).json(), (await new).json()
        assert (first["model"]["version"], first["results"][0]["text"]) == (1, "ONE TWO THREE. FOUR FIVE SIX.")
        assert (second["model"]["version"], second["results"][0]["text"]) == (2, "HI!")
        forgotten = weakref.ref(loader.made.pop(0))
        del first, second
        assert (await post(client, "Hi")).status_code == 200
        await until(_collected(forgotten))


def _collected(reference: weakref.ref[Any]) -> Callable[[], bool]:
    def gone() -> bool:
        gc.collect()
        return reference() is None

    return gone


async def test_the_engine_sleeps_when_there_is_nothing_to_do(client: Client) -> None:
    assert (await post(client, "Hi")).status_code == 200
    thread = client.app.state.running.engine._thread
    clock = time.pthread_getcpuclockid(thread.ident)
    before = time.clock_gettime(clock)
    await asyncio.sleep(0.2)
    assert time.clock_gettime(clock) - before < 0.002


async def test_steps_rows_and_units_are_counted(client: Client) -> None:
    assert (await post(client, "one two three.", beam_size=4)).status_code == 200
    text = await metrics(client)
    for line in (
        'interlinear_step_rows_bucket{le="5.0",model="en-fr"} 5.0',
        'interlinear_step_rows_sum{model="en-fr"} 20.0',
        'interlinear_step_seconds_count{model="en-fr"} 5.0',
        'interlinear_sentences_total{model="en-fr"} 1.0',
        'interlinear_source_units_total{model="en-fr"} 5.0',
        'interlinear_target_units_total{model="en-fr"} 5.0',
        "interlinear_queue_requests 0.0",
        "interlinear_queue_units 0.0",
    ):
        assert line in text
