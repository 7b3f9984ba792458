import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from nmt.bundle import ModelBundle, dequantise, latest, quantise
from nmt.errors import BundleError
from nmt.manifest import MANIFEST, digest
from nmt.quality import Quality
from nmt.shortlist import Shortlist
from tests.nmt.conftest import save_bundle
from tests.nmt.test_quality import CALIBRATION


def edit(path: Path, change: Callable[[dict[str, Any]], None], *, resign: bool = True) -> None:
    """Change a JSON file of a bundle and, unless told otherwise, its checksum."""
    values = json.loads(path.read_text())
    change(values)
    path.write_text(json.dumps(values))
    if resign:
        edit(path.parent / MANIFEST, lambda m: m["files"][path.name].update(sha256=digest(path)), resign=False)


def test_bundle_says_what_it_is(bundle_path: Path) -> None:
    bundle = ModelBundle.load(bundle_path)
    assert (bundle.name, bundle.version, bundle.source, bundle.target) == ("xx-yy", 1, "xx", "yy")
    assert bundle.sha256 == digest(bundle_path / MANIFEST)
    assert bundle.card == {"title": "random weights"}


def test_folder_of_a_name_means_its_highest_complete_version(bundle_path: Path) -> None:
    for version in ("2", "10", "11"):
        shutil.copytree(bundle_path, bundle_path.parent / version)
    (bundle_path.parent / "11" / MANIFEST).unlink()
    (bundle_path.parent / "12.part").mkdir()
    assert ModelBundle.load(bundle_path.parent).version == 10


@pytest.mark.parametrize(
    "name", ["model.safetensors", "config.json", "card.json", "README.md", "source.vocab.json", "manifest.json"]
)
def test_missing_file_is_named(bundle_path: Path, name: str) -> None:
    (bundle_path / name).unlink()
    with pytest.raises(BundleError, match=rf"{name} is missing; copy the whole folder again"):
        ModelBundle.load(bundle_path)


