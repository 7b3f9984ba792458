from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nmt.config import EOS, UNK
from nmt.errors import BundleError
from nmt.text import normalise, replace_surrogates
from nmt.tokenizer import SPACE, Tokenizer
from tests.nmt.conftest import SENTENCES

HARD = "  the ﬁne cafe\u0301… 😀"


def test_sentence_survives_encoding_and_decoding(tokenizer: Tokenizer) -> None:
    for sentence in SENTENCES:
        pieces = tokenizer.encode(sentence)
        assert all(piece.id != UNK for piece in pieces)
        assert tokenizer.decode([piece.id for piece in pieces] + [EOS]).text == sentence


def test_spans_are_exact_through_normalisation(tokenizer: Tokenizer) -> None:
    pieces = tokenizer.encode(HARD)
    assert all(HARD[slice(*p.span)] == p.text for p in pieces if p.text != SPACE)
    at = {HARD[slice(*piece.span)]: piece for piece in pieces}
    assert at["😀"].span == (17, 18)
    assert at["😀"].id == UNK
    accented = next(piece for piece in pieces if piece.text.endswith("\u0301"))
    assert accented.span[1] == 15  # the letter and its accent are two code points of the raw text
    copies = {place: piece.text for place, piece in enumerate(pieces) if piece.id == UNK}
    assert tokenizer.decode([p.id for p in pieces], copies).text == "the ﬁne café… 😀"


@given(text=st.text(max_size=40) | st.text(alphabet="ab é \u0301\u200d😀ﬁ\n\t▁", max_size=20))
def test_pieces_cover_every_visible_character_in_order(tokenizer: Tokenizer, text: str) -> None:
    text = replace_surrogates(text)
    spans = [piece.span for piece in tokenizer.encode(text)]
    covered = {offset for span in spans for offset in range(*span)}
    visible = {
        o
        for (start, end), c in zip(normalise(text).spans, normalise(text).text, strict=True)
        if c != " "
        for o in range(start, end)
    }
    assert spans == sorted(spans)
    assert visible <= covered


def test_empty_text_has_no_pieces(tokenizer: Tokenizer) -> None:
    assert tokenizer.encode("") == tokenizer.encode(" \n\x00") == []
    assert tokenizer.decode([]).text == ""


def test_decoded_spans_lie_on_their_units(tokenizer: Tokenizer) -> None:
    ids = [piece.id for piece in tokenizer.encode("how are you today?")] + [EOS]
    decoded = tokenizer.decode(ids)
    assert "".join(decoded.text[slice(*span)] for span in decoded.spans).replace(" ", "") == "howareyoutoday?"
    assert decoded.spans[-1] == (18, 18)


def test_damaged_vocabulary_is_a_clear_error(tmp_path: Path) -> None:
    (tmp_path / "source.spm").write_bytes(b"not a model")
    with pytest.raises(BundleError, match=r"source\.spm is damaged"):
        Tokenizer.load(tmp_path / "source.spm")
    with pytest.raises(BundleError, match=r"target\.spm is missing"):
        Tokenizer.load(tmp_path / "target.spm")
