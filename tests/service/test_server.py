"""The server over a true socket, and on the command line."""

from __future__ import annotations

import http.client
import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from nmt import __version__
from service.__main__ import Server, configuration, listen, main
from service.app import create_app
from service.settings import Settings
from tests.service.conftest import ask
from tests.service.fakes import FakeLoader

HEAD = b"POST /v1/translate HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n"


def wait_for(condition: Callable[[], bool], seconds: float = 15.0) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "this never came true"
        time.sleep(0.01)


@contextmanager
def serving(folder: Path, loader: FakeLoader, *, drain_seconds: int = 5) -> Iterator[tuple[Server, int]]:
    """uvicorn in a thread, and its port."""
    settings = Settings(models=(folder,), drain_seconds=drain_seconds)
    listener = listen("127.0.0.1", 0)
    server = Server(configuration(create_app(settings, load=loader), settings))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
    thread.start()
    wait_for(lambda: server.started and server.running is not None and server.running.models.settled)
    yield server, listener.getsockname()[1]
    server.handle_exit(signal.SIGTERM, None)
    thread.join(10)
    assert not thread.is_alive()


@pytest.fixture
def server(folder: Path, loader: FakeLoader) -> Iterator[tuple[Server, int]]:
    with serving(folder, loader) as running:
        yield running


def post(port: int, body: object) -> tuple[int, dict[str, object]]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    connection.request("POST", "/v1/translate", json.dumps(body), {"content-type": "application/json"})
    response = connection.getresponse()
    answer = response.status, json.loads(response.read())
    connection.close()
    return answer


def test_a_request_over_a_socket(server: tuple[Server, int]) -> None:
    status, answer = post(server[1], ask("How are you?"))
    assert status == 200
    assert answer["results"][0]["text"] == "HOW ARE YOU?"  # type: ignore[index]


def test_an_idle_connection_outlives_that_of_a_balancer(server: tuple[Server, int]) -> None:
    assert server[0].config.timeout_keep_alive > 60
    connection = http.client.HTTPConnection("127.0.0.1", server[1], timeout=10)
    for pause in (5.5, 0.0):  # uvicorn's own limit is 5
        connection.request("GET", "/livez")
        assert connection.getresponse().read()
        time.sleep(pause)
    connection.close()


def test_a_client_that_hangs_up_is_not_computed(server: tuple[Server, int], loader: FakeLoader) -> None:
    reached, opened = threading.Event(), threading.Event()

    def hold(texts: list[str]) -> None:
        reached.set()
        opened.wait(10)

    loader.before = hold
    first = threading.Thread(target=post, args=(server[1], ask("first")))
    first.start()
    assert reached.wait(10)
    body = json.dumps(ask("gone")).encode()
    running = server[0].running
    assert running is not None
    queue = running.metrics.queue
    with socket.create_connection(("127.0.0.1", server[1])) as connection:
        connection.sendall(HEAD % len(body) + body)
        wait_for(lambda: queue._value.get() == 1)
    wait_for(lambda: b'outcome="cancelled"} 1.0' in running.metrics.render())
    opened.set()
    first.join(10)
    assert post(server[1], ask("next"))[0] == 200
    assert loader.calls == [["first"], ["next"]]


def test_a_body_larger_than_it_says_or_may_be(server: tuple[Server, int]) -> None:
    with socket.create_connection(("127.0.0.1", server[1]), timeout=10) as connection:
        connection.sendall(HEAD % 99_999_999)
        assert connection.recv(1000).startswith(b"HTTP/1.1 413")


@pytest.mark.parametrize("size", [66_000, 5_000_000])
def test_headers_without_end_are_refused(server: tuple[Server, int], size: int) -> None:
    with socket.create_connection(("127.0.0.1", server[1]), timeout=10) as connection:
        try:
            connection.sendall(b"GET /healthz HTTP/1.1\r\nHost: x\r\nX-Long: " + size * b"a")
            assert connection.recv(1000).startswith(b"HTTP/1.1 400")
        except ConnectionError:  # it hung up while there was more to come
            assert size > 1_000_000


@pytest.mark.parametrize("trailer", [b"x: " + b"y" * 1000 + b"\r\n", b"x" * 1000])
def test_trailers_without_end_are_hung_up_on(server: tuple[Server, int], trailer: bytes) -> None:
    head = HEAD.replace(b"Content-Length: %d", b"Transfer-Encoding: chunked")
    with socket.create_connection(("127.0.0.1", server[1]), timeout=10) as connection:
        connection.sendall(head + b"1\r\n{\r\n0\r\n")
        with pytest.raises(ConnectionError):
            connection.sendall(20_000 * trailer)


def test_a_body_in_small_chunks_with_a_trailer_is_read(server: tuple[Server, int]) -> None:
    body = json.dumps(ask("in pieces")).encode() + b" " * 20_000
    head = HEAD.replace(b"Content-Length: %d", b"Transfer-Encoding: chunked")
    with socket.create_connection(("127.0.0.1", server[1]), timeout=10) as connection:
        connection.sendall(head)
        for byte in body:
            connection.sendall(b"1\r\n%c\r\n" % byte)
        connection.sendall(b"0\r\nX-Sum: 1\r\n\r\n")
        assert connection.recv(1000).startswith(b"HTTP/1.1 200")


