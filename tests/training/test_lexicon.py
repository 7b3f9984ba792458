"""IBM model 1 on corpora whose dictionary is known."""

import random

import numpy as np
import pytest

from training.lexicon import NULL, learn


def test_first_round_by_hand() -> None:
    lexicon = learn([[4, 5], [4]], [[14, 15], [14]], rounds=1)
    entries = zip(lexicon.source, lexicon.target, lexicon.probability, strict=True)
    found = {(int(source), int(target)): float(probability) for source, target, probability in entries}
    # unit 14 of the first pair is shared by NULL, 4 and 5 (a third each), that of the second by NULL and 4
    assert found[4, 14] == pytest.approx((1 / 3 + 1 / 2) / (1 / 3 + 1 / 2 + 1 / 3))
    assert found[5, 14] == pytest.approx(1 / 2)
    assert found[NULL, 15] == pytest.approx((1 / 3) / (1 / 3 + 1 / 2 + 1 / 3))


def test_finds_a_known_dictionary_in_shuffled_sentences() -> None:
    chance = random.Random(1)
    sources = [chance.sample(range(4, 44), 6) for _ in range(600)]
    targets = [chance.sample([unit + 100 for unit in source], 6) for source in sources]
    best = learn(sources, targets, rounds=8).best(2, 44)
    assert best[4:, 0].tolist() == list(range(104, 144))
    assert (best[NULL] == 0).all()


def test_probabilities_of_a_source_unit_sum_to_one() -> None:
    lexicon = learn([[4, 5, 4], [6], [5, 6]], [[7, 7], [8, 9], [9]])
    for unit in (NULL, 4, 5, 6):
        assert lexicon.probability[lexicon.source == unit].sum() == pytest.approx(1)


def test_best_is_ordered_and_padded() -> None:
    best = learn([[4]] * 3 + [[5]], [[7], [7], [8], [9]], rounds=1).best(3, 6)
    assert best[4].tolist() == [7, 8, 0]
    assert best[5].tolist() == [9, 0, 0]


def test_a_corpus_too_large_is_thinned_evenly(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("training.lexicon.MOST_LINKS", 10)
    lexicon = learn([[4], [5]] * 10, [[7], [8]] * 10)  # 40 links: every fourth pair is looked at
    assert np.unique(lexicon.source).tolist() == [NULL, 4]


def test_no_pairs_no_lexicon() -> None:
    with pytest.raises(ValueError, match="at least one sentence pair"):
        learn([], [])
