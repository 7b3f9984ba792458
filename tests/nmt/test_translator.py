"""Any text in, text out. The weights are random: what is claimed holds for every model."""

import gc
import math
import weakref
from pathlib import Path

import numpy as np
import pytest

from nmt.alignment import AttentionMatrix
from nmt.batch import Batch
from nmt.bundle import ModelBundle
from nmt.config import EOS, UNK
from nmt.errors import BundleError, ConfigError, InputError, InputTooLong
from nmt.model import Seq2Seq
from nmt.quality import Flag, Judgement, Quality
from nmt.search import Hypothesis, SearchOptions
from nmt.translator import Translation, Translator
from nmt.writing import Copies
from tests.nmt import unrolled
from tests.nmt.conftest import save_bundle

TEXTS = {
    "empty": "",
    "white space": " \n\t ",
    "one sentence": "The cat sits on the mat.",
    "white space around": "  \n The cat sits. \t\n",
    "paragraphs": "The cat sits. It sleeps.\n\nThe dog runs!\n   And the bird?\r\nNo.",
    "punctuation": "?!… — «»",
    "emoji": "😀 👩‍👩‍👧 🇫🇷",
    "NUL": "The cat\x00 sits.\x00",
    "lone surrogate": "The \ud800 cat sits.",
    "Chinese": "你好。今天天气怎么样？我很好！",
    "right to left": "مرحبا بك. كيف حالك اليوم؟",
    "hard spans": "  the ﬁne cafe\u0301… 😀",
    "3,000 characters": "word " * 600,
    "3,000 characters without a space": "x" * 3000,
}


def check(text: str, translation: Translation) -> None:
    """What holds for every translation of `text`."""
    source_end = target_end = 0
    for sentence in translation.sentences:
        start, end = sentence.source_span
        assert source_end <= start < end <= len(text)
        assert text[source_end:start].strip() == ""
        gap = translation.text[target_end : sentence.target_span[0]]
        assert gap in (text[source_end:start], text[source_end:start] + " ")
        source_end, target_end = end, sentence.target_span[1]
        best = sentence.hypotheses[0]
        assert translation.text[slice(*sentence.target_span)] == best.text
        for matrix in (best.subwords, best.words):
            assert matrix.weights.shape == (len(matrix.target), len(matrix.source))
            assert matrix.weights.sum(axis=1) == pytest.approx(1.0, abs=1e-4)
            for tokens, whole in ((matrix.source, text), (matrix.target, best.text)):
                for token in tokens:
                    assert token.special == (token.span is None)
                    if token.span and token.text != "▁" and token.span[0] < token.span[1]:
                        assert whole[slice(*token.span)] == token.text
            assert all(token.span[0] >= start and token.span[1] <= end for token in matrix.source if token.span)
    assert text[source_end:].strip() == ""
    assert translation.text[target_end:] == text[source_end:]


@pytest.mark.parametrize("text", TEXTS.values(), ids=TEXTS.keys())
def test_any_text_is_taken(translator: Translator, text: str) -> None:
    clean = text.replace("\ud800", "\ufffd")
    check(clean, translator.translate([text], options=SearchOptions(beam_size=2))[0])


def test_many_texts_give_what_each_gives_alone(translator: Translator) -> None:
    texts = list(TEXTS.values())
    together = translator.translate(texts, options=SearchOptions(beam_size=2))
    assert [t.text for t in together] == [
        translator.translate([text], options=SearchOptions(beam_size=2))[0].text for text in texts
    ]


def test_fifty_thousand_characters(translator: Translator) -> None:
    text = "The cat sits on the mat. Where is it?\n" * 1316
    assert len(text) > 50_000
    translation = translator.translate([text], options=SearchOptions(beam_size=1))[0]
    assert len(translation.sentences) == 2 * 1316
    assert translation.text.count("\n") == 1316


def test_long_sentence_is_split_and_flagged(translator: Translator) -> None:
    sentences = translator.translate(["first, " * 30 + "last"], options=SearchOptions(beam_size=1))[0].sentences
    assert len(sentences) > 1
    assert all("split" in sentence.flags for sentence in sentences)
    assert all(len(s.hypotheses[0].subwords.source) <= translator.longest_source + 1 for s in sentences)


