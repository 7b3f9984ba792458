"""What every answer has in common: a request id, security headers, a log line, and an end."""

from __future__ import annotations

import asyncio
import logging
import re
import time
import uuid

from starlette.datastructures import Headers
from starlette.requests import ClientDisconnect, Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from service.errors import Problem, respond
from service.metrics import Metrics
from service.turns import log_failure

logger = logging.getLogger("interlinear.access")

_REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")
_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})

CONTENT_SECURITY_POLICY = (
    "default-src 'self'; img-src 'self' data: blob:; object-src 'none'; base-uri 'none'; "
    "form-action 'self'; frame-ancestors 'none'"
)

SECURITY_HEADERS = {
    "content-security-policy": CONTENT_SECURITY_POLICY,
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "no-referrer",
    "cross-origin-opener-policy": "same-origin",
    "cache-control": "no-store",
}

_HEADERS = [(name.encode(), value.encode()) for name, value in SECURITY_HEADERS.items()]


class Envelope:
    """The outermost layer of our own.

    No query string and no unmatched path is logged or counted: they may hold text.
    """

    def __init__(self, app: ASGIApp, *, metrics: Metrics, deadline_seconds: float) -> None:
        self.app = app
        self.metrics = metrics
        self.deadline_seconds = deadline_seconds

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        started = time.perf_counter()
        request_id = Headers(scope=scope).get("x-request-id", "")
        if not _REQUEST_ID.fullmatch(request_id):
            request_id = uuid.uuid4().hex
        state = scope.setdefault("state", {})
        state["request_id"] = request_id
        state["deadline"] = asyncio.get_running_loop().time() + self.deadline_seconds
        method = scope["method"]
        head = method == "HEAD"
        if head:  # every GET address answers HEAD too
            scope["method"] = "GET"
        status = 0

        async def send_with_headers(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                headers = message["headers"]
                given = {name for name, _ in headers}
                own = [(b"x-request-id", request_id.encode()), *(pair for pair in _HEADERS if pair[0] not in given)]
                message = {**message, "headers": [*headers, *own]}
            elif head and message["type"] == "http.response.body":
                message = {**message, "body": b""}
            await send(message)

        try:
            await self.app(scope, receive, send_with_headers)
        except ClientDisconnect:  # nobody is there to answer
            pass
        except asyncio.CancelledError:  # the time for running requests is over
            if status:
                raise
            over = Problem("draining", "The server is stopping; ask another one.", headers={"Retry-After": "5"})
            await respond(Request(scope, receive), over)(scope, receive, send_with_headers)
        except Exception as error:
            log_failure(f"request {request_id} failed", error)
            if status:
                raise RuntimeError("an answer broke off") from None  # the server must cut the connection
            await respond(Request(scope, receive), error)(scope, receive, send_with_headers)
        finally:
            seconds = time.perf_counter() - started
            route = route_of(scope)
            self.metrics.request(method if method in _METHODS else "other", route, status or 499, seconds)
            logger.info("%s %s %d %.1f ms %s", method, route, status or 499, seconds * 1000, request_id)


def route_of(scope: Scope) -> str:
    """The path as it was declared, never as it was sent."""
    path = getattr(scope.get("route"), "path", None)
    if isinstance(path, str):
        return path
    if scope.get("endpoint") is None:
        return "unmatched"
    mounted: str = scope.get("root_path", "")
    return mounted.removeprefix(scope.get("app_root_path", ""))
