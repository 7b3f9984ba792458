"""Small random models, sentences for them, and ways to run a set: what tests of the search share."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import pytest
import torch

from nmt.config import EOS, ModelConfig
from nmt.model import DecodingModel, Seq2Seq
from nmt.search import Columns, Hypothesis, Rule, RunningSet, SearchOptions, Sentence, translate_all

SENTENCES = [[4, 5, 6, 5], [5], [6, 4, 4, 5, 6, 6, 5], [4, 6]]


def random_model(seed: int, vocabulary: int = 7, sharpness: float = 6.0) -> Seq2Seq:
    """Random weights, made decisive enough that hypotheses differ."""
    torch.manual_seed(seed)
    model = Seq2Seq(
        ModelConfig(
            source_vocabulary=vocabulary, target_vocabulary=vocabulary, embedding_size=8, encoder_size=4, decoder_size=8
        )
    ).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.mul_(sharpness if parameter.dim() == 2 and parameter.shape[0] == vocabulary else 2.0)
    return model


def ask(source: Sequence[int], *, limit: int = 12, more: dict | None = None, **options: object) -> Sentence:
    """A sentence of ids without EOS; `more` are fields of `Sentence`, the others of `SearchOptions`."""
    return Sentence([*source, EOS], limit, SearchOptions(**options), **(more or {}))  # type: ignore[arg-type]


def answers(model: DecodingModel, sentences: Sequence[Sentence]) -> list[list[Hypothesis]]:
    """Decode all; every one must end with hypotheses."""
    translate_all(model, sentences)
    for sentence in sentences:
        assert sentence.error is None, sentence.error
    return [sentence.hypotheses or [] for sentence in sentences]


def alone(model: DecodingModel, sentence: Sentence) -> list[Hypothesis]:
    """Decode a sentence that nobody shares a step with."""
    return answers(model, [sentence])[0]


def run(running: RunningSet, most: int = 500) -> list[Sentence]:
    """Step until the set is empty; those that ended, in that order."""
    ended: list[Sentence] = []
    for _ in range(most):
        if not len(running):
            return ended
        running.step()
        ended += running.finished()
    raise AssertionError(f"still running after {most} steps")


def assert_same(found: Sequence[Hypothesis] | None, expected: Sequence[Hypothesis] | None) -> None:
    """The same units, and scores and attention within 1e-4."""
    assert found is not None
    assert expected is not None
    assert [h.tokens for h in found] == [h.tokens for h in expected]
    for mine, other in zip(found, expected, strict=True):
        assert mine.score == pytest.approx(other.score, abs=1e-4)
        assert mine.truncated == other.truncated
        np.testing.assert_allclose(mine.token_scores, other.token_scores, atol=1e-4)
        if mine.attention is None or other.attention is None:
            assert mine.attention is other.attention
        else:
            np.testing.assert_allclose(mine.attention, other.attention, atol=1e-4)


class Endless(Rule):
    """No sentence ends."""

    def forbid(self, log_probabilities: torch.Tensor, columns: Columns) -> None:
        log_probabilities[:, columns.of([EOS])] = -math.inf


class Given(Rule):
    """The first units are given, whatever other rules say."""

    def __init__(self, rest: tuple[int, ...]) -> None:
        self.rest = rest

    def only(self, row: int) -> list[int] | None:
        return [self.rest[0]] if self.rest else None

    def advance(self, parents: object, tokens: object) -> Rule:
        return Given(self.rest[1:])
