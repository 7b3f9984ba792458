"""Training: the whole step on one screen, in the order things happen."""

from __future__ import annotations

import math
import time
from pathlib import Path

import torch

from nmt.bundle import ModelBundle
from nmt.config import ModelConfig
from nmt.errors import NmtError
from nmt.model import Seq2Seq
from nmt.tokenizer import Tokenizer
from training import checkpoint
from training.ahead import ahead
from training.config import Recipe, TrainingConfig
from training.data import open_stream, tokenizers
from training.distributed import ALONE, Ranks
from training.initial import INITIAL, initialise
from training.interrupt import Interruption
from training.journal import Journal
from training.loss import TrainingModel
from training.meter import Meter
from training.optimizer import MasterAdam, learning_rate
from training.state import TrainState
from training.stream import Examples
from training.validation import Validation, Validator

LAST, BEST = "checkpoints/last.safetensors", "checkpoints/best.safetensors"
_NAMED = 8


def model_config(recipe: Recipe, source: Tokenizer, target: Tokenizer) -> ModelConfig:
    """The recipe's `[model]` with the sizes of its vocabularies."""
    return recipe.model_config(source.size, target.size)


def train(recipe: Recipe, folder: Path, ranks: Ranks = ALONE) -> TrainState:
    """Train until the updates are done or validation stops improving; resume from `checkpoints/last`.

    Reads `train.tsv`, `valid.tsv` and the vocabulary of the run folder; writes `checkpoints/last`
    (everything), the one before it, `checkpoints/best` (the weights with the best validation
    BLEU), and one line a validation to `log.jsonl`.

    Args:
        recipe: What to do.
        folder: The run folder.
        ranks: This process among those that train together; the first alone writes.

    Raises:
        ConfigError: The recipe's values do not go together.
        KeyboardInterrupt: Ctrl+C or SIGTERM; the update under way was finished and a checkpoint written.
        NmtError: Too many batches had a loss or gradient that is not finite, or a checkpoint cannot
            be read or written.
    """
    config = recipe.training
    if ranks.first:
        ranks.from_first(1.0)  # the others may begin: there is something to train
    device = ranks.device(config.device)
    if config.threads:
        torch.set_num_threads(config.threads)
    source, target = tokenizers(folder)
    stream = open_stream(recipe, folder, source, target)
    torch.manual_seed(config.seed)
    architecture = model_config(recipe, source, target)
    model = Seq2Seq(architecture)
    if recipe.init_from:
        known = initialise(model, ModelBundle.load(folder / INITIAL), source, target)
        if ranks.first and not recipe.inherits_units:
            print(f"  {known:,} of {source.size + target.size:,} units of both sides are those of {recipe.init_from}")
    model = model.to(device, torch.bfloat16 if config.precision == "bf16" else torch.float32).train()
    optimizer = MasterAdam(model, config)
    state = _resume(folder, optimizer, ranks)
    if state.finished and state.update >= config.max_updates:
        return state
    state.finished = False
    # whoever stopped and then asked for no more than there is gets one more (the linear schedule is at 0), validated
    last = max(config.max_updates, state.update + 1)
    training = ranks.wrap(TrainingModel(model, config.label_smoothing, config.guidance))
    judge = _validator(recipe, folder, architecture, source, target, device) if ranks.first else None
    journal = Journal(folder, state.update, tensorboard=config.tensorboard) if ranks.first else None
    shares, slices = ranks.shares(config.slices)
    batches = stream(state.position) if device == "cpu" else ahead(stream(state.position))
    saved = time.monotonic()
    with Interruption() as interruption, Meter(state, config.max_updates, shown=ranks.first) as meter:
        while state.update < last and not state.finished:
            examples, position = next(batches)
            likelihood, guided, places = 0.0, 0.0, 0
            for number in shares:
                part = examples.part(number, slices)
                real = bool(part.lines)  # a process with no pair of a small batch must take part all the same
                batch = (part if real else examples.part(0, len(examples.lines))).batch(device)
                seed = config.seed * 1_000_003 + state.update * 4_099 + state.skipped * 17 + number
                torch.manual_seed(seed % 2**63)  # dropout depends on nothing else
                with ranks.quiet(training, last=number == shares[-1]):
                    loss, own, astray = training(batch)
                    (loss * (real * ranks.count / examples.tokens)).backward()
                likelihood += float(own) * real
                guided += float(astray) * real
                places += batch.target_out.numel() * real
            likelihood, guided, total, asked = ranks.sum(likelihood, guided, places, interruption.requested)
            rate = learning_rate(config, state.update, state.scale)
            norm = optimizer.step(state.update, state.scale) if math.isfinite(likelihood) else optimizer.forget()
            state.position = position
            if not math.isfinite(norm):
                state.skipped += 1
                meter.say(_skipped(state, examples))
                if state.skipped > config.max_skipped:
                    raise NmtError(_too_many(state, examples, folder))
            else:
                state.update += 1
                state.tokens += examples.tokens
                meter.count(likelihood, guided, examples.tokens, int(total), norm, rate, optimizer.norms)

            if math.isfinite(norm) and (state.update % config.validate_every == 0 or state.update == last):
                state.seconds += meter.seconds
                found = _validate(judge, optimizer, ranks)
                better = _keep_score(state, found, config)
                if ranks.first and journal:
                    if better:
                        best = {"update": state.update, "bleu": found.bleu, "loss": found.loss}
                        checkpoint.save(folder / BEST, optimizer.evaluated(), best)
                    meter.say(_log(journal, state, meter.summary(optimizer.names), found, better))
                    checkpoint.save(folder / LAST, optimizer.tensors(), state.to_dict(), keep=True)
                saved = time.monotonic()
                meter.restart()
            elif ranks.first and time.monotonic() - saved > config.checkpoint_seconds:
                _save(folder, optimizer, state, meter)
                saved = time.monotonic()
            if asked or (ranks.count == 1 and interruption.requested):
                if ranks.first:
                    _save(folder, optimizer, state, meter)
                raise KeyboardInterrupt
    state.finished = True
    if ranks.first and journal:
        checkpoint.save(folder / LAST, optimizer.tensors(), state.to_dict(), keep=True)
        journal.close()
    return state


