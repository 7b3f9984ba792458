import itertools
import math

import pytest
import torch

from nmt.batch import Batch, pad
from nmt.config import BOS, EOS, PAD, UNK, ModelConfig
from nmt.errors import ConfigError
from nmt.model import Seq2Seq
from nmt.scoring import score
from nmt.search import beam_search, length_penalty

SENTENCES = [[4, 5, 6, 5], [5], [6, 4, 4, 5, 6, 6, 5], [4, 6]]


def random_model(seed: int, vocabulary: int = 7, sharpness: float = 6.0) -> Seq2Seq:
    """Random weights, made decisive enough that hypotheses differ."""
    torch.manual_seed(seed)
    model = Seq2Seq(
        ModelConfig(
            source_vocabulary=vocabulary, target_vocabulary=vocabulary, embedding_size=8, encoder_size=4, decoder_size=8
        )
    ).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.mul_(sharpness if parameter.dim() == 2 and parameter.shape[0] == vocabulary else 2.0)
    return model


def search(model: Seq2Seq, sentences: list[list[int]], **options: float) -> list[list]:
    source = pad([[*s, EOS] for s in sentences])
    limit = int(options.pop("limit", 12))
    return beam_search(model, source, limits=[limit] * len(sentences), **options)  # type: ignore[arg-type]


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
    found = search(model, [source], beam_size=len(every), n_best=5, alpha=alpha, limit=limit)[0]
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


@pytest.mark.parametrize("beam_size", [1, 4])
def test_company_changes_nothing(beam_size: int) -> None:
    model = random_model(3)
    together = search(model, SENTENCES, beam_size=beam_size)
    for sentence, expected in zip(SENTENCES, together, strict=True):
        alone = search(model, [sentence], beam_size=beam_size)[0]
        assert [h.tokens for h in alone] == [h.tokens for h in expected]
        assert [h.score for h in alone] == pytest.approx([h.score for h in expected], abs=1e-4)


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


def test_there_are_no_more_unknown_units_than_in_the_source() -> None:
    model = random_model(0)
    with torch.no_grad():
        model.decoder.output.bias[UNK] = 50.0
    found = search(model, [[4, 5], [4, UNK], [UNK, 4, UNK, 5]], beam_size=2, limit=5)
    assert [hypotheses[0].tokens.count(UNK) for hypotheses in found] == [0, 1, 2]


def test_length_penalty_by_hand() -> None:
    assert length_penalty(7, 0.0) == 1.0
    assert length_penalty(7, 1.0) == 2.0
    assert length_penalty(1, 0.6) == 1.0


def test_more_answers_than_beams_is_a_clear_error() -> None:
    with pytest.raises(ConfigError, match="n_best = 3 is larger than beam_size = 2"):
        search(random_model(0), [[4]], beam_size=2, n_best=3)
