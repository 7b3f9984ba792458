"""What the server can do with a model, as work for the engine."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, Callable, Sequence

from nmt.options import SearchOptions
from service.engine import Engine
from service.events import Event
from service.models import ServedModel
from service.ticket import Answer, Search, Work

_BYTES_PER_UNIT = 4
"""A guess good for many languages: UTF-8 spends more bytes on scripts whose characters say more."""


async def translate(
    engine: Engine,
    model: ServedModel,
    texts: Sequence[str],
    *,
    options: SearchOptions,
    target_prefix: str | None = None,
    deadline: float,
) -> Answer:
    """Translate texts; the result is a list of `Translation`s.

    Args:
        engine: Who does it.
        model: With which model.
        texts: Each may hold many sentences.
        options: Of the search.
        target_prefix: The translation begins so; then there must be one sentence.
        deadline: A time of the event loop.

    Raises:
        Problem: See `Engine.run`.
        InputError: The prefix does not go with the text.
    """
    begin = _plan(model, texts, options=options, target_prefix=target_prefix, deadline=deadline)
    return await engine.run(model, begin, units=units(texts), deadline=deadline)


def stream(
    engine: Engine,
    model: ServedModel,
    texts: Sequence[str],
    *,
    options: SearchOptions,
    target_prefix: str | None = None,
    deadline: float,
) -> AsyncGenerator[list[Event] | Answer, None]:
    """Translate texts and tell how far it is: events, and at last what `translate` would give."""
    begin = _plan(model, texts, options=options, target_prefix=target_prefix, deadline=deadline, stream=True)
    return engine.stream(model, begin, units=units(texts), deadline=deadline)


async def score(engine: Engine, model: ServedModel, text: str, translation: str, *, deadline: float) -> Answer:
    """Score a given translation of one sentence; the result is a list of one `TranslatedHypothesis`.

    Raises:
        InputError: A side is empty.
        InputTooLong: A side is longer than the model can be asked about.
    """
    end = _monotonic(deadline)

    def begin() -> Work:
        return _Prepared(model.translator.plan_score([(text, translation)], deadline=end))

    return await engine.run(model, begin, units=units([text, translation]), deadline=deadline)


async def alternatives(
    engine: Engine, model: ServedModel, text: str, *, target_prefix: str, count: int, deadline: float
) -> Answer:
    """The words that may follow a prefix; the result is a list of `Alternative`s.

    Raises:
        InputError: The text is not one sentence, or the prefix does not go with it.
    """
    end = _monotonic(deadline)

    def begin() -> Work:
        return _Prepared(
            model.translator.plan_alternatives(text, target_prefix=target_prefix, count=count, deadline=end)
        )

    return await engine.run(model, begin, units=units([text]), deadline=deadline)


def units(texts: Sequence[str]) -> int:
    """About how many source units texts have, without cutting them."""
    return sum(1 + len(text.encode("utf-8", "replace")) // _BYTES_PER_UNIT for text in texts)


def _plan(
    model: ServedModel,
    texts: Sequence[str],
    *,
    options: SearchOptions,
    target_prefix: str | None,
    deadline: float,
    stream: bool = False,
) -> Callable[[], Work]:
    end = _monotonic(deadline)

    def begin() -> Work:
        return model.translator.plan(
            texts, options=options, target_prefix=target_prefix, stream=stream, deadline=end, lazy=True
        )

    return begin


def _monotonic(deadline: float) -> float:
    """A time of the event loop, on the clock of the search."""
    return time.monotonic() + deadline - asyncio.get_running_loop().time()


class _Prepared:
    """A search that is small enough to be prepared at once."""

    def __init__(self, search: Search) -> None:
        self.sentences, self.accept, self.result = search.sentences, search.accept, search.result

    def prepare(self, seconds: float) -> bool:
        """It is."""
        return True
