"""The aligner of a bundle: two views of a pair, and where they agree."""

from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from nmt.aligner import WIDTH, WINDOW, Aligned, Aligner, Side
from nmt.alignment import AttentionMatrix, Token
from nmt.bundle import ALIGNER, ModelBundle, quantise
from nmt.config import EOS
from nmt.errors import BundleError
from nmt.translator import Translator
from tests.nmt.conftest import save_bundle

A, B, C = 5, 6, 7
"""Units of a vocabulary of ten."""


def side(words: dict[int, int], neighbour: float = 0.0) -> Side:
    """Each unit a direction of its own; `neighbour` adds some of the unit before."""
    table = np.zeros((10, WIDTH), np.float32)
    for unit, direction in words.items():
        table[unit, direction] = 8.0
    near, far = np.zeros((WIDTH, WINDOW * WIDTH), np.float32), np.zeros((WIDTH, WINDOW * WIDTH), np.float32)
    near[:, WIDTH : 2 * WIDTH] = np.eye(WIDTH) * neighbour  # the second of five places: one unit before
    far[:, 2 * WIDTH : 3 * WIDTH] = np.eye(WIDTH)
    zero = np.zeros(WIDTH, np.float32)
    return Side(table, near, zero, far, zero)


def crossed() -> Aligner:
    """A unit stands for the same one on the other side."""
    same = {A: 0, B: 1, C: 2, EOS: 3}
    return Aligner(side(same), side(same), distance=0.0, threshold=0.5)


def tokens(*texts: str) -> tuple[Token, ...]:
    found, start = [], 0
    for text in texts:
        found.append(Token(text, (start, start + len(text))))
        start += len(text) + 1
    return (*found, Token("</s>", None, True))


def even(source: tuple[Token, ...], target: tuple[Token, ...]) -> AttentionMatrix:
    return AttentionMatrix(source, target, np.full((len(target), len(source)), 1 / len(source), np.float32))


def test_rows_of_one_view_and_columns_of_the_other_sum_to_one() -> None:
    view = crossed().align([A, B, C, EOS], [C, A, EOS])
    assert view.forward.shape == view.backward.shape == (3, 4)
    np.testing.assert_allclose(view.forward.sum(axis=1), 1, atol=1e-6)
    np.testing.assert_allclose(view.backward.sum(axis=0), 1, atol=1e-6)


def test_words_are_linked_where_both_views_agree_and_the_end_is_no_word() -> None:
    pair = Aligned(crossed(), [A, B, EOS], [B, A, EOS])
    matrix = pair.agreement(even(tokens("a", "b"), tokens("b", "a")), "a b", "b a")
    assert [(s, t) for s, t, _ in pair.links(matrix)] == [(1, 0), (0, 1)]
    assert all(0.9 < weight <= 1 for *_, weight in pair.links(matrix))


def test_a_word_that_stands_for_nothing_has_no_link() -> None:
    pair = Aligned(crossed(), [A, EOS], [A, C, EOS])
    matrix = pair.agreement(even(tokens("a"), tokens("a", "c")), "a", "a c")
    assert [(s, t) for s, t, _ in pair.links(matrix)] == [(0, 0)]


def test_one_of_two_equal_words_is_not_enough_for_the_view_back() -> None:
    pair = Aligned(crossed(), [A, EOS], [A, A, EOS])
    matrix = pair.agreement(even(tokens("a"), tokens("a", "a")), "a", "a a")
    assert matrix.weights[0, 0] == pytest.approx(np.sqrt(0.5), abs=0.01)  # forward 1, backward one half


def test_distance_decides_between_equal_words() -> None:
    same = {A: 0, B: 1, EOS: 3}
    near = Aligner(side(same), side(same), distance=4.0, threshold=0.5)
    pair = Aligned(near, [A, B, A, EOS], [A, B, A, EOS])
    matrix = pair.agreement(even(tokens("a", "b", "a"), tokens("a", "b", "a")), "a b a", "a b a")
    assert {(0, 0), (1, 1), (2, 2)} <= {(s, t) for s, t, _ in pair.links(matrix)}
    assert matrix.weights[0, 0] > 3 * matrix.weights[0, 2]


