"""A sentence gets the same answer in any company, and only its own faults concern it."""

from __future__ import annotations

import math
import time
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from nmt.config import EOS
from nmt.decoder import DecoderState, Step
from nmt.encoder import EncoderOutput
from nmt.errors import DeadlineExceeded, NmtError
from nmt.model import Seq2Seq
from nmt.search import Columns, Rule, RunningSet, Sampling, Sentence, translate_all
from tests.nmt.combinations import build, name, pairwise
from tests.nmt.searching import SENTENCES, Endless, alone, answers, ask, assert_same, random_model, run

pytestmark = pytest.mark.usefixtures("halves")

ids = st.integers(4, 19)
kinds = st.sampled_from(
    [
        {"beam_size": 1},
        {"beam_size": 2, "n_best": 2},
        {"beam_size": 5, "n_best": 3},
        {"beam_size": 5, "length_penalty": 0.0, "no_repeat_ngram_size": 2},
        {"beam_size": 3, "coverage_penalty": 0.5, "n_best": 3},
        {"n_best": 2, "sampling": Sampling(seed=5)},
        {"n_best": 2, "sampling": Sampling(seed=6, temperature=2.0, top_k=5, top_p=0.9)},
    ]
)
more = st.fixed_dictionaries(
    {
        "stream": st.booleans(),
        "shortlist": st.one_of(
            st.none(), st.sets(st.integers(4, 19), min_size=3).map(lambda chosen: np.array([1, EOS, *sorted(chosen)]))
        ),
    }
)
arrivals = st.lists(
    st.tuples(
        st.lists(st.one_of(ids, st.just(1)), min_size=1, max_size=12),  # source
        st.integers(1, 15),  # limit
        kinds,
        more,
        st.integers(0, 12),  # joins at this step
        st.one_of(st.none(), st.none(), st.integers(0, 20)),  # dropped at this step
    ),
    min_size=1,
    max_size=8,
)


@pytest.fixture(scope="module")
def model() -> Seq2Seq:
    return random_model(1, vocabulary=20, sharpness=3.0)


@settings(max_examples=40)
@given(arrivals=arrivals)
def test_company_changes_nothing(model: Seq2Seq, halves: bool, arrivals: list) -> None:
    """Whoever shares the steps, joins at any of them (longer ones too), leaves or is dropped."""
    plan = [
        (ask(source, limit=limit, more=fields, **options), ask(source, limit=limit, more=fields, **options), at, until)
        for source, limit, options, fields, at, until in arrivals
    ]
    running = RunningSet(model)
    ended: list[Sentence] = []
    for step in range(60):
        running.admit([sentence for sentence, _, at, _ in plan if at == step])
        for sentence, _, _, until in plan:
            if until == step and sentence not in ended:
                running.drop(sentence)
        running.step()
        ended += running.finished()
    assert len(running) == running.rows == 0
    assert len(ended) == len(set(ended))
    for sentence, twin, _, until in plan:
        assert until is not None or sentence in ended
        if sentence not in ended:
            assert sentence.hypotheses is None or halves  # it may have ended just before it was dropped
            continue
        translate_all(model, [twin])
        if twin.error is not None:
            assert str(sentence.error) == str(twin.error)
            continue
        assert_same(sentence.hypotheses, twin.hypotheses)
        assert [unit.token for unit in sentence.committed] == [unit.token for unit in twin.committed]


@pytest.mark.parametrize("combination", pairwise(), ids=name)
def test_every_architecture_lets_sentences_join_a_running_batch_unchanged(combination: dict) -> None:
    torch.manual_seed(3)
    model = Seq2Seq(build(combination, size=8)).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.mul_(3.0)
    sources = [[4, 5, 6, 5], [5, 9, 11, 4, 7, 8, 10, 6], [6, 10], [7]]
    expected = [alone(model, ask(source, beam_size=3, n_best=3)) for source in sources]
    running = RunningSet(model)
    sentences = [ask(source, beam_size=3, n_best=3) for source in sources]
    for sentence in sentences:
        running.admit([sentence])
        running.step()
        running.step()
    run(running)
    for sentence, hypotheses in zip(sentences, expected, strict=True):
        assert_same(sentence.hypotheses, hypotheses)


