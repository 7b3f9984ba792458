from itertools import islice
from pathlib import Path

import numpy as np
import pytest
import torch

from nmt.config import PAD, UNK
from nmt.errors import CorpusError
from nmt.tokenizer import SPACE, SPECIAL, CharacterTokenizer
from training.stream import UNKNOWN, BatchStream, CorpusIndex, Position, teach_copying

UNITS = CharacterTokenizer([*SPECIAL.values(), SPACE, *"abcdefghijklmnopqrstuvwxyz0123456789"])
PAIRS = [(f"word {n} {'x' * (n % 13)}", f"mot {n} {'y' * (n % 7)}") for n in range(300)]


@pytest.fixture
def corpus(tmp_path: Path) -> Path:
    path = tmp_path / "train.tsv"
    path.write_text("".join(f"{s.strip()}\t{t.strip()}\n" for s, t in PAIRS), "utf-8")
    return path


def stream(path: Path, **options: float) -> BatchStream:
    settings = {"batch_tokens": 200, "max_tokens": 60, "copy_rate": 0.0, "seed": 1, **options}
    return BatchStream(path, UNITS, UNITS, **settings)  # type: ignore[arg-type]


def test_an_epoch_holds_every_pair_once(corpus: Path) -> None:
    batches = stream(corpus)
    rows = [
        tuple(row.tolist()) for batch, _ in islice(batches(Position()), batches.batches_in(0)) for row in batch.source
    ]
    assert len(rows) == 300
    assert len({tuple(i for i in row if i != PAD) for row in rows}) == 300


def test_batches_keep_to_their_size(corpus: Path) -> None:
    batches = stream(corpus)
    for batch, _ in islice(batches(Position()), batches.batches_in(0)):
        assert batch.source.numel() <= 200
        assert batch.target_out.numel() <= 200


def test_a_batch_depends_on_its_position_alone(corpus: Path) -> None:
    batches = stream(corpus, copy_rate=0.5)
    run = list(islice(batches(Position()), batches.batches_in(0) + 5))
    for start in (1, batches.batches_in(0) - 1, batches.batches_in(0) + 2):
        resumed = list(islice(stream(corpus, copy_rate=0.5)(run[start - 1][1]), 3))
        for (batch, position), (expected, after) in zip(resumed, run[start : start + 3], strict=True):
            assert torch.equal(batch.source, expected.source)
            assert torch.equal(batch.target_out, expected.target_out)
            assert position == after


def test_epochs_and_seeds_differ_in_order(corpus: Path) -> None:
    first = next(stream(corpus)(Position()))[0].source
    assert not torch.equal(first, next(stream(corpus)(Position(epoch=1)))[0].source)
    assert not torch.equal(first, next(stream(corpus, seed=2)(Position()))[0].source)


def test_too_long_pairs_are_counted_and_left_out(corpus: Path) -> None:
    index = CorpusIndex.build(corpus, UNITS, UNITS, 12)
    assert index.too_long + len(index.offsets) == 300
    assert index.too_long > 0
    assert index.lengths.max() <= 12
    with pytest.raises(CorpusError, match=r"no pair of at most 2 units; raise training\.max_tokens"):
        CorpusIndex.build(corpus, UNITS, UNITS, 2)


def test_copying_puts_the_unknown_unit_on_both_sides(corpus: Path) -> None:
    random = np.random.default_rng(0)
    assert teach_copying("Tom sleeps", "Tom dort", random) == (f"{UNKNOWN} sleeps", f"{UNKNOWN} dort")
    assert teach_copying("He sleeps", "Il dort", random) == (f"He sleeps {UNKNOWN}", f"Il dort {UNKNOWN}")
    assert teach_copying("il a dit l'a b", "a", random) == (f"il {UNKNOWN} dit l'a b", UNKNOWN)  # not inside "l'a"
    batch = next(stream(corpus, copy_rate=1.0)(Position()))[0]
    assert (batch.source == UNK).any(dim=1).all()
    assert (batch.target_out == UNK).any(dim=1).all()
