"""The drawing of one attention matrix: where everything stands, and in which colours."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass
from html import escape
from typing import Literal

from nmt.alignment import AttentionMatrix, Token

FONTS = (
    "-apple-system, BlinkMacSystemFont, 'Segoe UI', Roboto, 'Noto Sans', 'Helvetica Neue', Arial, 'PingFang SC', "
    "'Hiragino Sans GB', 'Microsoft YaHei', 'Noto Sans CJK SC', 'Noto Sans SC', 'Noto Sans Hebrew', "
    "'Noto Naskh Arabic', 'Apple Color Emoji', 'Segoe UI Emoji', 'Noto Color Emoji', sans-serif"
)
MARGIN, GAP = 24, 10
SIZES = ((10, 44), (16, 40), (24, 34), (36, 26), (60, 18))  # up to so many tokens, cells of this size
LONGEST_LABEL = 13.0  # em
SLOPE = 0.7072  # of a label turned by 45 degrees
LABEL_SLACK = 1.08  # the reader's font may run wider than we reckon
Show = Literal["attention", "links"]
"""What the weights are: where the model looked, or which tokens stand for which."""
DESCRIPTIONS: dict[Show, str] = {
    "attention": "Attention: how much each translated token (row) looked at each source token (column)",
    "links": "Links: which source token (column) each translated token (row) stands for, and how surely",
}

# XML cannot hold these, and most of them would not show: they become U+FFFD.
_ILLEGAL = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ud800-\udfff\ufdd0-\ufdef\ufffe\uffff]")
_BIDI_CONTROLS = re.compile("[\u200e\u200f\u061c\u202a-\u202e\u2066-\u2069]")
_RIGHT_TO_LEFT = re.compile("[\u0590-\u08ff\ufb1d-\ufdff\ufe70-\ufefe\U00010800-\U00010fff\U0001e800-\U0001efff]")
_NARROW, _BROAD = frozenset("iljtfrI.,;:!|'’`()[]{}·"), frozenset("mwMW%@—…")


@dataclass(frozen=True, slots=True)
class Palette:
    """Colours of one scheme, as `#rrggbb`; a cell is `accent` over `ground` at the weight's opacity."""

    paper: str
    ink: str
    soft: str
    ground: str
    accent: str
    muted: str
    line: str

    def shade(self, weight: float, special: bool) -> tuple[float, ...]:
        """The colour of a cell, three channels 0 to 1."""
        over, opacity = (self.muted, weight * MUTED) if special else (self.accent, weight)
        return tuple(g + (a - g) * opacity for g, a in zip(_rgb(self.ground), _rgb(over), strict=True))

    def number(self, weight: float, special: bool) -> str:
        """The name of the colour that reads best on a cell: `soft`, `black` or `white`."""
        shade = self.shade(weight, special)
        if weight < 0.1 and contrast(_rgb(self.soft), shade) >= 4.5:
            return "soft"
        return max(("black", "white"), key=lambda name: contrast(_rgb(NUMBERS[name]), shade))


MUTED = 0.45
NUMBERS = {"black": "#000000", "white": "#ffffff"}
LIGHT = Palette("#ffffff", "#15191c", "#545d64", "#f0f3f3", "#0b5569", "#6b747a", "#d7dbdb")
DARK = Palette("#15191c", "#e8ebea", "#a3adb2", "#22292d", "#6cc6da", "#8d979c", "#343d42")


def contrast(one: tuple[float, ...], other: tuple[float, ...]) -> float:
    """Contrast ratio of two colours, 1 to 21 (WCAG 2.2)."""

    def luminance(colour: tuple[float, ...]) -> float:
        linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in colour]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    dark, light = sorted((luminance(one), luminance(other)))
    return (light + 0.05) / (dark + 0.05)


def _rgb(colour: str) -> tuple[float, ...]:
    return tuple(int(colour[place : place + 2], 16) / 255 for place in (1, 3, 5))


