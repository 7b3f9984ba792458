"""Training on a copy task of digits, in a few seconds."""

import json
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest
import torch

from nmt.errors import CorpusError, NmtError
from nmt.model import Seq2Seq
from nmt.tokenizer import SPACE, SPECIAL
from training import checkpoint, loop, loss
from training.config import Recipe
from training.data import tokenizers
from training.evaluation import build_translator, load_best
from training.journal import read_log
from training.optimizer import MasterAdam, learning_rate
from training.validation import Validation, Validator, spread


def make(folder: Path, **training: Any) -> Recipe:
    """A run folder with a small corpus of reversed digits, and its recipe."""
    folder.mkdir(parents=True, exist_ok=True)
    generator = torch.Generator().manual_seed(0)
    for name, count in (("train", 600), ("valid", 40), ("test", 40)):
        rows = torch.randint(10, (count, 4), generator=generator).tolist()
        lines = ["".join(map(str, row)) for row in rows]
        (folder / f"{name}.tsv").write_text("".join(f"{line}\t{line[::-1]}\n" for line in lines), "utf-8")
    pieces = [*SPECIAL.values(), SPACE, *"0123456789abcdef"]
    (folder / "source.vocab.json").write_text(json.dumps({"pieces": pieces}), "utf-8")
    settings = {
        "max_updates": 30, "batch_tokens": 256, "learning_rate": 0.01, "warmup": 10, "validate_every": 10,
        "checkpoint_seconds": 1000, "average": 0.9, "copy_rate": 0.0, "device": "cpu",
    }  # fmt: skip
    return Recipe.from_dict(
        {
            "name": "digits", "source": "en", "target": "fr", "run": str(folder), "data": {"train": "x.tsv"},
            "units": {"kind": "character", "size": len(pieces), "shared": True},
            "model": {"cell": "gru", "embedding_size": 24, "encoder_size": 16, "decoder_size": 24, "dropout": 0.1},
            "training": {**settings, **training},
        }
    )  # fmt: skip


def weights(folder: Path) -> dict[str, torch.Tensor]:
    return checkpoint.load(folder / loop.LAST)[0]


class Stop(Exception):
    """Stands for a machine that goes down."""


def interrupt_after(updates: int) -> Any:
    """Let training die just before update number `updates`."""
    real = MasterAdam.step

    def step(self: MasterAdam, update: int, scale: float) -> float:
        if update == updates:
            raise Stop
        return real(self, update, scale)

    return patch.object(MasterAdam, "step", step)


@pytest.mark.parametrize(
    "settings",
    [
        {"precision": "fp32"},
        {"precision": "bf16"},
        {"schedule": "plateau", "halve_after": 1, "learning_rate": 3.0, "warmup": 0, "average": 0.0},
    ],
    ids=str,
)
def test_resumed_run_equals_uninterrupted_run(tmp_path: Path, settings: dict[str, Any]) -> None:
    whole, broken = make(tmp_path / "whole", **settings), make(tmp_path / "broken", **settings)
    halved = loop.train(whole, tmp_path / "whole").scale < 1
    assert halved == ("schedule" in settings)
    with interrupt_after(23), pytest.raises(Stop):
        loop.train(broken, tmp_path / "broken")
    state = loop.train(broken, tmp_path / "broken")
    assert state.update == 30
    expected, resumed = weights(tmp_path / "whole"), weights(tmp_path / "broken")
    assert expected.keys() == resumed.keys()
    assert all(torch.equal(expected[name], resumed[name]) for name in expected)


def test_model_learns_and_its_best_weights_translate(tmp_path: Path) -> None:
    recipe = make(tmp_path, max_updates=200, validate_every=50, average=0.99)
    loop.train(recipe, tmp_path)
    best, record = load_best(recipe, tmp_path)
    assert record["loss"] < 0.15
    translator = build_translator(recipe, tmp_path, best)
    assert translator.translate(["1234"])[0].text == "4321"
    lines = read_log(tmp_path)
    assert [line["update"] for line in lines] == [50, 100, 150, 200]
    assert lines[-1]["valid_loss"] < lines[0]["valid_loss"]
    norms = lines[-1]["norms"]
    assert {"encoder.embedding", "decoder.output"} < norms.keys()
    assert all(norm > 0 for norm in norms.values())


