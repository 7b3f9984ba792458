"""What a person sees while training runs: a bar with loss, BLEU, norm, rate, speed, padding and time left."""

from __future__ import annotations

import sys
import time
from types import TracebackType

import torch
from torch import Tensor
from tqdm import tqdm

from training.state import TrainState


class Meter:
    """Counts since the last restart, shown beside the progress bar.

    Args:
        state: Of the run, which the caller keeps up to date.
        total: Updates in all.
        shown: Whether to show anything.
    """

    def __init__(self, state: TrainState, total: int, *, shown: bool = True) -> None:
        self._state, self._shown = state, shown
        self._bar = tqdm(
            total=total,
            initial=state.update,
            desc="training",
            unit="update",
            smoothing=0.02,
            mininterval=0.5 if sys.stderr.isatty() else 30,  # seconds; a log file wants few lines
            dynamic_ncols=True,
            disable=not shown,
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
        self._likelihood, self._guided, self._tokens, self._places = 0.0, 0.0, 0, 0
        self._norm, self._rate = 0.0, 0.0
        self._updates, self._squares = 0, torch.zeros(())

    @property
    def seconds(self) -> float:
        """Since the last restart."""
        return time.monotonic() - self._began

    def count(
        self, likelihood: float, guided: float, tokens: int, places: int, norm: float, rate: float, norms: Tensor
    ) -> None:
        """Add one update.

        Args:
            likelihood: Negative log-likelihood of its targets, nats.
            guided: Its guidance loss, nats; 0 without.
            tokens: Real target tokens.
            places: The same with padding.
            norm: Global gradient norm before clipping.
            rate: Learning rate.
            norms: Gradient norm of every parameter, (P,).
        """
        self._likelihood += likelihood
        self._guided += guided
        self._tokens += tokens
        self._places += places
        self._norm, self._rate = norm, rate
        self._updates += 1
        self._squares = self._squares + norms.detach().square()
        bleu = f", BLEU {self._state.best_bleu:.1f}" if self._state.best_bleu >= 0 else ""
        guidance = f", guidance {self._guided / max(1, self._tokens):.3f}" if self._guided else ""
        skipped = f", {self._state.skipped} skipped" if self._state.skipped else ""
        self._bar.set_postfix_str(
            f"loss {self._likelihood / max(1, self._tokens):.3f}{guidance}{bleu}, norm {norm:.2f}, rate {rate:.1e}, "
            f"{self._tokens / max(1e-9, self.seconds):.0f} tokens/s, "
            f"padding {1 - self._tokens / max(1, self._places):.0%}{skipped}",
            refresh=False,
        )
        self._bar.update()

    def summary(self, names: list[str]) -> dict[str, object]:
        """Means since the last restart; norm and rate of the last update; gradient norm by layer, root mean square.

        Args:
            names: Of the parameters; those of one module are one layer.
        """
        layers: dict[str, float] = {}
        for name, square in zip(names, self._squares.expand(len(names)).tolist(), strict=True):
            layer = name.rpartition(".")[0]
            layers[layer] = layers.get(layer, 0.0) + square / max(1, self._updates)
        return {
            "loss": self._likelihood / max(1, self._tokens),
            **({"guidance": self._guided / max(1, self._tokens)} if self._guided else {}),
            "norm": self._norm,
            "rate": self._rate,
            "tokens_per_second": self._tokens / max(1e-9, self.seconds),
            "padding": 1 - self._tokens / max(1, self._places),
            "norms": {layer: round(square**0.5, 6) for layer, square in layers.items()},
        }

    def say(self, line: str) -> None:
        """Print a line above the bar."""
        if self._shown:
            self._bar.write(line)
