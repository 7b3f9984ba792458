"""A target prefix is kept to the letter, however the vocabulary cuts it, and changes nothing else."""

from pathlib import Path

import numpy as np
import pytest

from nmt.batch import Batch
from nmt.config import EOS, UNK
from nmt.errors import InputError, InputTooLong, SeveralSentences
from nmt.model import Seq2Seq
from nmt.prefix import TargetPrefix
from nmt.search import Sampling, SearchOptions
from nmt.text import normalise
from nmt.tokenizer import Tokenizer
from nmt.translator import Translator
from tests.nmt.conftest import SENTENCES, random_translator, train_spm
from tests.nmt.unrolled import score

GREEDY = SearchOptions(beam_size=1)
PREFIXES = {
    "inside a word": "the gre",
    "a word, which may go on": "how are",
    "a word that has ended": "the cat ",
    "an elision": "I don'",
    "one letter": "w",
    "a whole sentence": "where is the green book?",
    "white space around and inside": "  the \n\t cat",
    "a letter and its accent apart": "cafe\u0301",
    "characters that no unit spells": "the 猫狗 and 😀",
    "such characters alone": "猫",
    "such characters, ended": "the 猫 ",
    "marks": "... (",
}


def every_way(prefix: TargetPrefix) -> list[list[int]]:
    """Every shortest unit sequence that has the whole prefix."""
    ways = []
    for history, allowed in prefix.following.items():
        ways += [[*history, id_] for id_ in allowed if (*history, id_) not in prefix.following]
    return ways


@pytest.mark.parametrize("raw", PREFIXES.values(), ids=PREFIXES.keys())
def test_every_way_through_a_prefix_spells_it(tokenizer: Tokenizer, raw: str) -> None:
    prefix = TargetPrefix.of(raw, tokenizer)
    assert prefix is not None
    assert prefix.text == normalise(raw).text
    ways = every_way(prefix)
    assert ways
    assert max(map(len, ways)) == prefix.longest
    for way in ways:
        copies = {place: prefix.copied(way[:place]) or "" for place, id_ in enumerate(way) if id_ == UNK}
        spelled = tokenizer.decode([*way, *tokenizer.ids(["a"])[0]], copies).text
        assert spelled.startswith(prefix.text)
        if raw.endswith(" ") and way[-1] != EOS:
            assert spelled.startswith(prefix.text + " ")


@pytest.mark.parametrize("sentence", SENTENCES)
def test_usual_units_of_every_continuation_are_a_way(tokenizer: Tokenizer, sentence: str) -> None:
    units = tuple(tokenizer.ids([sentence])[0])
    for cut in range(1, len(sentence) + 1):
        prefix = TargetPrefix.of(sentence[:cut], tokenizer)
        assert prefix is not None
        place = 0
        while units[:place] in prefix.following:
            assert units[place] in prefix.following[units[:place]]
            place += 1


def test_odd_segmentations_are_no_way(tokenizer: Tokenizer) -> None:
    prefix = TargetPrefix.of("the cat sits on the mat", tokenizer)
    assert prefix is not None
    usual = set(tokenizer.ids(["the cat sits on the mat"])[0][:4])
    assert {way[0] for way in every_way(prefix)} <= usual


def test_prefix_of_white_space_is_none(tokenizer: Tokenizer) -> None:
    assert TargetPrefix.of(" \n ", tokenizer) is None


@pytest.mark.parametrize("options", [GREEDY, SearchOptions(beam_size=4, n_best=3), SearchOptions(sampling=Sampling())])
@pytest.mark.parametrize("raw", PREFIXES.values(), ids=PREFIXES.keys())
def test_translation_begins_with_the_prefix(tokenizer: Tokenizer, raw: str, options: SearchOptions) -> None:
    translator = random_translator(tokenizer)
    (found,) = translator.translate(["the cat sits."], options=options, target_prefix=raw)
    wanted = normalise(raw).text
    for hypothesis in found.sentences[0].hypotheses:
        assert hypothesis.text.startswith(wanted)
        if raw.endswith(" "):
            assert hypothesis.text[len(wanted) : len(wanted) + 1] in ("", " ")
    assert len({h.text for h in found.sentences[0].hypotheses}) >= min(2, options.n_best)


def test_no_other_rule_touches_the_prefix(tokenizer: Tokenizer) -> None:
    options = SearchOptions(beam_size=3, no_repeat_ngram_size=1)
    (found,) = random_translator(tokenizer).translate(["the cat."], options=options, target_prefix="aa aa 猫 猫")
    assert found.text.startswith("aa aa 猫 猫")


def test_characters_that_both_have_are_copied_once(tokenizer: Tokenizer) -> None:
    translator = random_translator(tokenizer)
    for beam in (1, 5):
        (found,) = translator.translate(["the 猫 sits"], options=SearchOptions(beam_size=beam), target_prefix="a 猫")
        assert found.text.startswith("a 猫")
        assert found.text.count("猫") == 1


