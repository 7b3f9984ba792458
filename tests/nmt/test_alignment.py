"""From pieces to words, and from weights to links."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nmt.alignment import AttentionMatrix, Token, links, to_words
from nmt.text import words

EOS = Token("</s>", None, special=True)
END = Token("</s>", None, special=True, logprob=-0.25)


def matrix(source: list[Token], target: list[Token], rows: list[list[float]]) -> AttentionMatrix:
    return AttentionMatrix(tuple(source), tuple(target), np.array(rows, dtype=np.float32))


def test_source_pieces_are_summed_and_target_pieces_averaged() -> None:
    source = [Token("un", (0, 2)), Token("able", (2, 6)), Token(".", (6, 7)), EOS]
    target = [Token("in", (0, 2), logprob=-1.0), Token("capable", (2, 9), logprob=-0.5), END]
    found = to_words(
        matrix(source, target, [[0.5, 0.25, 0.25, 0.0], [0.25, 0.5, 0.0, 0.25], [0, 0, 0.5, 0.5]]),
        "unable.",
        "incapable",
    )
    assert [token.text for token in found.source] == ["unable", ".", "</s>"]
    assert [token.text for token in found.target] == ["incapable", "</s>"]
    # two pieces, 2 and 7 characters, both wholly inside the word: a plain mean
    np.testing.assert_allclose(found.weights, [[0.75, 0.125, 0.125], [0.0, 0.5, 0.5]])
    assert found.target[0].logprob == pytest.approx(-1.5)
    assert found.target[1] is END
    assert found.source[0] == Token("unable", (0, 6))


def test_piece_across_two_words_is_shared_by_characters() -> None:
    source = [Token("dog.", (10, 14)), EOS]
    found = to_words(matrix(source, [END], [[0.8, 0.2]]), "The black dog.", "")
    assert [token.text for token in found.source] == ["dog", ".", "</s>"]
    assert [token.span for token in found.source] == [(10, 13), (13, 14), None]
    np.testing.assert_allclose(found.weights, [[0.6, 0.2, 0.2]], rtol=1e-6)


def test_target_piece_across_two_words_counts_in_both_by_its_share() -> None:
    target = [Token("ab", (0, 2), logprob=-1.0), Token("c,", (2, 4), logprob=-2.0)]
    source = [Token("x", (0, 1)), EOS]
    found = to_words(matrix(source, target, [[1.0, 0.0], [0.0, 1.0]]), "x", "abc,")
    # "abc" is all of the first piece and half of the second
    np.testing.assert_allclose(found.weights, [[2 / 3, 1 / 3], [0.0, 1.0]], rtol=1e-6)


def test_white_space_belongs_to_the_word_after_it() -> None:
    source = [Token("▁", (0, 0)), Token("a", (0, 1)), Token("▁", (1, 2)), Token("b", (2, 3)), Token("▁", (3, 4)), EOS]
    found = to_words(matrix(source, [END], [[0.1, 0.2, 0.1, 0.2, 0.1, 0.3]]), "a b ", "")
    assert [token.text for token in found.source] == ["a", "b", "</s>"]
    np.testing.assert_allclose(found.weights, [[0.3, 0.4, 0.3]], rtol=1e-6)


def test_only_words_of_the_sentence_appear() -> None:
    source = [Token("Go", (6, 8)), EOS]
    found = to_words(matrix(source, [END], [[0.5, 0.5]]), "Stay. Go now.", "")
    assert [token.text for token in found.source] == ["Go", "</s>"]


def test_text_without_words_keeps_its_pieces() -> None:
    source = [Token("▁", (0, 1)), EOS]
    found = to_words(matrix(source, [END], [[0.5, 0.5]]), " ", "")
    assert found.source == tuple(source)
    empty = to_words(matrix([EOS], [END], [[1.0]]), "", "")
    assert empty.weights.tolist() == [[1.0]]


def test_model_without_attention_stays_zero() -> None:
    source = [Token("a", (0, 1)), EOS]
    assert not to_words(matrix(source, [END], [[0.0, 0.0]]), "a", "").weights.any()


def test_words_of_words_are_the_same_words() -> None:
    text = "l'homme, 他说 e.g. ok"
    tokens = [Token(text[a:b], (a, b)) for a, b in words(text)]
    whole = matrix([*tokens, EOS], [END], [[1 / (len(tokens) + 1)] * (len(tokens) + 1)])
    assert to_words(whole, text, "").source == whole.source


@st.composite
def cut_texts(draw: st.DrawFn) -> tuple[str, list[Token]]:
    text = draw(st.text("ab .,你é!'", max_size=20))
    cuts = sorted(draw(st.sets(st.integers(0, len(text)), max_size=8)) | {0, len(text)})
    return text, [*(Token(text[a:b], (a, b), logprob=-1.0) for a, b in pairwise(cuts)), END]


@given(cut_texts(), cut_texts(), st.randoms(use_true_random=False))
def test_rows_still_sum_to_one(source: tuple[str, list[Token]], target: tuple[str, list[Token]], random) -> None:  # type: ignore[no-untyped-def]
    weights = np.array([[random.random() + 1e-6 for _ in source[1]] for _ in target[1]], dtype=np.float64)
    weights /= weights.sum(axis=1, keepdims=True)
    found = to_words(matrix(source[1], target[1], weights.tolist()), source[0], target[0])
    np.testing.assert_allclose(found.weights.sum(axis=1), 1.0, atol=1e-5)
    if target[0].strip():
        assert [token.text for token in found.target[:-1]] == [target[0][a:b] for a, b in words(target[0])]


def test_links_are_the_strongest_sources() -> None:
    source = [Token("a", (0, 1)), Token("b", (1, 2)), Token("c", (2, 3)), EOS]
    target = [Token(letter, (i, i + 1)) for i, letter in enumerate("wxyz")]
    rows = [
        [0.9, 0.05, 0.0, 0.05],
        [0.5, 0.3, 0.1, 0.1],
        [0.15, 0.0, 0.0, 0.85],
        [0.02, 0.05, 0.08, 0.85],
        [1, 0, 0, 0],
    ]
    found = links(matrix(source, [*target, END], rows))
    assert [(s, t) for s, t, _ in found] == [(0, 0), (0, 1), (1, 1)]
    assert found[0][2] == pytest.approx(0.9)


def test_even_attention_over_many_words_links_nothing() -> None:
    source = [Token("a", (i, i + 1)) for i in range(20)]
    assert links(matrix(source, [Token("x", (0, 1))], [[0.05] * 20])) == []


def test_shape_must_fit_the_tokens() -> None:
    with pytest.raises(ValueError, match=r"they need \(1, 2\)"):
        matrix([Token("a", (0, 1)), EOS], [END], [[1.0]])


@pytest.mark.parametrize("weight", [-0.1, float("nan"), float("inf")])
def test_weights_must_be_numbers(weight: float) -> None:
    with pytest.raises(ValueError, match="finite"):
        matrix([EOS], [END], [[weight]])
