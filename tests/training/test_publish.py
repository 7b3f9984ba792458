import os
from collections.abc import Callable
from pathlib import Path

import pytest

from nmt.errors import ConfigError
from training.config import load_recipe
from training.publish import publish


@pytest.fixture
def run(recipe_file: Callable[..., Path], tmp_path: Path) -> Callable[[str], Path]:
    recipe = load_recipe(recipe_file())
    bundle = tmp_path / "run" / "bundle"
    bundle.mkdir(parents=True)

    def with_content(content: str) -> Path:
        (bundle / "weights").write_text(content)
        (bundle / "manifest.json").write_text(content)
        return publish(recipe, bundle.parent, tmp_path / "models")

    return with_content


def test_versions_count_up(run: Callable[[str], Path], tmp_path: Path) -> None:
    assert [run(content) for content in ("one", "two")] == [tmp_path / "models/tiny/1", tmp_path / "models/tiny/2"]
    assert (tmp_path / "models/tiny/1/weights").read_text() == "one"


def test_the_newest_bundle_is_not_published_twice(run: Callable[[str], Path], tmp_path: Path) -> None:
    assert run("one") == run("one") == tmp_path / "models/tiny/1"


def test_a_gap_is_never_filled(run: Callable[[str], Path], tmp_path: Path) -> None:
    (tmp_path / "models/tiny/7").mkdir(parents=True)
    assert run("one") == tmp_path / "models/tiny/8"


def test_a_failed_copy_leaves_nothing(
    run: Callable[[str], Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(file: Path) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("training.publish._flush", full)
    with pytest.raises(OSError, match="No space left"):
        run("one")
    assert list((tmp_path / "models/tiny").iterdir()) == []


def test_what_a_killed_process_left_is_no_obstacle(run: Callable[[str], Path], tmp_path: Path) -> None:
    left = tmp_path / f"models/tiny/.{os.getpid()}.part"
    left.mkdir(parents=True)
    (left / "half").touch()
    assert run("one") == tmp_path / "models/tiny/1"
    assert sorted(path.name for path in (tmp_path / "models/tiny/1").iterdir()) == ["manifest.json", "weights"]
    assert not left.exists()


def test_an_incomplete_bundle_is_not_published(recipe_file: Callable[..., Path], tmp_path: Path) -> None:
    (tmp_path / "run/bundle").mkdir(parents=True)
    with pytest.raises(ConfigError, match=r"manifest\.json is missing"):
        publish(load_recipe(recipe_file()), tmp_path / "run", tmp_path / "models")
    assert not (tmp_path / "models").exists()
