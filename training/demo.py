"""Corpora that the project makes itself: `python -m training.demo dates data/dates.tsv`.

The same seed gives the same file, byte for byte.
"""

from __future__ import annotations

import argparse
import datetime
import random
import sys
from collections.abc import Sequence
from pathlib import Path

from training.files import replacing

_MONTHS = (
    *("January", "February", "March", "April", "May", "June"),
    *("July", "August", "September", "October", "November", "December"),
)
_WEEKDAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
_FIRST, _LAST = datetime.date(1900, 1, 1), datetime.date(2099, 12, 31)

FORMATS = (
    *("{day} {month} {year}", "{month} {day}, {year}", "the {nth} of {month}, {year}", "the {nth} of {month} {year}"),
    *("{nth} {month} {year}", "{month} {nth}, {year}", "{month} the {nth}, {year}", "{nth} of {month}, {year}"),
    *(
        "{day} {mon} {year}",
        "{mon} {day}, {year}",
        "{short} {day}, {year}",
        "{day} {short} {year}",
        "{day}-{mon}-{year}",
    ),
    *("{weekday}, {day} {month} {year}", "{weekday}, {month} {day}, {year}", "{weekday} the {nth} of {month}, {year}"),
    *(
        "{wd} {day} {mon} {year}",
        "{wd}, {mon} {day}, {year}",
        "{year} {month} {day}",
        "in {year}, on the {nth} of {month}",
    ),
    *(
        "{day}/{number}/{year}",
        "{day:02}.{number:02}.{year}",
        "{year}/{number:02}/{day:02}",
        "on {month} {nth}, {year}",
    ),
)
"""How English speakers write a day; a slash or a dot between numbers means day first."""


def ordinal(day: int) -> str:
    """The day with its ending: 1st, 2nd, 3rd, 11th."""
    ending = "th" if day in (11, 12, 13) else {1: "st", 2: "nd", 3: "rd"}.get(day % 10, "th")
    return f"{day}{ending}"


def write_date(date: datetime.date, form: str) -> str:
    """The date in one of `FORMATS`."""
    month, weekday = _MONTHS[date.month - 1], _WEEKDAYS[date.weekday()]
    return form.format(
        day=date.day,
        nth=ordinal(date.day),
        month=month,
        mon=month[:3],
        short=month if len(month) == 3 else f"{month[:3]}.",  # nobody shortens May
        number=date.month,
        year=date.year,
        weekday=weekday,
        wd=weekday[:3],
    )


def dates(pairs: int, seed: int) -> list[tuple[str, str]]:
    """Dates as people write them, and the same days in ISO 8601, each source once."""
    chance = random.Random(seed)
    span = (_LAST - _FIRST).days
    made: dict[str, str] = {}
    while len(made) < pairs:
        date = _FIRST + datetime.timedelta(days=chance.randint(0, span))
        text = write_date(date, chance.choice(FORMATS))
        case = chance.random()
        text = text.lower() if case < 0.15 else text.upper() if case < 0.2 else text
        made[text] = date.isoformat()
    return list(made.items())


def main(arguments: Sequence[str] | None = None) -> int:
    """Write a corpus; return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m training.demo", description="Write a made-up corpus as TSV.")
    parser.add_argument("corpus", choices=["dates"], help="dates: as people write them -> ISO 8601")
    parser.add_argument("path", type=Path, help="the file to write, such as data/dates.tsv")
    parser.add_argument("--pairs", type=int, default=20_000, metavar="N", help="how many pairs (default: 20000)")
    parser.add_argument("--seed", type=int, default=1, metavar="N", help="another seed, another corpus (default: 1)")
    options = parser.parse_args(arguments)
    if not 1 <= options.pairs <= 500_000:
        parser.error(f"--pairs {options.pairs}: choose a number from 1 to 500000")
    try:
        with replacing(options.path) as file:
            for source, target in dates(options.pairs, options.seed):
                file.write(f"{source}\t{target}\n")
    except OSError as error:
        print(f"error: {options.path}: {error.strerror}; choose another place", file=sys.stderr)
        return 2
    print(f"{options.pairs:,} pairs written to {options.path}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
