"""A sentence in capitals is read in sentence case, and its translation written in capitals."""

from __future__ import annotations

import numpy as np
import pytest

from nmt.search import SearchOptions
from nmt.text import in_capitals, to_capitals, to_sentence_case
from nmt.tokenizer import Tokenizer
from nmt.translator import Translator
from tests.nmt.conftest import random_translator
from tests.nmt.test_plan import stream

GREEDY = SearchOptions(beam_size=1)


@pytest.fixture
def translator(tokenizer: Tokenizer) -> Translator:
    return random_translator(tokenizer)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("HELLO", True), ("ÉTÉ 2013!", True), ("OK?", True), ("A", False), ("I.", False), ("HELLo", False),
        ("42", False), ("", False), ("你好", False), ("A 1 B", False), ("STRAßE", False), ("DON'T", True),
    ],
)  # fmt: skip
def test_what_is_in_capitals(text: str, expected: bool) -> None:
    assert in_capitals(text) is expected


def test_case_changes_keep_every_character_at_its_place() -> None:
    assert to_sentence_case("«ÉTÉ À PARIS!»") == "«Été à paris!»"
    assert to_sentence_case("İSTANBUL İ") == "İstanbul İ"  # whose small letter would be two characters
    assert to_capitals("straße, été") == "STRAßE, ÉTÉ"


def test_capitals_are_translated_as_the_sentence_they_shout(translator: Translator) -> None:
    loud, calm = translator.translate(["  HOW  ARE YOU TODAY?", "  How  are you today?"], options=GREEDY)
    best, expected = loud.sentences[0].hypotheses[0], calm.sentences[0].hypotheses[0]
    assert best.text == to_capitals(expected.text)
    assert np.array_equal(best.subwords.weights, expected.subwords.weights)
    assert loud.text == to_capitals(calm.text)
    words = [token.text for token in best.words.source if token.span]
    assert words == ["HOW", "ARE", "YOU", "TODAY", "?"]
    for token in best.subwords.target:
        if token.span and token.text in best.text:
            assert best.text[slice(*token.span)] == token.text


def test_other_sentences_of_a_text_stay_as_they_are(translator: Translator) -> None:
    mixed, calm = translator.translate(["STOP IT! How are you?", "How are you?"], options=GREEDY)
    assert mixed.sentences[1].hypotheses[0].text == calm.sentences[0].hypotheses[0].text


def test_streamed_capitals_make_the_final_text(translator: Translator) -> None:
    plan = translator.plan(["WHERE IS THE BOOK?"], options=GREEDY, stream=True)
    assert "".join(token.added for token in stream(translator, plan)) == plan.result()[0].text


def test_a_prefix_in_capitals_is_continued_in_capitals(translator: Translator) -> None:
    for prefix in ("THE C", "The c"):
        text = translator.translate(["WHERE IS THE BOOK?"], options=GREEDY, target_prefix=prefix)[0].text
        assert text.startswith(prefix)
        assert in_capitals(text) is (prefix == "THE C")


def test_alternatives_after_capitals_are_in_capitals(translator: Translator) -> None:
    loud = translator.alternatives("WHERE IS THE BOOK?", target_prefix="THE ")
    calm = translator.alternatives("Where is the book?", target_prefix="The ")
    assert {one.text for one in loud} == {to_capitals(one.text) for one in calm}
    assert all(one.prefix.startswith("THE") for one in loud)


def test_a_given_pair_in_capitals_scores_as_in_sentence_case(translator: Translator) -> None:
    loud, calm = translator.score([("WHERE IS IT?", "THE BOOK."), ("Where is it?", "The book.")])
    assert loud.score == calm.score
    assert "".join(token.text for token in loud.words.target if token.span) == "THEBOOK."
