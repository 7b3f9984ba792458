"""The second thread of a running set comes, fails and goes."""

from __future__ import annotations

import itertools
import math
import threading

import pytest
from torch import Tensor

from nmt.config import EOS
from nmt.decoder import Step
from nmt.search import Columns, Rule, RunningSet
from tests.nmt.searching import SENTENCES, ask, random_model, run


class Endless(Rule):
    """No sentence ends."""

    def forbid(self, log_probabilities: Tensor, columns: Columns) -> None:
        log_probabilities[:, columns.of([EOS])] = -math.inf


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


def test_newcomers_enter_a_half_together_and_none_is_far_ahead(halves: bool) -> None:
    running = RunningSet(random_model(1, vocabulary=20, sharpness=3.0))
    second: list[int] = []  # rows of the second half, after each newcomer
    for _ in range(200):
        running.admit([ask(SENTENCES[0], limit=100, more={"rules": [Endless()]})])
        second.append(running.rows - running._here.rows)
    if not halves:
        assert not any(second)
        return
    entered = [after > before for before, after in itertools.pairwise(second)]
    changes = sum(one != other for one, other in itertools.pairwise(entered[100:]))
    assert 2 <= changes <= 10, "of 100 newcomers, beside 100 others, ten or more enter together"
    assert 0.38 < second[-1] / running.rows < 0.62


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
