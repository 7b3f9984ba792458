"""What every measurement needs: statistics, the machine in words, and result files named alike."""

from __future__ import annotations

import datetime
import json
import math
import os
import platform
import re
import shlex
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

RESULTS = Path(__file__).parent / "results"


def median(values: Sequence[float]) -> float:
    """The middle value."""
    return float(statistics.median(values))


def percentile(values: Sequence[float], share: float) -> float:
    """The smallest value that at least `share` (0 to 1) of all do not exceed (nearest rank)."""
    if not values:
        raise ValueError("a percentile of nothing; no value was measured")
    ordered = sorted(values)
    return float(ordered[max(0, math.ceil(share * len(ordered)) - 1)])


def timed(call: Callable[[], object], *, least_seconds: float = 0.2, most_calls: int = 20) -> float:
    """Seconds of one call: the median of as many as fill `least_seconds`, at least one."""
    seconds: list[float] = []
    while len(seconds) < most_calls and (not seconds or sum(seconds) < least_seconds):
        began = time.perf_counter()
        call()
        seconds.append(time.perf_counter() - began)
    return median(seconds)


def cpu_name() -> str:
    """The processor as the system names it."""
    try:
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()


def hardware(gpu: str | None = None) -> str:
    """A short name for file names: `epyc-2-cores`, `h200`."""
    if gpu:
        return re.sub(r"[^a-z0-9]+", "-", gpu.lower().replace("nvidia", "")).strip("-")
    family = re.search(r"epyc|xeon|ryzen|core|apple|neoverse", cpu_name().lower())
    return f"{family.group() if family else platform.machine()}-{os.cpu_count()}-cores"


def commit() -> str:
    """The commit of the working tree, with `+` when there are changes; empty outside git."""
    git = ["git", "-C", str(RESULTS.parent)]
    try:
        head = subprocess.run([*git, "rev-parse", "--short", "HEAD"], capture_output=True, text=True)
        changed = subprocess.run([*git, "status", "--porcelain", "-uno"], capture_output=True, text=True)
    except OSError:
        return ""
    return head.stdout.strip() + ("+" if changed.stdout.strip() else "")


def machine(**more: Any) -> dict[str, Any]:
    """Machine, versions, commit, date and the command that was given."""
    import torch

    load = os.getloadavg()[0] if hasattr(os, "getloadavg") else None
    return {
        "cpu": cpu_name(),
        "cores": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "load_at_start": load,
        "system": platform.platform(),
        "python": platform.python_version(),
        "torch": torch.__version__,
        "commit": commit(),
        "date": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "command": shlex.join(["python", "-m", _module(), *sys.argv[1:]]),
        **more,
    }


def _module() -> str:
    return "benchmarks." + Path(sys.argv[0]).stem


def result_path(theme: str, suffix: str, *, folder: Path = RESULTS, gpu: str | None = None) -> Path:
    """`<theme>_<hardware>_<date>.<suffix>` in the results folder."""
    today = datetime.datetime.now(datetime.UTC).date().isoformat()
    return folder / f"{theme}_{hardware(gpu)}_{today}.{suffix}"


def table(header: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    """A Markdown table; numbers stand right."""
    cells = [[_cell(value) for value in row] for row in rows]
    numeric = [all(not isinstance(row[i], str) for row in rows) for i in range(len(header))]
    widths = [max(len(line[i]) for line in [list(header), *cells]) for i in range(len(header))]

    def line(values: Sequence[str]) -> str:
        padded = (v.rjust(w) if n else v.ljust(w) for v, w, n in zip(values, widths, numeric, strict=True))
        return "| " + " | ".join(padded) + " |"

    rule = "|" + "|".join("-" * (w + 1) + (":" if n else "-") for w, n in zip(widths, numeric, strict=True)) + "|"
    return "\n".join([line(list(header)), rule, *map(line, cells)])


def _cell(value: object) -> str:
    if value is None:
        return "–"
    if isinstance(value, float):
        return f"{value:.3g}" if abs(value) < 100 else f"{value:,.0f}"
    return f"{value:,}" if isinstance(value, int) else str(value)


def write(theme: str, data: dict[str, Any], text: str, *, folder: Path = RESULTS, gpu: str | None = None) -> list[Path]:
    """Write the figures as JSON and the same for people as Markdown; returns both paths."""
    folder.mkdir(parents=True, exist_ok=True)
    path = result_path(theme, "json", folder=folder, gpu=gpu)
    path.write_text(json.dumps(data, indent=1) + "\n", "utf-8")
    page = path.with_suffix(".md")
    page.write_text(text.rstrip() + "\n\n" + _about(data.get("machine", {})), "utf-8")
    return [path, page]


def _about(facts: dict[str, Any]) -> str:
    return "".join(f"- {name.replace('_', ' ')}: {_cell(value)}\n" for name, value in facts.items())