def test_who_runs_when_the_time_to_stop_is_over_is_told(folder: Path, loader: FakeLoader) -> None:
    reached, opened = threading.Event(), threading.Event()

    def hold(texts: list[str]) -> None:
        reached.set()
        opened.wait(10)

    loader.before = hold
    with serving(folder, loader, drain_seconds=1) as (server, port):
        found: list[tuple[int, object]] = []
        asking = threading.Thread(target=lambda: found.append(post(port, ask("first"))))
        asking.start()
        assert reached.wait(10)
        server.handle_exit(signal.SIGTERM, None)
        asking.join(10)
        opened.set()
    status, answer = found[0]
    assert (status, answer["code"]) == (503, "draining")  # type: ignore[index]


@pytest.mark.parametrize("sent", [b"", b"GET /readyz HTTP/1.1\r\nHost: x\r\n", None])
def test_a_head_that_does_not_come_is_hung_up_on(
    server: tuple[Server, int], monkeypatch: pytest.MonkeyPatch, sent: bytes | None
) -> None:
    monkeypatch.setattr("service.protocol.HEAD_SECONDS", 1.0)
    with socket.create_connection(("127.0.0.1", server[1]), timeout=10) as connection:
        if sent is None:  # the second one on a connection
            connection.sendall(b"GET /readyz HTTP/1.1\r\nHost: x\r\n\r\n")
            answer = b""
            while not answer.endswith(b"}"):
                received = connection.recv(10_000)
                assert received
                answer += received
            assert answer.startswith(b"HTTP/1.1 200")
            sent = b"GET /re"
        connection.sendall(sent)
        assert connection.recv(10_000) == b""


def test_a_body_may_take_longer_than_a_head(server: tuple[Server, int], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("service.protocol.HEAD_SECONDS", 0.3)
    body = json.dumps(ask("slowly")).encode()
    with socket.create_connection(("127.0.0.1", server[1]), timeout=10) as connection:
        connection.sendall(HEAD % len(body) + body[:5])
        time.sleep(0.6)
        connection.sendall(body[5:])
        assert connection.recv(10_000).startswith(b"HTTP/1.1 200")


def test_large_bodies_and_requests_in_a_row_are_no_long_heads(server: tuple[Server, int]) -> None:
    body = json.dumps(ask("x" * 30_000)).encode()
    with socket.create_connection(("127.0.0.1", server[1]), timeout=20) as connection:
        for place in (10, len(HEAD) + 5, 25_000):  # where the stream of bytes is cut
            stream = 2 * (HEAD % len(body) + body)
            for part in (stream[:place], stream[place : place + len(stream) // 2], stream[place + len(stream) // 2 :]):
                connection.sendall(part)
                time.sleep(0.05)
            answers = b""
            while answers.count(b'"request_id"') < 2:
                received = connection.recv(1_000_000)
                assert received
                answers += received
            assert answers.count(b"HTTP/1.1 200") == 2


def test_a_client_that_leaves_in_the_middle_of_its_body_is_one_line_of_the_log(
    server: tuple[Server, int], caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level("INFO"):
        with socket.create_connection(("127.0.0.1", server[1])) as connection:
            connection.sendall(HEAD % 100 + b'{"text": "half of')
        wait_for(lambda: bool(caplog.records))
    assert [record.levelname for record in caplog.records] == ["INFO"]
    assert " 499 " in caplog.records[0].getMessage()


@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 0), (signal.SIGTERM, -signal.SIGTERM)])
def test_the_command_says_where_it_is_and_ends_on_a_signal(tmp_path: Path, number: int, status: int) -> None:
    environment = {**os.environ, "INTERLINEAR_PRT": "1", "INTERLINEAR_MODELS": str(tmp_path)}
    process = subprocess.Popen(
        [sys.executable, "-m", "service", "--port", "0"],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    line = process.stdout.readline()
    found = re.fullmatch(rf"Interlinear {__version__} at http://127\.0\.0\.1:(\d+)/ .*\n", line)
    assert found
    assert str(tmp_path) in process.stdout.readline()
    connection = http.client.HTTPConnection("127.0.0.1", int(found[1]), timeout=10)
    connection.request("GET", "/readyz?q=a-text-in-a-query")
    assert connection.getresponse().status == 503
    connection.close()
    process.send_signal(number)
    _, errors = process.communicate(timeout=20)
    assert process.returncode == status
    assert "did you mean INTERLINEAR_PORT" in errors
    assert "GET /readyz 503" in errors
    assert "a-text-in-a-query" not in errors
    assert "Traceback" not in errors


def test_a_port_in_use_is_said_plainly(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        assert main(["--port", str(port), "--models", str(tmp_path)]) == 1
    assert f"Cannot listen on 127.0.0.1:{port}" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "place"),
    [(["--port", "70000"], "--port"), (["--device", "tpu"], "--device"), (["--device", "cuda:99"], "cuda:99")],
)
def test_a_wrong_flag_is_said_plainly(capsys: pytest.CaptureFixture[str], arguments: list[str], place: str) -> None:
    assert main(arguments) == 2
    assert place in capsys.readouterr().err


def test_a_wrong_variable_is_named(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("INTERLINEAR_QUEUE_SIZE", "many")
    assert main([]) == 2
    assert "INTERLINEAR_QUEUE_SIZE" in capsys.readouterr().err
