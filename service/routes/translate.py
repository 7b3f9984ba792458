"""The native API's first verb: translate, at once or as a stream."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from typing import Any

from fastapi import APIRouter, Request
from starlette.responses import Response

from service import answers, work
from service.answer_schemas import TranslateAnswer
from service.errors import Problem, problem_from
from service.events import Committed, Event, Started
from service.incoming import JsonRoute, while_connected
from service.models import ServedModel
from service.routes.checks import check_attention, check_prefix, check_search, check_size, search_options
from service.schemas import TranslateRequest
from service.settings import Settings
from service.sse import EventStream, event
from service.state import Running
from service.ticket import Answer
from service.turns import log_failure

router = APIRouter(prefix="/v1", route_class=JsonRoute, tags=["translate"])

_LARGE = 600
"""Characters from which an answer is put together off the event loop."""


@router.post("/translate", response_model=TranslateAnswer, summary="Translate texts")
async def translate(body: TranslateRequest, request: Request, running: Running) -> Response:
    """Translate texts, and show tokens, scores, alignment and attention where `return` asks for them."""
    model = _check(body, running.settings, running.models.choose)
    answer = await while_connected(
        request,
        work.translate(
            running.engine,
            model,
            body.texts,
            options=search_options(body, running.settings),
            target_prefix=body.target_prefix,
            deadline=request.state.deadline,
        ),
    )
    return Response(await _document(body, request, running.settings, model, answer), media_type="application/json")


@router.post(
    "/translate/stream",
    response_class=Response,
    status_code=200,
    responses={200: {"content": {"text/event-stream": {}}}},
    summary="Translate texts and watch",
)
async def stream(body: TranslateRequest, request: Request, running: Running) -> Response:
    """The same as server-sent events.

    `start` (StartEvent), a `token` (TokenEvent) for every unit as soon as it is certain, a `sentence`
    (SentenceEvent) for every sentence, and `done` with what `/v1/translate` answers. Once the stream
    has begun, a failure is an `error` with a problem document.
    """
    model = _check(body, running.settings, running.models.choose)
    if body.n_best > 1:
        raise Problem("invalid_options", "A stream follows one candidate; leave n_best at 1.", pointer="/n_best")
    events = work.stream(
        running.engine,
        model,
        body.texts,
        options=search_options(body, running.settings),
        target_prefix=body.target_prefix,
        deadline=request.state.deadline,
    )
    try:
        first = await while_connected(request, anext(events))
    except BaseException:
        await events.aclose()
        raise
    return EventStream(_events(body, request, running.settings, model, first, events))


def _check(body: TranslateRequest, settings: Settings, choose: Any) -> ServedModel:
    check_size(body.texts, settings, pointer="/texts")
    check_prefix(body.target_prefix, settings)
    check_search(body, settings)
    model: ServedModel = choose(body.source, body.target, body.model, body.version)
    if "attention" in body.parts or ("alignment" in body.parts and not model.translator.has_aligner):
        check_attention(model, pointer="/return")
    return model


async def _document(
    body: TranslateRequest, request: Request, settings: Settings, model: ServedModel, answer: Answer
) -> bytes:
    def build() -> bytes:
        if "attention" in body.parts:
            sentences = (sentence for text in answer.result for sentence in text.sentences)
            answers.check_cells(answers.cells(sentences, body.granularity), settings.max_attention_cells)
        results = [answers.text_answer(text, body.parts, body.granularity) for text in answer.result]
        opening = answers.opening(request.state.request_id, model, answer)
        return answers.to_json(opening | {"results": results})

    small = (sum(map(len, body.texts)) + len(body.target_prefix or "")) * body.n_best < _LARGE
    return build() if small else await asyncio.to_thread(build)


async def _events(
    body: TranslateRequest,
    request: Request,
    settings: Settings,
    model: ServedModel,
    first: list[Event] | Answer,
    rest: AsyncGenerator[list[Event] | Answer, None],
) -> AsyncGenerator[bytes, None]:
    """The stream's events as bytes; those that come together are sent together."""
    cells = 0

    def describe(one: Event) -> bytes:
        if isinstance(one, Started):
            opening = {"request_id": request.state.request_id, "model": answers.model_reference(model)}
            return event("start", answers.to_json(opening | answers.start_event(one)))
        if isinstance(one, Committed):
            return event("token", answers.to_json(answers.token_event(one)))
        if "attention" in body.parts:
            nonlocal cells
            cells += answers.cells([one.result], body.granularity)
            answers.check_cells(cells, settings.max_attention_cells)
        place = {"text": one.text, "sentence": one.sentence}
        result = answers.sentence_answer(one.result, body.parts, body.granularity)
        return event("sentence", answers.to_json(place | result))

    item: list[Event] | Answer = first
    try:
        while not isinstance(item, Answer):
            yield b"".join(describe(one) for one in item)
            item = await anext(rest)
        yield event("done", await _document(body, request, settings, model, item))
    except Exception as error:
        problem = problem_from(error)
        if problem.code == "internal_error":
            log_failure(f"stream {request.state.request_id} failed", error)
        yield event("error", answers.to_json(problem.to_dict(request.state.request_id)))
    finally:
        await rest.aclose()
