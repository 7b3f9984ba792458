"""Work on several processes: results in order, and Ctrl+C is the first process's business alone."""

import signal
from concurrent.futures import Future, ProcessPoolExecutor
from functools import partial
from typing import Any

import pytest

from training.parallel import in_order


def test_results_come_in_order_from_several_processes() -> None:
    assert list(in_order(abs, [-3, 1, -2, 0, 5], prepare=int, arguments=(), workers=2)) == [3, 1, 2, 0, 5]


def test_workers_are_deaf_to_ctrl_c_from_their_first_moment_and_the_first_process_is_not() -> None:
    blocked = partial(signal.pthread_sigmask, signal.SIG_BLOCK)  # says what is blocked, and blocks nothing more
    before = blocked(())
    found = list(in_order(blocked, [(), (), ()], prepare=int, arguments=(), workers=2))
    assert all(signal.SIGINT in one for one in found)
    assert blocked(()) == before
    assert signal.SIGINT not in before


def test_ctrl_c_waits_until_a_worker_has_been_told_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[bool] = []
    submit = ProcessPoolExecutor.submit

    def interrupted(self: ProcessPoolExecutor, *work: Any) -> Future[Any]:
        # any thread of the process may be the one that hears it, so that blocking it in this one is not enough
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
        signal.raise_signal(signal.SIGINT)
        future = submit(self, *work)
        told.append(True)
        return future

    monkeypatch.setattr(ProcessPoolExecutor, "submit", interrupted)
    with pytest.raises(KeyboardInterrupt):
        list(in_order(abs, [-3, 1, -2], prepare=int, arguments=(), workers=2))
    assert told == [True]
