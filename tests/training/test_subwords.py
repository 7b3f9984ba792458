import json
from collections import Counter
from pathlib import Path

import pytest
import sentencepiece

from nmt.errors import ConfigError
from nmt.tokenizer import Tokenizer
from training.config import Recipe, UnitsConfig
from training.data_config import DataConfig
from training.subwords import train_character_vocabulary, train_subwords

SENTENCES = [f"The {a} cat sees {b} dogs ▪{n}." for n, (a, b) in enumerate([("old", "12"), ("new", "7")] * 50)]


def recipe(**units: object) -> Recipe:
    return Recipe(name="x", source="en", target="fr", data=DataConfig(train="t"), units=UnitsConfig(**units))  # type: ignore[arg-type]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    lines = [f"{one}\t{one.replace('cat', 'chat').replace('dogs', 'chiens')}\n" for one in SENTENCES]
    (tmp_path / "train.tsv").write_text("".join(lines), encoding="utf-8")
    return tmp_path


@pytest.mark.parametrize(("kind", "size"), [("bpe", 80), ("unigram", 34)])
def test_sentencepiece_has_our_ids_and_keeps_text_as_it_is(folder: Path, kind: str, size: int) -> None:
    train_subwords(recipe(kind=kind, size=size, coverage=1.0), folder)
    model = sentencepiece.SentencePieceProcessor(model_file=str(folder / "source.spm"))
    assert (model.pad_id(), model.unk_id(), model.bos_id(), model.eos_id()) == (0, 1, 2, 3)
    assert model.vocab_size() == size
    text = "The ▪ cat, ﬁne, １２"  # the identity rule: no NFKC
    assert "".join(model.encode(text, out_type=str)).replace("▁", " ") == " " + text
    assert not (folder / "target.spm").exists()


def test_numbers_are_spelt_digit_by_digit(folder: Path) -> None:
    train_subwords(recipe(size=80, coverage=1.0), folder)
    model = sentencepiece.SentencePieceProcessor(model_file=str(folder / "source.spm"))
    assert [piece for piece in model.encode("12", out_type=str) if piece != "▁"] == ["1", "2"]


def test_separate_vocabularies_make_two_files(folder: Path) -> None:
    train_subwords(recipe(size=60, shared=False), folder)
    assert Tokenizer.load(folder / "source.spm").size == 60
    assert Tokenizer.load(folder / "target.spm").size == 60


def test_characters_make_a_vocabulary_the_tokenizer_reads(folder: Path) -> None:
    train_subwords(recipe(kind="character", shared=False, coverage=1.0), folder)
    tokenizer = Tokenizer.load(folder / "source.vocab.json")
    assert [piece.text for piece in tokenizer.encode("cat")] == ["c", "a", "t"]
    assert 1 not in tokenizer.ids(["The old cat sees 12 dogs ▪0."])[0]


def test_another_kind_leaves_no_stale_vocabulary(folder: Path) -> None:
    train_subwords(recipe(size=60, shared=False), folder)
    train_subwords(recipe(kind="character"), folder)
    names = sorted(path.name for path in folder.iterdir())
    assert names == ["source.vocab.json", "train.index", "train.index.json", "train.tsv"]


def test_the_rarest_characters_are_left_out() -> None:
    units = UnitsConfig(kind="character", coverage=0.9)
    pieces = train_character_vocabulary(Counter({"a": 60, "b": 30, "c": 9, "d": 1}), units)
    assert pieces == ["<pad>", "<unk>", "<s>", "</s>", "▁", "a", "b"]


def test_a_character_vocabulary_keeps_to_its_size() -> None:
    counts = Counter({chr(n): 1000 - n for n in range(100, 200)})
    assert len(train_character_vocabulary(counts, UnitsConfig(kind="character", size=32, coverage=1.0))) == 32


def test_too_large_a_vocabulary_says_what_would_fit(folder: Path) -> None:
    with pytest.raises(
        ConfigError, match=r"units\.size = 30000 is more than this corpus can fill; set it to \d+ or less"
    ):
        train_subwords(recipe(size=30_000), folder)


def test_too_small_a_vocabulary_says_so(folder: Path) -> None:
    with pytest.raises(ConfigError, match=r"units\.size = 16 is too small"):
        train_subwords(recipe(size=16, coverage=1.0), folder)


def test_the_character_file_is_plain_json(folder: Path) -> None:
    train_subwords(recipe(kind="character"), folder)
    content = json.loads((folder / "source.vocab.json").read_text("utf-8"))
    assert content["kind"] == "character"
    assert content["pieces"][:5] == ["<pad>", "<unk>", "<s>", "</s>", "▁"]
