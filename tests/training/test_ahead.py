from collections.abc import Iterator

import pytest

from training.ahead import ahead


def test_items_come_in_order_and_the_next_is_under_way() -> None:
    made: list[int] = []

    def count() -> Iterator[int]:
        for number in range(4):
            made.append(number)
            yield number

    items = ahead(count())
    assert next(items) == 0
    assert list(items) == [1, 2, 3]
    assert made == [0, 1, 2, 3]


def test_an_error_comes_where_its_item_would_have() -> None:
    def fails() -> Iterator[int]:
        yield 1
        raise ValueError("the second")

    items = ahead(fails())
    assert next(items) == 1
    with pytest.raises(ValueError, match="the second"):
        next(items)


def test_closing_ends_the_thread_and_the_source_is_one_ahead_at_most() -> None:
    made: list[int] = []

    def endless() -> Iterator[int]:
        while True:
            made.append(len(made))
            yield made[-1]

    items = ahead(endless())
    assert [next(items), next(items)] == [0, 1]
    items.close()  # type: ignore[attr-defined]
    assert made == [0, 1, 2]
