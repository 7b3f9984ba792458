"""The command line, run in this process with its own streams."""

import io
import json
import sys
from pathlib import Path

import pytest

from nmt.__main__ import main


def feed(monkeypatch: pytest.MonkeyPatch, data: bytes) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(data)))


def test_one_line_out_for_one_line_in(
    bundle_path: Path, monkeypatch: pytest.MonkeyPatch, capfdbinary: pytest.CaptureFixture[bytes]
) -> None:
    feed(monkeypatch, "The cat sits. It sleeps.\n\nA \u2028 line\r\n😀\nlast".encode())
    assert main(["translate", "--model", str(bundle_path.parent), "--beam-size", "1"]) == 0
    lines = capfdbinary.readouterr().out.decode().split("\n")
    assert len(lines) == 6
    assert lines[1] == lines[5] == ""
    assert lines[3] == "😀"


def test_input_that_is_not_text_names_its_line(
    bundle_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    feed(monkeypatch, b"fine\n\xff\xfe\n")
    assert main(["translate", "--model", str(bundle_path)]) == 2
    assert capsys.readouterr().err == "nmt: line 2 of the input is not UTF-8; convert it first (iconv -t utf-8)\n"


@pytest.mark.parametrize("form", ["svg", "html", "csv", "json"])
def test_figure_is_written_in_the_format_of_its_ending(bundle_path: Path, tmp_path: Path, form: str) -> None:
    output = tmp_path / f"figure.{form}"
    assert main(["heatmap", "--model", str(bundle_path), "--text", "The cat sits.", "--output", str(output)]) == 0
    figure = output.read_text("utf-8")
    assert {"svg": "<svg", "html": "<!doctype html", "csv": "cat", "json": '"weights"'}[form].lower() in figure.lower()
    if form == "json":
        json.loads(figure)


def test_figure_of_a_given_pair(bundle_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pair = ["--text", "The cat sits.", "--translation", "Le chat dort."]
    assert main(["heatmap", "--model", str(bundle_path), *pair, "--format", "svg"]) == 0
    assert "chat" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            ["heatmap", "--text", "One. Two.", "--sentence", "2"],
            "--sentence 2 is not in the text, which has 2 sentences",
        ),
        (["heatmap", "--text", "One.", "--output", "figure.bmp"], "format 'bmp' is not known"),
        (["heatmap", "--text", "One.", "--output", "/nowhere/figure.svg"], "No such file or directory"),
        (["heatmap", "--text", "One. Two.", "--translation", "Un."], "needs a text of one sentence"),
        (["translate", "--threads", "-1"], "--threads -1 is out of range"),
        (["translate", "--device", "tpu"], "device = 'tpu' is not known"),
    ],
)
def test_mistakes_are_one_clear_line(
    bundle_path: Path, arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*arguments[:1], "--model", str(bundle_path), *arguments[1:]]) == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1


def test_missing_model_is_one_clear_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["inspect", "--model", str(tmp_path / "none")]) == 2
    assert "is not a folder" in capsys.readouterr().err


def test_inspect_verifies_and_prints_the_card(bundle_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["inspect", "--model", str(bundle_path)]) == 0
    assert '"title": "random weights"' in capsys.readouterr().out
