import itertools
import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from nmt.batch import pad
from nmt.candidates import best_allowed, drawn, gather, log_softmax, most_likely, transfer
from nmt.config import BOS, EOS, PAD, UNK
from nmt.model import Seq2Seq
from nmt.rules import CoveragePenalty, NoRepeat, UnknownBudget, rules_for
from nmt.search import Columns, Hypothesis, Rule, Sampling, SearchOptions
from tests.nmt.searching import SENTENCES, alone, answers, ask, assert_same, random_model


def forbidden(rule: Rule, rows: int, width: int, columns: Columns | None = None) -> list[list[int]]:
    """For each row the columns that the rule forbids."""
    scores = torch.zeros(rows, width)
    rule.forbid(scores, columns or Columns())
    return [row.eq(-math.inf).nonzero().flatten().tolist() for row in scores]


def hypothesis(attention: list[list[float]] | None) -> Hypothesis:
    weights = None if attention is None else np.array(attention, np.float32)
    return Hypothesis([4, EOS], -1.0, np.array([-0.5, -0.5], np.float32), weights)


def test_columns_of_a_shortlist() -> None:
    columns = Columns(np.array([0, 1, 2, 3, 7, 12]))
    assert columns.of([12, 7, 5, 99, 3]) == [5, 4, 3]
    assert Columns().of([12, 7]) == [12, 7]


def test_rules_follow_from_options_and_source() -> None:
    assert rules_for(SearchOptions(), [4, 5, EOS]) == []
    options = SearchOptions(beam_size=2, coverage_penalty=0.2, no_repeat_ngram_size=3)
    assert rules_for(options, [UNK, 5, UNK, EOS]) == [
        UnknownBudget((2, 2)), NoRepeat(3, ((), ())), CoveragePenalty(0.2),
    ]  # fmt: skip


# unknown units


def test_unknown_budget_follows_the_back_pointers() -> None:
    rule = UnknownBudget((1, 1))
    assert forbidden(rule, 2, 6) == [[], []]
    rule = rule.advance([0, 0], [UNK, 4])
    assert forbidden(rule, 2, 6) == [[UNK], []]
    rule = rule.advance([1, 0], [5, 5])
    assert forbidden(rule, 2, 6) == [[], [UNK]]


def test_there_are_no_more_unknown_units_than_in_the_source() -> None:
    model = random_model(0)
    with torch.no_grad():
        model.decoder.output.bias[UNK] = 50.0
    found = answers(model, [ask(source, beam_size=2, limit=5) for source in ([4, 5], [4, UNK], [UNK, 4, UNK, 5])])
    assert [hypotheses[0].tokens.count(UNK) for hypotheses in found] == [0, 1, 2]


# no repeated n-grams


def test_no_repeat_by_hand() -> None:
    rule: Rule = NoRepeat(2, ((), ()))
    for token in (4, 5, 4):
        rule = rule.advance([0, 1], [token, 6])
    assert forbidden(rule, 2, 8) == [[5], [6]], "4 5 4 may not go on with 5; 6 6 6 not with 6"
    assert forbidden(rule, 2, 4, Columns(np.array([0, 1, 2, 5]))) == [[3], []], "columns of a shortlist"
    rule = rule.advance([1, 0], [7, 6])
    assert forbidden(rule, 2, 8) == [[], []], "6 6 6 7 and 4 5 4 6"


def test_no_repeat_never_forbids_the_end() -> None:
    rule = NoRepeat(1, ((4, EOS),))
    assert forbidden(rule, 1, 6) == [[4]]


@pytest.mark.parametrize("size", [1, 2, 3])
def test_no_hypothesis_repeats_an_ngram(size: int) -> None:
    repeats = 0
    for seed in range(8):
        model = random_model(seed, vocabulary=12)
        options = {"beam_size": 4, "n_best": 4, "limit": 12}
        free = answers(model, [ask(source, **options) for source in SENTENCES])
        held = answers(model, [ask(source, no_repeat_ngram_size=size, **options) for source in SENTENCES])
        for hypotheses in held:
            for found in hypotheses:
                assert not repeated(found.tokens, size)
        repeats += sum(repeated(found.tokens, size) for hypotheses in free for found in hypotheses)
    assert repeats > 0, "without the rule they do repeat"


def repeated(tokens: list[int], size: int) -> bool:
    ngrams = [tuple(tokens[i : i + size]) for i in range(len(tokens) - size + 1)]
    return len(set(ngrams)) < len(ngrams)


