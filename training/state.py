"""TrainState: what a resumed run needs beside its tensors."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any

from training.stream import Position


@dataclass(slots=True)
class TrainState:
    """Counts and records of a run; everything random follows from the seed, `update` and `position`.

    Attributes:
        update: Updates done.
        position: Where the stream stands.
        skipped: Batches left out because their loss or gradient was not finite.
        best_loss: Lowest validation loss so far, nats a token.
        best_bleu: Highest validation BLEU so far; -1 before the first.
        since_best: Validations since either improved.
        since_halved: Validations since either improved or the learning rate was halved.
        scale: Of the learning rate, halved with `schedule = "plateau"`.
        tokens: Target tokens seen, EOS included.
        seconds: Wall-clock seconds of training, over all starts.
        finished: The run ended by itself (updates done or patience lost).
    """

    update: int = 0
    position: Position = field(default_factory=Position)
    skipped: int = 0
    best_loss: float = float("inf")
    best_bleu: float = -1.0
    since_best: int = 0
    since_halved: int = 0
    scale: float = 1.0
    tokens: int = 0
    seconds: float = 0.0
    finished: bool = False

    def to_dict(self) -> dict[str, Any]:
        """Plain values, for JSON."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> TrainState:
        """The inverse of `to_dict`."""
        return cls(**{**values, "position": Position(**values["position"])})
