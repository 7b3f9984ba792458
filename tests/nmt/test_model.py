from dataclasses import replace
from typing import Any
from unittest.mock import patch

import pytest
import torch

from nmt.batch import Batch
from nmt.cells import shared_dropout, word_dropout
from nmt.config import ModelConfig
from nmt.decoder import Parallel
from nmt.embedding import Embedding
from nmt.model import Seq2Seq
from tests.nmt.combinations import build, name, pairwise
from tests.nmt.tasks import accuracy, learn, reversals

COMBINATIONS = pairwise()
UNEVEN = Batch.of([[4, 5, 6], [7, 8, 9, 10, 4], [11]], [[5, 6], [4, 5, 6, 7], [8]])


def make(combination: dict[str, Any], *, size: int = 16, dropout: float = 0.0) -> Seq2Seq:
    torch.manual_seed(1)
    return Seq2Seq(build(combination, size=size, dropout=dropout)).eval()


@pytest.mark.parametrize("combination", COMBINATIONS, ids=name)
def test_combination_solves_a_small_task(combination: dict[str, Any]) -> None:
    model = make(combination, size=32)
    sources, targets = reversals(600, length=3, symbols=6, seed=0)
    reached = 0.0
    for _ in range(12):
        learn(model, sources[:400], targets[:400], updates=75)
        reached = accuracy(model, sources[400:], targets[400:])
        if reached >= 0.95:
            break
    assert reached >= 0.95


@pytest.mark.parametrize("combination", COMBINATIONS, ids=name)
@torch.no_grad()
def test_unrolled_pass_equals_steps(combination: dict[str, Any]) -> None:
    model = make(combination)
    unrolled = model(UNEVEN)
    logits = model.decoder.output(unrolled.features)
    state = model.decoder.start(model.encode(UNEVEN.source))
    for t in range(UNEVEN.target_in.shape[1]):
        step = model.decoder.step(UNEVEN.target_in[:, t], state)
        state = step.state
        torch.testing.assert_close(step.logits, logits[:, t], rtol=0, atol=1e-5)
        if unrolled.weights is not None:
            assert step.weights is not None
            torch.testing.assert_close(step.weights, unrolled.weights[:, t], rtol=0, atol=1e-5)


@pytest.mark.parametrize("combination", COMBINATIONS, ids=name)
@torch.no_grad()
def test_padding_changes_nothing_and_gets_no_weight(combination: dict[str, Any]) -> None:
    model = make(combination)
    together = model(UNEVEN)
    alone = model(Batch.of([[4, 5, 6]], [[5, 6]]))
    torch.testing.assert_close(together.features[:1, :3], alone.features, rtol=0, atol=1e-5)
    if together.weights is not None:
        assert together.weights[0, :, 4:].eq(0).all()
        torch.testing.assert_close(together.weights.sum(dim=2), torch.ones(3, 5))


@pytest.mark.parametrize("combination", COMBINATIONS, ids=name)
def test_dropout_is_one_mask_for_all_steps_and_every_weight_learns(combination: dict[str, Any]) -> None:
    model = make(combination, dropout=0.5).train()
    torch.manual_seed(0)
    first = model(UNEVEN).features
    torch.manual_seed(0)
    assert torch.equal(first, model(UNEVEN).features)
    assert not torch.equal(first, model(UNEVEN).features)
    model.decoder.output(first).sum().backward()
    unused = [
        name
        for name, parameter in model.named_parameters()
        if (parameter.grad is None or not parameter.grad.any()) and "embedding" not in name
    ]
    assert unused == []


