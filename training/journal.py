"""What a run leaves to be looked at: one line a validation in log.jsonl, and TensorBoard's files if wanted."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from nmt.errors import ConfigError
from training.files import replacing

LOG = "log.jsonl"


def read_log(folder: Path) -> list[dict[str, Any]]:
    """The lines of log.jsonl; a half-written last one is left out."""
    try:
        lines = (folder / LOG).read_text("utf-8").splitlines(keepends=True)
    except FileNotFoundError:
        return []
    return [json.loads(line) for line in lines if line.endswith("\n")]


class Journal:
    """Writes the log of a run.

    Args:
        folder: The run folder.
        update: Where the run goes on; later lines, of a run that was killed, are taken away.
        tensorboard: Write `tensorboard/` too.

    Raises:
        ConfigError: TensorBoard is not installed.
    """

    def __init__(self, folder: Path, update: int, *, tensorboard: bool = False) -> None:
        self._path = folder / LOG
        before = read_log(folder)
        if self._path.exists():
            with replacing(self._path) as file:
                file.writelines(json.dumps(line) + "\n" for line in before if line["update"] <= update)
        self._board = _board(folder, update) if tensorboard else None

    def write(self, record: dict[str, Any]) -> None:
        """Add one line; numbers go to TensorBoard under their names."""
        with self._path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(record) + "\n")
        if self._board is None:
            return
        for name, value in record.items():
            for inner, number in value.items() if isinstance(value, dict) else [("", value)]:
                self._board.add_scalar(f"{name}/{inner}" if inner else name, number, record["update"])
        self._board.flush()

    def close(self) -> None:
        """Close TensorBoard's file."""
        if self._board is not None:
            self._board.close()


def _board(folder: Path, update: int) -> Any:
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError:
        raise ConfigError(
            "training.tensorboard = true needs TensorBoard: pip install 'interlinear[tensorboard]', or set it to false"
        ) from None
    return SummaryWriter(str(folder / "tensorboard"), purge_step=update + 1)
