"""How much memory and time a corpus of any size takes: made pairs through `prepare`, `subwords` and some updates.

    python -m benchmarks.prepare_scale --pairs 1000000 20000000

For every size, pairs are made up (60 bytes a side, one in ten a repetition, one in a hundred with a fault that cleaning
finds) and go through the pipeline's own commands. Meanwhile the resident sets of all its processes are summed, ten
times a second: `private` is memory that only they hold; the rest are libraries and mapped files, which the system
takes back when it needs to. Training starts at a random place of the epoch. Pairs and finished stages are kept in
var/prepare-scale: the same command goes on where it was stopped.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import resource
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import report
from training import checkpoint
from training.files import read_json, replacing_bytes, write_json
from training.loop import LAST
from training.progress import Progress
from training.stream import POOL

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

_BLOCK = 50_000
_WORDS = 30_000
_INTERVAL = 0.1
RECIPE = """
name = "made"
source = "en"
target = "fr"
run = "{run}"
[data]
folder = "{folder}"
train = "{corpus}"
[units]
size = 4000
[model]
embedding_size = 64
encoder_size = 64
decoder_size = 64
[training]
batch_tokens = 1024
validate_every = 1000000
threads = 1
device = "cpu"
"""


def lines(count: int, seed: int = 0) -> Iterator[list[str]]:
    """`count` lines `source TAB target`, in blocks; the same seed gives the same lines."""
    chance = np.random.default_rng(seed)
    sides = [_vocabulary(seed, ending) for ending in ("aeiou", "aeéou")]
    known = np.cumsum(1 / np.arange(3, _WORDS + 3))
    known /= known[-1]
    earlier: list[str] = []
    for start in range(0, count, _BLOCK):
        size = min(_BLOCK, count - start)
        ends = np.cumsum(chance.integers(4, 17, size)).tolist()
        ranks = np.searchsorted(known, chance.random(ends[-1]))
        source, target = (side[ranks].tolist() for side in sides)
        block = [
            f"{' '.join(source[begin:end])}.\t{' '.join(target[begin:end])}\u00a0!"
            for begin, end in zip([0, *ends], ends, strict=False)
        ]
        for line in chance.integers(0, size, size // 100).tolist():
            block[line] = chance.choice(
                ["\tonly a target", "both the same\tboth the same", "short\t" + 9 * block[line]]
            )
        if earlier:
            for line, other in zip(*chance.integers(0, (size, len(earlier)), (size // 10, 2)).T.tolist(), strict=True):
                block[line] = earlier[other]
        # half of what may be repeated is always from blocks before
        earlier = [*earlier[: _BLOCK // 2], *block] if len(earlier) < _BLOCK else [*earlier[::2], *block[::2]]
        yield block


def _vocabulary(seed: int, vowels: str) -> np.ndarray[Any, np.dtype[np.object_]]:
    chance = random.Random(f"{seed} {vowels}")
    syllables = [a + b for a in "bcdfgjklmnprstvz" for b in vowels]
    return np.array(["".join(chance.choices(syllables, k=1 + rank % 4)) for rank in range(_WORDS)], object)


def make(path: Path, count: int) -> None:
    """Write the pairs, compressed by zstd, unless they are there."""
    if path.exists():
        return
    with (
        replacing_bytes(path) as out,
        zstd.ZstdFile(out, "w", level=1) as file,
        Progress("making pairs", count) as bar,
    ):
        done = 0
        for block in lines(count):
            file.write(("\n".join(block) + "\n").encode())
            done += len(block)
            bar.advance(done, done)


class Watch:
    """Memory and reading of a process and its children while the block runs, in bytes.

    Attributes:
        resident: Largest sum of resident sets.
        private: Largest sum of what is not mapped from files.
        thirds: Largest `resident` in each third of the samples: equal when memory does not grow.
        read: What the process and its children asked the system to read (mapped files do not count).
    """

    def __init__(self, process: int) -> None:
        self._process, self._done = process, threading.Event()
        self._samples: list[tuple[int, int]] = []
        self._read: dict[int, int] = {}
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def __enter__(self) -> Watch:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._done.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._done.wait(_INTERVAL):
            found = [one for process in descendants(self._process) if (one := self._look(process))]
            if found:
                self._samples.append((sum(resident for resident, _ in found), sum(private for _, private in found)))

    def _look(self, process: int) -> tuple[int, int] | None:
        try:
            status = Path(f"/proc/{process}/status").read_text()
            self._read[process] = _field(Path(f"/proc/{process}/io").read_text(), "rchar")
            return 1024 * _field(status, "VmRSS"), 1024 * _field(status, "RssAnon")
        except (OSError, StopIteration):  # it has ended meanwhile
            return None

    def summary(self) -> dict[str, Any]:
        """The figures."""
        resident = [one for one, _ in self._samples] or [0]
        third = -(-len(resident) // 3)
        return {
            "resident": max(resident),
            "private": max((private for _, private in self._samples), default=0),
            "thirds": [max(resident[start : start + third], default=0) for start in range(0, 3 * third, third)],
            "read": sum(self._read.values()),
        }


def descendants(process: int) -> list[int]:
    """The process and all that it started, and they."""
    children: dict[int, list[int]] = {}
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = path.read_text().rpartition(")")[2].split()
        except OSError:  # it has ended meanwhile
            continue
        children.setdefault(int(fields[1]), []).append(int(path.parent.name))
    found = [process]
    for one in found:
        found += children.get(one, [])
    return found


def _field(text: str, name: str) -> int:
    return int(next(line for line in text.splitlines() if line.startswith(name)).split()[1])


def stage(name: str, recipe: Path, *overrides: str) -> dict[str, Any]:
    """Run one command of the pipeline; seconds, seconds of processor time, and what `Watch` saw."""
    arguments = [part for one in overrides for part in ("--set", one)]
    began, used = time.perf_counter(), resource.getrusage(resource.RUSAGE_CHILDREN)
    with (
        subprocess.Popen([sys.executable, "-m", "training", name, str(recipe), *arguments]) as running,
        Watch(running.pid) as watch,
    ):
        code = running.wait()
    if code:
        raise SystemExit(code)
    now = resource.getrusage(resource.RUSAGE_CHILDREN)
    return {
        "seconds": time.perf_counter() - began,
        "cpu_seconds": now.ru_utime + now.ru_stime - used.ru_utime - used.ru_stime,
        **watch.summary(),
    }


def measure(folder: Path, pairs: int, updates: int) -> dict[str, Any]:
    """One size, stage by stage; stages that a run before has finished are not done again."""
    corpus, run = folder / f"{pairs}.tsv.zst", folder / f"run-{pairs}"
    make(corpus, pairs)
    recipe = folder / f"{pairs}.toml"
    recipe.write_text(RECIPE.format(run=run, folder=folder, corpus=corpus.name), "utf-8")
    journal = folder / f"{pairs}.json"
    found: dict[str, Any] = read_json(journal) or {"pairs": pairs, "bytes": corpus.stat().st_size}
    for name in ("prepare", "subwords"):
        if name not in found:
            found[name] = stage(name, recipe)
            write_json(journal, found)
    if "train" not in found:
        stage("train", recipe, "training.max_updates=1")
        tensors, state = checkpoint.load(run / LAST)
        pools = pairs * 4 // 5 // POOL  # what cleaning leaves is more than four fifths
        state["position"] = {
            "epoch": 0,
            "pool": random.Random(f"{pairs} pairs").randint(0, max(0, pools - 1)),
            "batch": 100,
        }
        checkpoint.save(run / LAST, tensors, state)
        found["train"] = stage("train", recipe, f"training.max_updates={updates + 1}") | {"from": state["position"]}
        found["trained_on"] = {name: (run / name).stat().st_size for name in ("train.tsv", "train.index")}
        write_json(journal, found)
    report_ = read_json(run / "cleaning.json")
    return found | {"kept": report_["kept"], "duplicates": report_["rules"]["duplicate"]["count"]}


def page(result: dict[str, Any]) -> str:
    """The result for people."""
    memory, rates, trained = [], [], []
    for one in result["sizes"]:
        for name in ("prepare", "subwords", "train"):
            found = one[name]
            sizes = [found["resident"], found["private"], *found["thirds"]]
            memory.append([f"{one['pairs']:,}", name, *(round(size / 1e6) for size in sizes)])
            if name != "train":
                pairs = (one["pairs"] / found[key] for key in ("seconds", "cpu_seconds"))
                rates.append([f"{one['pairs']:,}", name, found["seconds"], found["cpu_seconds"], *map(round, pairs)])
        sizes = [one["train"]["read"], one["trained_on"]["train.tsv"], one["trained_on"]["train.index"]]
        trained.append([f"{one['pairs']:,}", json.dumps(one["train"]["from"]), *(round(size / 1e6) for size in sizes)])
    kept = "; ".join(
        f"{one['kept']:,} of {one['pairs']:,}, {one['duplicates']:,} duplicates" for one in result["sizes"]
    )
    return "\n\n".join(
        [
            "# Corpora of any size",
            f"Made pairs through the pipeline. Kept: {kept}.",
            "Largest sum of the resident sets of all processes, in MB: in all, what is not mapped from files, and in "
            "each third of the time.",
            report.table(["pairs", "stage", "resident", "private", "1st third", "2nd third", "3rd third"], memory),
            report.table(["pairs", "stage", "seconds", "CPU seconds", "pairs/s", "pairs/CPU second"], rates),
            f"{result['updates']} updates of training from a random place of the epoch; MB that the process read (its "
            "libraries included) beside the size of what it trains on.",
            report.table(["pairs", "from", "read", "train.tsv", "train.index"], trained),
        ]
    )


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure, print, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pairs", type=int, nargs="+", default=[1_000_000, 20_000_000], help="sizes to measure")
    parser.add_argument("--updates", type=int, default=500, help="of training (default 500)")
    parser.add_argument("--folder", type=Path, default=Path("var/prepare-scale"), help="for data and runs")
    parser.add_argument("--output", type=Path, default=report.RESULTS, help="folder for the result")
    options = parser.parse_args(arguments)
    folder = options.folder.resolve()
    folder.mkdir(parents=True, exist_ok=True)
    result: dict[str, Any] = {"machine": report.machine(niceness=os.nice(0)), "updates": options.updates}
    result["sizes"] = [measure(folder, pairs, options.updates) for pairs in options.pairs]
    text = page(result)
    print(text)
    print("\n".join(map(str, report.write("prepare-scale", result, text, folder=options.output))))


if __name__ == "__main__":
    main()