def poison(after: int, until: int) -> Any:
    """Let the loss of the batches from number `after` on (from 0), and before `until`, be not a number."""
    real = loss.linear_cross_entropy
    calls = iter(range(10**9))

    def poisoned(features: torch.Tensor, *rest: Any, **options: Any) -> Any:
        bad = after <= next(calls) < until
        return real(features * float("nan") if bad else features, *rest, **options)

    return patch.object(loss, "linear_cross_entropy", poisoned)


def test_a_batch_without_a_finite_loss_is_skipped_and_counted(tmp_path: Path) -> None:
    recipe = make(tmp_path)
    with poison(15, 17):
        state = loop.train(recipe, tmp_path)
    assert (state.update, state.skipped) == (30, 2)
    assert all(torch.isfinite(tensor).all() for tensor in weights(tmp_path).values())
    assert read_log(tmp_path)[-1]["skipped"] == 2


def test_too_many_skipped_batches_stop_the_run_and_name_their_lines(tmp_path: Path) -> None:
    recipe = make(tmp_path, max_skipped=3)
    with (
        poison(15, 10**9),
        pytest.raises(
            NmtError,
            match=r"not finite for 4 batches, the last one after update 15 .*"
            r"of train\.tsv, line \d+; train\.tsv, line \d+.*last good checkpoint.*lower training\.learning_rate",
        ),
    ):
        loop.train(recipe, tmp_path)
    tensors, state = checkpoint.load(tmp_path / loop.LAST)
    assert (state["update"], state["skipped"]) == (10, 0)
    assert all(torch.isfinite(tensor).all() for tensor in tensors.values())
    assert loop.train(recipe, tmp_path).update == 30  # the cause gone, the same command goes on


def test_patience_ends_a_run_that_no_longer_improves(tmp_path: Path) -> None:
    recipe = make(tmp_path, max_updates=400, learning_rate=1e-9, patience=2, average=0.0)
    state = loop.train(recipe, tmp_path)
    assert state.finished
    assert state.update < 400


def test_finished_run_is_not_run_again(tmp_path: Path) -> None:
    recipe = make(tmp_path, max_updates=10)
    loop.train(recipe, tmp_path)
    with patch.object(loop, "Validator", side_effect=AssertionError("trained again")):
        assert loop.train(recipe, tmp_path).update == 10


def test_a_run_that_shall_have_no_more_updates_than_it_has_is_validated(tmp_path: Path) -> None:
    recipe = make(tmp_path)
    object.__setattr__(recipe.training, "checkpoint_seconds", 0)  # a checkpoint after every update
    with interrupt_after(6), pytest.raises(Stop):
        loop.train(recipe, tmp_path)
    before = weights(tmp_path)
    state = loop.train(make(tmp_path, max_updates=3, average=0.0), tmp_path)
    assert [line["update"] for line in read_log(tmp_path)] == [state.update]
    assert (tmp_path / loop.BEST).exists()
    after = weights(tmp_path)
    masters = [name for name in after if name.startswith("master.")]
    assert masters
    assert all(torch.equal(before[name], after[name]) for name in masters), "the rate was 0"


def spoil(path: Path) -> None:
    """As a power cut may leave a file: as long as it was, but with a block of zeros."""
    content = path.read_bytes()
    path.write_bytes(content[:-4096] + bytes(4096))


