from pathlib import Path

import numpy as np
import pytest

from nmt.alignment import AttentionMatrix, Token
from nmt.bundle import ModelBundle
from nmt.errors import CorpusError
from tests.nmt.conftest import save_bundle
from tests.nmt.test_aligner import stored
from training.__main__ import main
from training.align_eval import (
    GoldPair,
    alignment_score,
    found_links,
    grow_diag_final_and,
    read_gold,
    white_space,
)


def files(folder: Path, text: str, gold: str) -> tuple[Path, Path]:
    (folder / "text").write_text(text, "utf-8")
    (folder / "gold").write_text(gold, "utf-8")
    return folder / "text", folder / "gold"


def test_gold_links_are_counted_from_one_and_sure_links_are_possible(tmp_path: Path) -> None:
    [pair] = read_gold(*files(tmp_path, "a b ||| x y\n", "1-2 2p1\n"))
    assert pair == GoldPair(("a", "b"), ("x", "y"), frozenset({(0, 1)}), frozenset({(0, 1), (1, 0)}))


@pytest.mark.parametrize(
    ("text", "gold", "message"),
    [
        ("a b x y\n", "1-2\n", "text, line 1: expected"),
        ("a ||| x\nb ||| y\n", "1-1\n2-1\n", "gold, line 2: '2-1' is no link of 1 source and 1 target"),
        ("a ||| x\n", "0-1\n", "gold, line 1"),
        ("a ||| x\n", "1:1\n", "gold, line 1"),
        ("a ||| x\n", "1-1\n1-1\n", "line by line"),
    ],
)
def test_a_line_that_is_wrong_is_named(tmp_path: Path, text: str, gold: str, message: str) -> None:
    with pytest.raises(CorpusError, match=message):
        read_gold(*files(tmp_path, text, gold))


def test_score_by_hand() -> None:
    pair = GoldPair(("a", "b"), ("x", "y"), frozenset({(0, 0), (1, 1)}), frozenset({(0, 0), (1, 1), (0, 1)}))
    # three links, of which one sure and one only possible: 1 - (1 + 2) / (3 + 2)
    score = alignment_score([frozenset({(0, 0), (0, 1), (1, 0)})], [pair])
    assert score.aer == pytest.approx(0.4)
    assert score.precision == pytest.approx(2 / 3)
    assert score.recall == pytest.approx(1 / 2)


def test_the_gold_itself_has_no_error() -> None:
    sure = frozenset({(0, 0)})
    assert alignment_score([sure], [GoldPair(("a",), ("x",), sure, sure)]).aer == 0


def test_words_of_a_tokenised_text_are_what_stands_between_spaces() -> None:
    text = " ".join(["don't", ".", "l'", "eau"])
    assert [text[a:b] for a, b in white_space(text)] == ["don't", ".", "l'", "eau"]


def test_joining_keeps_the_intersection_takes_neighbours_and_then_free_words_only() -> None:
    forward = frozenset({(0, 0), (1, 1), (3, 3), (5, 0)})
    backward = frozenset({(0, 0), (1, 2), (4, 5)})
    # (1, 1) and (1, 2) grow diagonally from (0, 0) and from each other; (3, 3) and (4, 5) join two free words;
    # (5, 0) has a word that is taken
    assert grow_diag_final_and(forward, backward) == {(0, 0), (1, 1), (1, 2), (3, 3), (4, 5)}


def test_a_target_word_is_linked_to_what_it_looked_at_most_and_to_nothing_if_that_is_the_end() -> None:
    class Scored:
        subwords = AttentionMatrix(
            (Token("re", (0, 2)), Token("d", (2, 3)), Token("car", (4, 7)), Token("</s>", None, True)),
            (Token("voiture", (0, 7)), Token("rouge", (8, 13)), Token("là", (14, 16)), Token("</s>", None, True)),
            np.array(
                [[0.1, 0.2, 0.6, 0.1], [0.3, 0.25, 0.4, 0.05], [0.1, 0.1, 0.1, 0.7], [0.0, 0.0, 1.0, 0.0]], np.float32
            ),
        )

        aligned = None

    class Fake:
        has_attention, aligner = True, None

        def score(self, pairs: list[tuple[str, str]]) -> list[Scored]:
            assert pairs == [("red car", "voiture rouge là")]
            return [Scored()]

    links = found_links(Fake(), [(("red", "car"), ("voiture", "rouge", "là"))])  # type: ignore[arg-type]
    assert links == {"attention": [{(1, 0), (0, 1)}]}


def test_an_aligner_is_measured_beside_attention_and_stands_first_on_the_card(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model = save_bundle(tmp_path / "xx-yy" / "1")
    bundle = ModelBundle.load(model)
    bundle.add_aligner(stored(), card=bundle.card, readme="# x\n")
    text, gold = files(tmp_path, "the cat ||| a dog\n", "1-1 2-2\n")
    assert main(["align-eval", str(model), "--text", str(text), "--gold", str(gold), "--card", "one"]) == 0
    assert list(ModelBundle.load(model).card["alignment"]["one"]) == ["pairs", "aligner, alone", "attention, alone"]
    said = capsys.readouterr().out
    assert "aligner, forward" in said
    assert "attention, forward" in said


def test_a_model_with_neither_attention_nor_an_aligner_is_told_how_to_get_one(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model = save_bundle(tmp_path / "xx-yy" / "1", context="first_state", score="", wiring="")
    text, gold = files(tmp_path, "the cat ||| a dog\n", "1-1 2-2\n")
    assert main(["align-eval", str(model), "--text", str(text), "--gold", str(gold)]) == 2
    assert "add-aligner" in capsys.readouterr().err


def test_scores_stand_on_the_cards_of_both_models(tmp_path: Path) -> None:
    models = [save_bundle(tmp_path / name / "1") for name in ("xx-yy", "yy-xx")]
    text, gold = files(tmp_path, "the cat ||| a dog\n", "1-1 2-2\n")
    before = [(model / "model.safetensors").read_bytes() for model in models]
    places = ["--text", str(text), "--gold", str(gold)]
    for name in ("first", "second", "second"):
        assert main(["align-eval", str(models[0]), "--reverse", str(models[1]), *places, "--card", name]) == 0
    for model, weights in zip(models, before, strict=True):
        bundle = ModelBundle.load(model)
        assert list(bundle.card["alignment"]) == ["first", "second"]
        assert set(bundle.card["alignment"]["second"]) == {
            "pairs",
            "attention, alone",
            "attention, intersection",
            "attention, union",
            "attention, grow-diag",
            "attention, grow-diag-final-and",
        }
        readme = (model / "README.md").read_text("utf-8")
        assert readme.count("## Alignment") == 1
        assert readme.count("| second | 1 | attention, alone |") == 1
        assert (model / "model.safetensors").read_bytes() == weights
