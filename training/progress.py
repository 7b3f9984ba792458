"""Progress on the terminal: how far, how fast, how long still (tqdm)."""

from __future__ import annotations

import sys
from types import TracebackType
from typing import Any, Self

from tqdm import tqdm

_FORMAT = "{desc} {percentage:3.0f}% |{bar:24}| {elapsed} gone, {remaining} left{postfix}"


class Progress:
    """A bar over work whose size is known in one unit (bytes) and told in another (pairs).

    Written to standard error; when that is no terminal, a line at most every ten seconds.
    """

    def __init__(self, what: str, total: int, *, unit: str = "pairs") -> None:
        interval = 0.2 if sys.stderr.isatty() else 10.0
        self._unit = unit
        self._bar: tqdm[Any] = tqdm(
            total=max(total, 1),
            desc=f"{what:<24}",
            bar_format=_FORMAT,
            mininterval=interval,
            leave=False,
            delay=interval,
        )

    def advance(self, position: int, done: int) -> None:
        """Say where the work stands: `position` of `total`, `done` units in all."""
        elapsed = max(self._bar.format_dict["elapsed"], 1e-9)
        self._bar.set_postfix_str(f"{done:,} {self._unit}, {done / elapsed:,.0f} a second", refresh=False)
        self._bar.update(min(position, self._bar.total or 0) - self._bar.n)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._bar.close()
