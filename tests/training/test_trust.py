"""Sections in a README, and what the stage leaves for the export."""

from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file

from nmt.errors import NmtError
from nmt.shortlist import Shortlist
from tests.nmt.test_quality import CALIBRATION
from training.files import write_json
from training.trust import REPORT, read_trust, with_section

README = "# Model\n\n## Scores\n\nhigh\n\n## As it comes\n\nexamples\n"


def test_section_stands_before_the_examples_and_is_replaced_the_next_time() -> None:
    once = with_section(README, "## Flags\n\nold\n")
    assert once == "# Model\n\n## Scores\n\nhigh\n\n## Flags\n\nold\n\n## As it comes\n\nexamples\n"
    twice = with_section(once, "## Flags\n\nnew\n")
    assert twice == once.replace("old", "new")


def test_section_stands_at_the_end_where_there_are_no_examples() -> None:
    once = with_section("# Model\n", "## Flags\n\nold\n")
    assert once == "# Model\n\n## Flags\n\nold\n"
    assert with_section(once, "## Flags\n\nnew\n") == "# Model\n\n## Flags\n\nnew\n"


def test_export_finds_what_the_stage_left(tmp_path: Path) -> None:
    shortlist = Shortlist.of(np.array([4]), np.eye(6, dtype=bool), default=False)
    save_file(shortlist.to_arrays(), tmp_path / "shortlist.safetensors")
    report = {"quality": {"none": "too little"}, "shortlist": {"default": True}}
    write_json(tmp_path / REPORT, {"calibration": CALIBRATION.to_dict(), "report": report, "sizes": [6, 6]})
    found = read_trust(tmp_path)
    assert found.calibration == CALIBRATION
    assert found.shortlist is not None
    assert found.shortlist.default
    assert found.shortlist.for_source([5]).tolist() == [0, 1, 2, 3, 4, 5]
    (tmp_path / "shortlist.safetensors").unlink()
    write_json(tmp_path / REPORT, {"calibration": None, "report": {"quality": report["quality"]}, "sizes": [6, 6]})
    nothing = read_trust(tmp_path)
    assert (nothing.calibration, nothing.shortlist) == (None, None)
    assert "Not calibrated, so these flags are never raised: too little." in nothing.readme(README)


def test_export_without_the_stage_says_what_to_run(tmp_path: Path) -> None:
    with pytest.raises(NmtError, match=r"trust\.json is missing; run the stage before: python -m training trust"):
        read_trust(tmp_path)
