"""What a stream has said stays said."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nmt.search import RunningSet
from tests.nmt.searching import ask, random_model


@pytest.mark.usefixtures("halves")
@settings(max_examples=60)
@given(
    seed=st.integers(0, 40),
    source=st.lists(st.integers(4, 9), min_size=1, max_size=6),
    beam_size=st.integers(1, 6),
    alpha=st.sampled_from([0.0, 1.0]),
    coverage=st.sampled_from([0.0, 1.0]),
)
def test_committed_units_never_change_and_become_the_best_hypothesis(
    seed: int, source: list[int], beam_size: int, alpha: float, coverage: float
) -> None:
    model = random_model(seed, vocabulary=10, sharpness=3.0)
    options = {"beam_size": beam_size, "n_best": beam_size, "length_penalty": alpha, "coverage_penalty": coverage}
    sentence = ask(source, more={"stream": True}, **options)
    running = RunningSet(model)
    running.admit([ask([4], beam_size=1), sentence])  # a second thread has the second
    before: list = []
    while len(running):
        running.step()
        assert sentence.committed[: len(before)] == before
        before = list(sentence.committed)
    assert sentence.hypotheses is not None
    best = sentence.hypotheses[0]
    assert [unit.token for unit in before] == best.tokens
    assert [unit.logprob for unit in before] == pytest.approx(best.token_scores.tolist())
    assert best.attention is not None
    np.testing.assert_allclose(np.stack([unit.attention for unit in before]), best.attention)


def test_greedy_units_are_committed_at_once() -> None:
    model = random_model(1, vocabulary=20, sharpness=3.0)
    sentence = ask([4, 5, 6], beam_size=1, more={"stream": True})
    running = RunningSet(model)
    running.admit([sentence])
    for count in (1, 2, 3):
        running.step()
        assert len(sentence.committed) == count


def test_a_beam_commits_before_the_end() -> None:
    early = 0
    for seed in range(20):
        sentence = ask([4, 5, 6], limit=12, beam_size=4, more={"stream": True})
        running = RunningSet(random_model(seed))
        running.admit([sentence])
        while len(running):
            early += bool(sentence.committed)
            running.step()
    assert early > 0
