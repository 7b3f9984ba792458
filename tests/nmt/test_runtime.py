"""Every runtime computes the reference's function; the default one the same bits in any company."""

from __future__ import annotations

import random
import threading
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from nmt.batch import pad
from nmt.config import BOS, EOS, ModelConfig
from nmt.decoder import Step
from nmt.errors import ConfigError
from nmt.fixed_model import FixedPointModel
from nmt.fixed_point import Int8Linear, lstm, sigmoid, to_grid
from nmt.model import DecodingModel, Seq2Seq
from nmt.runtime import Float16Model, runtime_for
from nmt.search import RunningSet, SearchOptions, Sentence, translate_all
from tests.nmt.combinations import build, name, pairwise

VOCABULARY = 40
FIXED: list[dict[str, Any]] = [
    {},
    {"score": "dot", "bridge": "last"},
    {"score": "scaled_dot", "bridge": "transform", "decoder_layers": 3},
    {"bidirectional": False, "encoder_layers": 1, "encoder_size": 64},
    {"residual": False, "decoder_layers": 3, "tying": "none"},
    {"encoder_layers": 4, "tying": "two_way"},
    {"wiring": "input_feeding", "decoder_layers": 1, "residual": False, "embedding_size": 64},
    {"wiring": "input_feeding", "decoder_layers": 3, "score": "dot"},
    {"wiring": "conditional", "decoder_layers": 2, "bridge": "transform"},
]


def fixed_model(seed: int = 0, **architecture: Any) -> Seq2Seq:
    torch.manual_seed(seed)
    sizes = {"embedding_size": 32, "encoder_size": 32, "decoder_size": 64, "dropout": 0.0}
    config = {"source_vocabulary": VOCABULARY, "target_vocabulary": VOCABULARY, **sizes, **architecture}
    return Seq2Seq(ModelConfig.from_dict(config)).eval()


def sentences(lengths: list[int], seed: int = 0) -> list[list[int]]:
    rng = random.Random(seed)
    return [[*(rng.randrange(EOS + 1, VOCABULARY) for _ in range(length)), EOS] for length in lengths]


@torch.inference_mode()
def forced(
    model: DecodingModel, sources: list[list[int]], *, rows: int = 1, steps: int = 4, padding: int = 0
) -> list[tuple[Tensor, Tensor | None]]:
    """Log-probabilities (steps, K, V) and attention (steps, K, S) of each sentence, fed units of its own."""
    state = model.start(model.encode(torch.nn.functional.pad(pad(sources), (0, padding))))
    state = state.select(torch.arange(len(sources)).repeat_interleave(rows))
    logits, weights = [], []
    for number in range(steps):
        units = [(source[0] + number + row) % 8 + BOS for source in sources for row in range(rows)]
        step = model.step(torch.tensor(units), state)
        state = step.state
        logits.append(step.logits.log_softmax(dim=-1).view(len(sources), rows, -1))
        weights.append(None if step.weights is None else step.weights.view(len(sources), rows, -1))
    return [
        (
            torch.stack([step[b] for step in logits]),
            None if weights[0] is None else torch.stack([w[b, :, : len(source)] for w in weights if w is not None]),
        )
        for b, source in enumerate(sources)
    ]


def assert_close(ours: DecodingModel, reference: DecodingModel, tolerance: float) -> None:
    sources = sentences([7, 2, 11])
    for (scores, weights), (right, right_weights) in zip(
        forced(ours, sources, rows=2), forced(reference, sources, rows=2), strict=True
    ):
        assert (scores - right).abs().max() < tolerance
        assert (weights is None) == (right_weights is None)
        if weights is not None and right_weights is not None:
            assert (weights - right_weights).abs().max() < tolerance


@pytest.mark.parametrize("combination", pairwise(), ids=name)
def test_float16_equals_the_reference_for_every_pair_of_choices(combination: dict[str, Any]) -> None:
    torch.manual_seed(0)
    model = Seq2Seq(build(combination, size=16, vocabulary=VOCABULARY)).eval()
    assert_close(runtime_for(model, "float16"), model, 5e-3)


@pytest.mark.parametrize("architecture", FIXED, ids=str)
def test_int8_is_close_to_the_reference(architecture: dict[str, Any]) -> None:
    model = fixed_model(**architecture)
    assert_close(runtime_for(model, "int8"), model, 5e-2)


@pytest.mark.parametrize("architecture", FIXED, ids=str)
@pytest.mark.parametrize("compute", ["int8", "float16"])
def test_vocabulary_picks_columns_of_all_logits(architecture: dict[str, Any], compute: str) -> None:
    model = runtime_for(fixed_model(**architecture), compute)
    state = model.start(model.encode(pad(sentences([3, 5]))))
    read = torch.tensor([BOS, 9])
    for vocabulary in (torch.tensor([EOS, 7, 30]), torch.tensor([1, EOS])):
        everything = model.step(read, state).logits[:, vocabulary]
        assert (model.step(read, state, vocabulary).logits - everything).abs().max() < 5e-3


