"""The engine: who joins a running set when, and in fairness to whom."""

from __future__ import annotations

import pytest

from nmt.search import Sentence
from tests.service.conftest import Client, Serve, until
from tests.service.engine import Gate, held, post, waiting
from tests.service.fakes import FakeLoader, FakePlan, text_of

pytestmark = pytest.mark.anyio


@pytest.fixture(autouse=True)
def _time_to_cut(monkeypatch: pytest.MonkeyPatch) -> None:
    """However slow the machine, what waits is cut within one slice of time."""
    monkeypatch.setattr("service.turns._SLICES", 1.0)


DOCUMENT = " ".join(f"Sentence {number} of a long document." for number in range(1400))


async def test_sentences_of_several_requests_join_together_in_turn(client: Client, loader: FakeLoader) -> None:
    with held(loader) as gate:
        first = post(client, "first")
        await until(gate.reached.is_set)
        others = [post(client, f"text {number}", f"more {number}") for number in range(5)]
        await until(lambda: waiting(client) == 5)
        other = post(client, "narrow", beam_size=2)
        await until(lambda: waiting(client) == 6)
        gate.open.set()
        responses = [await task for task in (first, *others, other)]
    assert [response.status_code for response in responses] == [200] * 7
    one_each = [*(f"text {number}" for number in range(5)), "narrow"]
    assert loader.calls == [["first"], [*one_each, *(f"more {number}" for number in range(5))]]
    for number, response in enumerate(responses[1:6]):
        assert [result["text"] for result in response.json()["results"]] == [f"TEXT {number}", f"MORE {number}"]
    assert loader.made[0].sets[0].most_rows == 5 + 10 * 5 + 2


async def test_a_request_joins_at_the_next_step(client: Client, loader: FakeLoader) -> None:
    gate = Gate()
    loader.after = gate
    long = post(client, "one two three four five six seven eight")
    await until(gate.reached.is_set)
    short = post(client, "short")
    await until(lambda: waiting(client) == 1)
    steps: list[list[str]] = []
    loader.after = lambda running: steps.append([text_of(sentence) for sentence in running.inside])
    gate.open.set()
    assert (await short).json()["results"][0]["text"] == "SHORT"
    assert (await long).status_code == 200
    assert "short" in steps[0]
    assert "short" not in steps[1]


async def test_a_document_delays_a_greeting_by_no_step(serve: Serve, loader: FakeLoader) -> None:
    assert len(DOCUMENT) > 45_000
    async with serve(max_rows=320) as client:
        gate = Gate()
        loader.after = lambda running: gate(running) if running.steps == 4 else None
        document = post(client, DOCUMENT)
        await until(gate.reached.is_set)
        running = loader.made[0].sets[0]
        assert running.rows == 240
        hello = post(client, "hello")
        await until(lambda: waiting(client) == 2)
        ended: list[int] = []  # at which step it did
        loader.after = lambda running: ended.extend(
            running.steps for sentence in running.ended if text_of(sentence) == "hello"
        )
        gate.open.set()
        response = await hello
        assert response.json()["results"][0]["text"] == "HELLO"
        assert (await document).json()["results"][0]["text"] == DOCUMENT.upper()
    position = next(place for place, call in enumerate(loader.calls) if "hello" in call)
    joined_at = sum(1 for call in loader.calls[:position] if call)
    assert joined_at <= 2, "hello joined with the first sentences after it came"
    assert ended[0] < 15, "it ended while the document was still being translated"
    assert len(loader.calls) > 20
    assert running.most_rows <= 320


async def test_documents_share_the_room_and_a_greeting_still_finds_some(serve: Serve, loader: FakeLoader) -> None:
    async with serve(max_rows=100, queue_units=10**6) as client:
        gate = Gate()
        loader.after = lambda running: gate(running) if running.steps == 2 else None
        documents = [post(client, " ".join(f"Doc{n} is here {i}." for i in range(300))) for n in range(3)]
        await until(gate.reached.is_set)
        hello = post(client, "hello")
        await until(lambda: waiting(client) == 4)
        loader.after = lambda running: None
        gate.open.set()
        assert (await hello).status_code == 200
        assert [(await task).status_code for task in documents] == [200] * 3
    assert max(call.index("hello") for call in loader.calls if "hello" in call) <= 3, "one of each request in turn"
    place = next(place for place, call in enumerate(loader.calls) if "hello" in call)
    assert place <= 4
    shares = [sum(text.startswith(f"Doc{n}") for call in loader.calls[:40] for text in call) for n in range(3)]
    assert max(shares) - min(shares) <= 20


async def test_a_wide_beam_is_not_overtaken_for_ever(serve: Serve, loader: FakeLoader) -> None:
    async with serve(max_rows=160, queue_size=64) as client:
        with held(loader) as gate:
            first = [post(client, "first", beam_size=5)]
            await until(gate.reached.is_set)
            first.extend(post(client, "one two three four five six", beam_size=5) for _ in range(29))
            await until(lambda: waiting(client) == 29)
            wide = post(client, "wide", beam_size=16)
            await until(lambda: waiting(client) == 30)
            narrow = [post(client, f"narrow {n}", beam_size=1) for n in range(8)]
            await until(lambda: waiting(client) == 38)
            gate.open.set()
            assert {(await task).status_code for task in (*first, wide, *narrow)} == {200}
    order = [text for call in loader.calls for text in call]
    assert order.index("wide") < order.index("narrow 0")
    assert loader.made[0].sets[0].most_rows <= 160


