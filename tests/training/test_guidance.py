"""Guided attention: links of words become goals of units, and attention follows them."""

import math
from itertools import islice
from pathlib import Path

import numpy as np
import pytest
import torch

from nmt.batch import Batch
from nmt.config import EOS, PAD, UNK, ModelConfig
from nmt.errors import ConfigError, CorpusError
from nmt.model import Seq2Seq
from nmt.tokenizer import SPACE, SPECIAL, CharacterTokenizer, Tokenizer
from training.config import Recipe, TrainingConfig, UnitsConfig
from training.data_config import DataConfig
from training.guidance import (
    INDEX,
    LINK,
    LINKS,
    Links,
    UnitEnds,
    guidance_loss,
    link_matrix,
    open_links,
    unit_blocks,
)
from training.index import open_index
from training.loss import TrainingModel
from training.sampling import SubwordSampler
from training.stream import BatchStream, Position
from training.subwords import train_subwords

CHARACTERS = CharacterTokenizer([*SPECIAL.values(), SPACE, *"abcdefghijklmnopqrstuvwxyz"])


def test_the_loss_is_the_one_worked_out_by_hand() -> None:
    weights = torch.tensor([[[0.5, 0.25, 0.25], [0.2, 0.2, 0.6]]], requires_grad=True)  # two target units, three source
    links = torch.tensor([[[True, True, False], [False, False, False]]])  # the second is linked to nothing
    loss = guidance_loss(weights, links)
    assert loss.item() == pytest.approx(-(0.5 * math.log(0.5) + 0.5 * math.log(0.25)))
    loss.backward()
    assert weights.grad is not None
    torch.testing.assert_close(weights.grad, torch.tensor([[[-1.0, -2.0, 0.0], [0.0, 0.0, 0.0]]]))


def test_attention_that_vanished_costs_much_and_breaks_nothing() -> None:
    weights = torch.tensor([[[1.0, 0.0]]], requires_grad=True)
    loss = guidance_loss(weights, torch.tensor([[[False, True]]]))
    loss.backward()
    assert loss.item() > 20
    assert weights.grad is not None
    assert bool(weights.grad.isfinite().all())


def test_a_units_goal_is_all_units_of_the_words_its_word_is_linked_to() -> None:
    # "red car" in units re|d| car, "voiture rouge" in voi|ture| rouge
    blocks = unit_blocks([(0, 3, 8, 13), (4, 7, 0, 7)], [2, 3, 7], [3, 7, 13])
    matrix = link_matrix([blocks, []], [3, 1], [3, 2])
    assert matrix[0].int().tolist() == [[0, 0, 1, 0], [0, 0, 1, 0], [1, 1, 0, 0], [0, 0, 0, 1]]
    assert matrix[1].int().tolist() == [[0, 0, 0, 0], [0, 0, 0, 0], [0, 1, 0, 0], [0, 0, 0, 0]]


def test_a_unit_across_two_words_has_the_goals_of_both() -> None:
    blocks = unit_blocks([(0, 1, 0, 2), (2, 3, 2, 3)], [1, 3], [3])  # the one target unit covers both words
    assert link_matrix([blocks], [2], [1])[0].int().tolist() == [[1, 1, 0], [0, 0, 1]]


def subwords(folder: Path, kind: str = "bpe") -> tuple[Path, Tokenizer]:
    words = ("press", "the", "green", "button", "understanding", "waits")
    corpus = folder / "train.tsv"
    corpus.write_text("".join(f"{a} {b} {c}\t{c} {b} {a}\n" for a in words for b in words for c in words), "utf-8")
    units = UnitsConfig(kind=kind, size=40 if kind == "bpe" else 24)  # type: ignore[arg-type]
    train_subwords(Recipe(name="x", source="en", target="fr", data=DataConfig(train="t"), units=units), folder)
    return corpus, Tokenizer.load(folder / "source.spm")


