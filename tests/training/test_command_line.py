"""Everything a person can get wrong, through the command line: exit code 2, a clear message, nothing lost."""

from __future__ import annotations

import errno
import gzip
import os
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from training import __main__ as command_line
from training.__main__ import main
from training.commands import COMMANDS

Write = Callable[..., Path]
ROOT = Path(__file__).parents[2]
UNCHANGED = ("train.tsv", "valid.tsv", "test.tsv", "cleaning.json")


@pytest.fixture
def run(recipe_file: Write, capsys: pytest.CaptureFixture[str]) -> Callable[..., tuple[int, str]]:
    """Runs a stage on the tiny recipe; returns exit code and standard error."""

    def stage(name: str, *arguments: str, train: str = '"train.tsv"') -> tuple[int, str]:
        code = main([name, str(recipe_file(train=train)), *arguments])
        return code, capsys.readouterr().err

    return stage


def test_prepare_and_subwords_succeed(run: Callable[..., tuple[int, str]]) -> None:
    assert run("prepare")[0] == run("subwords")[0] == 0
    assert Path("runs/tiny/source.vocab.json").exists()


def spoil_utf8(corpus: Path) -> None:
    corpus.write_bytes(corpus.read_bytes() + b"caf\xe9\tcaf\xe9\n")


def spoil_tab(corpus: Path) -> None:
    corpus.write_text(corpus.read_text() + "no tab here\n")


def spoil_empty(corpus: Path) -> None:
    corpus.write_text("")


def spoil_blank(corpus: Path) -> None:
    corpus.write_text("\n \t \n")


def spoil_few(corpus: Path) -> None:
    corpus.write_text("one\tun\n")


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (spoil_utf8, "train.tsv, line 201: not UTF-8 at byte 4"),
        (spoil_tab, "train.tsv, line 201: no tab between source and target"),
        (spoil_empty, "train.tsv: the file is empty"),
        (spoil_blank, "train.tsv: no pair is left of 2 after cleaning; most broke the rule 'empty'"),
        (spoil_few, "1 clean pairs are too few to split off 20"),
        (Path.unlink, "train.tsv: there is no such file"),
    ],
)
def test_a_bad_corpus_is_explained_and_the_last_good_files_stay(
    run: Callable[..., tuple[int, str]], corpus: Path, spoil: Callable[[Path], None], message: str
) -> None:
    assert run("prepare")[0] == 0
    before = {name: Path(f"runs/tiny/{name}").read_bytes() for name in UNCHANGED}
    spoil(corpus)
    code, errors = run("prepare")
    assert code == 2
    assert message in errors
    assert "Traceback" not in errors
    assert {name: Path(f"runs/tiny/{name}").read_bytes() for name in UNCHANGED} == before
    assert not [*Path("runs/tiny").glob("*.part"), *Path("runs/tiny").glob("*.tmp")]


def test_files_of_different_length_are_explained(run: Callable[..., tuple[int, str]], tmp_path: Path) -> None:
    (tmp_path / "a.en").write_text("one\ntwo\n")
    (tmp_path / "a.fr").write_text("un\ndeux\ntrois\n")
    code, errors = run("prepare", train='["a.en", "a.fr"]')
    assert code == 2
    assert "a.en ends after line 2, but" in errors


def test_a_broken_archive_is_explained(run: Callable[..., tuple[int, str]], tmp_path: Path, corpus: Path) -> None:
    (tmp_path / "cut.tsv.gz").write_bytes(gzip.compress(corpus.read_bytes())[:-30])
    code, errors = run("prepare", train='"cut.tsv.gz"')
    assert code == 2
    assert "cut.tsv.gz, after line" in errors
    assert "download or compress it again" in errors


def test_a_bad_test_file_is_explained(run: Callable[..., tuple[int, str]], tmp_path: Path) -> None:
    (tmp_path / "test.tsv").write_text("one\tun\ntwo\t\n")
    code, errors = run("prepare", "--set", "data.test=test.tsv")
    assert code == 2
    assert "test.tsv, line 2: one side is empty" in errors


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("units.sise=9", "units.sise is not a known key; did you mean 'size'?"),
        ("training.learning_rate=fast", "training.learning_rate = 'fast' has the wrong type"),
        ("units.coverage=2.0", "units.coverage = 2.0 is out of range"),
    ],
)
def test_a_bad_recipe_is_explained(run: Callable[..., tuple[int, str]], override: str, message: str) -> None:
    code, errors = run("run", "--set", override)
    assert (code, message in errors) == (2, True)


