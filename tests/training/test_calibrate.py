"""Calibration on a made-up translator whose faults are known, and its parts on numbers."""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Any, cast

import numpy as np
import pytest

from nmt.alignment import AttentionMatrix, Token
from nmt.quality import Quality
from nmt.text import words
from nmt.translation import TranslatedHypothesis, TranslatedSentence, Translation
from nmt.translator import Translator
from training.calibrate import calibration, section, translate
from training.damage import drop, repeat, swap
from training.reliability import best_threshold, fit_logistic, least_confidence, reliability

Pair = tuple[str, str]
STEMS = [a + b + c for a in "bdfgk" for b in "aeiou" for c in "lmnprt"]


def test_newton_recovers_a_known_logistic() -> None:
    chance = np.random.default_rng(1)
    features = chance.normal(size=(20_000, 2)) * [1.0, 3.0] + [0.0, 5.0]
    outcomes = chance.random(20_000) < 1 / (1 + np.exp(-(0.5 + 2.0 * features[:, 0] - 0.3 * features[:, 1])))
    bias, weights = fit_logistic(features, outcomes)
    assert bias == pytest.approx(0.5, abs=0.15)
    assert weights == pytest.approx([2.0, -0.3], abs=0.08)


def test_one_outcome_alone_gives_a_finite_answer() -> None:
    bias, weights = fit_logistic(np.array([[1.0], [2.0], [3.0]] * 20), np.ones(60, dtype=bool))
    assert 1 / (1 + np.exp(-(bias + weights[0] * 2))) == pytest.approx(61 / 62, abs=1e-6)


def test_what_was_seen_in_a_single_sentence_gets_no_weight() -> None:
    features = np.column_stack([np.linspace(-1, 1, 100), np.eye(1, 100)[0]])
    _, weights = fit_logistic(features, np.linspace(-1, 1, 100) > 0)
    assert weights[0] > 1
    assert weights[1] == 0


def test_threshold_lies_in_the_middle_of_the_gap() -> None:
    assert best_threshold(np.array([0.9, 1.0, 0.1]), np.array([0.0, 0.1, 0.3])) == pytest.approx(0.6)


def test_threshold_allows_few_false_alarms_even_where_recall_suffers() -> None:
    clean = np.array([0.0] * 98 + [0.8, 0.9])
    damaged = np.array([0.7] * 50 + [0.85] * 50)
    assert best_threshold(damaged, clean, most_false=0.02) == pytest.approx(0.35)
    assert best_threshold(damaged, clean, most_false=0.01) == pytest.approx(0.825)


def test_low_confidence_begins_where_three_quarters_are_bad() -> None:
    confidence = np.array([0.1, 0.2, 0.3, 0.4, 0.6, 0.9])
    good = np.array([False, False, True, False, True, True])
    assert least_confidence(confidence, good) == pytest.approx(0.5)  # of the first four one is good
    assert least_confidence(confidence, np.ones(6, dtype=bool)) == 0.0


def test_reliability_table_by_hand() -> None:
    found = reliability(np.array([0.05, 0.15, 0.15, 1.0]), np.array([False, True, False, True]))
    assert [(row["sentences"], row["confidence"], row["good"]) for row in found["table"]] == [
        (1, 0.05, 0.0),
        (2, 0.15, 0.5),
        (1, 1.0, 1.0),
    ]
    assert found["ece"] == pytest.approx((0.05 + 2 * 0.35) / 4)
    assert found["brier"] == pytest.approx((0.05**2 + 0.85**2 + 0.15**2) / 4, abs=1e-4)


def test_damages_do_what_they_say() -> None:
    chance = random.Random(3)
    text = "un deux trois quatre cinq six ."
    for _ in range(50):
        dropped, repeated = drop(text, chance), repeat(text, chance)
        assert dropped is not None
        assert repeated is not None
        assert 3 <= len(dropped.split()) <= 5
        assert dropped.endswith(".")
        said = repeated.split()
        assert 9 <= len(said) <= 11
        assert any(said[a : a + n] == said[a + n : a + 2 * n] for n in (2, 3, 4) for a in range(len(said)))
    assert drop("Oui .", chance) is None
    assert repeat("Oui .", chance) is None
    moved = swap(["a", "b", "c"], chance)
    assert sorted(moved) == ["a", "b", "c"]
    assert all(one != other for one, other in zip(moved, "abc", strict=True))


