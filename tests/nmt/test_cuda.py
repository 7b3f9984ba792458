"""The GPU's path, on the CPU with a capture that calls the function again, and on a GPU where there is one."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch

from nmt.batch import pad
from nmt.config import EOS, ModelConfig
from nmt.cuda import Capture, GraphModel, Outputs, bucket_of, cuda_graphs
from nmt.model import DecodingModel, Seq2Seq
from nmt.search import SearchOptions, Sentence, translate_all

ARCHITECTURES: list[dict[str, Any]] = [
    {"wiring": "parallel"},
    {"wiring": "input_feeding", "score": "additive"},
    {"wiring": "conditional", "cell": "gru", "score": "dot"},
    {"context": "first_state", "wiring": "", "score": ""},
    {"context": "every_step", "wiring": "", "score": "", "cell": "rnn_tanh"},
]
LENGTHS = (3, 9, 1, 14, 5, 9, 2)


def tiny(**architecture: Any) -> Seq2Seq:
    torch.manual_seed(3)
    sizes = {
        "source_vocabulary": 20,
        "target_vocabulary": 20,
        "embedding_size": 16,
        "encoder_size": 8,
        "decoder_size": 16,
    }
    return Seq2Seq(ModelConfig(**(sizes | architecture))).eval()


def call_again(function: Callable[[], Outputs]) -> tuple[Outputs, Callable[[], object]]:
    """What a CUDA graph does, without one: the same tensors get new values at every replay."""
    outputs = function()

    def replay() -> None:
        for fixed, fresh in zip(outputs, function(), strict=True):
            fixed.copy_(fresh)

    return outputs, replay


def sentences(beam_size: int, device: str = "cpu") -> list[Sentence]:
    random = np.random.default_rng(0)
    options = SearchOptions(beam_size=beam_size, n_best=min(2, beam_size))
    sources = [[*random.integers(4, 20, length).tolist(), EOS] for length in LENGTHS]
    return [Sentence(source, limit=2 * len(source), options=options) for source in sources]


def search(model: DecodingModel, beam_size: int) -> list[Sentence]:
    asked = sentences(beam_size)
    translate_all(model, asked)
    return asked


def assert_same(found: list[Sentence], expected: list[Sentence], tolerance: float) -> None:
    for one, other in zip(found, expected, strict=True):
        assert one.hypotheses is not None, one.error
        assert other.hypotheses is not None, other.error
        for a, b in zip(one.hypotheses, other.hypotheses, strict=True):
            assert a.tokens == b.tokens
            assert a.token_scores == pytest.approx(b.token_scores, abs=tolerance)
            if b.attention is None:
                assert a.attention is None
            else:
                assert a.attention == pytest.approx(b.attention, abs=tolerance)


@pytest.mark.parametrize("architecture", ARCHITECTURES, ids=lambda a: a.get("wiring") or a["context"])
@pytest.mark.parametrize("beam_size", [1, 3])
def test_replayed_steps_equal_the_model_itself(architecture: dict[str, Any], beam_size: int) -> None:
    model = tiny(**architecture)
    graphs = GraphModel(model, device="cpu", dtype=torch.float32, capture=call_again)
    assert_same(search(graphs, beam_size), search(model, beam_size), 1e-5)


def test_what_a_step_returned_outlives_the_next_step() -> None:
    graphs = GraphModel(tiny(), device="cpu", dtype=torch.float32, capture=call_again)
    state = graphs.start(graphs.encode(pad([[5, 6, EOS], [7, EOS]])))
    first = graphs.step(torch.tensor([2, 2]), state)
    assert first.weights is not None
    kept = [first.logits.clone(), first.weights.clone(), first.state.recurrent.hidden.clone()]
    graphs.step(torch.tensor([9, 11]), first.state)
    assert torch.equal(first.logits, kept[0])
    assert torch.equal(first.weights, kept[1])
    assert torch.equal(first.state.recurrent.hidden, kept[2])


def test_buckets_round_up_and_leave_out_what_is_too_large() -> None:
    assert bucket_of(5, 5, 17) == (8, 5, 24)
    assert bucket_of(64, 1, 8) == (64, 1, 8)
    assert bucket_of(3, 2, 1) == (4, 2, 1)
    assert bucket_of(1025, 1, 8) is None
    assert bucket_of(512, 200, 8) is None
    assert bucket_of(1, 1, 1000) is None


def test_a_bucket_is_captured_once() -> None:
    captured: list[Outputs] = []

    def counting(function: Callable[[], Outputs]) -> tuple[Outputs, Callable[[], object]]:
        outputs, replay = call_again(function)
        captured.append(outputs)
        return outputs, replay

    graphs = GraphModel(tiny(), device="cpu", dtype=torch.float32, capture=counting)
    for _ in range(2):
        state = graphs.start(graphs.encode(pad([[5, 6, EOS]])))
        for token in (2, 7, 8):
            state = graphs.step(torch.tensor([token]), state).state
    assert len(captured) == 1


def test_the_bucket_unused_for_longest_makes_room() -> None:
    captured: list[int] = []

    def counting(function: Callable[[], Outputs]) -> tuple[Outputs, Callable[[], object]]:
        outputs, replay = call_again(function)
        captured.append(len(outputs[0]))
        return outputs, replay

    graphs = GraphModel(tiny(), device="cpu", dtype=torch.float32, capture=counting, most_graphs=2)
    for count in (1, 2, 1, 4, 1, 2):
        state = graphs.start(graphs.encode(pad([[5, 6, EOS]] * count)))
        graphs.step(torch.tensor([2] * count), state)
    assert captured == [1, 2, 4, 2]


def test_a_step_that_cannot_be_captured_runs_as_it_is(caplog: pytest.LogCaptureFixture) -> None:
    def fails(function: Callable[[], Outputs]) -> tuple[Outputs, Callable[[], object]]:
        raise RuntimeError("operation not permitted when stream is capturing")

    model = tiny()
    graphs = GraphModel(model, device="cpu", dtype=torch.float32, capture=fails)
    assert_same(search(graphs, 2), search(model, 2), 1e-5)
    assert "operation not permitted" in caplog.text


def test_a_shortlist_is_served_without_a_graph() -> None:
    def forbidden(function: Callable[[], Outputs]) -> tuple[Outputs, Callable[[], object]]:
        raise AssertionError("captured")

    model = tiny()
    graphs = GraphModel(model, device="cpu", dtype=torch.float32, capture=forbidden)
    state = graphs.start(graphs.encode(pad([[5, 6, EOS]])))
    ids = torch.tensor([3, 7, 9])
    step = graphs.step(torch.tensor([2]), state, ids)
    whole = model.step(torch.tensor([2]), model.start(model.encode(pad([[5, 6, EOS]]))))
    assert step.logits == pytest.approx(whole.logits[:, ids].detach(), abs=1e-6)


def test_bf16_stays_close_to_fp32() -> None:
    model = tiny()
    graphs = GraphModel(model, device="cpu", dtype=torch.bfloat16, capture=call_again)
    source = pad([[5, 6, 7, EOS], [8, EOS]])
    found = graphs.step(torch.tensor([2, 2]), graphs.start(graphs.encode(source)))
    expected = model.step(torch.tensor([2, 2]), model.start(model.encode(source)))
    assert found.logits.dtype == torch.float32
    assert found.logits == pytest.approx(expected.logits.detach(), abs=0.05)


def model_config() -> ModelConfig:
    return ModelConfig(
        source_vocabulary=500, target_vocabulary=500, embedding_size=64, encoder_size=32, decoder_size=64
    )


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
@pytest.mark.parametrize("beam_size", [1, 5])
def test_captured_graphs_equal_the_reference_on_the_gpu(beam_size: int) -> None:
    torch.manual_seed(0)
    model = Seq2Seq(model_config()).eval()
    capture: Capture = cuda_graphs()
    allowed, torch.backends.cudnn.allow_tf32 = torch.backends.cudnn.allow_tf32, False
    try:
        graphs = GraphModel(model, device="cuda", dtype=torch.float32, capture=capture)
        assert_same(search(graphs, beam_size), search(model, beam_size), 1e-3)
    finally:
        torch.backends.cudnn.allow_tf32 = allowed


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_captured_bf16_steps_are_close_on_the_gpu(caplog: pytest.LogCaptureFixture) -> None:
    torch.manual_seed(0)
    model = Seq2Seq(model_config()).eval()
    graphs = GraphModel(model, device="cuda", dtype=torch.bfloat16, capture=cuda_graphs())
    source = pad([[5, 6, 7, EOS], [8, EOS]])
    state = graphs.start(graphs.encode(source.cuda()))
    found = graphs.step(torch.tensor([2, 2], device="cuda"), state)
    expected = model.step(torch.tensor([2, 2]), model.start(model.encode(source)))
    assert found.logits.cpu() == pytest.approx(expected.logits.detach(), abs=0.1)
    assert "no graph" not in caplog.text
