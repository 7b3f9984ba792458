"""The vocabulary: SentencePiece (BPE or unigram) or characters, learnt from train.tsv."""

from __future__ import annotations

import io
import json
import re
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path

import sentencepiece

from nmt.config import BOS, EOS, PAD, UNK
from nmt.errors import ConfigError
from training.config import Recipe, UnitsConfig
from training.corpus import read_tsv
from training.data import TAG, open_indexes, tokenizers
from training.files import write_bytes
from training.initial import copy_initial
from training.progress import Progress

SPACE = "▁"
SPECIAL = ("<pad>", "<unk>", "<s>", "</s>")
_SAMPLE = 2_000_000
"""Sentences SentencePiece learns from at most; more change little and cost memory."""


def train_subwords(recipe: Recipe, folder: Path) -> None:
    """Write source.spm or source.vocab.json, and target's too when the vocabulary is not shared; index the corpus.

    With `init_from`, the bundle is copied to `initial`; the vocabulary is the bundle's unless the recipe
    brings `[units]`.

    Raises:
        ConfigError: The size does not fit the corpus; the message says what would.
    """
    for stale in ("source.spm", "target.spm", "source.vocab.json", "target.vocab.json"):
        (folder / stale).unlink(missing_ok=True)
    bundle = copy_initial(recipe.init_from, folder) if recipe.init_from else None
    if bundle and recipe.inherits_units:
        for side, name in (("source", bundle.config.source_units), ("target", bundle.config.target_units)):
            if side == "source" or not recipe.units.shared:
                write_bytes(folder / name, (bundle.path / name).read_bytes())
        print(f"  the vocabulary of {bundle.path}: {bundle.config.architecture['source_vocabulary']:,} units")
    else:
        _learn(recipe, folder)
    open_indexes(recipe, folder, *tokenizers(folder))


def _learn(recipe: Recipe, folder: Path) -> None:
    sides = {"source": (0, 1)} if recipe.units.shared else {"source": (0,), "target": (1,)}
    for side, columns in sides.items():
        characters = Counter[str]()
        for sentence in _sentences(folder / "train.tsv", columns, f"counting characters, {side}"):
            characters.update(sentence)
        del characters[" "]
        if recipe.units.kind == "character":
            pieces = train_character_vocabulary(characters, recipe.units)
            content = json.dumps({"kind": "character", "pieces": pieces}, ensure_ascii=False, indent=0) + "\n"
            write_bytes(folder / f"{side}.vocab.json", content.encode())
            covered = {piece for piece in pieces if len(piece) == 1}
        else:
            model = _train_sentencepiece(folder / "train.tsv", columns, recipe, side)
            processor = sentencepiece.SentencePieceProcessor(model_proto=model)
            write_bytes(folder / f"{side}.spm", model)
            covered = {one for one in characters if processor.piece_to_id(one) != UNK}
            pieces = [processor.id_to_piece(number) for number in range(processor.get_piece_size())]
        print(_coverage("both sides" if recipe.units.shared else side, len(pieces), characters, covered))


def train_character_vocabulary(characters: Counter[str], units: UnitsConfig) -> list[str]:
    """Special entries, the space, then the most frequent characters until `units.coverage` is reached."""
    total = characters.total()
    pieces = [*SPECIAL, SPACE]
    covered = 0
    for character, count in sorted(characters.items(), key=lambda item: (-item[1], item[0])):
        if covered >= units.coverage * total or len(pieces) >= units.size:
            break
        covered += count
        if character != SPACE:
            pieces.append(character)
    return pieces


def _train_sentencepiece(path: Path, columns: tuple[int, ...], recipe: Recipe, side: str) -> bytes:
    units = recipe.units
    model = io.BytesIO()
    sentencepiece.set_random_generator_seed(1)
    try:
        sentencepiece.SentencePieceTrainer.train(
            sentence_iterator=_sentences(path, columns, f"learning units, {side}"),
            model_writer=model,
            model_type=units.kind,
            vocab_size=units.size,
            character_coverage=units.coverage,
            normalization_rule_name="identity",
            add_dummy_prefix=True,
            remove_extra_whitespaces=False,
            split_digits=True,  # a number is spelt, not remembered
            pad_id=PAD,
            unk_id=UNK,
            bos_id=BOS,
            eos_id=EOS,
            input_sentence_size=_SAMPLE,
            user_defined_symbols=[TAG] if recipe.backtranslation.files else [],
            shuffle_input_sentence=True,
            max_sentence_length=max(4192, 4 * recipe.cleaning.max_characters),
            minloglevel=2,
        )
    except RuntimeError as error:
        raise _explain(str(error), units) from None
    return model.getvalue()


def _explain(message: str, units: UnitsConfig) -> ConfigError:
    """SentencePiece's complaint about the size, as a setting to change."""
    if limit := re.search(r"Please set it to a value <= (\d+)", message):
        return ConfigError(f"units.size = {units.size} is more than this corpus can fill; set it to {limit[1]} or less")
    if "smaller than required_chars" in message or "required_chars" in message:
        needed = re.findall(r"\d+", message)[-1:]
        return ConfigError(
            f"units.size = {units.size} is too small for the characters of this corpus"
            f"{f' ({needed[0]} with special entries)' if needed else ''}; raise it, or lower units.coverage"
        )
    return ConfigError(f"units: SentencePiece cannot learn a vocabulary of {units.size}: {message}; change units.size")


def _sentences(path: Path, columns: Iterable[int], what: str) -> Iterator[str]:
    with Progress(what, path.stat().st_size) as bar:
        position = 0
        for number, pair in enumerate(read_tsv(path), 1):
            for column in columns:
                yield pair[column]
            position += len(pair[0].encode()) + len(pair[1].encode()) + 2
            if number % 1000 == 0:
                bar.advance(position, number)


def _coverage(side: str, size: int, characters: Counter[str], covered: set[str]) -> str:
    rare = [character for character, _ in characters.most_common() if character not in covered]
    share = sum(characters[one] for one in rare) / max(characters.total(), 1)
    text = f"  {side}: {size:,} units; {len(characters) - len(rare)} characters are spelt"
    if rare:
        text += f", {len(rare)} rare ones ({share:.3%} of the text) are left to copying: {' '.join(rare[:30])}"
    return text
