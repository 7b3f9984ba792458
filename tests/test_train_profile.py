"""The parts of the training profile that do not depend on a clock."""

import pytest

from benchmarks import train_profile


def test_shares_of_all_kinds_of_work_make_one() -> None:
    found = train_profile.shares(
        [("aten::mm", 3.0), ("aten::bmm", 1.0), ("aten::bernoulli_", 1.0), ("aten::exp_", 3.0)]
    )
    assert found["matrix products"] == 0.5
    assert found["random numbers"] == 0.125
    assert found[train_profile.OTHER] == pytest.approx(0.375)
    assert sum(found.values()) == pytest.approx(1.0)


def test_an_update_is_profiled_in_all_its_parts() -> None:
    result = train_profile.measure(updates=1, rows=2, length=4, vocabulary=50)
    assert all(result["parts"][part] > 0 for part in train_profile.PARTS)
    assert all(result["shares"][kind] > 0 for kind in train_profile.KINDS)
    assert "LSTM kernel, backward" in train_profile.page(result)