async def test_a_wide_beam_finds_room_in_a_small_set(serve: Serve, loader: FakeLoader) -> None:
    async with serve(max_rows=64) as client:
        with held(loader) as gate:
            first = [post(client, "one two three four", beam_size=5) for _ in range(12)]
            await until(gate.reached.is_set)
            wide = post(client, "wide", beam_size=16)
            await until(lambda: waiting(client) >= 1)
            later = [post(client, f"later {n}", beam_size=5) for n in range(4)]
            await until(lambda: waiting(client) >= 5)
            gate.open.set()
            assert {(await task).status_code for task in (*first, wide, *later)} == {200}
    order = [text for call in loader.calls for text in call]
    assert order.index("wide") < order.index("later 0")


async def joined_beside_a_large_set(
    client: Client, loader: FakeLoader, texts: list[str], *, sentences: int = 16
) -> list[int]:
    """After how many steps of a set of so many sentences, of 5 rows each, these came in, who wait after its first."""
    gate = Gate()
    loader.after = gate
    large = post(client, *("one two three four five six seven eight" for _ in range(sentences)), beam_size=5)
    await until(gate.reached.is_set)
    running = loader.made[0].sets[0]
    assert running.rows == 5 * sentences
    joined: list[int] = []
    loader.before = lambda texts: joined.append(running.steps)
    newcomers = [post(client, text) for text in texts]
    await until(lambda: waiting(client) == len(texts))
    loader.after = lambda running: None
    gate.open.set()
    assert {(await task).status_code for task in (large, *newcomers)} == {200}
    return joined


async def test_newcomers_wait_two_steps_for_company_beside_a_large_set(client: Client, loader: FakeLoader) -> None:
    assert await joined_beside_a_large_set(client, loader, ["alone"]) == [3], "two steps were made without it"


async def test_newcomers_wait_four_steps_beside_a_larger_set(serve: Serve, loader: FakeLoader) -> None:
    async with serve(max_rows=320) as client:
        assert await joined_beside_a_large_set(client, loader, ["alone"], sentences=28) == [5]


async def test_texts_are_not_cut_before_their_sentences_may_join(
    client: Client, loader: FakeLoader, monkeypatch: pytest.MonkeyPatch
) -> None:
    prepared: list[int] = []
    prepare = FakePlan.prepare

    def note(plan: FakePlan, seconds: float | None = None) -> bool:
        prepared.append(sum(running.steps for running in loader.made[0].sets))
        return prepare(plan, seconds)

    monkeypatch.setattr(FakePlan, "prepare", note)
    assert await joined_beside_a_large_set(client, loader, ["alone"]) == [3]
    assert prepared == [0, 3]


async def test_sentences_that_end_beside_a_large_set_are_given_back_together(
    client: Client, loader: FakeLoader, monkeypatch: pytest.MonkeyPatch
) -> None:
    given: dict[str, int] = {}
    accept = FakePlan.accept

    def note(plan: FakePlan, sentence: Sentence) -> None:
        given[text_of(sentence)] = loader.made[0].sets[0].steps
        accept(plan, sentence)

    monkeypatch.setattr(FakePlan, "accept", note)
    with held(loader) as gate:
        large = post(client, *(" ".join(["word"] * 30) for _ in range(39)), beam_size=5)
        await until(gate.reached.is_set)
        short = [post(client, " ".join(["short"] * length)) for length in (3, 4, 5, 9)]
        await until(lambda: waiting(client) == 4)
        gate.open.set()
        assert {(await task).status_code for task in (*short, large)} == {200}
    del given[" ".join(["word"] * 30)]
    first, *others = given.values()
    assert [step - first for step in others] == [5, 5, 10], "they ended one, two and six steps after the first"


async def test_a_full_set_waits_for_room_for_several(serve: Serve, loader: FakeLoader) -> None:
    async with serve(max_rows=80) as client:
        with held(loader) as gate:
            first = [post(client, " ".join(["word"] * 9), beam_size=5)]
            await until(gate.reached.is_set)
            for length in (3, 3, 4, 4, 5, *[9] * 10):
                first.append(post(client, " ".join(["word"] * length), beam_size=5))
            newcomers = [post(client, f"new {n}") for n in range(5)]
            await until(lambda: waiting(client) == 20)
            gate.open.set()
        assert {(await task).status_code for task in (*first, *newcomers)} == {200}
    joined = [sum(text.startswith("new") for text in call) for call in loader.calls]
    assert [count for count in joined if count] == [4, 1], "one by one, each would be encoded alone"


async def test_enough_newcomers_join_at_once(client: Client, loader: FakeLoader) -> None:
    assert await joined_beside_a_large_set(client, loader, [f"number {n}" for n in range(5)]) == [1]
