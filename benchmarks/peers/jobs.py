"""The loop that a peer's timing program runs: one JSON job a line in, one JSON answer a line out.

Runs inside the peer's environment, so it imports the standard library only.
"""

from __future__ import annotations

import json
import statistics
import sys
import time
from collections.abc import Callable
from typing import Any


def serve(about: dict[str, Any], prepare: Callable[[dict[str, Any]], Callable[[], object]]) -> None:
    """Say what is ready, then time jobs until stdin ends.

    Args:
        about: Versions and size of what is timed; the first line written.
        prepare: Job (`batch`, `length` in units with EOS, `beam`) -> what to call and time.
    """
    print(json.dumps(about), flush=True)
    for line in sys.stdin:
        job = json.loads(line)
        call = prepare(job)
        if job["warm"]:
            call()
        seconds: list[float] = []
        while len(seconds) < job["most_calls"] and (not seconds or sum(seconds) < job["least_seconds"]):
            began = time.perf_counter()
            call()
            seconds.append(time.perf_counter() - began)
        print(json.dumps({"seconds": statistics.median(seconds), "calls": len(seconds)}), flush=True)
