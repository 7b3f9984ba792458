"""A lean load generator: HTTP/1.1 over kept connections, many clients on one event loop.

Run by `serve_load` as a process of its own, so that its work is not the server's; it reads jobs as JSON lines
and answers each with one line, its own CPU time in it. Two kinds of load: a closed loop, where each client
sends its next request when it has its answer, and an open loop, where requests arrive at random moments
(Poisson) whatever the server does, and time counts from the moment of arrival.
"""

from __future__ import annotations

import asyncio
import json
import random
import resource
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

MOST_CONNECTIONS = 4000


class Connection(asyncio.Protocol):
    """One kept connection with at most one request under way."""

    def __init__(self) -> None:
        self.transport: asyncio.Transport | None = None
        self.answer: asyncio.Future[tuple[int, bytes, bytes]] | None = None
        self.buffer = bytearray()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport."""
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        """Settle the request once its answer is whole."""
        self.buffer += data
        parsed = parse_answer(self.buffer)
        if parsed is not None and self.answer is not None and not self.answer.done():
            self.buffer.clear()
            self.answer.set_result(parsed)

    def connection_lost(self, error: Exception | None) -> None:
        """Fail what was under way."""
        self.transport = None
        if self.answer is not None and not self.answer.done():
            self.answer.set_exception(ConnectionError("the server closed the connection"))

    async def send(self, request: bytes) -> tuple[int, bytes, bytes]:
        """Status, head and body of the answer."""
        if self.transport is None:
            raise ConnectionError("not connected")
        self.answer = asyncio.get_running_loop().create_future()
        self.transport.write(request)
        return await self.answer


def parse_answer(data: bytes | bytearray) -> tuple[int, bytes, bytes] | None:
    """Status, head and body of a whole HTTP/1.1 answer with a content length; None while some of it is missing."""
    end = data.find(b"\r\n\r\n")
    if end < 0:
        return None
    head = bytes(data[:end]).lower()
    length = int(header(head, b"content-length") or 0)
    if len(data) < end + 4 + length:
        return None
    return int(head[9:12]), head, bytes(data[end + 4 : end + 4 + length])


def header(head: bytes, name: bytes) -> bytes | None:
    """The value of a header in a lower-cased head."""
    at = head.find(b"\r\n" + name + b":")
    if at < 0:
        return None
    start = at + len(name) + 3
    end = head.find(b"\r\n", start)
    return head[start : end if end >= 0 else None].strip()


def request_bytes(path: str, body: dict[str, Any]) -> bytes:
    """A whole POST request."""
    content = json.dumps(body).encode()
    head = f"POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
    return f"{head}Content-Length: {len(content)}\r\n\r\n".encode() + content


def arrivals(rate: float, seconds: float, seed: int) -> Iterator[float]:
    """Moments of a Poisson process of `rate` a second, from 0 up to `seconds`."""
    chance = random.Random(seed)
    moment = chance.expovariate(rate)
    while moment < seconds:
        yield moment
        moment += chance.expovariate(rate)


@dataclass
class Tally:
    """What came back. `milliseconds` of the answers 200, `refused_ms` of the answers 429."""

    milliseconds: list[float] = field(default_factory=list)
    refused_ms: list[float] = field(default_factory=list)
    statuses: dict[str, int] = field(default_factory=dict)

    def count(self, status: int | str, began: float) -> None:
        """Add one answer that was asked for at `began`."""
        took = 1e3 * (time.perf_counter() - began)
        self.statuses[str(status)] = self.statuses.get(str(status), 0) + 1
        if status == 200:
            self.milliseconds.append(took)
        elif status == 429:
            self.refused_ms.append(took)


class Load:
    """The clients of one server.

    Args:
        port: On this machine.
        requests: Whole requests, sent in turn.
    """

    def __init__(self, port: int, requests: list[bytes]) -> None:
        self.port, self.requests = port, requests
        self.next = 0
        self.idle: list[Connection] = []
        self.opened = 0

    def request(self) -> bytes:
        """The next request."""
        chosen = self.requests[self.next % len(self.requests)]
        self.next += 1
        return chosen

    async def connect(self) -> Connection:
        """An idle connection, or a new one."""
        while self.idle:
            connection = self.idle.pop()
            if connection.transport is not None:
                return connection
            self.opened -= 1  # the server had enough of waiting
        if self.opened >= MOST_CONNECTIONS:
            raise ConnectionError("too many connections")
        self.opened += 1
        _, connection = await asyncio.get_running_loop().create_connection(Connection, "127.0.0.1", self.port)
        return connection

    async def once(self, tally: Tally, began: float) -> float:
        """One request; returns how many seconds the server asked to stay away."""
        try:
            connection = await self.connect()
            status, head, _ = await connection.send(self.request())
        except OSError as error:
            tally.count(type(error).__name__, began)
            self.opened -= 1
            return 0.1
        tally.count(status, began)
        self.idle.append(connection)
        return float(header(head, b"retry-after") or 0)

    async def closed(self, clients: int, seconds: float, most: int | None = None) -> Tally:
        """Each client asks, waits for the answer, asks again; a refused one waits as long as it was told."""
        tally = Tally()
        end = time.perf_counter() + seconds
        started = 0

        async def client() -> None:
            nonlocal started
            while time.perf_counter() < end and (most is None or started < most):
                started += 1
                wait = await self.once(tally, time.perf_counter())
                if wait:
                    await asyncio.sleep(min(wait, max(0.0, end - time.perf_counter())))

        await asyncio.gather(*(client() for _ in range(clients)))
        return tally

    async def open(self, rate: float, seconds: float, seed: int) -> Tally:
        """Requests at random moments, `rate` a second on average; waits for the last answer."""
        tally = Tally()
        start = time.perf_counter()
        tasks: set[asyncio.Task[float]] = set()
        for moment in arrivals(rate, seconds, seed):
            delay = start + moment - time.perf_counter()
            if delay > 0:
                await asyncio.sleep(delay)
            task = asyncio.create_task(self.once(tally, start + moment))
            tasks.add(task)
            task.add_done_callback(tasks.discard)
        while tasks:
            await asyncio.wait(tasks)
        return tally


async def perform(load: Load, job: dict[str, Any]) -> dict[str, Any]:
    """Do one job; the figures as plain values, `cpu` of the client itself as a share of one core."""
    load.next = job.get("first", load.next)
    used, began = _cpu_seconds(), time.perf_counter()
    if job["kind"] == "closed":
        tally = await load.closed(job["clients"], job["seconds"], job.get("most"))
    else:
        tally = await load.open(job["rate"], job["seconds"], job.get("seed", 0))
    seconds = time.perf_counter() - began
    return {
        "seconds": seconds,
        "cpu": (_cpu_seconds() - used) / seconds,
        "statuses": tally.statuses,
        "milliseconds": [round(value, 3) for value in tally.milliseconds],
        "refused_ms": [round(value, 3) for value in tally.refused_ms],
    }


def _cpu_seconds() -> float:
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


def main() -> None:
    """Read the set-up line, then jobs, from stdin."""
    setup = json.loads(sys.stdin.readline())
    load = Load(setup["port"], [request_bytes(setup["path"], body) for body in setup["bodies"]])
    with asyncio.Runner() as runner:
        for line in sys.stdin:
            print(json.dumps(runner.run(perform(load, json.loads(line)))), flush=True)


if __name__ == "__main__":
    main()