class Faulty:
    """A model that fails whenever a certain sentence is in the batch."""

    few_rows = 0

    def __init__(self, model: Seq2Seq, poison: int, *, where: str, after: int = 0) -> None:
        self.model, self.poison, self.where, self.left = model, poison, where, after
        self.device = model.device
        self.poisoned: set[float] = set()

    def encode(self, source: Tensor) -> EncoderOutput:
        if self.where == "encode" and bool((source == self.poison).any()):
            raise RuntimeError("encode failed")
        encoded = self.model.encode(source)
        # a sentence is known again by the first number of its memory
        for row in (source == self.poison).any(dim=1).nonzero().flatten():
            self.poisoned.add(round(float(encoded.memory[row, 0, 0]), 5))
        return encoded

    def start(self, encoded: EncoderOutput) -> DecoderState:
        return self.model.start(encoded)

    def step(self, tokens: Tensor, state: DecoderState, vocabulary: Tensor | None = None) -> Step:
        inside = {round(x, 5) for x in state.context.memory[:, 0, 0].tolist()}  # type: ignore[attr-defined]
        if self.where == "step" and inside & self.poisoned:
            self.left -= 1
            if self.left < 0:
                raise RuntimeError("step failed")
        return self.model.step(tokens, state, vocabulary)


@pytest.mark.parametrize(("where", "after"), [("encode", 0), ("step", 0), ("step", 2)])
def test_only_the_guilty_sentence_fails(model: Seq2Seq, where: str, after: int) -> None:
    poison = 19
    sources = [*SENTENCES, [4, poison, 5], [7, 8, 9, 10, 11, 12, 13, 14]]
    sentences = [ask(source, n_best=2) for source in sources]
    running = RunningSet(Faulty(model, poison, where=where, after=after))
    running.admit(sentences)
    ended = run(running)
    assert set(ended) == set(sentences)
    for source, sentence in zip(sources, sentences, strict=True):
        if poison in source:
            assert sentence.hypotheses is None
            assert str(sentence.error) == f"{where} failed"
        else:
            assert_same(sentence.hypotheses, alone(model, ask(source, n_best=2)))


class Raises(Rule):
    """Fails in one of its methods after some steps."""

    def __init__(self, method: str, left: int) -> None:
        self.method, self.left = method, left

    def _fail(self, method: str) -> None:
        if method == self.method and self.left <= 0:
            raise ValueError(f"{method} failed")

    def only(self, row: int) -> None:
        self._fail("only")

    def forbid(self, log_probabilities: Tensor, columns: Columns) -> None:
        self._fail("forbid")
        log_probabilities += 0.0

    def advance(self, parents: object, tokens: object) -> Rule:
        self._fail("advance")
        return Raises(self.method, self.left - 1)

    def final(self, hypothesis: object) -> float:
        self._fail("final")
        return 0.0


@pytest.mark.parametrize("method", ["only", "forbid", "advance", "final"])
@pytest.mark.parametrize("after", [0, 1])
def test_a_rule_that_fails_ends_only_its_sentence(model: Seq2Seq, method: str, after: int) -> None:
    guilty = ask([4, 5, 6], more={"rules": [Raises(method, after)]})
    others = [ask(source) for source in SENTENCES]
    running = RunningSet(model)
    running.admit([others[0], guilty, *others[1:]])
    run(running)
    assert str(guilty.error) == f"{method} failed"
    for sentence, source in zip(others, SENTENCES, strict=True):
        assert_same(sentence.hypotheses, alone(model, ask(source)))


def test_a_failing_stop_ends_only_its_sentence(model: Seq2Seq) -> None:
    def stop(token: int) -> bool:
        raise ValueError("stop failed")

    guilty, other = ask([4, 5, 6], more={"independent": True, "stop": stop}), ask([4, 5])
    running = RunningSet(model)
    running.admit([guilty, other])
    run(running)
    assert str(guilty.error) == "stop failed"
    assert_same(other.hypotheses, alone(model, ask([4, 5])))