class Figure:
    """Where everything stands in one picture; lengths are pixels."""

    def __init__(self, matrix: AttentionMatrix, title: str, metadata: Mapping[str, str], show: Show) -> None:
        self.matrix = matrix
        self.show = show
        most = max(len(matrix.source), len(matrix.target))
        self.height = next((size for count, size in SIZES if most <= count), 13)
        self.font = 15 if self.height >= 34 else 13 if self.height >= 26 else 12 if self.height >= 18 else 10
        self.columns = [_shorten(token.text) for token in matrix.source]
        self.rows = [_shorten(token.text) for token in matrix.target]
        widths = [self._measure(text, token) for text, token in zip(self.columns, matrix.source, strict=True)]
        widest = max(widths, default=0.0)
        roomy = max(widest + 14, self.height + 4.0)  # upright labels, if the figure stays handy
        wide = widest + 4 > self.height
        self.turned = wide and (roomy > 84 or len(self.columns) * roomy > 760)
        self.width = roomy if wide and not self.turned else float(self.height)
        labels = (self._measure(text, token) for text, token in zip(self.rows, matrix.target, strict=True))
        self.left = MARGIN + max(82.0, *labels) + GAP
        self.xs = _places(self.left, self._steps(matrix.source, self.width))
        right = self.xs[-1] + self.width
        lean = 0.0
        if self.turned:
            lean = widest * SLOPE
            ends = (x + width * SLOPE for x, width in zip(self.xs, widths, strict=True))
            right = max(right, *(end + self.width / 2 + self.font for end in ends))
        self.full = max(right, 400.0) + MARGIN
        room = self.full - 2 * MARGIN
        self.title = _wrap(title, room / 17, 2)
        self.metadata = metadata
        self.facts = _wrap(" · ".join(f"{name} {_brief(value)}" for name, value in metadata.items()), room / 12, 4)
        self.label = title
        head = MARGIN + (len(self.title) * 23 + 14 if self.title else 0)
        self.top = head + max(lean + self.font if self.turned else self.font + 4.0, 32.0) + GAP
        self.ys = _places(self.top, self._steps(matrix.target, self.height))
        self.bottom = self.ys[-1] + self.height
        self.tall = self.bottom + 22 + 28 + (len(self.facts) * 17 + 6 if self.facts else 0) + MARGIN - 14

    def draw(self) -> str:
        """The SVG, whole."""
        size = f"{_number(self.full)} {_number(self.tall)}"
        width, height = size.split()
        parts = [
            f'<svg xmlns="http://www.w3.org/2000/svg" class="interlinear" role="img" width="{width}" '
            f'height="{height}" viewBox="0 0 {size}" font-family="{FONTS}">\n',
            f"<title>{safe(self.label) or self.show.capitalize()}</title>\n<desc>{DESCRIPTIONS[self.show]}</desc>\n"
            f"{self._metadata()}<style>{_style()}</style>\n",
            f'<rect class="paper" width="{width}" height="{height}" rx="12"/>\n',
        ]
        for number, line in enumerate(self.title):
            parts.append(_text(MARGIN, MARGIN + 15 + number * 23, line, "headline"))
        corner = self.left - GAP
        parts.append(_text(corner, self.top - GAP - 19, "source →", "axis", anchor="end"))
        parts.append(_text(corner, self.top - GAP - 2, "translation ↓", "axis", anchor="end"))
        parts += [self._column(x, index) for index, x in enumerate(self.xs)]
        for row, y in enumerate(self.ys):
            middle = y + self.height / 2 + self.font * 0.35
            parts.append(self._label(corner, middle, self.matrix.target[row], self.rows[row], "end"))
            parts += [self._cell(x, y, row, column) for column, x in enumerate(self.xs)]
        return "".join([*parts, *self._legend(), "</svg>\n"])

    def _metadata(self) -> str:
        """What the line under the matrix has no room for, whole: checksums above all."""
        facts = "".join(f'<fact name="{safe(name)}">{safe(value)}</fact>' for name, value in self.metadata.items())
        return f'<metadata><facts xmlns="urn:interlinear:figure">{facts}</facts></metadata>\n' if facts else ""

    def _column(self, x: float, index: int) -> str:
        token, text = self.matrix.source[index], self.columns[index]
        if not self.turned:
            return self._label(x + self.width / 2, self.top - GAP, token, text, "middle")
        return self._label(x + self.width / 2 + self.font * 0.1, self.top - GAP + 2, token, text, "start", turn=True)

    def _label(self, x: float, y: float, token: Token, text: str, anchor: str, turn: bool = False) -> str:
        kind = "label special" if token.special else "label"
        place = f'x="{_number(x)}" y="{_number(y)}"'
        if turn:
            place = f'transform="translate({_number(x)} {_number(y)}) rotate(-45)"'
        size = self.font - 2 if token.special else self.font
        full = f"<title>{safe(token.text)}</title>" if text != clean(token.text) else ""
        return f'<text class="{kind}" {place} font-size="{size}" text-anchor="{anchor}">{safe(text)}{full}</text>\n'

    def _cell(self, x: float, y: float, row: int, column: int) -> str:
        weight = min(1.0, float(self.matrix.weights[row, column]))
        source, target = self.matrix.source[column], self.matrix.target[row]
        special = source.special or target.special
        told = f"{_isolate(target.text)} from {_isolate(source.text)}, {weight:.2f}"
        corner = 3 if self.height >= 26 else 2
        box = _number(x + 1), _number(y + 1), _number(self.width - 2), _number(self.height - 2), corner
        drawn = [
            f'<g class="cell{" special" if special else ""}" data-row="{row}" data-column="{column}">',
            f"<title>{safe(told)}</title>{_box('ground', *box)}",
        ]
        if weight >= 0.002:
            drawn.append(_box("weight", *box, opacity=weight * (MUTED if special else 1)))
        if self.height >= 34 and weight >= 0.005:
            kind = f"n l-{LIGHT.number(weight, special)} d-{DARK.number(weight, special)}"
            drawn.append(_text(x + self.width / 2, y + self.height / 2 + 4, f"{weight:.2f}", kind, anchor="middle"))
        return "".join([*drawn, "</g>\n"])

    def _legend(self) -> list[str]:
        y, steps, width = self.bottom + 22, 24, 5
        start = self.left + 14
        parts = [
            _text(self.left + 1, y + 10, "0", "axis"),
            '<g shape-rendering="crispEdges">',
            _box("ground", _number(start), _number(y), str(steps * width), "12"),
        ]
        for step in range(steps):
            place = _number(start + step * width)
            parts.append(_box("weight", place, _number(y), str(width), "12", opacity=(step + 0.5) / steps))
        parts.append("</g>\n")
        parts.append(_text(start + steps * width + 6, y + 10, "1", "axis"))
        parts.append(_text(start + steps * width + 24, y + 10, self.show, "axis"))
        for number, line in enumerate(self.facts):
            parts.append(_text(MARGIN, y + 40 + number * 17, line, "axis"))
        return parts

    def _steps(self, tokens: tuple[Token, ...], size: float) -> list[float]:
        """From each token's place to the next; a little air sets special tokens apart."""
        air = 6.0 if size >= 26 else 3.0
        return [
            size + (air if index + 1 < len(tokens) and token.special != tokens[index + 1].special else 0.0)
            for index, token in enumerate(tokens)
        ]

    def _measure(self, text: str, token: Token) -> float:
        return _ems(text) * (self.font - 2 * token.special) * LABEL_SLACK


