"""The lists of a made-up vocabulary of ten units, by hand."""

import numpy as np
import pytest

from nmt.shortlist import Shortlist


def made() -> Shortlist:
    """Source unit 5 may become 7 or 8, source unit 6 may become 9; 4 is always there."""
    likely = np.zeros((8, 10), dtype=bool)
    likely[5, [7, 8]] = True
    likely[6, [4, 9]] = True
    return Shortlist.of(np.array([4]), likely, default=True)


def test_list_is_sorted_and_holds_special_units_frequent_units_and_translations() -> None:
    shortlist = made()
    assert shortlist.for_source([5, 3]).tolist() == [0, 1, 2, 3, 4, 7, 8]
    assert shortlist.for_source([6, 5, 6, 3]).tolist() == [0, 1, 2, 3, 4, 7, 8, 9]
    assert shortlist.for_source([]).tolist() == [0, 1, 2, 3, 4]
    assert shortlist.for_source([5]).dtype == np.int64


def test_what_is_always_there_is_stored_once() -> None:
    assert made().likely.tolist() == [7, 8, 9]


def test_arrays_are_narrow_and_read_back() -> None:
    arrays = made().to_arrays()
    assert arrays["likely"].dtype == np.uint16
    again = Shortlist.from_arrays(arrays, source_size=8, target_size=10, default=False)
    assert not again.default
    for ids in ([5, 3], [6], [7, 0]):
        assert again.for_source(ids).tolist() == made().for_source(ids).tolist()


def test_tables_that_do_not_fit_are_refused() -> None:
    arrays = made().to_arrays()
    with pytest.raises(ValueError, match="do not fit 9 source units"):
        Shortlist.from_arrays(arrays, source_size=9, target_size=10, default=True)
    with pytest.raises(ValueError, match="beyond the 9 of the target vocabulary"):
        Shortlist.from_arrays(arrays, source_size=8, target_size=9, default=True)
    backwards = arrays | {"offsets": arrays["offsets"][[0, 6, 1, 1, 1, 1, 1, 1, 8]]}
    with pytest.raises(ValueError, match="go backwards"):
        Shortlist.from_arrays(backwards, source_size=8, target_size=10, default=True)
    with pytest.raises(ValueError, match="must hold always, likely and offsets, not always"):
        Shortlist.from_arrays({"always": arrays["always"]}, source_size=8, target_size=10, default=True)