@pytest.mark.parametrize(
    ("architecture", "threads"), [*((one, 3) for one in FIXED), *(({}, threads) for threads in (1, 2, 5))], ids=str
)
def test_int8_is_bitwise_the_same_in_any_company(architecture: dict[str, Any], threads: int) -> None:
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        model = runtime_for(fixed_model(**architecture), "int8")
        sources = sentences([n % 19 + 1 for n in range(150)])  # gates enough for several threads
        for rows in (1, 3):
            together = forced(model, sources, rows=rows)
            for b in range(0, len(sources), 29):
                ((scores, weights),) = forced(model, [sources[b]], rows=rows, padding=b % 17)
                assert torch.equal(scores, together[b][0])
                assert weights is not None
                assert torch.equal(weights, together[b][1])
    finally:
        torch.set_num_threads(before)


@settings(max_examples=20, deadline=None)
@given(
    lengths=st.lists(st.integers(1, 40), min_size=2, max_size=9),
    rows=st.integers(1, 6),
    joined=st.integers(1, 8),
    seed=st.integers(0, 100),
    in_place=st.booleans(),
)
def test_sentence_that_joins_or_stays_gets_the_same_bits(
    lengths: list[int], rows: int, joined: int, seed: int, in_place: bool
) -> None:
    model = FixedPointModel(fixed_model(seed % 3))
    sources = sentences(lengths, seed)
    joined = min(joined, len(sources) - 1)

    def start(some: list[list[int]]) -> Any:
        return model.start(model.encode(pad(some))).select(torch.arange(len(some)).repeat_interleave(rows))

    with torch.inference_mode():
        early, late = sources[:joined], sources[joined:]
        read = torch.arange(len(early) * rows) % 8 + BOS
        state = model.step(read, start(early)).state.join(start(late))
        kept = torch.tensor([len(sources) - 1, 0])  # the others leave
        chosen = (kept[:, None] * rows + torch.arange(rows)).flatten()
        state = state.keep(chosen, kept) if in_place else state.select(chosen, kept)
        step = model.step(torch.full((2 * rows,), BOS), state)
        alone = model.step(torch.full((rows,), BOS), start([sources[-1]]))
        assert torch.equal(step.logits[:rows], alone.logits)
        assert alone.weights is not None
        assert step.weights is not None
        size = len(sources[-1])
        assert torch.equal(step.weights[:rows, :size], alone.weights[:, :size])
        first = model.step(read[:rows], start([sources[0]])).state
        alone = model.step(torch.full((rows,), BOS), first)
        assert torch.equal(step.logits[rows:], alone.logits)


@pytest.mark.parametrize("padding", [0, 5])
def test_many_sentences_are_encoded_in_parts_with_the_same_bits(padding: int) -> None:
    model = FixedPointModel(fixed_model())
    sources = sentences([3, 90, 41, 600, *range(1, 60)])  # one alone is more than a part
    together = model.encode(torch.nn.functional.pad(pad(sources), (0, padding)))
    assert together.memory.shape[1] == together.mask.shape[1] == 601
    for place, source in enumerate(sources):
        alone = model.encode(pad([source]))
        size = len(source)
        assert torch.equal(together.memory[place, :size], alone.memory[0])
        assert not together.memory[place, size:].any()
        assert torch.equal(together.final[:, place], alone.final[:, 0])
        assert together.mask[place].tolist() == [True] * size + [False] * (601 - size)


def test_keeping_sentences_moves_only_those_that_change_places() -> None:
    model = FixedPointModel(fixed_model())
    lengths = [9, 30, 4, 12, 7]
    source: Any = model.start(model.encode(pad(sentences(lengths)))).context
    places = torch.tensor([0, 4, 2])
    wanted = source.select(places)
    kept = source.keep(places)
    assert kept.memory.data_ptr() == source.memory.data_ptr()
    for part in ("memory", "keys", "bias", "lengths"):
        assert torch.equal(getattr(kept, part), getattr(wanted, part)), part


def test_step_leaves_the_given_state_as_it_is() -> None:
    for model in (FixedPointModel(fixed_model()), Float16Model(fixed_model())):
        state = model.start(model.encode(pad(sentences([4, 9]))))
        read = torch.tensor([5, 6])
        first = model.step(read, state)
        kept = first.logits.clone()
        model.step(read, first.state)
        assert torch.equal(model.step(read, state).logits, kept)
        assert torch.equal(first.logits, kept)


