"""Measures by hand on small attention matrices, and each flag on the fault it is named after."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from itertools import combinations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nmt.alignment import AttentionMatrix, Token
from nmt.errors import ConfigError
from nmt.measures import FEATURES, measure, skipping
from nmt.quality import Calibration, Flag, Quality, Thresholds

CALIBRATION = Calibration(
    usual_ratio=1.0,
    usual_coverage=1.0,
    thresholds=Thresholds(source_skipped=0.5, repetition=3.0, copied=0.5, low_confidence=0.3),
    bias=3.0,
    weights=dict.fromkeys(FEATURES, 0.0) | {"mean_logprob": 2.0},
)


def matrix(source: str, target: str, looks: Sequence[int | None], *, logprob: float = -0.1) -> AttentionMatrix:
    """Words parted by spaces; target word i looks at source word `looks[i]`, or at `</s>`."""
    sides = []
    for text, score in ((source, None), (target, logprob)):
        tokens, place = [], 0
        for word in text.split():
            tokens.append(Token(word, (place, place + len(word)), logprob=score))
            place += len(word) + 1
        sides.append((*tokens, Token("</s>", None, special=True, logprob=score)))
    weights = np.zeros((len(sides[1]), len(sides[0])), np.float32)
    for row, column in enumerate([*looks, None]):
        weights[row, -1 if column is None else column] = 1.0
    return AttentionMatrix(sides[0], sides[1], weights)


def flags(words: AttentionMatrix) -> tuple[Flag, ...]:
    return Quality(CALIBRATION).judge(words, words).flags


def test_clean_translation_has_no_flag_and_measures_by_hand() -> None:
    words = matrix("the red cat sleeps", "le chat rouge dort", [0, 2, 1, 3])
    measures = measure(words, words)
    assert measures.mean_logprob == pytest.approx(-0.1)
    assert measures.units == 5
    assert measures.length_ratio == 15 / 15
    assert (measures.uncovered, measures.entropy, measures.repetition, measures.copied) == (0, 0, 0, 0)
    assert flags(words) == ()


def test_skipped_words_are_a_span_of_the_source() -> None:
    source = "if he comes , I leave ."
    words = matrix(source, "je pars .", [4, 5, 6])
    measures = measure(words, words)
    assert measures.uncovered == pytest.approx(9 / 15)  # "ifhecomes" of "ifhecomesIleave"
    assert skipping(measures, usual_ratio=1.0) == pytest.approx(9 / 15 + 1 - 7 / 17)
    assert flags(words) == (Flag("source_skipped", (0, 11)),)
    assert source[0:11] == "if he comes"


def test_skipped_span_goes_over_a_mark_and_takes_the_worst_run() -> None:
    source = "well , you know it , really"
    words = matrix(source, "tu", [2])
    assert measure(words, words).skipped == (11, 27)
    assert source[11:27] == "know it , really"


def test_a_word_that_looks_at_a_mark_makes_up_for_a_skipped_one() -> None:
    words = matrix("what now ?", "quoi ?", [2, 2])
    assert measure(words, words).uncovered == pytest.approx(0.5)  # two words skipped, one in the mark
    assert measure(words, words).skipped == (0, 8)


def test_half_the_usual_attention_is_half_covered() -> None:
    words = matrix("abcd efgh", "x", [0])
    words.weights[0, :2] = [0.5, 0.25]
    assert measure(words, words, usual_coverage=0.5).uncovered == pytest.approx(0.25)


def test_entropy_is_that_of_the_rows() -> None:
    words = matrix("a b", "x", [0])
    words.weights[0] = [0.5, 0.5, 0.0]
    assert measure(words, words).entropy == pytest.approx(math.log(2) / 2)


def test_going_back_to_the_same_source_words_is_repetition() -> None:
    target = "la ville toute la ville"
    words = matrix("the whole town", target, [0, 2, 1, 0, 2])
    assert measure(words, words).repetition == pytest.approx(len("laville"))
    assert Flag("repetition", (15, 23)) in flags(words)
    assert target[15:23] == "la ville"


def plainly(words: AttentionMatrix) -> float:
    """`repetition` word by word, as its description has it."""
    texts = [token.text for token in words.target[:-1]]
    said = [token.text for token in words.source[:-1]]
    once = [column for column, text in enumerate(said) if said.count(text) == 1]
    best = 0.0
    for a, b in combinations(range(len(texts)), 2):
        length = 0
        while a + length < b and b + length < len(texts) and texts[a + length] == texts[b + length]:
            length += 1
        stutter = 1 < length == b - a
        score = 0.0
        for step in range(length):
            one, other = words.weights[a + step, once], words.weights[b + step, once]
            share = min(one.sum(), other.sum()) if stutter else np.minimum(one, other).sum()
            score += share * len(texts[a + step]) * texts[a + step].isalnum()
        best = max(best, score)
    return best


@given(st.lists(st.sampled_from(["a", "bc", "d", "."]), min_size=2, max_size=14), st.integers(0, 99))
def test_repetition_is_the_best_of_all_stretches(target: list[str], seed: int) -> None:
    words = matrix("a red cat sleeps , a cat", " ".join(target), [None] * len(target))
    weights = np.random.default_rng(seed).dirichlet(np.full(8, 0.3), len(target) + 1).astype(np.float32)
    words = replace(words, weights=weights)
    assert measure(words, words).repetition == pytest.approx(plainly(words), abs=1e-4)


def test_same_words_for_different_source_words_are_no_repetition() -> None:
    words = matrix("this book or that book", "ce livre ou ce livre", [0, 1, 2, 3, 4])
    assert measure(words, words).repetition == 0
    assert flags(words) == ()


def test_what_the_source_says_twice_may_be_said_twice() -> None:
    words = matrix("again and again", "encore et encore", [0, 1, 0])
    assert measure(words, words).repetition == 0


def test_a_stretch_that_follows_itself_is_repetition_wherever_it_looks() -> None:
    words = matrix("that is enough now", "assez de assez de maintenant", [2, 2, 3, 3, 3])
    assert measure(words, words).repetition == pytest.approx(len("assezde"))
    once = matrix("we see us", "nous nous voyons", [0, 2, 1])
    assert measure(once, once).repetition == 0  # one word may follow itself


@pytest.mark.parametrize(
    ("source", "target", "share"),
    [
        ("he sleeps well", "he sleeps well", 1.0),
        ("he sleeps well", "il sleeps well", 2 / 3),
        ("Tom Jackson 1984", "Tom Jackson 1984", 0.0),
        ("Stop !", "Stop !", 0.0),
        ("he likes Boston", "il aime Boston", 0.0),
    ],
)
def test_copied_counts_words_that_are_no_names_or_numbers(source: str, target: str, share: float) -> None:
    words = matrix(source, target, list(range(len(target.split()))))
    assert measure(words, words).copied == pytest.approx(share)
    assert (Flag("copied") in flags(words)) == (share >= 0.5)


def test_confidence_is_the_logistic_of_its_measures() -> None:
    words = matrix("a b", "x y", [0, 1], logprob=-2.0)
    judgement = Quality(CALIBRATION).judge(words, words)
    assert judgement.confidence == pytest.approx(1 / (1 + math.exp(1.0)))  # 3 - 2 * 2
    assert judgement.flags == (Flag("low_confidence"),)
    sure = matrix("a b", "x y", [0, 1], logprob=-1.0)
    assert Quality(CALIBRATION).judge(sure, sure).confidence == pytest.approx(1 / (1 + math.exp(-1.0)))
    assert flags(sure) == ()


def test_without_calibration_confidence_is_the_geometric_mean_and_no_flag_is_raised() -> None:
    words = matrix("he sleeps well and long", "he sleeps he sleeps", [0, 0, 0, 0], logprob=math.log(0.25))
    judgement = Quality().judge(words, words)
    assert judgement.confidence == pytest.approx(0.25)
    assert judgement.flags == ()


def test_without_attention_nothing_is_called_skipped() -> None:
    words = matrix("if he comes I leave", "pars", [0])
    words.weights[:] = 0
    measures = measure(words, words)
    assert (measures.uncovered, measures.skipped) == (0, None)
    assert all(flag.name != "source_skipped" for flag in flags(words))


def test_flags_say_which_text_their_span_is_in() -> None:
    found = [Flag("source_skipped", (0, 1)), Flag("repetition", (0, 1)), Flag("copied")]
    assert [flag.side for flag in found] == ["source", "target", None]


def test_calibration_survives_json_and_refuses_what_cannot_be() -> None:
    values = CALIBRATION.to_dict()
    assert Calibration.from_dict(values) == CALIBRATION
    with pytest.raises(ConfigError, match="weights must be a finite number for each of mean_logprob"):
        Calibration.from_dict(values | {"weights": {"mean_logprob": 1.0}})
    with pytest.raises(ConfigError, match=r"thresholds\.copid is not a known key; did you mean 'copied'"):
        Calibration.from_dict(values | {"thresholds": {"copid": 1.0}})
    with pytest.raises(ConfigError, match="usual_ratio = 0"):
        Calibration.from_dict(values | {"usual_ratio": 0.0})
