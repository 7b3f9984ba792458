"""`python -m service` as an object: started on a port of its own with one model, watched, stopped."""

from __future__ import annotations

import os
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from pathlib import Path
from types import TracebackType

PAGE = os.sysconf("SC_PAGE_SIZE")


def free_port() -> int:
    """A port that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Server:
    """The service with one model, started when made.

    Args:
        model: Model folder, `models/en-fr`; served from a copy, so that nothing else is.
        variables: More environment variables (`INTERLINEAR_QUEUE_SIZE`).

    Attributes:
        ready_seconds: From the start of the process to the first 200 of `/readyz`.

    Raises:
        RuntimeError: It ended, or was not ready within two minutes; its output is in the message.
    """

    def __init__(self, model: Path, variables: dict[str, str] | None = None) -> None:
        self._folder = tempfile.TemporaryDirectory()
        shutil.copytree(model, Path(self._folder.name) / "models" / model.name)
        self.port = free_port()
        self._log = (Path(self._folder.name) / "log").open("w+")
        began = time.perf_counter()
        self.process = subprocess.Popen(
            [sys.executable, "-m", "service", "--port", str(self.port), "--models", f"{self._folder.name}/models"],
            stdout=self._log,
            stderr=subprocess.STDOUT,
            env=os.environ | {"INTERLINEAR_LOG_LEVEL": "warning"} | (variables or {}),
        )
        try:
            while not self._ready():
                if self.process.poll() is not None or time.perf_counter() - began > 120:
                    raise RuntimeError(f"the service did not become ready; it said:\n{self._output()}")
                time.sleep(0.02)
        except BaseException:
            self.close()
            raise
        self.ready_seconds = time.perf_counter() - began

    def get(self, path: str) -> str:
        """The body of a GET."""
        with urllib.request.urlopen(f"http://127.0.0.1:{self.port}{path}", timeout=10) as answer:
            return str(answer.read().decode())

    def resident(self) -> int:
        """Bytes of memory the process holds now."""
        fields = Path(f"/proc/{self.process.pid}/statm").read_text().split()
        return int(fields[1]) * PAGE

    def cpu_seconds(self) -> float:
        """Processor time of the process so far, all its threads."""
        fields = Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def _ready(self) -> bool:
        try:
            self.get("/readyz")
        except (urllib.error.URLError, OSError):
            return False
        return True

    def _output(self) -> str:
        self._log.seek(0)
        return self._log.read()[-4000:]

    def close(self) -> None:
        """Stop it and forget its files."""
        if self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(timeout=40)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        self._log.close()
        self._folder.cleanup()

    def __enter__(self) -> Server:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()


def histogram_means(before: str, after: str) -> dict[str, float]:
    """The mean of every histogram of the service, over what was observed between two readings of `/metrics`.

    Labels are added up; a histogram that saw nothing is left out.
    """
    sums = [_totals(text) for text in (before, after)]
    means: dict[str, float] = {}
    for name in sums[1]:
        if not name.endswith("_count"):
            continue
        kind = name.removesuffix("_count")
        count = sums[1][name] - sums[0].get(name, 0.0)
        if count > 0 and f"{kind}_sum" in sums[1]:
            means[kind] = (sums[1][f"{kind}_sum"] - sums[0].get(f"{kind}_sum", 0.0)) / count
    return means


def _totals(text: str) -> dict[str, float]:
    totals: dict[str, float] = {}
    for name, value in re.findall(r"^(interlinear_\w+_(?:sum|count))(?:\{[^}]*\})? ([-+.\deE]+)$", text, re.MULTILINE):
        totals[name] = totals.get(name, 0.0) + float(value)
    return totals