def test_a_missing_recipe_is_explained(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["run", "recipes/none.toml"]) == 2
    assert "recipes/none.toml: there is no such recipe" in capsys.readouterr().err


def test_every_stage_and_option_is_documented() -> None:
    reference = (ROOT / "docs" / "training.md").read_text("utf-8")
    stages = next(action for action in command_line.parser()._actions if action.dest == "stage").choices
    for name, stage in dict(stages or {}).items():
        given = "" if name in COMMANDS else " RECIPE`"
        assert f"`python -m training {name}{given}" in reference
        for action in stage._actions:
            for option in action.option_strings:
                assert option in ("-h", "--help") or f"`{option}" in reference, option


def test_an_unknown_stage_is_explained(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="2"):
        main(["trian", "recipes/none.toml"])
    assert "invalid choice: 'trian'" in capsys.readouterr().err


def test_a_stage_too_early_names_the_command_to_give(run: Callable[..., tuple[int, str]]) -> None:
    code, errors = run("train", "--set", "training.seed=3")
    assert code == 2
    assert "run this first: python -m training prepare" in errors
    assert errors.strip().endswith("--set training.seed=3")


def test_the_run_folder_of_another_recipe_is_explained(run: Callable[..., tuple[int, str]]) -> None:
    assert run("prepare")[0] == 0
    Path("runs/tiny/checkpoints").mkdir()
    Path("runs/tiny/checkpoints/last.safetensors").write_bytes(b"weights")
    code, errors = run("prepare", "--set", "units.size=100")
    assert code == 2
    assert "units.size was 8000, is 100" in errors
    assert "--set run=runs/tiny-2" in errors
    assert run("prepare", "--set", "training.max_updates=3", "--set", "card.title=x")[0] == 0


def test_a_full_disk_is_explained(run: Callable[..., tuple[int, str]], monkeypatch: pytest.MonkeyPatch) -> None:
    def full(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr("training.files.os.fsync", full)
    code, errors = run("prepare")
    assert code == 2
    assert "the disk is full; make room and give the same command again" in errors


def test_a_file_size_limit_leaves_no_half_file(recipe_file: Write) -> None:
    """A real refusal of the operating system, in the middle of a file."""
    done = subprocess.run(
        [sys.executable, "-m", "training", "prepare", recipe_file()],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (2048, 2048)),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2
    assert "the disk is full" in done.stderr
    assert "Traceback" not in done.stderr
    assert not Path("runs/tiny/train.tsv").exists()
    assert not list(Path("runs/tiny").glob("*.part"))


def test_a_run_folder_that_cannot_be_made_is_explained(run: Callable[..., tuple[int, str]], tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    code, errors = run("prepare", "--set", "run=file/run")
    assert code == 2
    assert "file/run" in errors


@pytest.mark.parametrize("error", [MemoryError(), RuntimeError("CUDA out of memory. Tried to allocate 2 GiB")])
def test_too_little_memory_is_explained(error: Exception) -> None:
    assert "training.batch_tokens" in (command_line.explain(error) or "")


def test_a_fault_of_the_program_is_not_dressed_up() -> None:
    assert command_line.explain(ValueError("a bug")) is None


def test_interrupting_says_how_to_go_on(run: Callable[..., tuple[int, str]], monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(*_: Any, **__: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(command_line, "run_stages", interrupt)
    code, errors = run("run", "--set", "card.title=two words")
    assert code == 130
    assert "To go on, give the same command again:\n  python -m training run" in errors
    assert "--set 'card.title=two words'" in errors


def test_ctrl_c_stops_a_real_run_and_the_next_goes_on(recipe_file: Write, corpus: Path) -> None:
    with corpus.open("w", encoding="utf-8") as file:
        file.writelines(f"word number {n} é\tmot numéro {n}\n" for n in range(300_000))
    command = [sys.executable, "-m", "training", "prepare", str(recipe_file())]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    with subprocess.Popen(
        command,
        env=environment,
        stderr=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # a shell's background jobs ignore it
    ) as running:
        clean = Path("runs/tiny/clean.tmp")
        patience = time.monotonic() + 60
        while not clean.exists() and time.monotonic() < patience:
            time.sleep(0.02)
        assert clean.exists()
        running.send_signal(signal.SIGINT)
        _, errors = running.communicate(timeout=20)
    assert running.returncode == 130
    assert "To go on, give the same command again" in errors
    assert "Traceback" not in errors
    assert not clean.exists()
    corpus.write_text("".join(f"word number {n}\tmot numéro {n}\n" for n in range(200)), encoding="utf-8")
    assert subprocess.run(command, env=environment, capture_output=True, check=False).returncode == 0
