"""The four scores by hand, on one query and a memory of two states."""

import math

import pytest
import torch

from nmt.attention import Attention
from nmt.config import ModelConfig
from nmt.encoder import EncoderOutput

MEMORY = torch.tensor([[[1.0, 0.0], [0.0, 2.0], [9.0, 9.0]]])
SOURCE = EncoderOutput(MEMORY, MEMORY[:, 0][None], torch.tensor([[True, True, False]]))
QUERY = torch.tensor([[[3.0, 1.0]]])


def softmax(first: float, second: float) -> list[float]:
    total = math.exp(first) + math.exp(second)
    return [math.exp(first) / total, math.exp(second) / total, 0.0]


@pytest.mark.parametrize(
    ("score", "expected"),
    [
        ("dot", softmax(3.0, 2.0)),
        ("scaled_dot", softmax(3.0 / math.sqrt(2), 2.0 / math.sqrt(2))),
        ("general", softmax(1.0, 6.0)),  # keys [0, 1] and [2, 0]
        ("additive", softmax(math.tanh(3) + 2 * math.tanh(2), math.tanh(5) + 2 * math.tanh(1))),
    ],
)
@torch.no_grad()
def test_score_by_hand(score: str, expected: list[float]) -> None:
    config = ModelConfig(
        source_vocabulary=9, target_vocabulary=9, encoder_size=1, decoder_size=2, embedding_size=2, score=score
    )
    attention = Attention(config)
    if score in ("general", "additive"):
        attention.key.weight.copy_(torch.tensor([[0.0, 1.0], [1.0, 0.0]]))
    if score == "additive":
        attention.query.weight.copy_(torch.eye(2))
        attention.query.bias.zero_()
        attention.energy.weight.copy_(torch.tensor([[1.0, 2.0]]))
    attended = attention.over(SOURCE).read(QUERY)
    assert attended.weights is not None
    assert attended.weights[0, 0].tolist() == pytest.approx(expected, abs=1e-6)
    assert attended.context[0, 0].tolist() == pytest.approx([expected[0], 2 * expected[1]], abs=1e-6)


@torch.no_grad()
def test_rows_of_a_sentence_share_its_keys() -> None:
    config = ModelConfig(source_vocabulary=9, target_vocabulary=9, encoder_size=1, decoder_size=2, embedding_size=2)
    projected = Attention(config).over(SOURCE)
    two = projected.read(torch.cat((QUERY, -QUERY), dim=1))
    assert two.weights is not None
    assert two.weights.shape == (1, 2, 3)
    torch.testing.assert_close(two.weights[:, :1], projected.read(QUERY).weights)


def test_select_drops_padding_nobody_needs() -> None:
    config = ModelConfig(source_vocabulary=9, target_vocabulary=9, encoder_size=1, decoder_size=2, embedding_size=2)
    selected = Attention(config).over(SOURCE).select(torch.tensor([0, 0]))
    assert selected.memory.shape == (2, 2, 2)