def test_text_without_words_is_copied(translator: Translator) -> None:
    (sentence,) = translator.translate(["😀 !"])[0].sentences
    assert sentence.flags == ("copied",)
    assert sentence.hypotheses[0].text == "😀 !"
    assert np.array_equal(sentence.hypotheses[0].words.weights, np.eye(3))


@pytest.mark.parametrize("text", ["我爱你们的" * 10_000, "★☆" * 25_000, "★ " * 25_000])
def test_much_text_that_is_only_copied_stays_small(translator: Translator, text: str) -> None:
    translation = translator.translate([text])[0]
    assert translation.text == text
    assert max(len(s.hypotheses[0].words.source) for s in translation.sentences) <= 101


def test_part_of_a_long_sentence_without_words_is_copied(translator: Translator) -> None:
    text = "the cat sat on " * 12 + "★ " * 90 + "the mat " * 12
    copied = [
        s for s in translator.translate([text], options=SearchOptions(beam_size=1))[0].sentences if "copied" in s.flags
    ]
    assert copied
    assert all(s.hypotheses[0].text == text[slice(*s.source_span)] for s in copied)


def test_sentences_that_touch_are_spaced_in_a_spaced_language(translator: Translator) -> None:
    translation = translator.translate(["cat。dog。"])[0]
    first, second = (sentence.target_span for sentence in translation.sentences)
    assert translation.text[first[1] : second[0]] == " "


def test_unknown_characters_are_flagged(translator: Translator) -> None:
    (sentence,) = translator.translate(["The 猫 sits."])[0].sentences
    assert "unknown_characters" in sentence.flags


def test_unknown_unit_copies_what_it_looked_at(translator: Translator) -> None:
    pieces = translator.source_tokenizer.encode("a 猫 b 狗")
    unknown = [place for place, piece in enumerate(pieces) if piece.id == UNK]
    attention = np.full((3, len(pieces) + 1), 0.01, np.float32)
    attention[0, unknown[1]] = 0.9
    attention[1, unknown[1]] = 0.9  # already copied: the other one is left
    hypothesis = Hypothesis([UNK, UNK, EOS], 0.0, np.zeros(3, np.float32), attention)
    assert Copies(pieces).all(hypothesis) == {0: "狗", 1: "猫"}


def test_n_best_gives_different_candidates_best_first(translator: Translator) -> None:
    (sentence,) = translator.translate(["The cat sits."], options=SearchOptions(beam_size=4, n_best=4))[0].sentences
    scores = [h.score for h in sentence.hypotheses]
    assert len(scores) == 4
    assert scores == sorted(scores, reverse=True)


def test_given_pair_has_scores_and_attention(translator: Translator) -> None:
    hypothesis = translator.attend("The cat sits.", "Le chat est assis.")
    assert hypothesis.text == "Le chat est assis."
    assert [t.text for t in hypothesis.words.target] == ["Le", "chat", "est", "assis", ".", "</s>"]
    assert hypothesis.words.weights.sum(axis=1) == pytest.approx(1.0, abs=1e-5)
    assert all(token.logprob is not None and token.logprob < 0 for token in hypothesis.words.target)
    assert 0 < hypothesis.confidence < 1


def test_given_pair_scores_as_the_search_did(translator: Translator) -> None:
    (sentence,) = translator.translate(["The cat sits."], options=SearchOptions(beam_size=1))[0].sentences
    found = sentence.hypotheses[0]
    if "truncated" not in sentence.flags:
        again = translator.attend("The cat sits.", found.text)
        assert [t.logprob for t in again.subwords.target] == pytest.approx(
            [t.logprob for t in found.subwords.target], abs=1e-4
        )


def test_given_pairs_score_together_as_alone(translator: Translator) -> None:
    pairs = [("The cat sits.", "Le chat dort."), ("It sleeps, I think.", "Il dort 猫."), ("猫", "chat"), ("a", "b")]
    for pair, together in zip(pairs, translator.score(pairs), strict=True):
        alone = translator.attend(*pair)
        assert together.score == pytest.approx(alone.score, abs=1e-4)
        assert together.subwords.weights == pytest.approx(alone.subwords.weights, abs=1e-4)
        assert [(t.text, t.span) for t in together.subwords.target] == [(t.text, t.span) for t in alone.subwords.target]


