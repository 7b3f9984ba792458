"""The command line, run in this process with its own streams."""

import argparse
import csv
import io
import json
import math
import sys
from pathlib import Path

import pytest

from nmt.__main__ import main, parser, search_options
from nmt.bundle import ModelBundle
from nmt.search import Sampling, SearchOptions
from nmt.translator import Translator
from tests.nmt.conftest import save_bundle
from tests.nmt.test_aligner import stored


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


def test_prefix_begins_every_line(
    bundle_path: Path, monkeypatch: pytest.MonkeyPatch, capfdbinary: pytest.CaptureFixture[bytes]
) -> None:
    feed(monkeypatch, b"The cat sits.\nIt sleeps.\n")
    assert main(["translate", "--model", str(bundle_path), "--prefix", "Le ch"]) == 0
    lines = capfdbinary.readouterr().out.decode().splitlines()
    assert len(lines) == 2
    assert all(line.startswith("Le ch") for line in lines)


def test_candidates_stand_on_lines_of_their_own_with_line_number_and_score(
    bundle_path: Path, monkeypatch: pytest.MonkeyPatch, capfdbinary: pytest.CaptureFixture[bytes]
) -> None:
    feed(monkeypatch, b"The cat sits.\n\nIt sleeps.\n")
    assert main(["translate", "--model", str(bundle_path), "--n-best", "3"]) == 0
    rows = [line.split("\t") for line in capfdbinary.readouterr().out.decode().splitlines()]
    assert [row[0] for row in rows] == ["1", "1", "1", "3", "3", "3"]
    assert [float(row[1]) for row in rows[:3]] == sorted((float(row[1]) for row in rows[:3]), reverse=True)


def test_same_seed_draws_the_same(
    bundle_path: Path, monkeypatch: pytest.MonkeyPatch, capfdbinary: pytest.CaptureFixture[bytes]
) -> None:
    drawn = []
    for seed in ("1", "1", "2"):
        feed(monkeypatch, b"The cat sits on the mat.\n")
        assert main(["translate", "--model", str(bundle_path), "--seed", seed]) == 0
        drawn.append(capfdbinary.readouterr().out)
    assert drawn[0] == drawn[1] != drawn[2]


def test_every_search_flag_reaches_the_search() -> None:
    flags = "--beam-size 4 --n-best 2 --length-penalty 0.5 --coverage-penalty 0.2 --no-repeat-ngram-size 3"
    sampling = "--temperature 0.7 --top-k 9 --top-p 0.8 --seed 3"
    given = parser().parse_args(["translate", "--model", "x", *flags.split(), *sampling.split()])
    assert search_options(given) == SearchOptions(
        beam_size=4,
        n_best=2,
        length_penalty=0.5,
        coverage_penalty=0.2,
        no_repeat_ngram_size=3,
        sampling=Sampling(temperature=0.7, top_k=9, top_p=0.8, seed=3),
    )
    assert search_options(parser().parse_args(["translate", "--model", "x"])) == SearchOptions()


def test_score_says_mean_log_probability_and_perplexity(
    bundle_path: Path, monkeypatch: pytest.MonkeyPatch, capfdbinary: pytest.CaptureFixture[bytes]
) -> None:
    feed(monkeypatch, "The cat sits.\tLe chat dort.\nIt sleeps.\tIl dort, 猫.\n".encode())
    assert main(["score", "--model", str(bundle_path)]) == 0
    rows = [line.split("\t") for line in capfdbinary.readouterr().out.decode().splitlines()]
    assert [row[2] for row in rows] == ["Le chat dort.", "Il dort, 猫."]
    for row in rows:
        assert float(row[1]) == pytest.approx(math.exp(-float(row[0])), rel=1e-3)


def test_score_as_json_has_tokens_and_attention(
    bundle_path: Path, monkeypatch: pytest.MonkeyPatch, capfdbinary: pytest.CaptureFixture[bytes]
) -> None:
    feed(monkeypatch, b"The cat sits.\tLe chat dort.\n")
    assert main(["score", "--model", str(bundle_path), "--json"]) == 0
    (line,) = capfdbinary.readouterr().out.decode().splitlines()
    found = json.loads(line)
    assert [token["text"] for token in found["target_tokens"]] == ["Le", "chat", "dort", ".", "</s>"]
    assert [token["text"] for token in found["source_tokens"]] == ["The", "cat", "sits", ".", "</s>"]
    assert [len(row) for row in found["attention"]] == [5] * 5
    units = len("Le chat dort.") + 1
    assert sum(token["logprob"] for token in found["target_tokens"]) == pytest.approx(found["score"] * units, abs=1e-3)