def test_a_sentence_that_no_translation_is_left_for_says_so() -> None:
    class Nothing(Rule):
        def forbid(self, log_probabilities: torch.Tensor, columns: Columns) -> None:
            log_probabilities.fill_(-math.inf)

    sentence = ask([4, 5], more={"rules": [Nothing()]})
    with pytest.raises(AssertionError, match="no translation is left"):
        answers(random_model(0), [sentence])


# penalties


def test_coverage_penalty_by_hand() -> None:
    attention = [[0.5, 0.2, 0.3], [0.75, 0.1, 0.15]]  # 1.25 counts as 1, 0.3 as it is, EOS not at all
    assert CoveragePenalty(2.0).final(hypothesis(attention)) == pytest.approx(2.0 * math.log(0.3), abs=1e-6)
    assert CoveragePenalty(2.0).final(hypothesis(None)) == 0.0


def test_attention_that_is_nowhere_is_a_finite_penalty() -> None:
    assert math.isfinite(CoveragePenalty(1.0).final(hypothesis([[0.0, 1.0]])))


def test_scores_contain_both_penalties() -> None:
    reordered = 0
    for seed in range(6):
        model = random_model(seed)
        for source in SENTENCES:
            plain = alone(model, ask(source, beam_size=5, n_best=5))
            for found in alone(model, ask(source, beam_size=5, n_best=5, coverage_penalty=1.0, length_penalty=0.7)):
                assert found.attention is not None
                length = ((5 + len(found.tokens)) / 6) ** 0.7
                coverage = np.log(found.attention[:, :-1].sum(axis=0).clip(max=1.0)).sum()
                assert found.score == pytest.approx(float(found.token_scores.sum()) / length + coverage, abs=1e-4)
            reordered += found.tokens != plain[-1].tokens
    assert reordered > 0


@pytest.mark.parametrize("seed", range(4))
def test_wide_beam_with_coverage_penalty_equals_exhaustive_search(seed: int) -> None:
    model, source = random_model(seed), [6, 4, 5]
    every = alone(model, ask(source, beam_size=200, n_best=200, limit=3))
    penalty = CoveragePenalty(0.5)
    expected = sorted(every, key=lambda found: -(found.score + penalty.final(found)))
    best = alone(model, ask(source, beam_size=200, coverage_penalty=0.5, limit=3))[0]
    assert best.tokens == expected[0].tokens


# prescribed units


class Given(Rule):
    """The first units are given, whatever other rules say."""

    def __init__(self, rest: tuple[int, ...]) -> None:
        self.rest = rest

    def only(self, row: int) -> list[int] | None:
        return [self.rest[0]] if self.rest else None

    def advance(self, parents: object, tokens: object) -> Rule:
        return Given(self.rest[1:])


@pytest.mark.parametrize("options", [{"beam_size": 1}, {"beam_size": 4}, {"n_best": 3, "sampling": Sampling(seed=1)}])
def test_prescribed_units_come_first_with_the_model_s_own_scores(options: dict) -> None:
    model = random_model(2)
    given_units = (6, UNK, 6, 6, UNK)  # neither the source's unknown units nor n-grams count
    sentence = ask([4, 5], more={"rules": [Given(given_units)]}, no_repeat_ngram_size=1, **options)
    for found in alone(model, sentence):
        assert tuple(found.tokens[:5]) == given_units
        assert found.token_scores == pytest.approx(forced(model, [4, 5], found.tokens), abs=1e-4)
        assert found.attention is not None
        assert found.attention.shape == (len(found.tokens), 3)
        assert UNK not in found.tokens[5:]
        assert 6 not in found.tokens[5:]


@torch.inference_mode()
def forced(model: Seq2Seq, source: list[int], tokens: list[int]) -> list[float]:
    """Log-probabilities of given units, one step at a time."""
    state = model.start(model.encode(pad([[*source, EOS]])))
    scores = []
    for read, wanted in itertools.pairwise([BOS, *tokens]):
        step = model.step(torch.tensor([read]), state)
        scores.append(float(step.logits.log_softmax(dim=1)[0, wanted]))
        state = step.state
    return scores


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


# shortlists


@torch.inference_mode()
def test_softmax_runs_over_the_shortlist_alone() -> None:
    model, own = random_model(1, vocabulary=12), np.array([EOS, 4, 6, 9])
    found = alone(model, ask([4, 5, 6], beam_size=3, n_best=3, more={"shortlist": own}))
    state = model.start(model.encode(pad([[4, 5, 6, EOS]])))
    logits = model.step(torch.tensor([BOS]), state).logits[0, own]
    for hypothesis in found:
        assert set(hypothesis.tokens) <= set(own.tolist())
        first = own.tolist().index(hypothesis.tokens[0])
        assert hypothesis.token_scores[0] == pytest.approx(float(logits.log_softmax(dim=0)[first]), abs=1e-5)


