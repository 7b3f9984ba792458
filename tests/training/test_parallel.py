"""Work on several processes: results in order, and Ctrl+C is the first process's business alone."""

import signal
from functools import partial

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