def test_given_pair_scores_as_one_teacher_forced_pass(bundle_path: Path) -> None:
    reference = Translator.load(bundle_path, device="cpu", compute="reference")
    assert isinstance(reference.model, Seq2Seq)
    found = reference.attend("The cat sits.", "Le chat dort.")
    source, target = (reference.source_tokenizer.ids([text])[0] for text in ("The cat sits.", "Le chat dort."))
    (forced,) = unrolled.score(reference.model, Batch.of([source], [target]))
    assert [t.logprob for t in found.subwords.target] == pytest.approx(forced.token_scores.tolist(), abs=1e-4)
    assert found.subwords.weights == pytest.approx(forced.attention, abs=1e-4)
    assert found.score == pytest.approx(float(forced.token_scores.mean()), abs=1e-4)
    assert found.perplexity == pytest.approx(math.exp(-found.score), rel=1e-4)


def test_only_the_reference_keeps_the_reference(monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[weakref.ref[Seq2Seq]] = []
    original = ModelBundle.model

    def model(bundle: ModelBundle) -> Seq2Seq:
        found = original(bundle)
        made.append(weakref.ref(found))
        return found

    monkeypatch.setattr(ModelBundle, "model", model)
    reference = Translator.load("models/en-fr", device="cpu", compute="reference")
    packed = Translator.load("models/en-fr", device="cpu", compute="float16")
    gc.collect()
    assert made[0]() is reference.model
    assert made[1]() is None
    assert packed.translate(["Thank you."])[0].text == reference.translate(["Thank you."])[0].text


@pytest.mark.parametrize(("source", "target"), [("", "x"), ("x", " \n")])
def test_given_pair_needs_both_sides(translator: Translator, source: str, target: str) -> None:
    with pytest.raises(InputError, match="needs text on both sides"):
        translator.attend(source, target)


def test_given_pair_has_a_limit(translator: Translator) -> None:
    with pytest.raises(InputTooLong, match="at most 240 units"):
        translator.attend("x", "y" * 300)


def test_model_without_attention_translates_and_says_so(tmp_path: Path) -> None:
    path = save_bundle(tmp_path / "xx-yy" / "1", context="first_state", score="", wiring="")
    without = Translator.load(path, device="cpu")
    assert not without.has_attention
    (sentence,) = without.translate(["The cat sits."])[0].sentences
    assert not sentence.hypotheses[0].words.weights.any()


def test_unknown_device_and_folder_are_clear(bundle_path: Path) -> None:
    with pytest.raises(ConfigError, match="device = 'tpu' is not known"):
        Translator.load(bundle_path, device="tpu")
    with pytest.raises(ConfigError, match="this machine has"):
        Translator.load(bundle_path, device="cuda:99")
    with pytest.raises(BundleError):
        Translator.load(bundle_path / "nothing")
    with pytest.raises(ConfigError, match="compute = 'bf8' is not known"):
        Translator.load(bundle_path, compute="bf8")


def test_flags_and_confidence_come_from_what_judges(bundle_path: Path) -> None:
    class Strict(Quality):
        def judge(self, subwords: AttentionMatrix, words: AttentionMatrix, *, unknown: int = 0) -> Judgement:
            span = words.source[0].span
            return Judgement(0.125, (Flag("source_skipped", span), Flag("low_confidence")))

    strict = Translator.load(bundle_path, device="cpu")
    strict.quality = Strict()
    first, second = strict.translate(["The 猫 sits. 😀!"])[0].sentences
    assert first.flags[-3:] == ("unknown_characters", "source_skipped", "low_confidence")
    assert Flag("source_skipped", (0, 3)) in first.flag_spans
    assert first.hypotheses[0].confidence == strict.attend("a", "b").confidence == 0.125
    assert (second.flags, second.hypotheses[0].confidence) == (("copied",), 1.0)  # no model had a say
