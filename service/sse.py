"""Server-sent events (HTML Living Standard, 9.2) in answer to a POST.

docs/decisions/server-sent-events.md says why no library.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator

from starlette.responses import Response
from starlette.types import Receive, Scope, Send

_SILENCE = 10.0
"""Seconds after which a comment tells proxies that the connection lives."""

_COMMENT = b": still here\n\n"


def event(name: str, data: bytes) -> bytes:
    """One event. JSON on one line needs no cutting."""
    return b"event: %b\ndata: %b\n\n" % (name.encode(), data)


class EventStream(Response):
    """Sends what a generator yields; closes it when all is sent, or as soon as the client has left."""

    media_type = "text/event-stream"

    def __init__(self, events: AsyncGenerator[bytes, None]) -> None:
        super().__init__(headers={"x-accel-buffering": "no"})
        del self.headers["content-length"]
        self._events = events

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        writing = asyncio.ensure_future(self._write(send))
        leaving = asyncio.ensure_future(_left(receive))
        try:
            await asyncio.wait((writing, leaving), return_when=asyncio.FIRST_COMPLETED)
            if writing.done():
                writing.result()
        finally:
            writing.cancel()
            leaving.cancel()
            await asyncio.gather(writing, leaving, return_exceptions=True)
            await self._events.aclose()

    async def _write(self, send: Send) -> None:
        await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
        coming = asyncio.ensure_future(anext(self._events, None))
        try:
            while True:
                await asyncio.wait((coming,), timeout=_SILENCE)
                chunk = coming.result() if coming.done() else _COMMENT
                if chunk is None:
                    break
                if coming.done():
                    coming = asyncio.ensure_future(anext(self._events, None))
                await send({"type": "http.response.body", "body": chunk, "more_body": True})
            await send({"type": "http.response.body", "body": b"", "more_body": False})
        finally:
            coming.cancel()
            await asyncio.gather(coming, return_exceptions=True)


async def _left(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