def test_a_shortlist_of_everything_changes_nothing() -> None:
    model = random_model(1, vocabulary=12)
    everything = {"shortlist": np.arange(12)}
    for source in SENTENCES:
        assert_same(alone(model, ask(source, more=everything)), alone(model, ask(source)))


def test_own_shortlists_in_one_batch() -> None:
    model = random_model(1, vocabulary=40, sharpness=3.0)
    lists = [np.array([UNK, EOS, *range(low, low + 9)]) for low in (4, 10, 30)]
    for beam_size in (1, 4):
        together = [ask([4, 5, UNK, 7], beam_size=beam_size, more={"shortlist": own}) for own in lists]
        for own, hypotheses in zip(lists, answers(model, together), strict=True):
            assert set(hypotheses[0].tokens) <= set(own.tolist())
            twin = ask([4, 5, UNK, 7], beam_size=beam_size, more={"shortlist": own})
            assert_same(hypotheses, alone(model, twin))


# independent rows


def plainly(model: Seq2Seq, source: list[int], first: list[int], limit: int) -> list[int]:
    """Greedy from given units on."""
    given_first = ask(source, beam_size=1, limit=limit, more={"rules": [Given(tuple(first))]})
    return alone(model, given_first)[0].tokens


@pytest.mark.parametrize("count", [1, 3, 5])
@pytest.mark.parametrize("given_units", [(), (6, 4)])
def test_independent_rows_are_the_best_first_units_each_continued_greedily(
    count: int, given_units: tuple[int, ...]
) -> None:
    for seed in range(5):
        model = random_model(seed, vocabulary=12)
        rules = [Given(given_units)] if given_units else []
        sentence = ask([4, 5, 6], beam_size=count, limit=8, more={"independent": True, "rules": rules})
        found = alone(model, sentence)
        assert len(found) == count
        place = len(given_units)
        with torch.inference_mode():
            state = model.start(model.encode(pad([[4, 5, 6, EOS]])))
            for read in (BOS, *given_units):
                step = model.step(torch.tensor([read]), state)
                state = step.state
            logits = step.logits[0]
            logits[[PAD, BOS, UNK]] = -math.inf
        best = logits.topk(count).indices.tolist()
        assert {h.tokens[place] for h in found} == set(best)
        for h in found:
            assert h.tokens == plainly(model, [4, 5, 6], h.tokens[: place + 1], 8)


def test_stop_ends_a_row_before_the_unit_but_never_before_the_first() -> None:
    ends = {4, 6, 8, 10}
    stopped = 0
    for seed in range(8):
        model = random_model(seed, vocabulary=12)
        free = alone(model, ask([4, 5, 6], beam_size=4, limit=10, more={"independent": True}))
        stop = {"independent": True, "stop": lambda token: token in ends}
        held = alone(model, ask([4, 5, 6], beam_size=4, limit=10, more=stop))
        for whole in free:
            cut = next((i for i, token in enumerate(whole.tokens) if i and token in ends), len(whole.tokens))
            (mine,) = [h for h in held if h.tokens[0] == whole.tokens[0]]
            assert mine.tokens == whole.tokens[:cut]
            assert mine.token_scores == pytest.approx(whole.token_scores[:cut], abs=1e-5)
            assert mine.truncated == (whole.truncated and cut == len(whole.tokens))
            stopped += cut < len(whole.tokens)
    assert stopped > 0


class Spelled(Rule):
    """One of two units, then a given one: what a prefix that ends inside a word may ask for."""

    def __init__(self, place: int = 0) -> None:
        self.place = place

    def only(self, row: int) -> list[int] | None:
        return ([6, 4], [5], None)[min(self.place, 2)]

    def advance(self, parents: object, tokens: object) -> Rule:
        return Spelled(self.place + 1)


def test_stop_is_not_asked_where_units_are_prescribed() -> None:
    everything = {"independent": True, "stop": lambda token: True, "rules": [Spelled()]}
    model = random_model(2)
    with torch.no_grad():
        model.decoder.output.bias[EOS] = -50.0
    found = alone(model, ask([4, 5], beam_size=3, more=everything))
    assert sorted(h.tokens for h in found) == [[4, 5], [6, 5]]


# candidates


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
    logits[:, :4] += 9  # special units would win
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