class WordByWord:
    """A translator of `sab` into `tab`. What it gets wrong it is unsure of: of `qab` it makes some other word."""

    longest_source = 100

    def __init__(self, *, spaced: bool = True) -> None:
        self.spaced = spaced
        self.target_tokenizer = self

    def encode(self, text: str) -> list[str]:
        """As a tokenizer: units of a text."""
        return text.split()

    def translate(self, texts: Sequence[str]) -> list[Translation]:
        chance = random.Random(len(texts[0]))
        found = []
        for text in texts:
            given = [f"t{word[1:]}" if word[0] == "s" else f"z{chance.choice(STEMS)}" for word in text.split()]
            hypothesis = self.score([(text, " ".join(given))])[0]
            sentence = TranslatedSentence((0, len(text)), (0, len(hypothesis.text)), (), (hypothesis,))
            found.append(Translation(hypothesis.text, (sentence,)))
        return found

    def score(self, pairs: Sequence[Pair]) -> list[TranslatedHypothesis]:
        return [self._score(source, target) for source, target in pairs]

    def _score(self, source: str, target: str) -> TranslatedHypothesis:
        columns = [word[1:] for word in source.split()]
        weights = np.full((len(target.split()) + 1, len(columns) + 1), 0.0, np.float32)
        logprobs = []
        for row, word in enumerate(target.split()):
            known = word[0] == "t" and word[1:] in columns
            logprobs.append(-0.1 if known else -3.0)
            if known:
                weights[row, columns.index(word[1:])] = 1.0
            else:
                weights[row, :] = 1 / (len(columns) + 1)
        weights[-1, -1] = 1.0
        end = Token("</s>", None, special=True)
        left = (*(Token(source[a:b], (a, b)) for a, b in words(source)), end)
        spans = zip(words(target), logprobs, strict=True)
        right = (*(Token(target[a:b], (a, b), logprob=p) for (a, b), p in spans), end)
        return TranslatedHypothesis(target, 0.0, AttentionMatrix(left, right, weights), source)


def corpus(count: int, seed: int) -> list[Pair]:
    """Eight words a sentence; in three of ten sentences most words are of the kind it does not know."""
    chance = random.Random(seed)
    pairs = []
    for _ in range(count):
        stems = chance.sample(STEMS, 8)
        unknown = 6 if chance.random() < 0.3 else 0
        source = " ".join(f"{'q' if place < unknown else 's'}{stem}" for place, stem in enumerate(stems))
        pairs.append((source, " ".join(f"t{stem}" for stem in stems)))
    return pairs


def test_each_flag_finds_its_damage_and_leaves_clean_text_alone() -> None:
    translator = cast(Translator, WordByWord())
    found, report = calibration(translator, corpus(200, 1), corpus(200, 2))
    assert found is not None
    for name, flag in report["flags"].items():
        assert flag["own"]["recall"] >= 0.9, name
        assert flag["own"]["false_alarms"] <= 0.01, name
        assert flag["own"]["precision"] >= 0.95, name
    assert report["ece"] < 0.05
    assert report["geometric_mean_ece"] > report["ece"]
    assert sum(row["sentences"] for row in report["table"]) == report["sentences"]["test"] == 200

    quality = Quality(found)
    source = "sbal sdel sfil sgol skul sbam sdem sfim"
    target = source.replace("s", "t")
    clean, cut = translator.score([(source, target), (source, "tbal tdel tfim")])
    assert quality.judge(clean.subwords, clean.words).flags == ()
    skipped = quality.judge(cut.subwords, cut.words).flags[0]
    assert (skipped.name, skipped.span) == ("source_skipped", (10, 34))
    assert quality.judge(clean.subwords, clean.words).confidence > 0.9


def test_readme_section_names_every_flag_and_bin() -> None:
    _, report = calibration(cast(Translator, WordByWord()), corpus(200, 1), corpus(200, 2))
    text = section(report)
    rows: list[dict[str, Any]] = report["table"]
    assert all(f"| {row['from']:.1f} to {row['to']:.1f} | {row['sentences']} |" in text for row in rows)
    assert all(f"| `{name}` | {flag['damage']} |" in text for name, flag in report["flags"].items())


def test_where_words_are_not_spaced_a_translation_is_good_by_shorter_stretches() -> None:
    for spaced in (True, False):
        made = cast(Translator, WordByWord(spaced=spaced))
        [output] = translate(made, [("sab", "taxb")], "")  # chrF 0.38 of "tab" up to six characters, 0.57 up to two
        assert output.good is not spaced


def test_too_little_data_is_said_and_nothing_is_learned() -> None:
    found, report = calibration(cast(Translator, WordByWord()), corpus(30, 1), corpus(200, 2))
    assert found is None
    assert "of 30 validation texts" in report["none"]
    assert "Not calibrated" in section(report)