@pytest.mark.parametrize("tear", [lambda path: path.write_bytes(path.read_bytes()[:100]), spoil, Path.unlink])
def test_a_torn_checkpoint_is_noticed_and_the_one_before_used(
    tmp_path: Path, tear: Callable[[Path], Any], capsys: pytest.CaptureFixture[str]
) -> None:
    whole, broken = make(tmp_path / "whole"), make(tmp_path / "broken")
    loop.train(whole, tmp_path / "whole")
    with interrupt_after(23), pytest.raises(Stop):
        loop.train(broken, tmp_path / "broken")
    path = tmp_path / "broken" / loop.LAST
    tear(path)
    loop.train(broken, tmp_path / "broken")
    said = capsys.readouterr()
    assert "last-before.safetensors at update 10" in said.out + said.err or "at update 10" in said.out
    assert not path.exists() or ("is not a whole checkpoint" in said.err) == (tear is not Path.unlink)
    expected, resumed = weights(tmp_path / "whole"), weights(tmp_path / "broken")
    assert all(torch.equal(expected[name], resumed[name]) for name in expected)
    checkpoint.load(path)  # whole again


def test_two_torn_checkpoints_are_an_error(tmp_path: Path) -> None:
    recipe = make(tmp_path, max_updates=20)
    loop.train(recipe, tmp_path)
    for path in (tmp_path / loop.LAST, checkpoint.before(tmp_path / loop.LAST)):
        spoil(path)
    with pytest.raises(NmtError, match=r"last\.safetensors is not a whole checkpoint"):
        loop.train(recipe, tmp_path)


def test_a_run_killed_after_its_checkpoint_leaves_no_line_twice(tmp_path: Path) -> None:
    recipe = make(tmp_path)
    with interrupt_after(23), pytest.raises(Stop):
        loop.train(recipe, tmp_path)
    checkpoint.before(tmp_path / loop.LAST).replace(tmp_path / loop.LAST)
    loop.train(recipe, tmp_path)
    assert [line["update"] for line in read_log(tmp_path)] == [10, 20, 30]


def test_checkpoint_that_cannot_be_written_harms_nothing(tmp_path: Path) -> None:
    path = tmp_path / "last.safetensors"
    checkpoint.save(path, {"x": torch.ones(3)}, {"update": 1})
    with (
        patch("training.checkpoint.save_file", side_effect=OSError(28, "No space left on device")),
        pytest.raises(NmtError, match=r"No space left on device.*the one before it is unharmed"),
    ):
        checkpoint.save(path, {"x": torch.zeros(3)}, {"update": 2}, keep=True)
    tensors, state = checkpoint.load(path)
    assert tensors["x"].eq(1).all()
    assert state == {"update": 1}
    assert sorted(p.name for p in tmp_path.iterdir()) == ["last.safetensors"]


def test_rate_warms_up_stays_and_falls_to_zero(tmp_path: Path) -> None:
    config = make(tmp_path, max_updates=100, warmup=10, decay=0.5, learning_rate=1.0).training
    assert learning_rate(config, 0) == pytest.approx(0.1)
    assert learning_rate(config, 9) == learning_rate(config, 49) == 1.0
    assert learning_rate(config, 75) == pytest.approx(0.5)
    assert learning_rate(config, 100) == 0.0


def test_on_a_plateau_the_rate_is_what_validation_made_of_it(tmp_path: Path) -> None:
    config = make(tmp_path, max_updates=100, warmup=10, learning_rate=1.0, schedule="plateau").training
    assert learning_rate(config, 4) == pytest.approx(0.5)
    assert learning_rate(config, 99) == 1.0
    assert learning_rate(config, 99, 0.25) == 0.25


def test_the_rate_halves_when_validation_no_longer_improves(tmp_path: Path) -> None:
    recipe = make(tmp_path, max_updates=80, schedule="plateau", halve_after=2, learning_rate=0.01)
    #        first  better  worse  worse: half  worse  better BLEU  worse  worse: half
    losses = (5.0, 4.0, 4.5, 4.2, 4.1, 4.6, 4.0, 4.1)
    bleus = (1.0, 1.0, 0.5, 1.0, 1.0, 2.0, 2.0, 1.9)
    scores = iter(Validation(loss, bleu, 40) for loss, bleu in zip(losses, bleus, strict=True))
    with patch.object(loop, "Validator", lambda *_: lambda _: next(scores)):
        state = loop.train(recipe, tmp_path)
    assert [line["rate"] for line in read_log(tmp_path)] == [0.01] * 4 + [0.005] * 4
    assert state.scale == 0.25


