import itertools
import math

import pytest
import torch

from nmt.batch import Batch, pad
from nmt.config import BOS, EOS, PAD, UNK
from nmt.errors import ConfigError
from nmt.model import Seq2Seq
from nmt.search import Hypothesis, Sampling, SearchOptions, length_penalty
from tests.nmt.searching import SENTENCES, answers, ask, random_model
from tests.nmt.unrolled import score


def search(model: Seq2Seq, sentences: list[list[int]], *, limit: int = 12, **options: float) -> list[list[Hypothesis]]:
    return answers(model, [ask(source, limit=limit, **options) for source in sentences])


@torch.inference_mode()
def greedy(model: Seq2Seq, sentence: list[int], limit: int) -> list[int]:
    """Greedy search in its plainest form."""
    state = model.decoder.start(model.encode(pad([[*sentence, EOS]])))
    tokens = [BOS]
    while len(tokens) <= limit and tokens[-1] != EOS:
        step = model.decoder.step(torch.tensor(tokens[-1:]), state)
        state = step.state
        logits = step.logits[0]
        logits[[PAD, BOS, UNK]] = -math.inf
        tokens.append(int(logits.argmax()))
    return tokens[1:]


@pytest.mark.parametrize("seed", range(8))
def test_beam_of_one_is_greedy(seed: int) -> None:
    model = random_model(seed)
    found = search(model, SENTENCES, beam_size=1)
    assert [h[0].tokens for h in found] == [greedy(model, s, 12) for s in SENTENCES]


@pytest.mark.parametrize("alpha", [0.0, 1.0])
@pytest.mark.parametrize("seed", range(6))
def test_wide_beam_equals_exhaustive_search(seed: int, alpha: float) -> None:
    model, limit, symbols = random_model(seed), 4, [4, 5, 6]
    source = SENTENCES[seed % len(SENTENCES)]
    every = [[*body, EOS] for n in range(limit) for body in itertools.product(symbols, repeat=n)] + [
        list(body) for body in itertools.product(symbols, repeat=limit)
    ]  # cut off by the limit
    ranked = []
    for tokens in every:
        forced = score(model, Batch.of([source], [tokens]))[0].token_scores[: len(tokens)]
        ranked.append((float(forced.sum()) / length_penalty(len(tokens), alpha), tokens))
    ranked.sort(reverse=True)
    found = search(model, [source], beam_size=len(every), n_best=5, length_penalty=alpha, limit=limit)[0]
    assert [h.tokens for h in found] == [tokens for _, tokens in ranked[:5]]
    assert [h.score for h in found] == pytest.approx([value for value, _ in ranked[:5]], abs=1e-4)


@pytest.mark.parametrize("seed", range(4))
def test_hypothesis_carries_its_own_scores_and_attention(seed: int) -> None:
    model = random_model(seed)
    for sentence, hypotheses in zip(SENTENCES, search(model, SENTENCES, beam_size=4, n_best=4), strict=True):
        for hypothesis in hypotheses:
            target = [t for t in hypothesis.tokens if t != EOS]
            forced = score(model, Batch.of([sentence], [target]))[0]
            n = len(hypothesis.tokens)
            assert hypothesis.token_scores == pytest.approx(forced.token_scores[:n], abs=1e-4)
            assert forced.attention is not None
            assert hypothesis.attention == pytest.approx(forced.attention[:n], abs=1e-5)
            assert hypothesis.attention.sum(axis=1) == pytest.approx(1.0, abs=1e-5)
            assert hypothesis.score == pytest.approx(hypothesis.token_scores.sum() / length_penalty(n, 1.0), abs=1e-4)


def test_n_best_is_sorted_and_distinct() -> None:
    found = search(random_model(5), SENTENCES, beam_size=6, n_best=6)
    for hypotheses in found:
        scores = [h.score for h in hypotheses]
        assert scores == sorted(scores, reverse=True)
        assert len({tuple(h.tokens) for h in hypotheses}) == len(hypotheses) == 6


def test_first_finished_does_not_end_the_search() -> None:
    """A short hypothesis finishes first, a longer one with a better normalised score still wins."""
    worse = 0
    for seed in range(30):
        model = random_model(seed)
        for hypotheses in search(model, SENTENCES, beam_size=5, n_best=5):
            lengths = [len(h.tokens) for h in hypotheses]
            worse += lengths[0] > min(lengths)
    assert worse > 0


def test_limit_ends_a_sentence_and_says_so() -> None:
    model = random_model(0)
    with torch.no_grad():
        model.decoder.output.bias[EOS] = -50.0
    hypothesis = search(model, [[4, 5]], beam_size=2, limit=7)[0][0]
    assert hypothesis.truncated
    assert len(hypothesis.tokens) == 7
    assert EOS not in hypothesis.tokens


def test_length_penalty_by_hand() -> None:
    assert length_penalty(7, 0.0) == 1.0
    assert length_penalty(7, 1.0) == 2.0
    assert length_penalty(1, 0.6) == 1.0


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"n_best": 3, "beam_size": 2}, "n_best = 3 is larger than beam_size = 2"),
        ({"beam_size": 0}, "beam_size = 0 is out of range"),
        ({"length_penalty": -1.0}, "length_penalty = -1.0 is out of range"),
        ({"coverage_penalty": float("nan")}, "coverage_penalty = nan is out of range"),
        ({"no_repeat_ngram_size": -1}, "no_repeat_ngram_size = -1 is out of range"),
    ],
)
def test_options_that_cannot_work_are_a_clear_error(options: dict, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        SearchOptions(**options)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"temperature": 0.0}, "sampling.temperature = 0.0 is out of range"),
        ({"top_k": -1}, "sampling.top_k = -1 is out of range"),
        ({"top_p": 0.0}, "sampling.top_p = 0.0 is out of range; it must be above 0"),
        ({"seed": -1}, "sampling.seed = -1 is out of range"),
    ],
)
def test_sampling_that_cannot_work_is_a_clear_error(options: dict, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        Sampling(**options)


def test_samples_may_outnumber_the_beam() -> None:
    assert SearchOptions(beam_size=1, n_best=8, sampling=Sampling()).rows == 8