@pytest.mark.parametrize("beam_size", [1, 4])
def test_units_of_the_prefix_have_the_scores_and_attention_of_the_model(tokenizer: Tokenizer, beam_size: int) -> None:
    translator = random_translator(tokenizer)
    plan = translator.plan(
        ["the cat sits."], options=SearchOptions(beam_size=beam_size), target_prefix="how are 猫 you"
    )
    (sentence,) = plan.sentences
    running = translator.running_set()
    running.admit([sentence])
    while not sentence.hypotheses:
        running.step()
    found = sentence.hypotheses[0]
    given = [id_ for id_ in found.tokens if id_ != EOS]
    assert isinstance(translator.model, Seq2Seq)
    forced = score(translator.model, Batch.of([list(sentence.source)[:-1]], [given]))[0]
    n = len(found.tokens)
    assert found.token_scores == pytest.approx(forced.token_scores[:n], abs=1e-4)
    assert found.attention == pytest.approx(forced.attention[:n], abs=1e-4)  # type: ignore[index]


def test_a_word_that_has_ended_may_be_the_last(tokenizer: Tokenizer) -> None:
    prefix = TargetPrefix.of("the cat ", tokenizer)
    assert prefix is not None
    assert [*tokenizer.ids(["the cat"])[0], EOS] in every_way(prefix)


def test_own_beginning_as_prefix_changes_nothing() -> None:
    translator = Translator.load("models/en-fr", device="cpu")
    for text in ("How are you today?", "I'd like 12 apples."):
        own = translator.translate([text], options=GREEDY)[0].sentences[0].hypotheses[0]
        units = translator.target_tokenizer.ids([own.text])[0]
        assert len(units) + 1 == len(own.subwords.target)  # the model wrote its own usual units
        for cut in range(len(own.text) + 1):
            again = translator.translate([text], options=GREEDY, target_prefix=own.text[:cut])[0]
            assert again.text == own.text
            now = again.sentences[0].hypotheses[0]
            assert [t.text for t in now.subwords.target] == [t.text for t in own.subwords.target]
            assert now.subwords.weights == pytest.approx(own.subwords.weights, abs=1e-4)
            assert now.score == pytest.approx(own.score, abs=1e-4)


def test_real_model_goes_on_from_a_prefix() -> None:
    translator = Translator.load("models/en-fr", device="cpu")
    text = "I would like to buy a red car."
    for raw in ("Je vou", "Je voudrais ", "Je souhaite ache", "Nous"):
        (found,) = translator.translate([text], target_prefix=raw)
        assert found.text.startswith(raw)
        assert found.text.endswith("acheter une voiture rouge.")


CHINESE = ["我喜欢你的书。", "我喜欢吃苹果。", "他喜欢我的猫。", "今天天气很好。", "今天我们去学校。", "你喜欢什么书？"]


@pytest.mark.parametrize("kind", ["unigram", "bpe"])
def test_chinese_prefix_may_end_inside_a_unit(kind: str, tmp_path: Path) -> None:
    tokenizer = train_spm(CHINESE, tmp_path / "target.spm", size=60, kind=kind)
    assert tokenizer.beginning_with("喜欢")
    prefix = TargetPrefix.of("他喜", tokenizer, spaced=False)
    assert prefix is not None
    spelled = {tokenizer.decode(way).text for way in every_way(prefix)}
    assert {"他喜欢"} <= spelled
    assert all(text.startswith("他喜") for text in spelled)
    translator = random_translator(tokenizer, target="zh")
    for sentence in CHINESE[:3]:
        for cut in range(1, len(sentence)):
            for raw in (sentence[:cut], sentence[:cut] + " "):  # where no spaces are written, one says nothing
                found = translator.translate([CHINESE[0]], options=GREEDY, target_prefix=raw)
                assert found[0].text.startswith(sentence[:cut])


def test_a_prefix_needs_one_sentence_that_can_be_read(translator: Translator) -> None:
    with pytest.raises(SeveralSentences, match="this one has 2"):
        translator.translate(["One. Two."], target_prefix="Un")
    with pytest.raises(SeveralSentences, match="this one has 0"):
        translator.translate([" "], target_prefix="Un")
    with pytest.raises(InputTooLong, match="at most 60 units, this one has 80"):
        translator.translate(["x" * 80], target_prefix="Un")
    with pytest.raises(InputError, match="would only be copied"):
        translator.translate(["😀"], target_prefix="Un")
    with pytest.raises(InputTooLong, match="at most 240 units"):
        translator.translate(["x"], target_prefix="y" * 300)
    assert translator.translate(["", "One. Two."], target_prefix="")[0].text == ""


def test_prefix_counts_beside_the_length_limit(translator: Translator) -> None:
    (found,) = translator.translate(["x"], target_prefix="y" * 200)
    assert found.text.startswith("y" * 200)
    assert np.isfinite(found.sentences[0].hypotheses[0].score)
