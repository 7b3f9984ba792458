from collections import defaultdict
from collections.abc import Iterable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from nmt.errors import CorpusError
from training import split as module
from training.split import TEST, TRAIN, VALID


def split(sources: Iterable[int], targets: Iterable[int], sizes: tuple[int, int]) -> NDArray[np.int8]:
    """The part of every pair."""
    first, second = (np.array(list(side), np.uint64) for side in (sources, targets))
    parts = np.zeros(len(first), np.int8)
    module.split(first, second, sizes, parts)
    return parts


pairs = st.lists(st.tuples(st.integers(0, 60), st.integers(100, 160)), min_size=40, max_size=120)


@settings(max_examples=60, deadline=None)
@given(pairs)
def test_no_sentence_stands_in_two_parts(made: list[tuple[int, int]]) -> None:
    try:
        parts = split([one for one, _ in made], [other for _, other in made], (5, 5))
    except CorpusError:
        return  # too entangled, and said so
    where = defaultdict(set)
    for (source, target), part in zip(made, parts.tolist(), strict=True):
        where[source].add(part)
        where[target].add(part)
    assert all(len(found) == 1 for found in where.values())


def test_sizes_are_met_when_no_sentence_repeats() -> None:
    parts = split(range(100), range(1000, 1100), (10, 20)).tolist()
    assert (parts.count(VALID), parts.count(TEST), parts.count(TRAIN)) == (10, 20, 70)


def test_pairs_connected_through_others_stay_together() -> None:
    # 0-100, 0-101, 1-101, 1-102: the first and the last share nothing directly
    sources, targets = [0, 0, 1, 1, *range(10, 610)], [100, 101, 101, 102, *range(700, 1300)]
    for size in (20, 100, 150):
        parts = split(sources, targets, (size, size)).tolist()
        assert len(set(parts[:4])) == 1


def test_a_group_may_be_split_off_whole() -> None:
    doubles = [n // 2 for n in range(600)]  # every source has two translations
    parts = split(doubles, range(1000, 1600), (150, 150)).tolist()
    assert parts.count(VALID) == parts.count(TEST) == 150
    assert parts[::2] == parts[1::2]


def test_the_same_corpus_is_split_the_same_way() -> None:
    first, second = (split(range(100), range(100, 200), (10, 10)).tolist() for _ in range(2))
    assert first == second


def test_a_part_with_a_file_of_its_own_is_not_split_off() -> None:
    parts = split(range(100), range(100, 200), (0, 10)).tolist()
    assert parts.count(VALID) == 0
    assert parts.count(TEST) == 10


def test_too_few_pairs_say_which_keys_to_lower() -> None:
    with pytest.raises(CorpusError, match=r"30 clean pairs are too few.*data\.valid_size"):
        split(range(30), range(100, 130), (10, 10))


def test_a_corpus_of_one_group_cannot_be_split() -> None:
    with pytest.raises(CorpusError, match=r"data\.valid_size = 10 cannot be met: only 0 pairs"):
        split([7] * 100, range(100), (10, 10))


def test_pairs_of_another_part_are_left_alone() -> None:
    parts = np.full(100, 3, np.int8)
    parts[:50] = TRAIN
    module.split(np.arange(100, dtype=np.uint64), np.arange(100, 200, dtype=np.uint64), (10, 10), parts)
    assert parts[50:].tolist() == [3] * 50
    assert (parts[:50] != TRAIN).sum() == 20


def test_a_large_corpus_gives_only_pairs_that_share_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_ENTANGLED", 100)
    monkeypatch.setattr(module, "_CHUNK", 64)  # more than one look
    sources = [n // 2 for n in range(200)] + list(range(1000, 1200))  # the first 200 in twos
    parts = split(sources, range(2000, 2400), (20, 30))
    assert (parts[:200] == TRAIN).all()
    assert ((parts == VALID).sum(), (parts == TEST).sum()) == (20, 30)
    with pytest.raises(CorpusError, match=r"data\.test_size = 99 cannot be met: only 0 pairs"):
        split([7] * 300 + list(range(100)), range(2000, 2400), (100, 99))