def test_a_passed_deadline_ends_the_sentence_and_frees_its_rows(model: Seq2Seq) -> None:
    late = ask([4, 5, 6], limit=200, beam_size=5, more={"deadline": time.monotonic() + 0.05})
    patient = ask([4, 5, 6], more={"deadline": time.monotonic() + 1000})
    running = RunningSet(model)
    running.admit([late, patient])
    running.step()
    time.sleep(0.06)
    running.step()
    assert late in running.finished()
    assert isinstance(late.error, DeadlineExceeded)
    assert late.hypotheses is None
    assert len(running) <= 1  # a second thread may have ended the other one
    assert running.rows == 5 * len(running)
    run(running)
    assert_same(patient.hypotheses, alone(model, ask([4, 5, 6])))


def test_a_deadline_that_passed_while_waiting_needs_no_model() -> None:
    late = ask([4], more={"deadline": time.monotonic() - 1})
    running = RunningSet(SimpleNamespace(few_rows=0))  # type: ignore[arg-type]
    running.admit([late])
    running.step()
    assert running.finished() == [late]
    assert isinstance(late.error, DeadlineExceeded)


def test_a_dropped_sentence_is_forgotten(model: Seq2Seq) -> None:
    gone, waiting = ask([4, 5, 6]), ask([4, 5])
    stays = ask([5, 6], limit=100_000, more={"rules": [Endless()]})
    running = RunningSet(model)
    running.admit([gone, stays])
    running.step()
    running.admit([waiting])
    running.drop(gone)
    running.drop(waiting)
    assert running.rows == 5
    running.step()
    running.drop(stays)
    assert not running.rows
    assert not running.finished()
    assert gone.hypotheses is gone.error is waiting.hypotheses is waiting.error is None


def test_dropping_twice_or_a_stranger_is_harmless(model: Seq2Seq) -> None:
    sentence = ask([4, 5, 6])
    running = RunningSet(model)
    running.drop(sentence)
    running.admit([sentence])
    run(running)
    running.drop(sentence)
    assert len(running) == 0


def test_budget_of_rows_and_of_padded_units() -> None:
    running = RunningSet(random_model(0), max_rows=12, max_units=20)
    assert running.room_for(ask([4] * 100, beam_size=100)), "an empty set has room for anything"
    running.admit([ask([4, 5, 6], beam_size=5)])  # 4 units with EOS
    assert running.room_for(ask([4], beam_size=7))
    assert not running.room_for(ask([4], beam_size=8))
    assert running.room_for(ask([4] * 9, beam_size=1)), "two sentences of 10 units"
    assert not running.room_for(ask([4] * 10, beam_size=1)), "two sentences of 11 units"
    assert not running.room_for(ask([4], n_best=8, sampling=Sampling())), "every sample is a row"


def test_translate_all_keeps_to_the_budget_and_answers_everybody(model: Seq2Seq, halves: bool) -> None:
    rows: list[int] = []

    class Watched(Faulty):
        def step(self, tokens: Tensor, state: DecoderState, vocabulary: Tensor | None = None) -> Step:
            rows.append(len(tokens))
            return super().step(tokens, state, vocabulary)

    sources = [[4 + (i * j) % 16 for j in range(1 + i % 9)] for i in range(40)]
    sentences = [ask(source, beam_size=2) for source in sources]
    translate_all(Watched(model, 99, where=""), sentences, max_rows=10)
    assert max(rows) == 10 or (halves and 4 <= max(rows) <= 6)
    for source, sentence in zip(sources, sentences, strict=True):
        assert_same(sentence.hypotheses, alone(model, ask(source, beam_size=2)))


def test_weights_that_are_not_finite_end_every_sentence_with_an_error() -> None:
    broken = random_model(0)
    with torch.no_grad():
        broken.decoder.output.bias.fill_(math.nan)
    sentences = [ask([4, 5], beam_size=1), ask([4, 5], beam_size=5), ask([4], n_best=2, sampling=Sampling())]
    translate_all(broken, sentences)
    for sentence in sentences:
        assert sentence.hypotheses is None
        assert isinstance(sentence.error, NmtError)
        assert "not finite" in str(sentence.error)


def test_what_a_sentence_keeps_does_not_hold_the_batch_in_memory(model: Seq2Seq) -> None:
    sentences = [ask(source, more={"stream": True}) for source in SENTENCES * 5]
    for hypotheses in answers(model, sentences):
        assert hypotheses[0].attention is not None
        assert hypotheses[0].attention.base is None
    rows = [unit.attention for sentence in sentences for unit in sentence.committed]
    assert all(row is not None and row.base is None for row in rows)