def _validator(
    recipe: Recipe, folder: Path, architecture: ModelConfig, source: Tokenizer, target: Tokenizer, device: str
) -> Validator:
    model = Seq2Seq(architecture).to(device).eval()
    return Validator(model, source, target, recipe.target, folder / "valid.tsv", recipe.training.max_tokens)


def _validate(judge: Validator | None, optimizer: MasterAdam, ranks: Ranks) -> Validation:
    """Scores by the first process, known to all, so that all end at the same update."""
    found = judge(optimizer.evaluated()) if judge else Validation(0.0, 0.0, 0)
    loss, bleu, pairs = ranks.from_first(found.loss, found.bleu, found.pairs)
    return Validation(loss, bleu, int(pairs))


def _save(folder: Path, optimizer: MasterAdam, state: TrainState, meter: Meter) -> None:
    """Write `checkpoints/last` between two validations, with the time since the last one."""
    values = {**state.to_dict(), "seconds": state.seconds + meter.seconds}
    checkpoint.save(folder / LAST, optimizer.tensors(), values, keep=True)


def _resume(folder: Path, optimizer: MasterAdam, ranks: Ranks) -> TrainState:
    found = checkpoint.load_last(folder / LAST)
    if found is None:
        return TrainState()
    tensors, values = found
    optimizer.load(tensors)
    state = TrainState.from_dict(values)
    if ranks.first:
        print(f"resuming {folder / LAST} at update {state.update}")
    return state


def _keep_score(state: TrainState, found: Validation, config: TrainingConfig) -> bool:
    """Note what is best so far, and halve the rate where `plateau` asks for it.

    Returns:
        Whether BLEU is the best so far (the loss decides while BLEU is still the same).
    """
    better = (found.bleu, -found.loss) > (state.best_bleu, -state.best_loss)
    improved = better or found.loss < state.best_loss
    state.best_bleu, state.best_loss = max(found.bleu, state.best_bleu), min(found.loss, state.best_loss)
    state.since_best = 0 if improved else state.since_best + 1
    state.finished = bool(config.patience) and state.since_best >= config.patience
    state.since_halved = 0 if improved else state.since_halved + 1
    if config.schedule == "plateau" and state.since_halved >= config.halve_after:
        state.scale, state.since_halved = state.scale / 2, 0
    return better


def _log(journal: Journal, state: TrainState, summary: dict[str, object], found: Validation, better: bool) -> str:
    """Add a line to `log.jsonl`; returns the same for people."""
    journal.write(
        {
            "update": state.update,
            "epoch": state.position.epoch,
            "tokens": state.tokens,
            "seconds": round(state.seconds, 1),
            "skipped": state.skipped,
            **summary,
            "valid_loss": found.loss,
            "valid_bleu": found.bleu,
        }
    )
    return (
        f"update {state.update}: loss {summary['loss']:.3f}, validation loss {found.loss:.3f}, "
        f"BLEU {found.bleu:.2f} on {found.pairs} pairs{', the best so far' if better else ''}"
    )


def _skipped(state: TrainState, examples: Examples) -> str:
    return (
        f"warning: loss or gradient not finite, batch {state.skipped} skipped after update {state.update}: "
        f"{_lines(examples)}"
    )


def _lines(examples: Examples) -> str:
    more = len(examples.lines) - _NAMED
    return "; ".join(examples.lines[:_NAMED]) + (f"; and {more} more" if more > 0 else "")


def _too_many(state: TrainState, examples: Examples, folder: Path) -> str:
    good = f"the last good checkpoint is {folder / LAST}" if (folder / LAST).exists() else "there is no checkpoint yet"
    return (
        f"loss or gradient was not finite for {state.skipped} batches, the last one after update {state.update} (epoch "
        f"{state.position.epoch}), of {_lines(examples)}; {good}. Look at those lines; lower training.learning_rate or "
        "training.clip_norm, or set training.precision = 'fp32', and start the same command again"
    )