def test_gradient_is_clipped_to_its_global_norm(tmp_path: Path) -> None:
    model = torch.nn.Linear(3, 1, bias=False)
    optimizer = MasterAdam(model, make(tmp_path, clip_norm=0.5, average=0.0).training)
    model.weight.grad = torch.tensor([[3.0, 0.0, 4.0]])
    clipped: list[torch.Tensor] = []
    with patch.object(optimizer.adam, "step", lambda: clipped.append(optimizer.masters[0].grad.clone())):
        norm = optimizer.step(0)
    assert norm == pytest.approx(5.0)
    assert clipped[0].norm().item() == pytest.approx(0.5, rel=1e-4)


def test_average_follows_the_weights(tmp_path: Path) -> None:
    model = torch.nn.Linear(1, 1, bias=False)
    optimizer = MasterAdam(model, make(tmp_path, average=0.5).training)
    start = model.weight.detach().clone()
    model.weight.grad = torch.ones(1, 1)
    optimizer.step(50)
    torch.testing.assert_close(optimizer.evaluated()["weight"], (start + model.weight.detach()) / 2)


def test_ctrl_c_finishes_the_update_and_writes_a_checkpoint(tmp_path: Path) -> None:
    recipe = make(tmp_path)
    real = MasterAdam.step

    def step(self: MasterAdam, update: int, scale: float) -> float:
        if update == 13:
            signal.raise_signal(signal.SIGINT)  # in the middle of the update
        return real(self, update, scale)

    with patch.object(MasterAdam, "step", step), pytest.raises(KeyboardInterrupt):
        loop.train(recipe, tmp_path)
    assert checkpoint.load(tmp_path / loop.LAST)[1]["update"] == 14
    whole = make(tmp_path / "whole")
    loop.train(whole, tmp_path / "whole")
    loop.train(recipe, tmp_path)
    expected, resumed = weights(tmp_path / "whole"), weights(tmp_path)
    assert all(torch.equal(expected[name], resumed[name]) for name in expected)


def test_sample_is_spread_over_all() -> None:
    assert spread(range(10), 4) == [0, 2, 5, 7]
    assert spread(range(3), 4) == [0, 1, 2]


def test_validation_leaves_out_what_training_would(tmp_path: Path) -> None:
    recipe = make(tmp_path, max_tokens=4)
    source, target = tokenizers(tmp_path)
    with pytest.raises(CorpusError, match=r"valid\.tsv holds no pair of at most 4 units"):
        Validator(Seq2Seq(loop.model_config(recipe, source, target)), source, target, "fr", tmp_path / "valid.tsv", 4)


def test_tensorboard_gets_every_number(tmp_path: Path) -> None:
    loop.train(make(tmp_path, tensorboard=True), tmp_path)
    (written,) = (tmp_path / "tensorboard").iterdir()
    content = written.read_bytes()
    for name in (b"valid_bleu", b"loss", b"padding", b"norms/decoder.output"):
        assert name in content


def test_slices_of_a_batch_add_up_to_it(tmp_path: Path) -> None:
    """Without dropout, how a batch is cut changes nothing but the order of sums."""
    for name, slices in (("one", 1), ("three", 3)):
        recipe = make(tmp_path / name, slices=slices, max_updates=10)
        recipe.model["dropout"] = 0.0
        loop.train(recipe, tmp_path / name)
    one, three = read_log(tmp_path / "one")[-1], read_log(tmp_path / "three")[-1]
    assert three["loss"] == pytest.approx(one["loss"], rel=1e-4)
    assert three["valid_loss"] == pytest.approx(one["valid_loss"], rel=1e-3)