def _places(start: float, steps: list[float]) -> list[float]:
    places = [start]
    for step in steps[:-1]:
        places.append(places[-1] + step)
    return places


def _text(x: float, y: float, text: str, kind: str, anchor: str = "start") -> str:
    where = "" if anchor == "start" else f' text-anchor="{anchor}"'
    return f'<text class="{kind}" x="{_number(x)}" y="{_number(y)}"{where}>{safe(text)}</text>\n'


def _box(kind: str, x: str, y: str, width: str, height: str, corner: int = 0, opacity: float | None = None) -> str:
    rounded = f' rx="{corner}"' if corner else ""
    faint = "" if opacity is None else f' fill-opacity="{_number(opacity, 3)}"'
    return f'<rect class="{kind}" x="{x}" y="{y}" width="{width}" height="{height}"{rounded}{faint}/>'


def clean(text: str) -> str:
    """Text that any file can hold: characters that XML forbids become U+FFFD."""
    return _ILLEGAL.sub("\ufffd", text)


def safe(text: str) -> str:
    """Text for HTML and XML, between tags and in attributes."""
    return escape(clean(text))


def _isolate(text: str) -> str:
    """Keep text that runs from right to left from turning its neighbours round (UAX 9)."""
    text = _BIDI_CONTROLS.sub("", text)
    return f"\u2068{text}\u2069" if _RIGHT_TO_LEFT.search(text) else text


