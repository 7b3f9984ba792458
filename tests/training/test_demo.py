import datetime
from pathlib import Path

import pytest

from training.demo import FORMATS, dates, main, ordinal, write_date


@pytest.mark.parametrize(
    ("day", "text"),
    [(1, "1st"), (2, "2nd"), (3, "3rd"), (4, "4th"), (11, "11th"), (12, "12th"), (13, "13th"), (22, "22nd")],
)
def test_ordinals(day: int, text: str) -> None:
    assert ordinal(day) == text


def test_a_date_in_words() -> None:
    date = datetime.date(1998, 3, 3)
    assert write_date(date, "the {nth} of {month}, {year}") == "the 3rd of March, 1998"
    assert write_date(date, "{short} {day}, {year}") == "Mar. 3, 1998"
    assert write_date(date.replace(month=5), "{short} {day}, {year}") == "May 3, 1998"
    assert write_date(date, "{wd} {day} {mon} {year}") == "Tue 3 Mar 1998"


def test_the_same_seed_makes_the_same_file(tmp_path: Path) -> None:
    for name in ("a/one.tsv", "two.tsv"):
        assert main(["dates", str(tmp_path / name), "--pairs", "300"]) == 0
    assert (tmp_path / "a/one.tsv").read_bytes() == (tmp_path / "two.tsv").read_bytes()


def test_no_text_means_two_days() -> None:
    assert len({source for source, _ in dates(2000, seed=3)}) == 2000


def test_every_form_reads_back_to_one_day_only() -> None:
    days = [datetime.date(2001, 1, 1) + datetime.timedelta(days=n) for n in range(365)]
    for form in FORMATS:
        assert len({write_date(day, form) for day in days}) == 365, form


def test_an_unwritable_place_is_an_error(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "file").write_text("")
    assert main(["dates", str(tmp_path / "file" / "dates.tsv")]) == 2
    assert "choose another place" in capsys.readouterr().err
