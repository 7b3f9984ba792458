"""Rules that hypotheses obey beside the model, one by one and in a search."""

import itertools
import math

import numpy as np
import pytest
import torch

from nmt.batch import pad
from nmt.config import BOS, EOS, UNK
from nmt.model import Seq2Seq
from nmt.rules import CoveragePenalty, NoRepeat, UnknownBudget, rules_for
from nmt.search import Columns, Hypothesis, Rule, Sampling, SearchOptions
from tests.nmt.searching import SENTENCES, Given, alone, answers, ask, random_model


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
