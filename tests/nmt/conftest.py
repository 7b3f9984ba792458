"""A small bundle with random weights: enough for everything that does not depend on good translations."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from pathlib import Path

import pytest
import sentencepiece
import torch

from nmt.bundle import BundleConfig, ModelBundle
from nmt.config import ModelConfig
from nmt.model import Seq2Seq
from nmt.tokenizer import SPACE, SPECIAL, Tokenizer
from nmt.translator import Translator

CHARACTERS = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.,;:!?'-éèàç"
SENTENCES = [
    "the cat sits on the mat.", "how are you today?", "a fine café is near the house.", "I don't know, she said.",
    "where is the green book?", "they went home at nine o'clock.", "nobody knows the trouble I have seen.",
]  # fmt: skip


def save_bundle(path: Path, *, longest_source: int = 60, **architecture: object) -> Path:
    """A character model with random weights."""
    torch.manual_seed(7)
    pieces = [*SPECIAL.values(), SPACE, *CHARACTERS]
    units = path.parent / "source.vocab.json"
    units.parent.mkdir(parents=True, exist_ok=True)
    units.write_text(json.dumps({"kind": "character", "pieces": pieces}), "utf-8")
    sizes = {"embedding_size": 16, "encoder_size": 8, "decoder_size": 16, "dropout": 0.0}
    config = ModelConfig.from_dict(
        {"source_vocabulary": len(pieces), "target_vocabulary": len(pieces), **sizes, **architecture}
    )
    ModelBundle.save(
        path,
        config=BundleConfig(
            format_version=1,
            name="xx-yy",
            source="xx",
            target="yy",
            architecture=config.to_dict(),
            source_units=units.name,
            target_units=units.name,
            longest_source=longest_source,
        ),
        weights=dict(Seq2Seq(config).named_parameters()),
        units=[units],
        card={"title": "random weights"},
        readme="# Random weights\n",
    )
    return path


@pytest.fixture
def bundle_path(tmp_path: Path) -> Path:
    return save_bundle(tmp_path / "xx-yy" / "1")


@pytest.fixture(scope="session")
def translator(tmp_path_factory: pytest.TempPathFactory) -> Translator:
    return Translator.load(save_bundle(tmp_path_factory.mktemp("models") / "xx-yy" / "1"), device="cpu")


@pytest.fixture(scope="module", params=["one thread", "halves"])
def halves(request: pytest.FixtureRequest) -> Iterator[bool]:
    """A module's tests twice: all sentences stepped by the caller, and every other one by a second thread."""
    apart = request.param == "halves"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("nmt.search.in_halves", lambda model: apart)
        patch.setattr("nmt.search._WORTH_WAKING", 1)
        yield apart


@pytest.fixture(scope="session", params=["bpe", "unigram", "character"])
def tokenizer(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Tokenizer:
    folder = tmp_path_factory.mktemp("units")
    if request.param == "character":
        path = folder / "source.vocab.json"
        path.write_text(json.dumps({"pieces": [*SPECIAL.values(), SPACE, *CHARACTERS]}), "utf-8")
        return Tokenizer.load(path)
    return train_spm(SENTENCES, folder / "source.spm", size=80, kind=request.param)


def random_translator(tokenizer: Tokenizer, *, target: str = "yy", seed: int = 7) -> Translator:
    """A model of random weights with this vocabulary on both sides."""
    torch.manual_seed(seed)
    sizes = {"embedding_size": 16, "encoder_size": 8, "decoder_size": 16, "dropout": 0.0}
    config = ModelConfig.from_dict({"source_vocabulary": tokenizer.size, "target_vocabulary": tokenizer.size, **sizes})
    return Translator(Seq2Seq(config), tokenizer, tokenizer, target=target, longest_source=60, device="cpu")


def train_spm(sentences: list[str], path: Path, *, size: int, kind: str = "unigram") -> Tokenizer:
    """A SentencePiece vocabulary learned from these sentences."""
    model = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(sentences * 5), model_writer=model, vocab_size=size, model_type=kind,
        character_coverage=1.0, normalization_rule_name="identity", remove_extra_whitespaces=False,
        pad_id=0, unk_id=1, bos_id=2, eos_id=3, minloglevel=2, hard_vocab_limit=False,
    )  # fmt: skip
    path.write_bytes(model.getvalue())
    return Tokenizer.load(path)