def _ems(text: str) -> float:
    """Width of text, in units of the font size; an estimate that no font betrays by much."""
    return sum(map(_em, text))


def _em(character: str) -> float:
    if unicodedata.combining(character) or unicodedata.category(character) in ("Mn", "Me", "Cf"):
        return 0.0
    if unicodedata.east_asian_width(character) in "WF":
        return 1.0 if character < "\U0001f000" else 1.3
    if character in _NARROW:
        return 0.33
    if character in _BROAD:
        return 0.92
    return 0.7 if character.isupper() else 0.58


def _fit(text: str, room: float) -> str:
    """As much of `text` as `room` ems hold, with an ellipsis where something is left out."""
    if _ems(text) <= room:
        return text
    used = 1.0
    for index, character in enumerate(text):
        used += _em(character)
        if used > room:
            return text[:index].rstrip() + "…"
    return text


def _shorten(text: str) -> str:
    return _fit(" ".join(_BIDI_CONTROLS.sub("", clean(text)).split()) or "␣", LONGEST_LABEL)


def _wrap(text: str, room: float, lines: int) -> list[str]:
    """At most `lines` lines of about `room` ems."""
    wrapped: list[str] = []
    rest = " ".join(_BIDI_CONTROLS.sub("", clean(text))[:2000].split())
    while rest and len(wrapped) < lines:
        if len(wrapped) == lines - 1 or _ems(rest) <= room:
            return [*wrapped, _fit(rest, room)]
        line = _fit(rest, room + 1.0)[:-1]
        if " " in line[len(line) // 2 :] and rest[len(line)] != " ":
            line = line[: line.rindex(" ")]
        wrapped.append(line.rstrip())
        rest = rest[len(line) :].lstrip()
    return wrapped


def _brief(value: str) -> str:
    """A checksum is known by its first figures."""
    return f"{value[:12]}…" if re.fullmatch(r"[0-9a-f]{32,}", value) else value


def _number(value: float, digits: int = 1) -> str:
    return f"{value:.{digits}f}".rstrip("0").rstrip(".")


def _style() -> str:
    def scheme(colours: Palette, prefix: str) -> str:
        fills = {
            "paper": colours.paper, "label,.interlinear .headline": colours.ink,
            "axis,.interlinear .label.special": colours.soft, "ground": colours.ground, "weight": colours.accent,
            "special .weight": colours.muted, f"{prefix}-soft": colours.soft,
            f"{prefix}-black": NUMBERS["black"], f"{prefix}-white": NUMBERS["white"],
        }  # fmt: skip
        return "".join(f".interlinear .{name}{{fill:{colour}}}" for name, colour in fills.items())

    return (
        ".interlinear .headline{font-size:17px;font-weight:600}.interlinear .axis{font-size:12px}"
        ".interlinear .n{font-size:12px;font-variant-numeric:tabular-nums;pointer-events:none}"
        f"{scheme(LIGHT, 'l')}@media (prefers-color-scheme:dark){{{scheme(DARK, 'd')}}}"
    )
