"""From the engine's results to JSON, as the schemas describe it."""

from __future__ import annotations

import json
import math
from collections.abc import Collection, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from nmt.alignment import AttentionMatrix, Token, links
from service.engine import Answer
from service.errors import Problem
from service.models import ServedModel

if TYPE_CHECKING:
    from nmt.translator import TranslatedHypothesis, TranslatedSentence, Translation

_ATTENTION_DIGITS = 5
"""Decimals of a weight: even a row of a thousand still sums to 1 within 0.005."""


def matrix_of(hypothesis: TranslatedHypothesis, granularity: str) -> AttentionMatrix:
    """The attention at `word` or `subword` level."""
    return hypothesis.words if granularity == "word" else hypothesis.subwords


def check_cells(results: Sequence[Translation], granularity: str, limit: int) -> None:
    """Raise `Problem` if the attention of all candidates is more than the answer may hold."""
    cells = sum(
        matrix_of(hypothesis, granularity).weights.size
        for translation in results
        for sentence in translation.sentences
        for hypothesis in sentence.hypotheses
    )
    if cells > limit:
        raise Problem(
            "attention_too_large",
            f"The attention has {cells} weights, but an answer may hold {limit}; send less text, or ask for "
            "fewer candidates or for no attention.",
            pointer="/return",
        )


def translate_answer(
    request_id: str, model: ServedModel, answer: Answer, *, parts: Collection[str], granularity: str
) -> dict[str, Any]:
    """The body of `POST /v1/translate`."""
    return {
        "request_id": request_id,
        "model": {"name": model.name, "version": model.version, "sha256": model.sha256},
        "timing_ms": {
            "queue": round(answer.queue_seconds * 1000, 2),
            "compute": round(answer.compute_seconds * 1000, 2),
        },
        "results": [
            {
                "text": translation.text,
                "sentences": [_sentence(sentence, parts, granularity) for sentence in translation.sentences],
            }
            for translation in answer.results
        ],
    }


def _sentence(sentence: TranslatedSentence, parts: Collection[str], granularity: str) -> dict[str, Any]:
    return {
        "source_span": sentence.source_span,
        "target_span": sentence.target_span,
        "flags": sentence.flags,
        "hypotheses": [_hypothesis(hypothesis, parts, granularity) for hypothesis in sentence.hypotheses],
    }


def _hypothesis(hypothesis: TranslatedHypothesis, parts: Collection[str], granularity: str) -> dict[str, Any]:
    matrix = matrix_of(hypothesis, granularity)
    answer: dict[str, Any] = {
        "text": hypothesis.text,
        "score": _number(hypothesis.score),
        "confidence": _number(hypothesis.confidence),
    }
    if "tokens" in parts:
        answer["source_tokens"] = [_token(token, False) for token in matrix.source]
        answer["target_tokens"] = [_token(token, "scores" in parts) for token in matrix.target]
    if "alignment" in parts:
        answer["alignment"] = [[source, target, round(weight, 4)] for source, target, weight in links(matrix)]
    if "attention" in parts:
        answer["attention"] = {"rows": "target", "columns": "source", "data": rounded(matrix)}
    return answer


def rounded(matrix: AttentionMatrix) -> list[list[float]]:
    """The weights with few decimals."""
    rows: list[list[float]] = np.round(matrix.weights.astype(np.float64), _ATTENTION_DIGITS).tolist()
    return rows


def _token(token: Token, scores: bool) -> dict[str, Any]:
    answer: dict[str, Any] = {"text": token.text, "span": token.span}
    if token.special:
        answer["special"] = True
    if scores and token.logprob is not None:
        answer["logprob"] = _number(token.logprob)
    return answer


def _number(value: float) -> float | None:
    """JSON has no infinity."""
    return round(float(value), 4) if math.isfinite(value) else None


def to_json(document: Any) -> bytes:
    """Compact UTF-8."""
    return json.dumps(document, ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode("utf-8", "replace")