@pytest.mark.parametrize("name", ["model.safetensors", "config.json", "card.json", "README.md", "source.vocab.json"])
def test_damaged_file_is_named(bundle_path: Path, name: str) -> None:
    content = bytearray((bundle_path / name).read_bytes())
    content[len(content) // 2] ^= 1
    (bundle_path / name).write_bytes(bytes(content))
    with pytest.raises(BundleError, match=rf"{name} is damaged: its checksum .* copy the whole folder again"):
        ModelBundle.load(bundle_path)


def test_damaged_manifest_is_named(bundle_path: Path) -> None:
    (bundle_path / MANIFEST).write_text("{")
    with pytest.raises(BundleError, match=r"manifest\.json is damaged"):
        ModelBundle.load(bundle_path)


def test_manifest_cannot_name_files_elsewhere(bundle_path: Path) -> None:
    edit(bundle_path / MANIFEST, lambda m: m["files"].update({"../x": {}}), resign=False)
    with pytest.raises(BundleError, match="not a file of this folder"):
        ModelBundle.load(bundle_path)


def test_newer_format_asks_for_a_newer_program(bundle_path: Path) -> None:
    edit(bundle_path / "config.json", lambda c: c.update(format_version=2))
    with pytest.raises(BundleError, match=r"config\.json has format_version 2; .* Install a newer Interlinear"):
        ModelBundle.load(bundle_path)


def test_unknown_field_is_named(bundle_path: Path) -> None:
    edit(bundle_path / "config.json", lambda c: c.update(longest_sauce=3))
    with pytest.raises(BundleError, match=r"config\.json.*longest_sauce is not a known key.*export the model again"):
        ModelBundle.load(bundle_path)


def test_impossible_architecture_is_a_bundle_error(bundle_path: Path) -> None:
    edit(bundle_path / "config.json", lambda c: c["architecture"].update(cell="abacus"))
    with pytest.raises(BundleError, match=r"config\.json: model\.cell = 'abacus' is not known"):
        ModelBundle.load(bundle_path)


def test_weights_of_another_model_are_noticed(bundle_path: Path) -> None:
    edit(bundle_path / "config.json", lambda c: c["architecture"].update(decoder_size=17))
    with pytest.raises(BundleError, match=r"model\.safetensors does not fit config\.json"):
        ModelBundle.load(bundle_path).model()


def test_no_version_and_no_folder_are_clear(tmp_path: Path) -> None:
    with pytest.raises(BundleError, match="holds no model version"):
        latest(tmp_path)
    with pytest.raises(BundleError, match="is not a folder"):
        ModelBundle.load(tmp_path / "nothing")


def test_saving_replaces_at_once_and_leaves_nothing_beside(bundle_path: Path) -> None:
    before = ModelBundle.load(bundle_path).sha256
    save_bundle(bundle_path, longest_source=61)
    assert ModelBundle.load(bundle_path).sha256 != before
    assert [p.name for p in bundle_path.parent.iterdir() if p.suffix == ".part"] == []


def test_rounding_is_at_most_half_a_step_of_its_row() -> None:
    weights = {
        "matrix": torch.randn(5, 9) * torch.tensor([1e-6, 1e-3, 1.0, 1e3, 0.0])[:, None],
        "vector": torch.randn(4),
    }
    restored = dequantise(quantise(weights))
    assert torch.equal(restored["vector"], weights["vector"])
    step = weights["matrix"].abs().amax(dim=1, keepdim=True) / 127
    assert ((restored["matrix"] - weights["matrix"]).abs() <= step * 0.5001 + 1e-12).all()


def test_weights_survive_the_bundle(bundle_path: Path) -> None:
    model = ModelBundle.load(bundle_path).model()
    again = dequantise(quantise(dict(model.named_parameters())))
    for name, parameter in model.named_parameters():
        torch.testing.assert_close(again[name], parameter.detach())


def test_vocabulary_must_fit_and_be_listed(bundle_path: Path) -> None:
    edit(bundle_path / "source.vocab.json", lambda v: v["pieces"].append("ß"))
    with pytest.raises(BundleError, match=r"source\.vocab\.json has \d+ units, but config\.json says"):
        ModelBundle.load(bundle_path).tokenizers()
    edit(bundle_path / "config.json", lambda c: c.update(source_units="../other.vocab.json"))
    with pytest.raises(BundleError, match=r"names '\.\./other\.vocab\.json', which manifest\.json does not list"):
        ModelBundle.load(bundle_path).tokenizers()


def test_limits_that_cannot_work_are_refused(bundle_path: Path) -> None:
    edit(bundle_path / "config.json", lambda c: c.update(longest_source=0))
    with pytest.raises(BundleError, match=r"config\.json: longest_source = 0 is out of range"):
        ModelBundle.load(bundle_path)


def add(path: Path, name: str, content: bytes) -> None:
    """Put an optional file into a bundle, and into its manifest."""
    (path / name).write_bytes(content)
    entry = {"bytes": len(content), "sha256": digest(path / name)}
    edit(path / MANIFEST, lambda m: m["files"].update({name: entry}), resign=False)


def test_quality_is_optional(bundle_path: Path) -> None:
    assert ModelBundle.load(bundle_path).quality() == Quality()
    add(bundle_path, "quality.json", json.dumps(CALIBRATION.to_dict()).encode())
    assert ModelBundle.load(bundle_path).quality() == Quality(CALIBRATION)


def test_broken_quality_is_named(bundle_path: Path) -> None:
    add(bundle_path, "quality.json", json.dumps(CALIBRATION.to_dict() | {"bias": "high"}).encode())
    with pytest.raises(BundleError, match=r"quality\.json: quality\.bias = 'high' .* calibrate the model again"):
        ModelBundle.load(bundle_path).quality()
    (bundle_path / "quality.json").write_text("{")
    with pytest.raises(BundleError, match=r"quality\.json is damaged"):
        ModelBundle.load(bundle_path)


def shortlist_of(bundle: ModelBundle, *, default: bool) -> Shortlist:
    size = bundle.config.architecture["target_vocabulary"]
    return Shortlist.of(np.array([4, 5]), np.eye(size, dtype=bool), default=default)


def test_amending_keeps_the_model_and_gives_it_what_is_optional(bundle_path: Path) -> None:
    before = ModelBundle.load(bundle_path)
    assert before.shortlist() is None
    weights = (bundle_path / "model.safetensors").read_bytes()
    shortlist = shortlist_of(before, default=True)
    before.amend(card={"title": "calibrated"}, readme="# Calibrated", quality=CALIBRATION, shortlist=shortlist)
    after = ModelBundle.load(bundle_path)
    assert after.sha256 != before.sha256
    assert after.card == {"title": "calibrated"}
    assert after.quality() == Quality(CALIBRATION)
    assert (bundle_path / "model.safetensors").read_bytes() == weights
    read = after.shortlist()
    assert read is not None
    assert read.default
    assert read.for_source([9, 3]).tolist() == [0, 1, 2, 3, 4, 5, 9]
    after.amend(card={}, readme="", quality=None, shortlist=None)
    again = ModelBundle.load(bundle_path)
    assert (again.quality(), again.shortlist(), again.config) == (Quality(), None, before.config)


def test_broken_shortlist_is_named(bundle_path: Path) -> None:
    bundle = ModelBundle.load(bundle_path)
    add(bundle_path, "shortlist.safetensors", b"nothing")
    with pytest.raises(BundleError, match=r"shortlist\.safetensors is damaged .* learn the shortlist again"):
        bundle.shortlist()
    bundle.amend(card={}, readme="", quality=None, shortlist=shortlist_of(bundle, default=False))
    edit(bundle_path / "config.json", lambda c: c["architecture"].update(source_vocabulary=10, tying="two_way"))
    with pytest.raises(BundleError, match="offsets do not fit 10 source units"):
        ModelBundle.load(bundle_path).shortlist()