@pytest.mark.parametrize("combination", COMBINATIONS, ids=name)
def test_dropout_draws_as_much_for_many_steps_as_for_one(
    combination: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    drawn: list[tuple[int, ...]] = []

    def note(inputs: torch.Tensor, rate: float) -> torch.Tensor:
        drawn.append((len(inputs), inputs.shape[-1]))
        return shared_dropout(inputs, rate)

    for place in ("cells", "decoder", "encoder"):
        monkeypatch.setattr(f"nmt.{place}.shared_dropout", note)
    model = make(combination, dropout=0.5).train()
    model(Batch.of([[4, 5, 6]], [[5, 6]]))
    few, drawn[:] = list(drawn), []
    model(Batch.of([[4, 5, 6] * 4], [[5, 6] * 4]))
    assert few == drawn != []


def test_features_drop_the_same_units_at_every_step() -> None:
    model = make(COMBINATIONS[0], dropout=0.5).train()
    dropped = model(UNEVEN).features == 0  # (B, T, E)
    assert dropped.any()
    assert torch.equal(dropped, dropped[:, :1].expand_as(dropped))


@pytest.mark.parametrize("side", ["source", "target"])
@pytest.mark.parametrize("combination", COMBINATIONS, ids=name)
def test_a_dropped_word_says_nothing(combination: dict[str, Any], side: str) -> None:
    config = replace(build(combination, size=16), **{f"{side}_word_dropout": 0.5})
    model = Seq2Seq(config).train()
    other = replace(UNEVEN, source=UNEVEN.source.clone(), target_in=UNEVEN.target_in.clone())
    (other.source if side == "source" else other.target_in)[:, 1] = 9
    second = torch.ones(3, 9, 1)
    second[:, 1] = 0
    place = "nmt.encoder" if side == "source" else "nmt.decoder"
    with patch(f"{place}.word_dropout", lambda embedded, _: second[:, : embedded.shape[1]]):
        torch.testing.assert_close(model(UNEVEN).features, model(other).features)
        assert not torch.equal(model.eval()(UNEVEN).features, model(other).features)  # decoding drops nothing


def test_word_dropout_takes_whole_words_and_keeps_the_mean() -> None:
    torch.manual_seed(0)
    mask = word_dropout(torch.empty(50, 40, 8), 0.25)
    assert mask.shape == (50, 40, 1)
    assert mask.unique().tolist() == pytest.approx([0.0, 4 / 3])
    assert float(mask.mean()) == pytest.approx(1.0, abs=0.05)


def test_parallel_wiring_never_steps_through_a_teacher_forced_pass() -> None:
    combination = next(c for c in COMBINATIONS if c["wiring"] == "parallel")
    model = make(combination)
    with (
        patch.object(Parallel, "step", side_effect=AssertionError("stepped")),
        patch("torch.lstm_cell", side_effect=AssertionError("stepped")),
        patch("torch.gru_cell", side_effect=AssertionError("stepped")),
    ):
        model(UNEVEN)


def test_attention_solves_longer_inputs_that_first_state_cannot() -> None:
    sources, targets = reversals(1200, length=12, symbols=8, seed=0)
    reached = {}
    for context, score, wiring in (("first_state", "", ""), ("attention", "general", "parallel")):
        torch.manual_seed(1)
        model = Seq2Seq(
            ModelConfig(
                source_vocabulary=12, target_vocabulary=12, cell="gru", embedding_size=32, encoder_size=16,
                decoder_size=32, context=context, score=score, wiring=wiring, dropout=0.0,
            )
        )  # fmt: skip
        for _ in range(8):
            learn(model, sources[:1000], targets[:1000], updates=100)
            reached[context] = accuracy(model, sources[1000:], targets[1000:])
            if reached[context] > 0.9:
                break
    assert reached["attention"] > 0.9
    assert reached["first_state"] < 0.5


@pytest.mark.parametrize("wiring", ["conditional", "input_feeding", "parallel"])
@torch.no_grad()
def test_bf16_stays_near_fp32(wiring: str) -> None:
    combination = next(c for c in COMBINATIONS if c["wiring"] == wiring)
    model = make(combination)
    exact = model(UNEVEN)
    model.bfloat16()
    near = model(UNEVEN)
    assert near.features.dtype == torch.bfloat16
    torch.testing.assert_close(near.features.float(), exact.features, rtol=0, atol=0.1)


def test_gradient_of_a_frequent_unit_is_not_lost_in_bf16() -> None:
    embedding = Embedding(4, 2).bfloat16()
    embedding(torch.full((3000,), 3)).backward(torch.full((3000, 2), 0.01, dtype=torch.bfloat16))
    assert embedding.weight.grad is not None
    assert embedding.weight.grad[3].tolist() == pytest.approx([30.0, 30.0], rel=0.01)
    assert not embedding.weight.grad[:3].any()


@torch.no_grad()
def test_shared_embeddings_are_one_tensor() -> None:
    model = make({**COMBINATIONS[0], "tying": "three_way"})
    assert model.encoder.embedding.weight is model.decoder.embedding.weight is model.decoder.output.weight
    assert len([name for name, _ in model.named_parameters() if "embedding" in name or "output.weight" in name]) == 1