def test_a_unit_sees_its_neighbours_and_nothing_beyond_the_sentence() -> None:
    reads = side({A: 0, B: 1}, neighbour=0.5)
    alone, after = reads([B])[0], reads([A, B])[1]
    assert alone[0] == 0
    assert after[0] == pytest.approx(4.0)


def test_units_have_the_links_of_their_words() -> None:
    pair = Aligned(crossed(), [A, B, C, EOS], [C, A, B, EOS])
    source = (Token("re", (0, 2)), Token("d", (2, 3)), Token("car", (4, 7)), Token("</s>", None, True))
    target = (Token("auto", (0, 4)), Token("rou", (5, 8)), Token("ge", (8, 10)), Token("</s>", None, True))
    matrix = pair.agreement(even(source, target), "red car", "auto rouge", granularity="subword")
    assert [(s, t) for s, t, _ in pair.links(matrix)] == [(2, 0), (0, 1), (1, 1), (0, 2), (1, 2)]


def test_a_translation_without_its_end_is_aligned_too() -> None:
    pair = Aligned(crossed(), [A, B, EOS], [A])
    source, target = tokens("a", "b"), tokens("a")[:1]
    matrix = pair.agreement(even(source, target), "a b", "a", granularity="subword")
    assert matrix.weights.shape == (1, 3)


def stored(embedding: int = 16) -> dict[str, torch.Tensor]:
    """An aligner of random weights, for a model of that width."""
    torch.manual_seed(3)
    weights = {"distance": torch.ones(1), "threshold": torch.tensor([0.05])}
    for name in ("source", "target"):
        weights[f"{name}.project.weight"] = torch.randn(WIDTH, embedding)
        weights[f"{name}.project.bias"] = torch.randn(WIDTH)
        for layer in ("near", "far"):
            weights[f"{name}.{layer}.weight"] = torch.randn(WIDTH, WINDOW * WIDTH) / 20
            weights[f"{name}.{layer}.bias"] = torch.randn(WIDTH)
    return weights


def test_a_bundle_keeps_its_aligner_and_translations_stay_as_they_were(bundle_path: Path) -> None:
    before = Translator.load(bundle_path, device="cpu").translate(["abc de."])[0]
    by_attention = before.sentences[0].hypotheses[0]
    assert by_attention.aligned is None
    bundle = ModelBundle.load(bundle_path)
    bundle.add_aligner(stored(), card=bundle.card, readme="# x\n")
    translator = Translator.load(bundle_path, device="cpu")
    after = translator.translate(["abc de."])[0]
    assert after.text == before.text
    found = after.sentences[0].hypotheses[0]
    np.testing.assert_array_equal(found.subwords.weights, by_attention.subwords.weights)
    assert found.links() != by_attention.links()
    scored = translator.attend("abc de.", found.text)
    assert [link[:2] for link in scored.links()] == [link[:2] for link in found.links()]
    for granularity in ("word", "subword"):
        sources, targets = found.tokens(granularity)
        for source, target, weight in found.links(granularity):
            assert not sources[source].special
            assert not targets[target].special
            assert 0.05 <= weight <= 1


def test_a_model_without_attention_can_have_links(tmp_path: Path) -> None:
    path = save_bundle(tmp_path / "m" / "1", context="first_state", score="", wiring="")
    bundle = ModelBundle.load(path)
    bundle.add_aligner(stored(), card=bundle.card, readme="# x\n")
    found = Translator.load(path, device="cpu").translate(["abc de."])[0].sentences[0].hypotheses[0]
    assert found.links("subword")


@pytest.mark.parametrize("change", ["missing", "narrow", "torn"])
def test_an_aligner_that_does_not_fit_is_named(bundle_path: Path, change: str) -> None:
    weights = stored(8 if change == "narrow" else 16)
    if change == "missing":
        del weights["target.near.bias"]
    bundle = ModelBundle.load(bundle_path)
    bundle.add_aligner(weights, card=bundle.card, readme="# x\n")
    model = bundle.model()
    if change == "torn":
        save_file(quantise(weights), bundle_path / ALIGNER)
        whole = (bundle_path / ALIGNER).read_bytes()
        (bundle_path / ALIGNER).write_bytes(whole[: len(whole) // 2])
    with pytest.raises(BundleError, match=r"aligner\.safetensors is damaged .*add-aligner"):
        bundle.aligner(model)