@pytest.mark.parametrize("text", ["press the button", "▪ press 😀😀▪", "😀", "the😀 😀 green", "préss"])
def test_units_end_where_they_do_in_the_text_unknown_ones_too(tmp_path: Path, text: str) -> None:
    tokenizer = subwords(tmp_path)[1]
    ids = tokenizer.ids([text])[0]
    ends = [piece.span[1] + (piece.text == SPACE) / 2 for piece in tokenizer.encode(text)]
    assert UnitEnds(tokenizer)(ids, text) == ends


def test_characters_end_where_they_do_unknown_ones_too() -> None:
    ids = CHARACTERS.ids(["a b€€c"])[0]
    assert ids.count(UNK) == 2
    assert UnitEnds(CHARACTERS)(ids, "a b€€c") == [1, 2.5, 3, 4, 5, 6]


def test_units_that_do_not_spell_the_text_have_no_ends() -> None:
    assert UnitEnds(CHARACTERS)(CHARACTERS.ids(["abc"])[0], "abcd") is None


def known_links(corpus: Path) -> Links:
    """Every word of "a b c" to the same word of "c b a"."""
    records, starts = [], [0]
    for line in corpus.read_text("utf-8").splitlines():
        source, target = ([len(word) for word in side.split(" ")] for side in line.split("\t"))
        ends = [np.cumsum([length + 1 for length in side]) - 1 for side in (source, target)]
        for place, end in enumerate(ends[0].tolist()):
            other = int(ends[1][2 - place])
            records.append(((end - source[place], end), (other - target[2 - place], other)))
        starts.append(len(records))
    return Links(np.array(records, LINK), np.array(starts, np.int64))


@pytest.mark.parametrize("kind", ["bpe", "unigram"])
def test_links_survive_subword_sampling(tmp_path: Path, kind: str) -> None:
    corpus, tokenizer = subwords(tmp_path, kind)
    batches = BatchStream(
        [open_index(corpus, tokenizer, tokenizer)], tokenizer, tokenizer, batch_tokens=400, max_tokens=80,
        copy_rate=0.0, seed=1, links=known_links(corpus),
        sampler=SubwordSampler(tmp_path / "source.spm", tmp_path / "source.spm", 0.3),
    )  # fmt: skip
    usual = pairs = 0
    for examples, _ in islice(batches(Position()), 5):
        matrix = examples.batch().links
        assert matrix is not None
        for source, target, rows in zip(examples.source, examples.target, matrix, strict=True):
            pairs += 1
            usual += source == tokenizer.ids([tokenizer.decode(source).text])[0]
            for place, row in enumerate(rows[: len(target)]):
                word = around(tokenizer, target, place)
                assert {around(tokenizer, source, int(column)) for column in row.nonzero()} == {word}
    assert usual < pairs  # some were cut another way


def around(tokenizer: Tokenizer, ids: list[int], place: int) -> str:
    """The word that a unit is of; a space is of the next one."""
    words = "".join(tokenizer.spelled[unit] for unit in ids).split(" ")[1:]
    return words["".join(tokenizer.spelled[unit] for unit in ids[: place + 1]).count(" ") - 1]


def test_links_follow_from_the_position_and_go_with_their_pairs(tmp_path: Path) -> None:
    corpus, tokenizer = subwords(tmp_path)
    links = known_links(corpus)

    def stream() -> BatchStream:
        return BatchStream(
            [open_index(corpus, tokenizer, tokenizer)], tokenizer, tokenizer, batch_tokens=400, max_tokens=80,
            copy_rate=0.5, seed=1, links=links,
        )  # fmt: skip

    run = list(islice(stream()(Position()), 9))
    assert list(islice(stream()(run[3][1]), 5)) == run[4:]
    examples = run[0][0]
    whole = examples.batch().links
    assert whole is not None
    for number in range(3):  # the slices of three processes
        part = examples.part(number, 3).batch()
        assert part.links is not None
        target, source = part.links.shape[1:]
        assert torch.equal(part.links, whole[number::3, :target, :source])
        assert int(part.links.sum()) == int(whole[number::3].sum())


