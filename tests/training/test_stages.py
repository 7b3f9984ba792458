import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from nmt.errors import ConfigError, CorpusError
from training import stages
from training.config import load_recipe
from training.corpus import read_tsv
from training.run_folder import alone
from training.stages import STAGES, Place, run_stages

Write = Callable[..., Path]
BOTH = ("prepare", "subwords")


def place(folder: str = "runs/tiny") -> Place:
    return Place(Path(folder), Path("models"), "python -m training {stage} tiny.toml")


def fake_training(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Replace what follows `subwords` by stand-ins that write their outputs; returns what ran."""
    ran: list[str] = []

    def stand_in(stage: stages.Stage) -> stages.Stage:
        def action(recipe: object, place: Place) -> None:
            ran.append(stage.name)
            for path in stage.outputs(recipe, place):  # type: ignore[arg-type]
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text(stage.name)

        return replace(stage, action=action)

    monkeypatch.setattr(stages, "STAGES", tuple(one if one.name in BOTH else stand_in(one) for one in STAGES))
    return ran


def test_prepare_splits_and_writes_the_report(recipe_file: Write) -> None:
    run_stages(load_recipe(recipe_file()), place(), ["prepare"])
    parts = {name: list(read_tsv(Path(f"runs/tiny/{name}.tsv"))) for name in ("train", "valid", "test")}
    assert {name: len(pairs) for name, pairs in parts.items()} == {"train": 160, "valid": 20, "test": 20}
    assert len({pair for pairs in parts.values() for pair in pairs}) == 200
    report = json.loads(Path("runs/tiny/cleaning.json").read_text())
    assert (report["read"], report["parts"]) == (200, {"train": 160, "valid": 20, "test": 20})


def test_given_test_pairs_stay_as_given_and_leave_the_training_pairs(recipe_file: Write, tmp_path: Path) -> None:
    (tmp_path / "test.tsv").write_text("Word  number 7!\tAutre\u00a0chose\nnew\tmot numéro 8\n", encoding="utf-8")
    path = recipe_file()
    recipe = load_recipe(path, ["data.test=test.tsv"])
    run_stages(recipe, place(), ["prepare"])
    assert list(read_tsv(Path("runs/tiny/test.tsv"))) == [
        ("Word  number 7!", "Autre\u00a0chose"),
        ("new", "mot numéro 8"),
    ]
    report = json.loads(Path("runs/tiny/cleaning.json").read_text())
    assert report["rules"]["leakage"]["count"] == 2
    assert not {7, 8} & {int(source.split()[-1]) for source, _ in read_tsv(Path("runs/tiny/train.tsv"))}


def test_split_off_pairs_keep_their_raw_text(recipe_file: Write, corpus: Path) -> None:
    corpus.write_text("".join(f"word  number {n}\tmot\u00a0numéro {n}\n" for n in range(200)), encoding="utf-8")
    run_stages(load_recipe(recipe_file()), place(), ["prepare"])
    assert all("  " in one and "\u00a0" in other for one, other in read_tsv(Path("runs/tiny/valid.tsv")))
    assert not any("  " in one or "\u00a0" in other for one, other in read_tsv(Path("runs/tiny/train.tsv")))


def test_swap_exchanges_every_file(recipe_file: Write) -> None:
    run_stages(load_recipe(recipe_file(), ["data.swap=true"]), place(), ["prepare"])
    for name in ("train", "valid", "test"):
        assert all(source.startswith("mot") for source, _ in read_tsv(Path(f"runs/tiny/{name}.tsv")))


def test_an_unchanged_stage_is_skipped(recipe_file: Write, capsys: pytest.CaptureFixture[str]) -> None:
    recipe = load_recipe(recipe_file())
    run_stages(recipe, place(), BOTH)
    capsys.readouterr()
    run_stages(recipe, place(), BOTH)
    assert capsys.readouterr().out.count("nothing changed, skipped") == 2


def test_a_touched_file_with_the_same_contents_changes_nothing(
    recipe_file: Write, corpus: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    recipe = load_recipe(recipe_file())
    run_stages(recipe, place(), ["prepare"])
    corpus.touch()
    run_stages(recipe, place(), ["prepare"])
    assert "nothing changed" in capsys.readouterr().out


@pytest.mark.parametrize("change", ["cleaning.max_words=3", "data.valid_size=30"])
def test_a_changed_setting_runs_its_stage_again(
    recipe_file: Write, change: str, capsys: pytest.CaptureFixture[str]
) -> None:
    run_stages(load_recipe(recipe_file()), place(), BOTH)
    capsys.readouterr()
    run_stages(load_recipe(recipe_file(), [change]), place(), ["prepare"])
    assert "nothing changed" not in capsys.readouterr().out


def test_a_missing_output_is_made_again(recipe_file: Write) -> None:
    recipe = load_recipe(recipe_file())
    run_stages(recipe, place(), BOTH)
    Path("runs/tiny/test.tsv").unlink()
    run_stages(recipe, place(), BOTH)
    assert Path("runs/tiny/test.tsv").exists()


def test_all_stages_run_in_order_once(recipe_file: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    ran = fake_training(monkeypatch)
    recipe = load_recipe(recipe_file())
    names = [stage.name for stage in STAGES]
    run_stages(recipe, place(), names)
    run_stages(recipe, place(), names)
    assert ran == ["train", "evaluate", "trust", "export", "report", "publish"]


def test_more_updates_train_further(recipe_file: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    ran = fake_training(monkeypatch)
    names = [stage.name for stage in STAGES]
    run_stages(load_recipe(recipe_file()), place(), names)
    run_stages(load_recipe(recipe_file(), ["training.max_updates=99"]), place(), names)
    # the same weights need no new bundle
    assert ran == ["train", "evaluate", "trust", "export", "report", "publish", "train"]


def test_harmless_keys_leave_everything_as_it_is(recipe_file: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    ran = fake_training(monkeypatch)
    names = [stage.name for stage in STAGES]
    run_stages(load_recipe(recipe_file()), place(), names)
    run_stages(load_recipe(recipe_file(), ["training.threads=1", "training.device=cpu"]), place(), names)
    assert ran == ["train", "evaluate", "trust", "export", "report", "publish"]


@pytest.mark.parametrize("change", ["learning_rate=1e-4", "clip_norm=0.1", "precision=fp32"])
def test_what_helps_against_a_loss_that_is_not_finite_trains_on(
    recipe_file: Write, monkeypatch: pytest.MonkeyPatch, change: str
) -> None:
    ran = fake_training(monkeypatch)
    run_stages(load_recipe(recipe_file(), ["training.precision=bf16"]), place(), [*BOTH, "train"])
    changes = ["training.precision=bf16", f"training.{change}"]
    run_stages(load_recipe(recipe_file(), changes), place(), [*BOTH, "train"])
    assert ran == ["train", "train"]


def test_a_model_folder_that_was_emptied_is_filled_again(recipe_file: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    ran = fake_training(monkeypatch)
    recipe = load_recipe(recipe_file())
    names = [stage.name for stage in STAGES]
    run_stages(recipe, place(), names)
    shutil.rmtree("models/tiny/1")
    Path("models/tiny/notes").mkdir()
    run_stages(recipe, place(), names)
    assert ran == ["train", "evaluate", "trust", "export", "report", "publish", "publish"]
    Path("models/tiny/1").rename("models/tiny/12")
    run_stages(recipe, place(), names)
    assert ran[7:] == []


def test_checkpoints_of_another_recipe_are_kept(recipe_file: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    fake_training(monkeypatch)
    run_stages(load_recipe(recipe_file()), place(), [stage.name for stage in STAGES])
    before = Path("runs/tiny/recipe.json").read_text()
    with pytest.raises(ConfigError, match=r"units\.size was 8000, is 100.*--set run=runs/tiny-2, or delete"):
        run_stages(load_recipe(recipe_file(), ["units.size=100"]), place(), BOTH)
    assert Path("runs/tiny/recipe.json").read_text() == before


def test_checkpoints_of_other_data_are_kept(recipe_file: Write, corpus: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fake_training(monkeypatch)
    recipe = load_recipe(recipe_file())
    run_stages(recipe, place(), [stage.name for stage in STAGES])
    before = Path("runs/tiny/train.tsv").read_text()
    corpus.write_text("".join(f"other {n}\tautre {n} !\n" for n in range(200)))
    with pytest.raises(ConfigError, match="its files or settings have changed"):
        run_stages(recipe, place(), ["prepare"])
    assert Path("runs/tiny/train.tsv").read_text() == before


def test_training_refuses_data_changed_by_hand(recipe_file: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    fake_training(monkeypatch)
    recipe = load_recipe(recipe_file())
    run_stages(recipe, place(), [*BOTH, "train"])
    with Path("runs/tiny/train.tsv").open("a") as file:
        file.write("one more\tencore un\n")
    with pytest.raises(CorpusError, match="not the one the checkpoints were trained on"):
        run_stages(recipe, place(), ["train"])


def test_the_folder_of_another_name_is_refused_at_once(recipe_file: Write) -> None:
    run_stages(load_recipe(recipe_file()), place(), ["prepare"])
    with pytest.raises(ConfigError, match="belongs to another recipe: name was 'tiny', is 'other'"):
        run_stages(load_recipe(recipe_file(), ["name=other"]), place(), ["prepare"])


def test_the_same_data_elsewhere_is_the_same_data(
    recipe_file: Write, corpus: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    ran = fake_training(monkeypatch)
    names = [stage.name for stage in STAGES]
    run_stages(load_recipe(recipe_file()), place(), names)
    (tmp_path / "moved").mkdir()
    corpus.rename(tmp_path / "moved" / "train.tsv")
    run_stages(load_recipe(recipe_file(), [f"data.folder={tmp_path / 'moved'}"]), place(), names)
    assert ran == ["train", "evaluate", "trust", "export", "report", "publish"]


def test_a_stage_without_its_input_names_the_one_before(recipe_file: Write) -> None:
    with pytest.raises(
        ConfigError, match=r"train\.tsv is missing; run this first: python -m training prepare tiny\.toml"
    ):
        run_stages(load_recipe(recipe_file()), place(), ["subwords"])


def test_two_runs_in_one_folder_do_not_meet(recipe_file: Write) -> None:
    recipe = load_recipe(recipe_file())
    Path("runs/tiny").mkdir(parents=True)
    with alone(Path("runs/tiny")), pytest.raises(ConfigError, match="another run is at work in runs/tiny"):
        run_stages(recipe, place(), ["prepare"])


def test_a_damaged_record_means_running_again(recipe_file: Write) -> None:
    recipe = load_recipe(recipe_file())
    run_stages(recipe, place(), BOTH)
    Path("runs/tiny/stages.json").write_text('{"stages": [1')
    run_stages(recipe, place(), BOTH)
    assert set(json.loads(Path("runs/tiny/stages.json").read_text())["stages"]) == set(BOTH)
