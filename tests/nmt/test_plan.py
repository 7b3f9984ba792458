"""A plan leaves the search to its caller: any order, any company, any pace give what `translate` gives."""

import random

import numpy as np
import pytest

from nmt.config import UNK
from nmt.errors import ConfigError, DeadlineExceeded, SeveralSentences
from nmt.plan import Plan
from nmt.search import SearchOptions
from nmt.shortlist import Shortlist
from nmt.tokenizer import Tokenizer
from nmt.translation import StreamedToken
from nmt.translator import Translation, Translator
from nmt.writing import Writer
from tests.nmt.conftest import SENTENCES, random_translator
from tests.nmt.test_translator import TEXTS

GREEDY = SearchOptions(beam_size=1)
STREAMED = [*SENTENCES[:3], "a 猫 and a 狗, 😀 I see.", "12 cafe\u0301s."]


def run(translator: Translator, plan: Plan) -> list[Translation]:
    """Decode a plan in a running set of its own."""
    running = translator.running_set()
    running.admit(plan.sentences)
    while len(running):
        running.step()
    for sentence in plan.sentences:
        plan.accept(sentence)
    return plan.result()


def stream(translator: Translator, plan: Plan) -> list[StreamedToken]:
    """What comes of a plan of one sentence, asked for after each step."""
    (sentence,) = plan.sentences
    running = translator.running_set()
    running.admit([sentence])
    found: list[StreamedToken] = []
    while len(running):
        running.step()
        found += [plan.token(sentence, index) for index in range(len(found), len(sentence.committed))]
    plan.accept(sentence)
    return found


def test_results_do_not_depend_on_the_order_in_which_sentences_end(translator: Translator) -> None:
    texts = [text for text in TEXTS.values() if len(text) < 200]
    expected = [translation.text for translation in translator.translate(texts, options=GREEDY)]
    plan = translator.plan(texts, options=GREEDY)
    waiting = list(plan.sentences)
    random.Random(3).shuffle(waiting)
    running = translator.running_set(max_rows=7)
    while waiting or len(running):
        while waiting and running.room_for(waiting[-1]):
            running.admit([waiting.pop()])
        running.step()
        for sentence in running.finished():
            plan.accept(sentence)
    assert [translation.text for translation in plan.result()] == expected


def test_lazy_plan_prepares_a_slice_at_a_time(translator: Translator) -> None:
    text = "The cat sits. " * 50
    whole = translator.plan([text, "It sleeps."], options=GREEDY)
    plan = translator.plan([text, "It sleeps."], options=GREEDY, lazy=True)
    assert plan.jobs == []
    counts = []
    while not plan.prepare(0.0):
        counts.append(len(plan.sentences))
    assert counts == list(range(1, 52))
    assert [s.source for s in plan.sentences] == [s.source for s in whole.sentences]
    assert [(job.text, job.index) for job in plan.jobs] == [*((0, index) for index in range(50)), (1, 0)]
    assert plan.prepare()


def test_lazy_plan_reports_a_mistake_when_it_comes_to_it(translator: Translator) -> None:
    plan = translator.plan(["One. Two."], target_prefix="Un", lazy=True)
    with pytest.raises(SeveralSentences):
        plan.prepare(0.001)


def test_jobs_are_all_sentences_in_reading_order(translator: Translator) -> None:
    plan = translator.plan(["The cat. 😀! It sleeps.", "", "One more."])
    assert [(job.text, job.index, job.sentence is None) for job in plan.jobs] == [
        (0, 0, False),
        (0, 1, True),
        (0, 2, False),
        (2, 0, False),
    ]
    assert [job.sentence for job in plan.jobs if job.sentence] == plan.sentences
    assert all(plan.job(sentence).sentence is sentence for sentence in plan.sentences)
    copied = plan.jobs[1]
    assert plan.sentence_result(copied)[2].hypotheses[0].text == "😀!"
    assert [token.text for token in plan.source_tokens(copied)] == ["😀", "!", "</s>"]


def test_sentence_result_is_the_sentence_of_the_whole_result(translator: Translator) -> None:
    plan = translator.plan(["The cat sits. It sleeps."], options=GREEDY)
    (translation,) = run(translator, plan)
    for number, job in enumerate(plan.jobs):
        text, index, sentence = plan.sentence_result(job)
        assert (text, index) == (0, number)
        assert sentence.hypotheses == translation.sentences[number].hypotheses
        assert sentence.target_span == (0, len(sentence.hypotheses[0].text))
        assert plan.source_tokens(job) == sentence.hypotheses[0].subwords.source


def test_deadline_and_options_reach_every_sentence(translator: Translator) -> None:
    options = SearchOptions(beam_size=3, n_best=2)
    plan = translator.plan(["The cat. It sleeps."], options=options, deadline=0.0)
    assert all(sentence.deadline == 0.0 and sentence.options is options for sentence in plan.sentences)
    running = translator.running_set()
    running.admit(plan.sentences)
    running.step()
    assert all(isinstance(sentence.error, DeadlineExceeded) for sentence in plan.sentences)


