"""Reading a request: its body within limits, JSON strictly, and whether its client is still there."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator, Awaitable, Callable, Coroutine
from typing import Any, TypeVar

from fastapi.routing import APIRoute
from starlette.requests import Request
from starlette.responses import Response

from service.errors import Problem
from service.settings import Settings

T = TypeVar("T")

_LARGE = 65_536
"""Bytes from which JSON is read off the event loop."""


class LimitedRequest(Request):
    """A request whose body is counted while it streams in, whatever its headers claim."""

    @property
    def settings(self) -> Settings:
        """The server's settings."""
        settings: Settings = self.app.state.settings
        return settings

    async def stream(self) -> AsyncGenerator[bytes, None]:
        """The body; ends with a problem as soon as it is too large or too slow."""
        limit = self.settings.max_body_bytes
        declared = self.headers.get("content-length", "0")
        too_large = Problem("body_too_large", f"A body may have {limit} bytes.", headers={"Connection": "close"})
        if declared.isdecimal() and int(declared) > limit:
            raise too_large
        received = 0
        chunks = super().stream()
        while True:
            try:
                async with asyncio.timeout_at(self.state.deadline) as timeout:
                    chunk = await anext(chunks)
            except StopAsyncIteration:
                return
            except TimeoutError:
                if not timeout.expired():
                    raise
                closing = {"Connection": "close"}
                raise Problem("body_timeout", "The body did not arrive in time.", headers=closing) from None
            received += len(chunk)
            if received > limit:
                raise too_large
            yield chunk

    def kind(self) -> str:
        """The media type of the body, without parameters."""
        return self.headers.get("content-type", "").partition(";")[0].strip().lower()

    def check_encoding(self) -> None:
        """Raise `Problem` for a compressed body."""
        if self.headers.get("content-encoding", "identity").strip().lower() not in ("", "identity"):
            raise Problem("unsupported_media_type", "Send the body without a content encoding.")

    async def json(self) -> Any:
        """The body as JSON, read once."""
        if not hasattr(self, "_document"):
            self.check_encoding()
            body = await self.body()
            read = asyncio.to_thread(parse_json, body) if len(body) > _LARGE else None
            self._document = parse_json(body) if read is None else await read
        return self._document


def parse_json(body: bytes) -> Any:
    """Strict JSON: no NaN, no Infinity, no endless nesting.

    Raises:
        Problem: The body is no JSON; the message says where, not what.
    """
    try:
        return json.loads(body, parse_constant=_refuse_constant)
    except json.JSONDecodeError as error:
        where = f"line {error.lineno}, column {error.colno}: {error.msg}" if body else "it is empty"
        raise Problem("invalid_json", f"The body must be JSON; {where}.") from None
    except UnicodeDecodeError:
        raise Problem("invalid_json", "The body must be JSON in UTF-8.") from None
    except (ValueError, RecursionError):
        raise Problem("invalid_json", "The body holds a number or a nesting that JSON readers refuse.") from None


def _refuse_constant(name: str) -> None:
    raise ValueError(name)


def is_json(kind: str) -> bool:
    """Whether a media type is JSON."""
    return kind == "application/json" or (kind.startswith("application/") and kind.endswith("+json"))


class JsonRoute(APIRoute):
    """A route that takes JSON and nothing else: 415 and 400 come before 422."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """FastAPI's handler behind our own reading of the body."""
        handle = super().get_route_handler()

        async def read_first(request: Request) -> Response:
            limited = LimitedRequest(request.scope, request.receive)
            if request.method == "POST":
                if not is_json(limited.kind()):
                    raise Problem("unsupported_media_type", "Send JSON, with Content-Type: application/json.")
                await limited.json()
            return await handle(limited)

        return read_first


class FormRoute(APIRoute):
    """A route that reads its own body, within the limits."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """FastAPI's handler with a `LimitedRequest`."""
        handle = super().get_route_handler()

        async def read(request: Request) -> Response:
            return await handle(LimitedRequest(request.scope, request.receive))

        return read


async def while_connected(request: Request, work: Awaitable[T]) -> T:
    """The result of `work`, which is cancelled when the client leaves.

    Raises:
        Problem: `client_closed_request`, which nobody will read.
    """
    task = asyncio.ensure_future(work)
    watcher = asyncio.ensure_future(_disconnected(request))
    watcher.add_done_callback(lambda _: task.cancel())
    try:
        return await task
    except asyncio.CancelledError:
        left = watcher.done() and not watcher.cancelled()
        if left and not _cancelled():
            raise Problem("client_closed_request", "The client left.") from None
        raise
    finally:
        watcher.cancel()


def _cancelled() -> bool:
    """Whether somebody else wants the running task to end."""
    current = asyncio.current_task()
    return current is not None and current.cancelling() > 0


async def _disconnected(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass
