"""The machine goes down, or somebody says stop: real processes, real signals."""

from __future__ import annotations

import json
import os
import random
import resource
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from training import checkpoint, loop
from training.journal import read_log

Write = Callable[..., Path]
ROOT = Path(__file__).parents[2]
RECIPE = """
[model]
cell = "gru"
embedding_size = 24
encoder_size = 16
encoder_layers = 1
decoder_size = 24
dropout = 0.2
source_word_dropout = 0.2
target_word_dropout = 0.2
[training]
max_updates = {updates}
batch_tokens = 256
warmup = 5
schedule = "plateau"
halve_after = 1
validate_every = 8
sampling = {sampling}
copy_rate = 0.1
threads = 1
slices = {slices}
device = "cpu"
"""
ENVIRONMENT = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}


def command(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "training", *arguments]


STOPPING = """
import os, signal, sys
from training import loop
from training.__main__ import main

learning_rate = loop.learning_rate

def stopping(config, update, *rest):
    if update == {update} and os.environ.get("RANK", "0") == "0":
        os.kill(os.getpid(), signal.SIGTERM)
    return learning_rate(config, update, *rest)

loop.learning_rate = stopping
sys.exit(main())
"""
"""The command line, but the first process asks itself to stop in the middle of an update."""


def call(*arguments: str, processes: int = 1, stop_at: int | None = None) -> subprocess.CompletedProcess[str]:
    """Run the command line, in several processes or stopped in the middle when asked to."""
    given = ["-m", "training", *arguments]
    if stop_at is not None:
        Path("stopping.py").write_text(STOPPING.format(update=stop_at))
        given = ["stopping.py", *arguments]
    if processes > 1:
        given = ["-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={processes}", *given]
    given = [sys.executable, *given]
    return subprocess.run(given, env=ENVIRONMENT, capture_output=True, text=True, check=False, timeout=120)


@pytest.fixture
def run(recipe_file: Write, corpus: Path) -> Callable[..., str]:
    """Prepares a run folder of its own for a small model; returns the recipe's name."""
    words = ("press", "the", "green", "button", "and", "wait", "for", "understanding")
    lines = {" ".join(random.Random(n).choices(words, k=5)) for n in range(400)}
    corpus.write_text("".join(f"{line}\t{' '.join(reversed(line.split()))}\n" for line in sorted(lines)))
    prepared: list[Path] = []

    def make(name: str, *, updates: int = 24, sampling: float = 0.1, slices: int = 1, dropout: float = 0.2) -> str:
        extra = RECIPE.format(updates=updates, sampling=sampling, slices=slices).replace("0.2", str(dropout))
        path = recipe_file(extra, name=f"{name}.toml")
        text = path.read_text().replace('kind = "character"\nshared = false', "size = 60")
        path.write_text(f'run = "runs/{name}"\n{text}')
        if prepared:  # the same corpus: what takes two processes to make is copied
            shutil.copytree(prepared[0], f"runs/{name}")
            return str(path)
        for stage in ("prepare", "subwords"):
            done = call(stage, str(path))
            assert done.returncode == 0, done.stderr
        shutil.copytree(f"runs/{name}", "prepared", ignore=shutil.ignore_patterns("recipe.json", "stages.json", "lock"))
        prepared.append(Path("prepared"))
        return str(path)

    return make


def tensors(name: str) -> dict[str, torch.Tensor]:
    return checkpoint.load(Path(f"runs/{name}") / loop.LAST)[0]


def state(name: str) -> dict[str, Any]:
    found = checkpoint.load(Path(f"runs/{name}") / loop.LAST)[1]
    found.pop("seconds")
    return found


def test_a_run_killed_at_any_moment_ends_with_the_same_weights(run: Callable[..., str]) -> None:
    whole, broken = run("whole"), run("broken")
    assert call("train", whole).returncode == 0
    delays = [random.uniform(0.0, 0.4) for _ in range(2)]
    kills = 0
    for delay in delays:
        with subprocess.Popen(
            command("train", broken), env=ENVIRONMENT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        ) as running:
            until = time.monotonic() + 60
            seen = len(read_log(Path("runs/broken")))
            while len(read_log(Path("runs/broken"))) <= seen and running.poll() is None and time.monotonic() < until:
                time.sleep(0.02)
            time.sleep(delay)
            running.send_signal(signal.SIGKILL)
        kills += running.returncode == -signal.SIGKILL
    assert kills, f"training was done before it could be killed {delays} seconds after an entry of its log"
    done = call("train", broken)
    assert done.returncode == 0, done.stderr
    expected, resumed = tensors("whole"), tensors("broken")
    assert expected.keys() == resumed.keys()
    assert all(torch.equal(expected[name], resumed[name]) for name in expected), delays
    assert state("whole") == state("broken"), delays
    curve = [[line["update"], line["valid_loss"], line["valid_bleu"]] for line in read_log(Path("runs/whole"))]
    assert curve == [[line["update"], line["valid_loss"], line["valid_bleu"]] for line in read_log(Path("runs/broken"))]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_stopped_run_writes_a_checkpoint_and_says_how_to_go_on(run: Callable[..., str], number: int) -> None:
    recipe = run("stopped", updates=4000)
    with subprocess.Popen(
        command("train", recipe),
        env=ENVIRONMENT,
        stderr=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # a shell's background jobs ignore it
    ) as running:
        until = time.monotonic() + 60
        while not read_log(Path("runs/stopped")) and time.monotonic() < until:
            time.sleep(0.05)
        running.send_signal(number)
        _, errors = running.communicate(timeout=30)
    assert running.returncode == 130
    assert f"give the same command again:\n  python -m training train {recipe}" in errors
    assert "Traceback" not in errors
    assert state("stopped")["update"] >= 8


def test_a_full_disk_leaves_the_last_checkpoint_whole(run: Callable[..., str]) -> None:
    recipe = run("full", updates=8)
    assert call("train", recipe).returncode == 0
    before = (Path("runs/full") / loop.LAST).read_bytes()
    done = subprocess.run(
        command("train", recipe, "--set", "training.max_updates=16"),
        env=ENVIRONMENT,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000)),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2, done.stderr
    assert "could not be written" in done.stderr
    assert (Path("runs/full") / loop.LAST).read_bytes() == before
    assert call("train", recipe, "--set", "training.max_updates=16").returncode == 0
    assert state("full")["update"] == 16


@pytest.mark.parametrize("dropout", [0.0, 0.2])
def test_two_processes_have_the_losses_of_one(run: Callable[..., str], dropout: float) -> None:
    """With as many slices as processes even the dropout is the same."""
    one, two = (run(name, slices=2, dropout=dropout) for name in ("one", "two"))
    assert call("train", one).returncode == 0
    done = call("train", two, processes=2)
    assert done.returncode == 0, done.stderr
    for expected, found in zip(read_log(Path("runs/one")), read_log(Path("runs/two")), strict=True):
        assert found["loss"] == pytest.approx(expected["loss"], rel=1e-4)
        assert found["valid_loss"] == pytest.approx(expected["valid_loss"], rel=1e-3)
        assert found["tokens"] == expected["tokens"]
    assert state("one")["position"] == state("two")["position"]


def test_a_run_goes_on_with_another_number_of_processes(run: Callable[..., str]) -> None:
    """Two processes, then one, then two again: each is stopped between two validations."""
    whole, changed = (run(name, slices=2) for name in ("whole", "changed"))
    assert call("train", whole).returncode == 0
    # several processes agree to stop with the batch after the signal, one stops at once
    for processes, signalled, last in ((2, 4, 6), (1, 13, 14)):
        stopped = call("train", changed, processes=processes, stop_at=signalled)
        assert "interrupted; what was finished is kept" in stopped.stderr, stopped.stderr
        assert state("changed")["update"] == last
    done = call("train", changed, processes=2)
    assert "at update 14" in done.stdout, done.stdout + done.stderr
    assert done.returncode == 0, done.stderr
    assert state("changed").items() >= {"update": 24, "finished": True}.items()
    assert state("changed")["position"] == state("whole")["position"]
    curves = (read_log(Path(f"runs/{name}")) for name in ("whole", "changed"))
    for expected, found in zip(*curves, strict=True):
        assert found["update"] == expected["update"]
        assert found["tokens"] == expected["tokens"]
        assert found["valid_loss"] == pytest.approx(expected["valid_loss"], rel=1e-4)
    assert found["loss"] == pytest.approx(expected["loss"], rel=1e-4)  # the only mean that no stop has cut
    for name, expected in tensors("whole").items():
        torch.testing.assert_close(tensors("changed")[name], expected, rtol=1e-3, atol=1e-5)


def test_processes_end_cleanly(run: Callable[..., str]) -> None:
    recipe = run("two", updates=8)
    done = call("train", recipe, processes=2)
    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr
    assert "terminate called" not in done.stderr
    again = call("train", recipe, processes=2)  # nothing to do: neither waits for the other
    assert again.returncode == 0, again.stderr
    assert "nothing changed, skipped" in again.stdout
    refused = call("run", recipe, processes=2)
    assert refused.returncode != 0
    assert "torchrun is for the stage train alone" in refused.stderr
    assert json.loads(Path("runs/two/stages.json").read_text())["stages"]["train"]
