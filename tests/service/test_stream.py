"""POST /v1/translate/stream: events in order, the same answer in the end, and a client that leaves."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest

from nmt.errors import InputError
from service import sse
from service.answer_schemas import SentenceEvent, StartEvent, TokenEvent, TranslateAnswer
from tests.service.conftest import Client, Serve, ask, until
from tests.service.fakes import FakeLoader
from tests.service.test_engine import Gate, held, post, waiting

pytestmark = pytest.mark.anyio

PARTS = {"return": ["tokens", "scores", "alignment", "attention"]}


def events_of(body: str) -> list[tuple[str, Any]]:
    """Names and data, read as the standard says."""
    found = []
    for block in body.split("\n\n"):
        fields = dict(line.split(": ", 1) for line in block.splitlines() if not line.startswith(":"))
        if fields:
            found.append((fields["event"], json.loads(fields["data"])))
    return found


async def stream(client: Client, body: Any) -> list[tuple[str, Any]]:
    response = await client.post("/v1/translate/stream", json=body)
    assert response.status_code == 200
    assert response.headers["content-type"].startswith("text/event-stream")
    assert response.headers["cache-control"] == "no-store"
    assert "content-length" not in response.headers
    return events_of(response.text)


class Connection:
    """One request over ASGI itself, so that what is sent is seen at once and the client can leave."""

    def __init__(self, client: Client, body: Any) -> None:
        self.sent: list[str] = []
        self.status = 0
        self._left = asyncio.Event()
        self._bodies = [json.dumps(body).encode()]
        scope = {
            "type": "http",
            "method": "POST",
            "path": "/v1/translate/stream",
            "raw_path": b"/v1/translate/stream",
            "query_string": b"",
            "root_path": "",
            "scheme": "http",
            "http_version": "1.1",
            "headers": [(b"content-type", b"application/json")],
            "asgi": {"version": "3.0", "spec_version": "2.4"},
        }
        self.task = asyncio.create_task(client.app(scope, self._receive, self._send))

    @property
    def names(self) -> list[str]:
        return [name for name, _ in events_of("".join(self.sent))]

    def leave(self) -> None:
        self._left.set()

    async def _receive(self) -> Any:
        if self._bodies:
            return {"type": "http.request", "body": self._bodies.pop(), "more_body": False}
        await self._left.wait()
        return {"type": "http.disconnect"}

    async def _send(self, message: Any) -> None:
        self.status = self.status or message["status"]
        self.sent.append(message.get("body", b"").decode())


async def test_events_come_in_order_and_end_in_the_whole_answer(client: Client) -> None:
    body = ask("One two. Three four five.", "Six.", beam_size=2, **PARTS)
    events = await stream(client, body)
    names = [name for name, _ in events]
    assert names[0] == "start"
    assert names[-1] == "done"
    start = StartEvent.model_validate(events[0][1])
    assert [(one.text, one.sentence, one.source_span) for one in start.sentences] == [
        (0, 0, (0, 8)),
        (0, 1, (9, 25)),
        (1, 0, (0, 4)),
    ]
    whole = (await client.post("/v1/translate", json=body)).json()
    done = events[-1][1]
    TranslateAnswer.model_validate(done)
    assert done["results"] == whole["results"]
    assert done["model"] == whole["model"] == events[0][1]["model"]
    for one in start.sentences:
        place = {"text": one.text, "sentence": one.sentence}
        mine = [(name, data) for name, data in events if place.items() <= data.items()]
        assert [name for name, _ in mine] == ["token"] * (len(mine) - 1) + ["sentence"]
        tokens = [TokenEvent.model_validate(data) for name, data in mine if name == "token"]
        assert [token.index for token in tokens] == list(range(len(tokens)))
        assert tokens[-1].token.special
        expected = whole["results"][one.text]["sentences"][one.sentence]
        hypothesis = expected["hypotheses"][0]
        assert [token.attention for token in tokens] == hypothesis["attention"]["data"]
        assert [token.token.logprob for token in tokens] == [t["logprob"] for t in hypothesis["target_tokens"]]
        assert all(len(token.attention or []) == len(one.source_tokens) for token in tokens)
        SentenceEvent.model_validate(mine[-1][1])
        assert mine[-1][1] == {key: value for key, value in expected.items() if key != "target_span"} | place


async def test_a_text_of_nothing_has_a_start_and_an_end(client: Client) -> None:
    events = await stream(client, ask(""))
    assert [name for name, _ in events] == ["start", "done"]
    assert events[0][1]["sentences"] == []
    assert events[1][1]["results"] == [{"text": "", "sentences": []}]


async def test_a_unit_is_sent_at_its_step(client: Client, loader: FakeLoader) -> None:
    gate = Gate()
    loader.after = lambda running: gate(running) if running.steps == 3 else None
    connection = Connection(client, ask("One two three four five"))
    await until(lambda: connection.names == ["start", "token", "token"])
    await until(gate.reached.is_set)
    gate.open.set()
    await connection.task
    assert connection.names == ["start", *["token"] * 6, "sentence", "done"]


async def test_a_client_that_leaves_a_stream_frees_its_rows(client: Client, loader: FakeLoader) -> None:
    gate = Gate()
    loader.after = lambda running: gate(running) if running.steps == 3 else None
    connection = Connection(client, ask("One two three four five"))
    await until(gate.reached.is_set)
    running = loader.made[0].sets[0]
    assert running.rows == 5
    connection.leave()
    await connection.task
    gate.open.set()
    await until(lambda: running.rows == 0)
    assert running.steps == 3
    assert running.dropped == ["One two three four five"]
    assert 'outcome="cancelled"} 1.0' in (await client.get("/metrics")).text
    assert (await post(client, "next")).status_code == 200


async def test_a_client_that_leaves_before_the_stream_begins_is_not_computed(
    client: Client, loader: FakeLoader
) -> None:
    with held(loader) as gate:
        first = post(client, "first")
        await until(gate.reached.is_set)
        connection = Connection(client, ask("gone"))
        await until(lambda: waiting(client) == 1)
        connection.leave()
        await connection.task
        gate.open.set()
        assert (await first).status_code == 200
    assert loader.calls == [["first"]]


async def test_a_failure_after_the_start_is_an_event(client: Client, loader: FakeLoader) -> None:
    for error, code in ((InputError("not like this"), "invalid_text"), (KeyError("secret text"), "internal_error")):

        def stumble(texts: list[str], error: Exception = error) -> None:
            raise error

        loader.before = stumble
        events = await stream(client, ask("One two"))
        assert [name for name, _ in events] == ["start", "error"]
        problem = events[1][1]
        assert problem["code"] == code
        assert problem["request_id"] == events[0][1]["request_id"]
        assert "secret" not in json.dumps(events)


async def test_a_stream_ends_before_it_has_sent_too_much_attention(serve: Serve) -> None:
    async with serve(max_attention_cells=30) as client:
        events = await stream(client, ask("One two three. Four five six.", **{"return": ["attention"]}))
    names = [name for name, _ in events]
    assert names.count("sentence") == 1, "five words and marks on either side make 25 weights"
    assert names[-1] == "error"
    assert events[-1][1]["code"] == "attention_too_large"


async def test_the_deadline_ends_a_stream_with_an_event(serve: Serve, loader: FakeLoader) -> None:
    async with serve(deadline_seconds=1.5) as client:
        with held(loader) as gate:
            task = asyncio.create_task(stream(client, ask("One two")))
            await until(gate.reached.is_set)
            events = await task
            gate.open.set()
        assert [name for name, _ in events] == ["start", "error"]
        assert events[1][1]["code"] == "deadline_exceeded"


@pytest.mark.parametrize(
    ("body", "status", "pointer"),
    [
        (ask("Hi", n_best=2), 422, "/n_best"),
        (ask("Hi", beam_size=17), 422, "/beam_size"),
        (ask("Hi", target="de"), 422, "/target"),
        (ask("One. Two.", target_prefix="UN"), 422, "/target_prefix"),
        (ask(), 422, "/texts"),
    ],
)
async def test_what_is_wrong_is_said_before_the_stream_begins(
    client: Client, body: Any, status: int, pointer: str
) -> None:
    response = await client.post("/v1/translate/stream", json=body)
    assert (response.status_code, response.json()["pointer"]) == (status, pointer)
    assert response.headers["content-type"] == "application/problem+json"


async def test_a_full_queue_refuses_a_stream(serve: Serve, loader: FakeLoader) -> None:
    async with serve(queue_size=1, max_rows=5) as client:
        with held(loader) as gate:
            first = post(client, "first")
            await until(gate.reached.is_set)
            second = post(client, "second")
            await until(lambda: waiting(client) == 1)
            assert (await client.post("/v1/translate/stream", json=ask("Hi"))).status_code == 429
            gate.open.set()
            assert [(await task).status_code for task in (first, second)] == [200, 200]


async def test_silence_is_filled_with_comments(
    client: Client, loader: FakeLoader, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sse, "_SILENCE", 0.02)
    gate = Gate()
    loader.after = lambda running: gate(running) if running.steps == 1 else None
    connection = Connection(client, ask("One two"))
    await until(lambda: connection.sent.count(": still here\n\n") > 2)
    gate.open.set()
    await connection.task
    assert connection.names[-1] == "done"


async def test_a_broken_follower_fails_its_own_request(
    client: Client, loader: FakeLoader, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*arguments: Any) -> Any:
        raise RuntimeError

    monkeypatch.setattr("tests.service.fakes.FakePlan.token", fail)
    gate = Gate()
    loader.after = lambda running: gate(running) if running.steps == 1 else None
    good = post(client, "one two three four")
    await until(gate.reached.is_set)
    bad = asyncio.create_task(stream(client, ask("One two")))
    await until(lambda: waiting(client) == 1)
    gate.open.set()
    assert [name for name, _ in await bad] == ["start", "error"]
    assert (await good).status_code == 200
    assert loader.made[0].sets[0].rows == 0