@pytest.mark.parametrize(
    ("arguments", "data", "message"),
    [
        (["score"], b"a\tb\nno tab\n", "line 2 of the input is not source, one tab, translation"),
        (["score"], b"a\tb\n\tb\n", "line 2 of the input: a given pair needs text on both sides"),
        (["translate", "--prefix", "Le"], b"One.\nOne. Two.\n", "line 2 of the input: a target prefix needs a text"),
        (["translate", "--n-best", "9"], b"One.\n", "n_best = 9 is larger than beam_size = 5"),
        (["translate", "--top-p", "0"], b"One.\n", "sampling.top_p = 0.0 is out of range"),
        (["translate", "--shortlist"], b"One.\n", "this model has no shortlist"),
    ],
)
def test_mistakes_in_the_input_name_the_line(
    bundle_path: Path,
    arguments: list[str],
    data: bytes,
    message: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    feed(monkeypatch, data)
    assert main([*arguments[:1], "--model", str(bundle_path), *arguments[1:]]) == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1


def test_every_option_is_documented() -> None:
    text = Path("docs/command-line.md").read_text("utf-8")
    commands = next(a for a in parser()._actions if isinstance(a, argparse._SubParsersAction))
    for name, command in commands.choices.items():
        section = text.split(f"## {name}\n")[1].split("\n## ")[0]
        for action in command._actions:
            if action.option_strings != ["-h", "--help"]:
                assert f"`{action.option_strings[0]}" in section, f"{name} {action.option_strings[0]}"


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


def drawn(path: Path, capsys: pytest.CaptureFixture[str], *more: str) -> list[tuple[int, int, float]]:
    """The weights above zero of a figure of a given pair, as links."""
    pair = ["--text", "The cat sits.", "--translation", "Le chat dort.", "--format", "csv"]
    assert main(["heatmap", "--model", str(path), *pair, *more]) == 0
    rows = list(csv.reader(io.StringIO(capsys.readouterr().out)))[1:]
    return [(s, t, float(w)) for t, row in enumerate(rows) for s, w in enumerate(row[1:]) if float(w)]


def test_figure_shows_links_when_asked_to(bundle_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def links() -> list[tuple[int, int, float]]:
        return Translator.load(bundle_path, device="cpu").attend("The cat sits.", "Le chat dort.").links()

    attention = drawn(bundle_path, capsys)
    assert len(attention) == 25
    assert drawn(bundle_path, capsys, "--show", "attention") == attention
    by_attention = drawn(bundle_path, capsys, "--show", "links")
    assert by_attention == [(s, t, pytest.approx(w)) for s, t, w in links()]
    bundle = ModelBundle.load(bundle_path)
    bundle.add_aligner(stored(), card=bundle.card, readme="# x\n")
    by_aligner = drawn(bundle_path, capsys, "--show", "links")
    assert by_aligner == [(s, t, pytest.approx(w)) for s, t, w in links()]
    assert by_aligner != by_attention
    assert drawn(bundle_path, capsys) == attention


def test_figure_says_whose_links_it_shows(bundle_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for show, told in (("attention", "attention"), ("links", "links by attention")):
        asked = ["--text", "The cat sits.", "--format", "json", "--show", show]
        assert main(["heatmap", "--model", str(bundle_path), *asked]) == 0
        figure = json.loads(capsys.readouterr().out)
        assert (figure["show"], figure["metadata"]["shows"]) == (show, told)


def test_links_of_a_model_without_attention_need_an_aligner(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = save_bundle(tmp_path / "m" / "1", context="first_state", score="", wiring="")
    figure = ["heatmap", "--model", str(path), "--text", "abc de."]
    assert main([*figure, "--show", "links"]) == 2
    assert "has no attention to draw" in capsys.readouterr().err
    bundle = ModelBundle.load(path)
    bundle.add_aligner(stored(), card=bundle.card, readme="# x\n")
    assert main([*figure, "--show", "links"]) == 0
    assert main(figure) == 2


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
