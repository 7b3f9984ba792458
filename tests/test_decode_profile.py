"""The parts of the decoding profile that do not depend on a clock."""

from collections.abc import Callable
from pathlib import Path

import pytest

from benchmarks import decode_profile
from benchmarks.models import Work
from nmt.bundle import ModelBundle
from nmt.translator import Translator

MODEL = Path(__file__).parent.parent / "models" / "en-fr"
PARTS = {"layer 0", "layer 1", "readout", "output", "attention"}


@pytest.mark.parametrize(("compute", "parts"), [("int8", PARTS), ("reference", set())])
def test_a_translation_is_profiled_in_all_its_parts(
    compute: str, parts: set[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def once(call: Callable[[], object], **limits: float) -> float:
        call()
        return 1.0

    monkeypatch.setattr(decode_profile, "CASES", [(1, 5), (2, 1)])
    monkeypatch.setattr(decode_profile, "least", once)
    translator = Translator.load(MODEL, device="cpu", compute=compute)
    work = Work.of(ModelBundle.load(MODEL).model())
    cases = decode_profile.profile(translator, work, "The children are playing.")
    units = len(translator.translate(["The children are playing."])[0].sentences[0].hypotheses[0].subwords.target)
    assert cases[0]["steps"] >= units
    assert [set(case["products_ms"]) for case in cases] == [parts, parts]
    assert all(case["floor_step_ms"] > 0 for case in cases)
    assert ("The parts of a step" in decode_profile.text_of(cases)) == bool(parts)
