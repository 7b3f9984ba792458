"""A peer's timing program as an object: start, ask for one timing after the other, stop."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from types import TracebackType
from typing import Any

from benchmarks.peers.install import FOLDER, python_of

HERE = Path(__file__).parent
COMMANDS: dict[str, tuple[str, ...]] = {
    "joeynmt": ("joeynmt", "joeynmt_decode.py", str(HERE / "joeynmt-lstm.yaml"), "{vocabulary}"),
    "ctranslate2": ("ctranslate2", "ctranslate2_decode.py", "{threads}", "32000"),
    "ctranslate2-8k": ("ctranslate2", "ctranslate2_decode.py", "{threads}", "{vocabulary}"),
}
"""Environment, program and arguments of what can be timed; its name stands in tables."""


class PeerError(RuntimeError):
    """A peer's program ended or said something else than JSON."""


class Peer:
    """One running timing program; it stays idle between jobs, so that several can take turns.

    Args:
        name: One of `COMMANDS`.
        threads: CPU threads it may use.
        vocabulary: Entries, for the peers that take it.
        folder: Where the environments are.

    Raises:
        PeerError: The environment is not there, or the program does not start.
    """

    def __init__(self, name: str, *, threads: int, vocabulary: int, folder: Path = FOLDER) -> None:
        environment, script, *arguments = COMMANDS[name]
        python = python_of(environment, folder)
        if not python.exists():
            raise PeerError(f"{environment} is not in {folder}; run: python -m benchmarks.peers.install {environment}")
        values = {"threads": threads, "vocabulary": vocabulary}
        command = [str(python), str(HERE / script), *(a.format(**values) for a in arguments)]
        variables = os.environ | {"OMP_NUM_THREADS": str(threads), "MKL_NUM_THREADS": str(threads)}
        self.name = name
        self._process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=variables
        )
        self.about = self._read()

    def seconds(
        self, *, batch: int, length: int, beam: int, warm: bool, least_seconds: float, most_calls: int
    ) -> float:
        """Median seconds of one call: `batch` sentences of `length` units, as many units out."""
        job: dict[str, float] = {"batch": batch, "length": length, "beam": beam, "warm": warm}
        job |= {"least_seconds": least_seconds, "most_calls": most_calls}
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(job) + "\n")
        self._process.stdin.flush()
        return float(self._read()["seconds"])

    def _read(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        try:
            answer: dict[str, Any] = json.loads(line)
        except json.JSONDecodeError:
            status = self._process.wait(timeout=10) if not line else "still running"
            raise PeerError(f"{self.name} said {line!r} instead of JSON (exit status: {status})") from None
        return answer

    def close(self) -> None:
        """End the program."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait(timeout=30)

    def __enter__(self) -> Peer:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()
