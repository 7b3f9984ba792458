"""For those who study a translation: score a given one, and ask what else could stand at a place."""

from __future__ import annotations

import asyncio
from typing import Any

from fastapi import APIRouter, Request
from starlette.responses import Response

from service import answers, work
from service.answer_schemas import AlternativesAnswer, ScoreAnswer
from service.errors import Problem
from service.incoming import JsonRoute, while_connected
from service.routes.checks import check_one_sentence, check_prefix, check_size, check_text
from service.schemas import AlternativesRequest, ScoreRequest
from service.state import Running

router = APIRouter(prefix="/v1", route_class=JsonRoute, tags=["study"])

_PARTS = ("tokens", "scores", "alignment", "attention")


@router.post("/score", response_model=ScoreAnswer, summary="Score a given translation")
async def score(body: ScoreRequest, request: Request, running: Running) -> Response:
    """What the model thinks of a translation: log-probability of each token, attention, perplexity."""
    settings = running.settings
    check_size([body.text], settings, pointer="/text")
    check_size([body.translation], settings, pointer="/translation")
    model = running.models.choose(body.source, body.target, body.model, body.version)
    check_text(body.text)
    check_text(body.translation, pointer="/translation")
    await check_one_sentence(body.text)
    answer = await while_connected(
        request,
        work.score(running.engine, model, body.text, body.translation, deadline=request.state.deadline),
    )
    [scored] = answer.result

    def build() -> Response:
        cells = answers.matrix_of(scored, body.granularity).weights.size
        answers.check_cells(cells, settings.max_attention_cells, one_sentence=True)
        linked = model.translator.has_attention or model.translator.has_aligner
        parts = _PARTS[: 4 if model.translator.has_attention else 3 if linked else 2]
        hypothesis = answers.hypothesis_answer(scored, parts, body.granularity)
        document = answers.opening(request.state.request_id, model, answer) | {
            "score": hypothesis["score"],
            "perplexity": hypothesis["perplexity"],
            "hypothesis": hypothesis,
        }
        return _json(document)

    return await asyncio.to_thread(build)


@router.post("/alternatives", response_model=AlternativesAnswer, summary="Words that may come next")
async def alternatives(body: AlternativesRequest, request: Request, running: Running) -> Response:
    """The likeliest words after a prefix of the translation, to choose another and translate on from there."""
    settings = running.settings
    check_size([body.text], settings, pointer="/text")
    check_prefix(body.target_prefix, settings)
    count = body.count if "count" in body.model_fields_set else min(body.count, settings.max_alternatives)
    if count > settings.max_alternatives:
        raise Problem("too_many_alternatives", f"At most {settings.max_alternatives}.", pointer="/count")
    model = running.models.choose(body.source, body.target, body.model, body.version)
    check_text(body.text)
    await check_one_sentence(body.text)
    answer = await while_connected(
        request,
        work.alternatives(
            running.engine,
            model,
            body.text,
            target_prefix=body.target_prefix,
            count=count,
            deadline=request.state.deadline,
        ),
    )
    found = [
        {"text": one.text, "probability": round(float(one.probability), 6), "prefix": one.prefix}
        for one in answer.result
    ]
    return _json(answers.opening(request.state.request_id, model, answer) | {"alternatives": found})


def _json(document: dict[str, Any]) -> Response:
    return Response(answers.to_json(document), media_type="application/json")
