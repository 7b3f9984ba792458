"""Capitals are read in sentence case and written in capitals; a word with a capital may be read without it."""

from __future__ import annotations

import numpy as np
import pytest

from nmt.case import Case
from nmt.search import SearchOptions
from nmt.tokenizer import Tokenizer
from nmt.translator import Translator
from tests.nmt.conftest import random_translator
from tests.nmt.test_plan import stream

GREEDY = SearchOptions(beam_size=1)
to_capitals = Case.CAPITALS.write


def in_capitals(text: str) -> bool:
    return Case.of(text, len) is Case.CAPITALS


def units(text: str) -> int:
    """Pieces of a vocabulary that knows small words and a name."""
    return sum(1 if word in {"car", "red", "Paris", "Le", "chat", "été"} else len(word) for word in text.split())


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


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Car", "car"), ("Red car", "red car"), ("«Été»", "«Été»"), ("Été", "été"), ("Le chat", "Le chat"),
        ("Paris", "Paris"), ("Car.", "Car."), ("Car!)", "Car!)"), ("Car car car car car", "Car car car car car"),
        ("car", "car"), ("2 Car", "2 Car"), ("A", "A"), ("", ""), ("İyi", "İyi"),
        ("CAR", "car"), ("RED CAR", "red car"), ("PARIS", "Paris"), ("CAR!", "Car!"), ("OK", "Ok"),
    ],
)  # fmt: skip
def test_a_word_or_phrase_by_itself_is_read_small_where_it_has_fewer_units_so(text: str, expected: str) -> None:
    case = Case.of(text, units)
    assert case.read(text) == expected
    assert (case in (Case.CAPITAL_START, Case.CAPITAL_PHRASE)) is (text not in (expected, "PARIS", "CAR!", "OK"))
    assert case.write(expected) == text


def test_long_texts_are_no_phrases() -> None:
    assert Case.of("Aa" + "!" * 100_000 + "a", units) is Case.AS_IT_IS  # and are not searched for signs


def test_case_changes_keep_every_character_at_its_place() -> None:
    assert Case.CAPITALS.read("«ÉTÉ À PARIS!»") == "«Été à paris!»"
    assert Case.CAPITALS.read("İSTANBUL İ") == "İstanbul İ"  # whose small letter would be two characters
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


@pytest.fixture
def small(translator: Translator, monkeypatch: pytest.MonkeyPatch) -> Translator:
    """Whose source vocabulary falls to pieces at capitals."""
    count = translator.source_tokenizer.ids

    def pieces(texts: list[str]) -> list[list[int]]:
        return [[*ids, *(0 for c in text if c.isupper())] for text, ids in zip(texts, count(texts), strict=True)]

    monkeypatch.setattr(translator.source_tokenizer, "ids", pieces)
    return translator


def test_a_phrase_with_a_capital_is_translated_as_without_and_begins_with_one(small: Translator) -> None:
    great, calm = small.translate(["The book", "the book"], options=GREEDY)
    best, expected = great.sentences[0].hypotheses[0], calm.sentences[0].hypotheses[0]
    assert best.text == Case.CAPITAL_START.write(expected.text)
    assert np.array_equal(best.subwords.weights, expected.subwords.weights)
    assert [token.text for token in best.words.source if token.span] == ["The", "book"]
    plan = small.plan(["The book"], options=GREEDY, stream=True)
    assert "".join(token.added for token in stream(small, plan)) == plan.result()[0].text == great.text
    assert small.translate(["The book."], options=GREEDY)[0].text != Case.CAPITAL_START.write(
        small.translate(["the book."], options=GREEDY)[0].text
    )


def test_prefixes_alternatives_and_scores_follow_a_phrase_with_a_capital(small: Translator) -> None:
    great = small.translate(["The book"], options=GREEDY, target_prefix="The c")[0].text
    calm = small.translate(["the book"], options=GREEDY, target_prefix="the c")[0].text
    assert great.startswith("The c")
    assert great == Case.CAPITAL_START.write(calm)
    for prefix in ("", "The "):
        words = small.alternatives("The book", target_prefix=prefix)
        without = small.alternatives("the book", target_prefix=prefix.lower())
        assert [one.prefix for one in words] == [Case.CAPITAL_START.write(one.prefix) for one in without]
        assert all(one.prefix.endswith(one.text) for one in words)
    assert words[0].text == without[0].text, "only the first word begins with a capital"
    one, other = small.score([("The book", "The cat"), ("the book", "the cat")])
    assert one.score == other.score
    assert small.score([("The book", "the cat")])[0].score == other.score, "the source is read small all the same"
