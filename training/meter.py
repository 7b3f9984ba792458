"""What a person sees while training runs: a bar with loss, norm, rate, speed and time left."""

from __future__ import annotations

import sys
import time
from types import TracebackType

from tqdm import tqdm


class Meter:
    """Counts since the last restart, shown beside the progress bar.

    Args:
        done: Updates already done.
        total: Updates in all.
    """

    def __init__(self, done: int, total: int) -> None:
        self._bar = tqdm(
            total=total,
            initial=done,
            desc="training",
            unit="update",
            smoothing=0.02,
            mininterval=0.5 if sys.stderr.isatty() else 30,  # seconds; a log file wants few lines
            dynamic_ncols=True,
        )
        self.restart()

    def __enter__(self) -> Meter:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._bar.close()

    def restart(self) -> None:
        """Begin new sums."""
        self._began = time.monotonic()
        self._likelihood, self._tokens, self._places, self._norm, self._rate = 0.0, 0, 0, 0.0, 0.0

    @property
    def seconds(self) -> float:
        """Since the last restart."""
        return time.monotonic() - self._began

    def count(self, likelihood: float, tokens: int, places: int, norm: float, rate: float) -> None:
        """Add one update.

        Args:
            likelihood: Negative log-likelihood of its targets, nats.
            tokens: Real target tokens.
            places: The same with padding.
            norm: Global gradient norm before clipping.
            rate: Learning rate.
        """
        self._likelihood += likelihood
        self._tokens += tokens
        self._places += places
        self._norm, self._rate = norm, rate
        summary = self.summary()
        self._bar.set_postfix_str(
            f"loss {summary['loss']:.3f}, norm {norm:.2f}, rate {rate:.1e}, "
            f"{summary['tokens_per_second']:.0f} tokens/s, padding {summary['padding']:.0%}",
            refresh=False,
        )
        self._bar.update()

    def summary(self) -> dict[str, float]:
        """Means since the last restart; norm and rate of the last update."""
        return {
            "loss": self._likelihood / max(1, self._tokens),
            "norm": self._norm,
            "rate": self._rate,
            "tokens_per_second": self._tokens / max(1e-9, self.seconds),
            "padding": 1 - self._tokens / max(1, self._places),
        }

    def say(self, line: str) -> None:
        """Print a line above the bar."""
        self._bar.write(line)
