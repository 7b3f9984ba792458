"""The stage `align`, with a stand-in for the aligner that links words by their place."""

import os
import stat
from collections.abc import Callable
from pathlib import Path

import pytest

from nmt.errors import ConfigError, CorpusError, NmtError
from tests.conftest import CI
from training import align as module
from training.__main__ import main
from training.align import align, find_aligner
from training.align_eval import grow_diag
from training.config import Recipe, TrainingConfig
from training.data_config import BacktranslationConfig, DataConfig
from training.guidance import open_links

ALIGNER = """#!/usr/bin/env python3
import sys
place = dict(zip(sys.argv[1::2], sys.argv[2::2]))
sides = [open(place[option], encoding="utf-8").read().splitlines() for option in ("-s", "-t")]
assert sides == [[line.lower() for line in side] for side in sides]
for option in ("-f", "-r"):
    with open(place[option], "w") as out:
        for source, target in zip(*sides):
            out.write(" ".join(f"{n}-{n}" for n in range(min(len(source.split()), len(target.split())))) + "\\n")
"""

Install = Callable[[str], None]


@pytest.fixture
def aligner(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Install:
    """Makes a program the aligner."""

    def install(program: str) -> None:
        path = tmp_path / "bin" / "stand-in"
        path.parent.mkdir(exist_ok=True)
        path.write_text(program)
        path.chmod(path.stat().st_mode | stat.S_IXUSR)
        monkeypatch.setenv("PATH", f"{path.parent}:{os.environ['PATH']}")
        monkeypatch.setattr(module, "PROGRAM", path.name)

    return install


def recipe(*, synthetic: bool = False) -> Recipe:
    made = BacktranslationConfig(files=("fr.txt",), model="m") if synthetic else BacktranslationConfig()
    return Recipe(
        name="x", source="en", target="fr", data=DataConfig(train="t"), backtranslation=made,
        training=TrainingConfig(guidance=0.5),
    )  # fmt: skip


def linked(folder: Path, pairs: list[tuple[str, str]]) -> list[list[tuple[str, str]]]:
    links = open_links(folder, len(pairs))
    return [
        [(source[a:b], target[c:d]) for a, b, c, d in links[number]] for number, (source, target) in enumerate(pairs)
    ]


def test_words_are_linked_each_han_character_its_own(tmp_path: Path, aligner: Install) -> None:
    aligner(ALIGNER)
    pairs = [("Red cars.", "红车。"), ("l'Homme", "The man"), ("x", "…")]
    (tmp_path / "train.tsv").write_text("".join(f"{a}\t{b}\n" for a, b in pairs), "utf-8")
    align(recipe(), tmp_path)
    assert linked(tmp_path, pairs) == [
        [("Red", "红"), ("cars", "车"), (".", "。")],
        [("l'", "The"), ("Homme", "man")],
        [("x", "…")],
    ]


def test_made_pairs_are_linked_too_and_their_tag_is_no_word(tmp_path: Path, aligner: Install) -> None:
    aligner(ALIGNER)
    (tmp_path / "train.tsv").write_text("one two\tun deux\n", "utf-8")
    (tmp_path / "synthetic.tsv").write_text("<bt> three\ttrois\n", "utf-8")
    align(recipe(synthetic=True), tmp_path)
    assert linked(tmp_path, [("one two", "un deux"), ("<bt> three", "trois")]) == [
        [("one", "un"), ("two", "deux")],
        [("three", "trois")],
    ]


def test_a_corpus_goes_through_the_aligner_in_blocks_of_one_size(
    tmp_path: Path, aligner: Install, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    aligner(ALIGNER)
    pairs = [(f"a{n} b{n}", f"c{n} d{n}") for n in range(11)]
    (tmp_path / "train.tsv").write_text("".join(f"{a}\t{b}\n" for a, b in pairs), "utf-8")
    align(recipe(), tmp_path)
    whole = linked(tmp_path, pairs)
    capsys.readouterr()
    monkeypatch.setattr(module, "BLOCK", 5)
    align(recipe(), tmp_path)
    assert [line.split(": ")[1].split()[0] for line in capsys.readouterr().out.splitlines()[:3]] == ["3", "4", "4"]
    assert linked(tmp_path, pairs) == whole == [[(f"a{n}", f"c{n}"), (f"b{n}", f"d{n}")] for n in range(11)]


def test_an_interrupted_stage_goes_on_after_the_last_whole_block(
    tmp_path: Path, aligner: Install, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(module, "BLOCK", 5)
    pairs = [(f"a{n} b{n}", f"c{n} d{n}") for n in range(11)]
    (tmp_path / "train.tsv").write_text("".join(f"{a}\t{b}\n" for a, b in pairs), "utf-8")
    aligner(ALIGNER + "if sides[0][0] == 'a3 b3': sys.exit('killed')\n")  # at the end of the second block
    with pytest.raises(NmtError, match="killed"):
        align(recipe(), tmp_path)
    assert not (tmp_path / "links.bin").exists()
    capsys.readouterr()
    aligner(ALIGNER)
    align(recipe(), tmp_path)
    said = capsys.readouterr().out
    assert "block 1 of 3" not in said
    assert "block 2 of 3" in said
    assert linked(tmp_path, pairs) == [[(f"a{n}", f"c{n}"), (f"b{n}", f"d{n}")] for n in range(11)]
    assert not list(tmp_path.glob("*.part"))


@pytest.mark.parametrize(
    ("program", "says"),
    [
        ("#!/bin/sh\necho no memory; exit 3\n", "failed with exit code 3: no memory"),
        ("#!/bin/sh\n", "failed with exit code 0: it said nothing"),
        ('#!/bin/sh\necho 0-0 > "$6"; echo 0-0 > "$8"\n', "stopped after 1 of 2 pairs"),
    ],
)
def test_an_aligner_that_fails_is_quoted_and_leaves_no_links(
    tmp_path: Path, aligner: Install, program: str, says: str
) -> None:
    aligner(program)
    (tmp_path / "train.tsv").write_text("a\tb\nc\td\n", "utf-8")
    with pytest.raises(NmtError, match=says):
        align(recipe(), tmp_path)
    assert not (tmp_path / "links.bin").exists()


def test_a_corpus_without_a_link_is_refused(tmp_path: Path, aligner: Install) -> None:
    aligner('#!/bin/sh\necho > "$6"; echo > "$8"\n')
    (tmp_path / "train.tsv").write_text("a\tb\n", "utf-8")
    with pytest.raises(CorpusError, match="linked no words"):
        align(recipe(), tmp_path)


def test_a_missing_aligner_is_named_with_the_command_that_installs_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "PROGRAM", "no-such-aligner")
    with pytest.raises(ConfigError, match=r"pip install 'interlinear\[align\]'"):
        find_aligner()


def test_guidance_brings_its_stage_and_its_loss_into_a_run(
    recipe_file: Callable[..., Path], aligner: Install, capsys: pytest.CaptureFixture[str]
) -> None:
    aligner(ALIGNER)
    small = "\n[model]\nembedding_size = 16\nencoder_size = 8\nencoder_layers = 1\ndecoder_size = 16\n"
    path = recipe_file(small + "\n[training]\nguidance = 0.5\nmax_updates = 2\nvalidate_every = 2\n")
    for stage in ("prepare", "subwords", "align", "train"):
        assert main([stage, str(path)]) == 0
    assert '"guidance": ' in Path("runs/tiny/log.jsonl").read_text()
    capsys.readouterr()
    assert main(["align", str(path)]) == 0
    assert "nothing changed, skipped" in capsys.readouterr().out
    Path("runs/tiny/links.bin").unlink()
    assert main(["train", str(path)]) == 2
    assert "run this first: python -m training align" in capsys.readouterr().err


def test_grow_diag_adds_neighbours_that_link_a_free_word_and_nothing_far_away() -> None:
    forward = frozenset({(0, 0), (1, 1), (3, 3), (5, 0)})
    backward = frozenset({(0, 0), (1, 2), (4, 5)})
    assert grow_diag(forward, backward) == {(0, 0), (1, 1), (1, 2)}


def test_eflomal_learns_which_words_go_together(tmp_path: Path) -> None:
    try:
        find_aligner()
    except ConfigError as error:
        if CI:
            raise
        pytest.skip(str(error))
    pairs = [
        (f"{c} {n}", f"{m} {d}")
        for n, m in (("car", "voiture"), ("house", "maison"), ("door", "porte"), ("table", "table"))
        for c, d in (("red", "rouge"), ("young", "jeune"), ("large", "vaste"), ("pink", "rose"))
    ]
    (tmp_path / "train.tsv").write_text("".join(f"{a}\t{b}\n" for a, b in pairs * 5), "utf-8")
    align(recipe(), tmp_path)
    found = linked(tmp_path, pairs * 5)
    right = sum(
        set(links) == {(s.split()[0], t.split()[1]), (s.split()[1], t.split()[0])}
        for links, (s, t) in zip(found, pairs * 5, strict=True)
    )
    assert right > 0.9 * len(found)