@pytest.mark.parametrize("beam_size", [1, 4])
@pytest.mark.parametrize("text", STREAMED)
def test_streamed_pieces_make_the_final_text(tokenizer: Tokenizer, text: str, beam_size: int) -> None:
    translator = random_translator(tokenizer)
    plan = translator.plan([text], options=SearchOptions(beam_size=beam_size), stream=True)
    found = stream(translator, plan)
    final = plan.result()[0].sentences[0].hypotheses[0]
    so_far = ""
    for token in found:
        so_far += token.added
        assert final.text.startswith(so_far)
        if token.token.span and token.token.text not in ("▁", "<unk>"):
            assert so_far[slice(*token.token.span)] == token.token.text
    assert so_far == final.text
    assert len(found) == len(final.subwords.target)
    for token, unit, row in zip(found, final.subwords.target, final.subwords.weights, strict=True):
        assert token.token.logprob == pytest.approx(unit.logprob)
        assert token.token.special == unit.special
        assert token.attention == pytest.approx(row)
        if unit.span and unit.span[1] < len(final.text):
            assert token.token.span == unit.span
            assert token.token.text == unit.text


@pytest.mark.parametrize("raw", ["the gre", "a 猫 ", "how are you today? I"])
def test_streamed_pieces_begin_with_the_prefix(tokenizer: Tokenizer, raw: str) -> None:
    translator = random_translator(tokenizer)
    plan = translator.plan(["where is the 猫?"], options=GREEDY, target_prefix=raw, stream=True)
    text = "".join(token.added for token in stream(translator, plan))
    assert text == plan.result()[0].text
    assert text.startswith(raw.rstrip())


def test_greedy_streaming_hands_out_a_unit_a_step(translator: Translator) -> None:
    plan = translator.plan(["The cat sits."], options=GREEDY, stream=True)
    (sentence,) = plan.sentences
    running = translator.running_set()
    running.admit([sentence])
    seen = []
    while len(running):
        running.step()
        seen.append(len(sentence.committed))
    assert seen == list(range(1, len(seen) + 1))


def test_a_space_waits_for_what_follows_it(tokenizer: Tokenizer) -> None:
    (space, *_), (letter, *_) = tokenizer.beginning_with(" "), tokenizer.ids(["a"])[0][-1:]
    assert tokenizer.spelled[space] == " "
    writer = Writer(tokenizer, [], None)
    for id_ in (letter, space, space, letter, space):
        writer.add(id_, -1.0, None)
    added = [token.added.replace(" ", "_") for token in writer.tokens]
    assert added == [tokenizer.spelled[letter].strip(), "", "", "_a", ""]
    assert tokenizer.decode([letter, space, space, letter, space]).text == "".join(added).replace("_", " ")


def test_streamed_unknown_units_are_copied_as_in_the_end(tokenizer: Tokenizer) -> None:
    pieces = tokenizer.encode("a 猫 b 狗")
    unknown = [place for place, piece in enumerate(pieces) if piece.id == UNK]
    weights = np.zeros(len(pieces) + 1, np.float32)
    weights[unknown[1]] = 1.0
    writer = Writer(tokenizer, pieces, None)
    for _ in range(3):
        writer.add(UNK, -1.0, weights)
    assert [token.added for token in writer.tokens] == ["狗", "猫", ""]


def shortlisted(tokenizer: Tokenizer, *, default: bool) -> Translator:
    """A translator whose shortlist has the special units and those of "on the mat", whatever the source."""
    translator = random_translator(tokenizer)
    always = np.unique([0, 1, 2, 3, *tokenizer.ids(["on the mat"])[0]])
    nothing = np.zeros((tokenizer.size, tokenizer.size), dtype=bool)
    translator.shortlist = Shortlist.of(always, nothing, default=default)
    return translator


def test_shortlist_is_used_when_asked_for_or_by_default(tokenizer: Tokenizer) -> None:
    def used(translator: Translator, wanted: bool | None) -> bool:
        return translator.plan(["The cat."], shortlist=wanted).sentences[0].shortlist is not None

    on, off = shortlisted(tokenizer, default=True), shortlisted(tokenizer, default=False)
    assert [used(on, wanted) for wanted in (None, True, False)] == [True, True, False]
    assert [used(off, wanted) for wanted in (None, True, False)] == [False, True, False]
    with pytest.raises(ConfigError, match="no shortlist"):
        random_translator(tokenizer).plan(["The cat."], shortlist=True)


def test_translation_keeps_to_its_shortlist_but_for_the_prefix(tokenizer: Tokenizer) -> None:
    translator = shortlisted(tokenizer, default=True)
    assert translator.shortlist is not None
    (found,) = translator.translate(["where is it?"], options=GREEDY, target_prefix="I don't kn")
    assert found.text.startswith("I don't kn")
    prefix = translator.plan(["it"], target_prefix="I don't kn").sentences[0]
    assert prefix.shortlist is not None
    assert set(tokenizer.ids(["I don't"])[0]) <= set(prefix.shortlist.tolist())
    plan = translator.plan(["where is it?"], options=GREEDY)
    run(translator, plan)
    (sentence,) = plan.sentences
    assert sentence.hypotheses
    assert set(sentence.hypotheses[0].tokens) <= set(translator.shortlist.always.tolist())
