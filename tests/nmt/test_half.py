"""The second thread of a running set comes, fails and goes."""

from __future__ import annotations

import threading

import pytest

from nmt.decoder import Step
from nmt.search import RunningSet
from tests.nmt.searching import SENTENCES, Endless, ask, random_model, run


class Broken(BaseException):
    """Worse than the fault of a sentence."""


@pytest.mark.usefixtures("halves")
def test_what_breaks_a_whole_step_is_raised(monkeypatch: pytest.MonkeyPatch) -> None:
    model = random_model(1, vocabulary=20, sharpness=3.0)
    running = RunningSet(model)
    running.admit([ask(source) for source in SENTENCES])
    running.step()

    def broken(*given: object) -> Step:
        raise Broken

    monkeypatch.setattr(model, "step", broken)
    with pytest.raises(Broken):
        run(running)
    _wait_for_second_threads()


def test_a_second_thread_ends_with_its_sentences(halves: bool) -> None:
    running = RunningSet(random_model(1, vocabulary=20, sharpness=3.0))
    endless = [ask(source, limit=100_000, more={"rules": [Endless()]}) for source in SENTENCES]
    running.admit(endless)
    running.step()
    before = _second_threads()
    for sentence in endless:
        running.drop(sentence)
    assert not len(running)
    assert not running.rows
    running.step()
    _wait_for_second_threads()
    assert len(before) == halves
    assert not running.finished()


def test_many_at_once_are_shared_evenly_and_newcomers_enter_one_half(halves: bool) -> None:
    running = RunningSet(random_model(1, vocabulary=20, sharpness=3.0))

    def enter(count: int) -> int:
        """Rows that so many sentences bring to the first half."""
        before = running._here.rows
        running.admit([ask(SENTENCES[0], limit=100, beam_size=1, more={"rules": [Endless()]}) for _ in range(count)])
        entered = running._here.rows - before
        running.step()
        return entered

    assert enter(100) == (50 if halves else 100)
    assert [enter(10) for _ in range(4)] == ([0, 10, 0, 10] if halves else [10] * 4)
    assert enter(80) == (40 if halves else 80)
    for sentence in list(running._inside):
        running.drop(sentence)
    running.step()
    _wait_for_second_threads()


def test_no_thread_to_be_had_is_an_error_and_no_endless_wait(monkeypatch: pytest.MonkeyPatch, halves: bool) -> None:
    def refuse(thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", refuse)
    running = RunningSet(random_model(1, vocabulary=20, sharpness=3.0))
    running.admit([ask(source) for source in SENTENCES])
    if not halves:
        assert len(run(running)) == len(SENTENCES)
        return
    for _ in range(2):
        with pytest.raises(RuntimeError, match="can't start"):
            running.step()


def _second_threads() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name == "interlinear-half"]


def _wait_for_second_threads() -> None:
    for thread in _second_threads():
        thread.join(10)
        assert not thread.is_alive()