def test_product_of_whole_numbers_is_exact() -> None:
    weight = torch.tensor([[127.0, -3.0], [0.0, 127.0]])
    linear = Int8Linear(weight, torch.tensor([0.5, 0.0]), scale=1.0)
    inputs = torch.tensor([[1.0, 2.0], [-63.0, 63.0], [63.0, 0.4]])
    assert torch.equal(linear(inputs), torch.tensor([[121.5, 254.0], [-8189.5, 8001.0], [8001.5, 0.0]]))


def test_largest_products_do_not_overflow() -> None:
    linear = Int8Linear(torch.full((3, 64), 127.0), None, scale=1.0)
    assert torch.equal(linear(torch.full((2, 64), 63.0)), torch.full((2, 3), 64 * 63 * 127.0))


@pytest.mark.parametrize("threads", [1, 2, 3, 5, 7])
def test_sigmoid_of_an_element_depends_on_nothing_else(threads: int) -> None:
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        for rows in (1, 33, 137, 1001):
            values = torch.randn(rows, 96)
            together = sigmoid(values, threads)
            assert torch.equal(together[-1], sigmoid(values[-1].clone(), threads))
            assert (together - values.sigmoid()).abs().max() < 1e-6
    finally:
        torch.set_num_threads(before)


def test_grid_holds_the_nearest_multiples() -> None:
    assert torch.equal(to_grid(torch.tensor([0.3, -0.3, 0.126]), 0.25), torch.tensor([0.25, -0.25, 0.25]))


def test_lstm_equals_torch() -> None:
    layer = torch.nn.LSTMCell(4, 32)
    inputs, hidden, cell = torch.randn(3, 4), torch.randn(3, 32).tanh(), torch.randn(3, 32)
    right, right_cell = layer(inputs, (hidden, cell))
    gates = inputs @ layer.weight_ih.T + layer.bias_ih + hidden @ layer.weight_hh.T + layer.bias_hh
    gates[:, 64:96] *= 2
    halved, doubled = lstm(gates.detach(), 2 * cell, torch.get_num_threads())
    assert (2 * halved - right).abs().max() < 1e-5
    assert (doubled / 2 - right_cell).abs().max() < 1e-5


def test_default_is_int8_where_it_can_be_and_float16_elsewhere() -> None:
    assert isinstance(runtime_for(fixed_model()), FixedPointModel)
    assert isinstance(runtime_for(fixed_model(cell="gru")), Float16Model)
    model = fixed_model()
    assert runtime_for(model, "reference") is model


def test_what_cannot_be_is_refused_with_a_remedy() -> None:
    with pytest.raises(ConfigError, match="choose compute = 'default'"):
        runtime_for(fixed_model(layer_norm=True), "int8")
    with pytest.raises(ConfigError, match="int4"):
        runtime_for(fixed_model(), "int4")


def test_bf16_is_for_a_gpu() -> None:
    with pytest.raises(ConfigError, match="bfloat16"):
        runtime_for(Seq2Seq(ModelConfig(source_vocabulary=9, target_vocabulary=9)), "bfloat16")


def test_few_rows_are_decoded_by_one_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    model = runtime_for(fixed_model(), "int8")
    threads: list[tuple[int, int]] = []
    step = model.step

    def watched(tokens: Tensor, *rest: object) -> Step:
        threads.append((len(tokens), torch.get_num_threads()))
        return step(tokens, *rest)  # type: ignore[arg-type]

    monkeypatch.setattr(model, "step", watched)
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        for sentences in (1, 3):
            running = RunningSet(model)
            running.admit([Sentence([4, 5, EOS], 2, SearchOptions(beam_size=5)) for _ in range(sentences)])
            running.step()
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)
    assert threads == [(5, 1), (15, 2)]


def test_two_halves_have_the_bits_of_a_sentence_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    model = runtime_for(fixed_model(), "int8")
    chance = np.random.default_rng(5)
    size = model.config.source_vocabulary  # type: ignore[attr-defined]
    sources = [[*chance.integers(4, size, 1 + number % 17).tolist(), EOS] for number in range(40)]
    threads: set[str] = set()
    step = model.step

    def watched(*given: object) -> Step:
        threads.add(threading.current_thread().name)
        return step(*given)  # type: ignore[arg-type]

    monkeypatch.setattr(model, "step", watched)
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        together, alone = (
            [Sentence(source, 12, SearchOptions(beam_size=5, n_best=2)) for source in sources] for _ in range(2)
        )
        translate_all(model, together)
        assert threads == {threading.current_thread().name, "interlinear-half"}
        for sentence in alone:
            translate_all(model, [sentence])
    finally:
        torch.set_num_threads(before)
    for one, other in zip(together, alone, strict=True):
        for left, right in zip(one.hypotheses or [], other.hypotheses or [], strict=True):
            assert (left.tokens, left.score) == (right.tokens, right.score)
            assert left.attention is not None
            assert np.array_equal(left.attention, right.attention)
        assert one.hypotheses
