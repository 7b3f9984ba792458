"""Alternatives are the model's own next words, with its own probabilities."""

import math
from pathlib import Path

import numpy as np
import pytest

from nmt.config import EOS
from nmt.errors import ConfigError, InputError, InputTooLong, SeveralSentences
from nmt.search import Hypothesis, SearchOptions
from nmt.tokenizer import Tokenizer
from nmt.translator import Translator
from tests.nmt.conftest import random_translator, train_spm
from tests.nmt.test_prefix import CHINESE

TEXT = "I would like to buy a red car."
GREEDY = SearchOptions(beam_size=1)


@pytest.fixture(scope="module")
def french() -> Translator:
    return Translator.load("models/en-fr", device="cpu")


def test_best_alternative_is_the_next_word_of_the_greedy_translation(french: Translator) -> None:
    own = french.translate([TEXT], options=GREEDY)[0].sentences[0].hypotheses[0]
    for word in own.words.target:
        prefix = own.text[: word.span[0]] if word.span else own.text
        best = french.alternatives(TEXT, target_prefix=prefix)[0]
        assert best.text == ("" if word.special else word.text)
        assert word.logprob is not None
        assert best.probability == pytest.approx(
            math.exp(word.logprob), abs=0.06
        )  # other ways to spell it add a little


def test_alternatives_are_different_words_most_likely_first(french: Translator) -> None:
    found = french.alternatives(TEXT, target_prefix="Je ", count=8)
    assert [a.text for a in found][:1] == ["voudrais"]
    assert len(found) == 8
    assert len({a.text for a in found}) == 8
    probabilities = [a.probability for a in found]
    assert probabilities == sorted(probabilities, reverse=True)
    assert sum(probabilities) <= 1.0
    assert all(p > 0.0 for p in probabilities)


def test_prefix_of_an_alternative_translates_to_it(french: Translator) -> None:
    for alternative in french.alternatives(TEXT, target_prefix="Je ", count=3):
        assert alternative.prefix == f"Je {alternative.text}"
        (found,) = french.translate([TEXT], target_prefix=alternative.prefix)
        assert found.text.startswith(alternative.prefix)


def test_a_word_begun_is_ended(french: Translator) -> None:
    found = french.alternatives(TEXT, target_prefix="Je vou")
    assert found[0].text == "voudrais"
    assert found[0].probability > 0.9  # of the words that begin so
    assert all(a.text.startswith("vou") for a in found if a.probability > 0.01)
    assert sum(a.probability for a in found) <= 1.0 + 1e-6


def test_after_a_word_that_may_go_on_both_are_offered(french: Translator) -> None:
    found = {a.text: a for a in french.alternatives("Six cars.", target_prefix="Six voiture", count=20)}
    assert found["voitures"].prefix == "Six voitures"  # the same word, longer
    assert found["."].prefix == "Six voiture."  # the next one


def test_elided_article_is_followed_by_its_noun(french: Translator) -> None:
    found = french.alternatives("The man is here.", target_prefix="L'")
    assert found[0].text == "homme"
    assert found[0].prefix == "L'homme"


def test_end_of_the_sentence_is_an_alternative(french: Translator) -> None:
    own = french.translate([TEXT], options=GREEDY)[0].sentences[0].hypotheses[0]
    end = french.alternatives(TEXT, target_prefix=own.text)[0]
    assert (end.text, end.prefix) == ("", own.text)
    logprob = own.subwords.target[-1].logprob
    assert logprob is not None
    assert end.probability == pytest.approx(math.exp(logprob), abs=0.02)


def test_ways_to_spell_one_word_are_one_alternative(tokenizer: Tokenizer) -> None:
    translator = random_translator(tokenizer)
    for prefix in ("", "the ", "the c", "how are", "a 猫"):
        found = translator.alternatives("the cat.", target_prefix=prefix, count=20)
        assert len({a.prefix for a in found}) == len(found)
        assert sum(a.probability for a in found) <= 1.0 + 1e-6
        assert all(a.prefix.startswith(prefix.rstrip()) for a in found)


def test_probabilities_of_one_word_add_up(tmp_path: Path) -> None:
    tokenizer = train_spm(["the cat", "the cats", "the car"], tmp_path / "t.spm", size=20, kind="bpe")
    translator = random_translator(tokenizer)
    plan = translator.plan_alternatives("cat", target_prefix="")
    (sentence,) = plan.sentences

    def row(units: list[str], probability: float) -> Hypothesis:
        ids = [EOS if unit == "" else tokenizer.spelled.index(unit) for unit in units]
        scores = np.array([math.log(probability), *[0.0] * (len(ids) - 1)], np.float32)
        return Hypothesis(ids, 0.0, scores, None)

    sentence.hypotheses = [row([" the"], 0.25), row([" ", "t", "h", "e"], 0.5), row([""], 0.125)]
    plan.accept(sentence)
    assert [(a.text, a.probability) for a in plan.result()] == [
        ("the", pytest.approx(0.75)),
        ("", pytest.approx(0.125)),
    ]


@pytest.mark.parametrize("prefix", ["", "我", "我喜", "今天"])
def test_chinese_alternatives_are_whole_units(prefix: str, tmp_path: Path) -> None:
    tokenizer = train_spm(CHINESE, tmp_path / "t.spm", size=60, kind="bpe")
    translator = random_translator(tokenizer, target="zh")
    found = translator.alternatives(CHINESE[0], target_prefix=prefix, count=30)
    assert found
    assert all(a.prefix.startswith(prefix) and a.prefix.endswith(a.text) for a in found)
    if not prefix:
        assert any(len(a.text) > 1 and a.text.isalpha() for a in found)


def test_alternatives_need_one_sentence_that_can_be_read(translator: Translator) -> None:
    with pytest.raises(SeveralSentences, match="this one has 2"):
        translator.alternatives("One. Two.", target_prefix="")
    with pytest.raises(InputTooLong, match="at most 60 units, this one has 80"):
        translator.alternatives("x" * 80, target_prefix="")
    with pytest.raises(InputTooLong, match="target prefix may have at most 240"):
        translator.alternatives("x", target_prefix="y" * 300)
    with pytest.raises(InputError, match="can read"):
        translator.alternatives("😀", target_prefix="")
    with pytest.raises(ConfigError, match="count = 0 is out of range"):
        translator.alternatives("x", target_prefix="", count=0)