def test_pairs_that_teach_copying_are_not_guided(tmp_path: Path) -> None:
    corpus, tokenizer = subwords(tmp_path)
    batches = BatchStream(
        [open_index(corpus, tokenizer, tokenizer)], tokenizer, tokenizer, batch_tokens=400, max_tokens=80,
        copy_rate=1.0, seed=1, links=known_links(corpus),
    )  # fmt: skip
    links = next(batches(Position()))[0].links
    assert links is not None
    assert not any(links)


def test_links_of_other_pairs_are_refused(tmp_path: Path) -> None:
    with pytest.raises(CorpusError, match="python -m training align"):
        open_links(tmp_path, 2)
    (tmp_path / LINKS).write_bytes(np.zeros(3, LINK).tobytes())
    (tmp_path / INDEX).write_bytes(np.array([0, 1, 3], np.int64).tobytes())
    assert len(open_links(tmp_path, 2)[1]) == 2
    with pytest.raises(CorpusError, match="holds the links of 2 pairs, but there are 3"):
        open_links(tmp_path, 3)


def test_a_model_without_attention_cannot_be_guided() -> None:
    with pytest.raises(ConfigError, match=r"training\.guidance guides attention"):
        Recipe(
            name="x", source="en", target="fr", data=DataConfig(train="t"),
            model={"context": "first_state", "score": "", "wiring": ""}, training=TrainingConfig(guidance=0.1),
        )  # fmt: skip


def toy(wiring: str) -> Seq2Seq:
    torch.manual_seed(5)
    return Seq2Seq(
        ModelConfig(
            source_vocabulary=14, target_vocabulary=14, embedding_size=24, encoder_size=24, encoder_layers=1,
            decoder_size=24, decoder_layers=2, wiring=wiring, dropout=0.0, residual=False,
        )
    )  # fmt: skip


def toy_batch(seed: int) -> Batch:
    """Ten units to copy, of which the t-th is linked to the one that stands three places further, in a circle."""
    ids = np.random.default_rng(seed).integers(4, 14, (16, 6)).tolist()
    links = torch.zeros(16, 7, 7, dtype=torch.bool)
    for place in range(6):
        links[:, place, (place + 3) % 6] = True
    links[:, 6, 6] = True
    batch = Batch.of(ids, ids)
    return Batch(batch.source, batch.target_in, batch.target_out, links)


def share_on_links(model: Seq2Seq) -> float:
    with torch.no_grad():
        batch = toy_batch(10_000)
        weights = model(batch).weights
        assert batch.links is not None
        return float(weights[batch.links].mean())


def trained(wiring: str, guidance: float, updates: int = 120) -> Seq2Seq:
    model = toy(wiring)
    training = TrainingModel(model, 0.0, guidance)
    adam = torch.optim.Adam(model.parameters(), lr=1e-2)
    for update in range(updates):
        adam.zero_grad()
        batch = toy_batch(update)
        (training(batch)[0] / 112).backward()
        adam.step()
    return model


@pytest.mark.parametrize("wiring", ["conditional", "input_feeding", "parallel"])
def test_a_guided_model_looks_where_the_links_say(wiring: str) -> None:
    assert share_on_links(trained(wiring, 1.0)) > 0.9
    assert share_on_links(trained(wiring, 0.0, 40)) < 0.4


def test_weight_zero_changes_nothing_bit_for_bit() -> None:
    batch = toy_batch(1)
    gradients = []
    for links in (batch.links, None):
        training = TrainingModel(toy("parallel"), 0.1)
        loss, _, guided = training(Batch(batch.source, batch.target_in, batch.target_out, links))
        loss.backward()
        assert guided == 0
        gradients.append([loss, *(one.grad for one in training.parameters())])
    assert all(torch.equal(one, other) for one, other in zip(*gradients, strict=True))


def test_padding_is_neither_goal_nor_guided() -> None:
    batch = Batch.of([[5, 6, 7], [5]], [[5, 6], [5]])
    matrix = link_matrix([[(0, 3, 0, 2)], [(0, 1, 0, 1)]], [3, 1], [2, 1])
    assert not matrix[batch.target_out == PAD].any()
    assert not matrix.transpose(1, 2)[batch.source == PAD].any()
    assert bool(matrix.transpose(1, 2)[batch.source == EOS].any(dim=1).all())
