"""From the engine's results to JSON, as the schemas describe it."""

from __future__ import annotations

import json
import math
from collections.abc import Collection, Iterable
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from nmt.alignment import AttentionMatrix, Token
from service.errors import Problem
from service.events import Committed, Started
from service.models import ServedModel
from service.ticket import Answer

if TYPE_CHECKING:
    from nmt.translation import TranslatedHypothesis, TranslatedSentence, Translation

_ATTENTION_DIGITS = 5
"""Decimals of a weight: even a row of a thousand still sums to 1 within 0.005."""


def matrix_of(hypothesis: TranslatedHypothesis, granularity: str) -> AttentionMatrix:
    """The attention at `word` or `subword` level."""
    return hypothesis.words if granularity == "word" else hypothesis.subwords


def cells(sentences: Iterable[TranslatedSentence], granularity: str) -> int:
    """Weights in the attention of all candidates."""
    return sum(
        matrix_of(hypothesis, granularity).weights.size for sentence in sentences for hypothesis in sentence.hypotheses
    )


def check_cells(cells: int, limit: int, *, one_sentence: bool = False) -> None:
    """Raise `Problem` if that is more than the answer may hold."""
    if cells > limit:
        less = "a shorter sentence" if one_sentence else "less text, or ask for fewer candidates or for no attention"
        raise Problem(
            "attention_too_large",
            f"The attention has {cells} weights, but an answer may hold {limit}; send {less}.",
            pointer="/text" if one_sentence else "/return",
        )


def model_reference(model: ServedModel) -> dict[str, Any]:
    """Which bundle it was."""
    return {"name": model.name, "version": model.version, "sha256": model.sha256}


def opening(request_id: str, model: ServedModel, answer: Answer) -> dict[str, Any]:
    """What every answer of the engine begins with."""
    return {
        "request_id": request_id,
        "model": model_reference(model),
        "timing_ms": {
            "queue": round(answer.queue_seconds * 1000, 2),
            "compute": round(answer.compute_seconds * 1000, 2),
        },
    }


def text_answer(translation: Translation, parts: Collection[str], granularity: str) -> dict[str, Any]:
    """One of the `results` of `POST /v1/translate`."""
    return {
        "text": translation.text,
        "sentences": [
            sentence_answer(sentence, parts, granularity) | {"target_span": sentence.target_span}
            for sentence in translation.sentences
        ],
    }


def sentence_answer(sentence: TranslatedSentence, parts: Collection[str], granularity: str) -> dict[str, Any]:
    """A sentence, without its place in the translated text."""
    return {
        "source_span": sentence.source_span,
        "flags": sentence.flags,
        "flag_spans": [
            {"flag": flag.name, "side": flag.side, "span": flag.span}
            for flag in sentence.flag_spans
            if flag.span is not None
        ],
        "hypotheses": [hypothesis_answer(hypothesis, parts, granularity) for hypothesis in sentence.hypotheses],
    }


def hypothesis_answer(hypothesis: TranslatedHypothesis, parts: Collection[str], granularity: str) -> dict[str, Any]:
    """A candidate, with the parts that were asked for."""
    matrix = matrix_of(hypothesis, granularity)
    answer: dict[str, Any] = {
        "text": hypothesis.text,
        "score": number(hypothesis.score),
        "confidence": number(hypothesis.confidence),
        "perplexity": number(hypothesis.perplexity),
    }
    if "tokens" in parts:
        answer["source_tokens"] = [token_answer(token) for token in matrix.source]
        answer["target_tokens"] = [token_answer(token, scores="scores" in parts) for token in matrix.target]
    if "alignment" in parts:
        answer["alignment_by"] = hypothesis.alignment_by
        answer["alignment"] = [
            [source, target, round(weight, 4)] for source, target, weight in hypothesis.links(granularity)
        ]
    if "attention" in parts:
        answer["attention"] = {"rows": "target", "columns": "source", "data": rounded(matrix.weights)}
    return answer


def start_event(started: Started) -> dict[str, Any]:
    """The data of `event: start`, but for what every answer begins with."""
    return {
        "sentences": [
            {
                "text": place.text,
                "sentence": place.sentence,
                "source_span": place.span,
                "source_tokens": [token_answer(token) for token in place.source_tokens],
            }
            for place in started.places
        ]
    }


def token_event(committed: Committed) -> dict[str, Any]:
    """The data of `event: token`."""
    attention = committed.token.attention
    return {
        "text": committed.text,
        "sentence": committed.sentence,
        "index": committed.index,
        "token": token_answer(committed.token.token, scores=True),
        "added": committed.token.added,
        "attention": None if attention is None else rounded(attention),
    }


def rounded(weights: NDArray[np.float32]) -> list[Any]:
    """Weights of any shape with few decimals."""
    rows: list[Any] = np.round(weights.astype(np.float64), _ATTENTION_DIGITS).tolist()
    return rows


def token_answer(token: Token, *, scores: bool = False) -> dict[str, Any]:
    """A token; with `scores`, its log-probability too."""
    answer: dict[str, Any] = {"text": token.text, "span": token.span}
    if token.special:
        answer["special"] = True
    if scores and token.logprob is not None:
        answer["logprob"] = number(token.logprob)
    return answer


def number(value: float) -> float | None:
    """JSON has no infinity."""
    return round(float(value), 4) if math.isfinite(value) else None


def to_json(document: Any) -> bytes:
    """Compact UTF-8."""
    return json.dumps(document, ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode("utf-8", "replace")
