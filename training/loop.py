"""Training: the whole step on one screen, in the order things happen."""

from __future__ import annotations

import json
import math
import time
from pathlib import Path

import torch

from nmt.config import PAD, ModelConfig
from nmt.device import resolve_device
from nmt.errors import NmtError
from nmt.model import Seq2Seq
from nmt.tokenizer import Tokenizer
from training import checkpoint
from training.config import Recipe
from training.interrupt import Interruption
from training.loss import linear_cross_entropy
from training.meter import Meter
from training.optimizer import MasterAdam, learning_rate
from training.state import TrainState
from training.stream import BatchStream
from training.validation import Validation, Validator

LAST, BEST = "checkpoints/last.safetensors", "checkpoints/best.safetensors"


def tokenizers(folder: Path) -> tuple[Tokenizer, Tokenizer]:
    """Source and target tokenizer of a run folder; one object when the vocabulary is shared."""
    found: dict[str, Tokenizer] = {}
    for side in ("source", "target"):
        for name in (f"{side}.spm", f"{side}.vocab.json"):
            if (folder / name).exists():
                found[side] = Tokenizer.load(folder / name)
    if "source" not in found:
        raise NmtError(f"{folder} has no vocabulary yet; run the stage before: python -m training subwords RECIPE")
    return found["source"], found.get("target", found["source"])


def model_config(recipe: Recipe, source: Tokenizer, target: Tokenizer) -> ModelConfig:
    """The recipe's `[model]` with the sizes of its vocabularies."""
    return recipe.model_config(source.size, target.size)


def train(recipe: Recipe, folder: Path) -> TrainState:
    """Train until the updates are done or validation stops improving; resume from `checkpoints/last`.

    Reads `train.tsv`, `valid.tsv` and the vocabulary of the run folder; writes `checkpoints/last`
    (everything) and `checkpoints/best` (the weights with the best validation BLEU), and one line
    a validation to `log.jsonl`.

    Raises:
        ConfigError: The recipe's values do not go together.
        KeyboardInterrupt: Ctrl+C or SIGTERM; the update under way was finished and a checkpoint written.
        NmtError: The loss is not finite, or a checkpoint cannot be read or written.
    """
    config = recipe.training
    device = resolve_device(config.device)
    if config.threads:
        torch.set_num_threads(config.threads)
    source, target = tokenizers(folder)
    stream = BatchStream(
        folder / "train.tsv",
        source,
        target,
        batch_tokens=config.batch_tokens,
        max_tokens=config.max_tokens,
        copy_rate=config.copy_rate,
        seed=config.seed,
        device=device,
    )
    torch.manual_seed(config.seed)
    architecture = model_config(recipe, source, target)
    model = Seq2Seq(architecture).to(device, torch.bfloat16 if config.precision == "bf16" else torch.float32).train()
    optimizer = MasterAdam(model, config)
    state = _resume(folder, optimizer)
    if state.finished and state.update >= config.max_updates:
        return state
    state.finished = False
    judge = Validator(
        Seq2Seq(architecture).to(device).eval(), source, target, recipe.target, folder / "valid.tsv", config.max_tokens
    )
    batches = stream(state.position)
    output = model.decoder.output
    saved = time.monotonic()
    with Interruption() as interruption, Meter(state.update, config.max_updates) as meter:
        while state.update < config.max_updates and not state.finished:
            batch, position = next(batches)
            torch.manual_seed((config.seed * 1_000_003 + state.update) % 2**63)  # dropout depends on nothing else
            unrolled = model(batch)
            real = batch.target_out != PAD  # (B, T)
            features, targets = unrolled.features[real], batch.target_out[real]  # (N, E), (N,)
            loss, likelihood = linear_cross_entropy(
                features, output.weight, output.bias, targets, smoothing=config.label_smoothing
            )
            (loss / len(targets)).backward()  # type: ignore[no-untyped-call]
            rate = learning_rate(config, state.update)
            norm = optimizer.step(state.update)
            if not math.isfinite(norm + float(likelihood)):
                raise NmtError(_not_finite(state, folder))
            state.update, state.position = state.update + 1, position
            state.tokens += len(targets)
            meter.count(float(likelihood), len(targets), real.numel(), norm, rate)

            if state.update % config.validate_every == 0 or state.update == config.max_updates:
                state.seconds += meter.seconds
                summary = meter.summary()
                weights = optimizer.evaluated()
                found = judge(weights)
                better = _keep_score(state, found, config.patience)
                if better:
                    best = {"update": state.update, "bleu": found.bleu, "loss": found.loss}
                    checkpoint.save(folder / BEST, weights, best)
                meter.say(_log(folder, state, summary, found, better))
                checkpoint.save(folder / LAST, optimizer.tensors(), state.to_dict())
                saved = time.monotonic()
                meter.restart()
            elif time.monotonic() - saved > config.checkpoint_seconds:
                _save(folder, optimizer, state, meter)
                saved = time.monotonic()
            if interruption.requested:
                _save(folder, optimizer, state, meter)
                raise KeyboardInterrupt
    state.finished = True
    checkpoint.save(folder / LAST, optimizer.tensors(), state.to_dict())
    return state


def _save(folder: Path, optimizer: MasterAdam, state: TrainState, meter: Meter) -> None:
    """Write `checkpoints/last` between two validations, with the time since the last one."""
    checkpoint.save(folder / LAST, optimizer.tensors(), {**state.to_dict(), "seconds": state.seconds + meter.seconds})


def _resume(folder: Path, optimizer: MasterAdam) -> TrainState:
    if not (folder / LAST).exists():
        return TrainState()
    tensors, values = checkpoint.load(folder / LAST)
    optimizer.load(tensors)
    state = TrainState.from_dict(values)
    print(f"resuming {folder / LAST} at update {state.update}")
    return state


def _keep_score(state: TrainState, found: Validation, patience: int) -> bool:
    """Note what is best so far; True when BLEU is (the loss decides while BLEU is still the same)."""
    better = (found.bleu, -found.loss) > (state.best_bleu, -state.best_loss)
    improved = better or found.loss < state.best_loss
    state.best_bleu, state.best_loss = max(found.bleu, state.best_bleu), min(found.loss, state.best_loss)
    state.since_best = 0 if improved else state.since_best + 1
    state.finished = bool(patience) and state.since_best >= patience
    return better


def _log(folder: Path, state: TrainState, summary: dict[str, float], found: Validation, better: bool) -> str:
    """Add a line to `log.jsonl`; returns the same for people."""
    record = {
        "update": state.update,
        "epoch": state.position.epoch,
        "tokens": state.tokens,
        "seconds": round(state.seconds, 1),
        **summary,
        "valid_loss": found.loss,
        "valid_bleu": found.bleu,
    }
    with (folder / "log.jsonl").open("a", encoding="utf-8") as log:
        log.write(json.dumps(record) + "\n")
    return (
        f"update {state.update}: loss {record['loss']:.3f}, validation loss {found.loss:.3f}, "
        f"BLEU {found.bleu:.2f} on {found.pairs} pairs{', the best so far' if better else ''}"
    )


def _not_finite(state: TrainState, folder: Path) -> str:
    good = f"the last good checkpoint is {folder / LAST}" if (folder / LAST).exists() else "there is no checkpoint yet"
    return (
        f"the loss is not finite at update {state.update + 1} (epoch {state.position.epoch}, batch "
        f"{state.position.batch}); {good}. Lower training.learning_rate or "
        "training.clip_norm, or set training.precision = 'fp32', and start the same command again"
    )
