"""From the logits of a step to the units that a row may go on with: the likeliest, or drawn ones."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from nmt.candidates import best_allowed, drawn, gather, log_softmax, most_likely, transfer
from nmt.search import Sampling
from tests.nmt.searching import SENTENCES, alone, answers, ask, assert_same, random_model


@given(
    rows=st.integers(1, 4),
    columns=st.integers(1, 3000),
    count=st.integers(1, 6),
    seed=st.integers(0, 1000),
    sunk=st.floats(0, 1),
)
def test_most_likely_by_blocks_equals_plain_top_k(rows: int, columns: int, count: int, seed: int, sunk: float) -> None:
    generator = torch.Generator().manual_seed(seed)
    scores = torch.randn(rows, columns, generator=generator)
    scores[torch.rand(rows, columns, generator=generator) < sunk] = -math.inf
    count = min(count, columns)
    values, at = most_likely(scores, count)
    assert torch.equal(values, scores.topk(count, dim=1).values)
    assert torch.equal(scores.gather(1, at), values)
    assert all(len(set(row)) == count for row in at.tolist())


@pytest.mark.parametrize("count", [1, 3, 200])
def test_the_best_that_are_allowed_come_straight_from_the_logits(count: int) -> None:
    logits = torch.randn(6, 2000)
    logits[:, :3] += 20  # special units would win
    special = torch.tensor([[[True, True, True]], [[True, False, True]]])
    expected = logits.log_softmax(dim=1)
    expected.view(2, 3, -1)[:, :, :3].masked_fill_(special, -math.inf)
    found = best_allowed(logits, special, count, None)
    np.testing.assert_allclose(found.values, expected.topk(count, dim=1).values, rtol=1e-5)
    np.testing.assert_array_equal(expected.gather(1, torch.from_numpy(found.columns)), found.values)
    assert (found.columns == 1).any(axis=1).tolist() == [False] * 3 + [True] * 3


def test_log_softmax_in_place_equals_log_softmax() -> None:
    logits = torch.randn(40, 3000) * 10
    logits[:, ::7] = -math.inf
    expected = logits.log_softmax(dim=1)
    torch.testing.assert_close(log_softmax(logits), expected)


@pytest.mark.parametrize("attends", [True, False])
def test_one_transfer_brings_the_same_as_none(attends: bool) -> None:
    values, columns = torch.randn(6, 8000).topk(5, dim=1)
    weights = torch.rand(6, 9) if attends else None
    near, far = gather(values, columns, weights), transfer(values, columns, weights)
    np.testing.assert_array_equal(far.values, near.values)
    np.testing.assert_array_equal(far.columns, near.columns)
    assert far.columns.dtype == np.int64
    np.testing.assert_array_equal(np.asarray(far.attention), np.asarray(near.attention))


# sampling


def test_samples_follow_the_distribution() -> None:
    scores = torch.tensor([[0.5, 0.3, 0.15, 0.05]]).log().expand(4000, -1)
    uniforms = np.random.default_rng(0).random(4000, dtype=np.float32)
    values, columns = drawn(scores, Sampling(), uniforms)
    share = columns.flatten().bincount(minlength=4) / 4000
    assert share.tolist() == pytest.approx([0.5, 0.3, 0.15, 0.05], abs=0.03)
    assert torch.equal(values, scores.gather(1, columns))


@pytest.mark.parametrize(
    ("sampling", "expected"),
    [
        (Sampling(top_k=2), [0.625, 0.375, 0, 0]),
        (Sampling(top_p=0.79), [0.625, 0.375, 0, 0]),
        (Sampling(top_p=0.81), [0.5 / 0.95, 0.3 / 0.95, 0.15 / 0.95, 0]),
        (Sampling(temperature=0.5), [0.685, 0.247, 0.062, 0.007]),
        (Sampling(top_k=3, top_p=0.5), [1, 0, 0, 0]),
    ],
)
def test_temperature_top_k_and_top_p(sampling: Sampling, expected: list[float]) -> None:
    scores = torch.tensor([[0.15, 0.5, 0.05, 0.3]]).log().expand(4000, -1)
    _, columns = drawn(scores, sampling, np.random.default_rng(1).random(4000, dtype=np.float32))
    share = columns.flatten().bincount(minlength=4)[[1, 3, 0, 2]] / 4000
    assert share.tolist() == pytest.approx(expected, abs=0.03)
    assert all(found > 0 or wanted < 0.01 for found, wanted in zip(share.tolist(), expected, strict=True))
    assert not any(found for found, wanted in zip(share.tolist(), expected, strict=True) if wanted == 0)


def test_a_forbidden_unit_is_never_drawn() -> None:
    scores = torch.tensor([[-math.inf, 0.0, -math.inf]]).expand(3, -1)
    _, columns = drawn(scores, Sampling(), np.array([0.0, 0.5, 1 - 2**-24], np.float32))
    assert columns.flatten().tolist() == [1, 1, 1]


def test_seeds_decide_samples_and_samples_differ() -> None:
    model = random_model(0, vocabulary=30, sharpness=1.0)
    first, again = (alone(model, ask([4, 5, 6], n_best=5, sampling=Sampling(seed=1))) for _ in range(2))
    assert_same(first, again)
    other = alone(model, ask([4, 5, 6], n_best=5, sampling=Sampling(seed=2)))
    assert [h.tokens for h in first] != [h.tokens for h in other]
    assert len({tuple(h.tokens) for h in first}) > 1
    assert len(first) == 5


def test_careful_sampling_is_greedy_search() -> None:
    model = random_model(4)
    greedy = answers(model, [ask(source, beam_size=1) for source in SENTENCES])
    for how in (Sampling(temperature=0.01), Sampling(top_k=1)):
        found = answers(model, [ask(source, sampling=how) for source in SENTENCES])
        for mine, other in zip(found, greedy, strict=True):
            assert_same(mine, other)
