"""Line charts as SVG, made by hand: one function, readable on light and dark paper.

Several panels stand side by side; both axes may be logarithmic. Colours are those of the figures of
`nmt.drawing`, with shapes and dashes beside them, so that nobody has to tell colours apart.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from nmt.drawing import DARK, FONTS, LIGHT, safe

WIDTH, HEIGHT = 400, 280
LEFT, RIGHT, TOP, BOTTOM = 62, 16, 44, 48
LINES = (
    ("#0b5569", "#6cc6da", "", "circle"),
    ("#b4531a", "#f2a36b", "6 3", "square"),
    ("#5b4a9c", "#b3a4f0", "2 3", "triangle"),
    ("#3f7a37", "#8fd083", "9 3 2 3", "diamond"),
    ("#8a2f5d", "#e58fb8", "1 3", "circle"),
    ("#6b6420", "#d2c766", "12 4", "square"),
)


@dataclass(frozen=True, slots=True)
class Panel:
    """One chart.

    Attributes:
        title: Above it.
        x_label, y_label: With units.
        lines: Points of each named line, in order of x; every y positive where `log_y`.
        log_x, log_y: Logarithmic axes.
    """

    title: str
    x_label: str
    y_label: str
    lines: Mapping[str, Sequence[tuple[float, float]]]
    log_x: bool = False
    log_y: bool = False


def ticks(low: float, high: float, log: bool) -> list[float]:
    """Round values for an axis from `low` to `high`: 1, 2 and 5 times powers of ten."""
    if log:
        exponents = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
        steps = (1, 2, 5) if high / low < 200 else (1,)
        return [m * 10.0**e for e in exponents for m in steps if low * 0.999 <= m * 10.0**e <= high * 1.001]
    raw = (high - low) / 5 or 1.0
    power = 10.0 ** math.floor(math.log10(raw))
    step = next(m * power for m in (1, 2, 5, 10) if m * power >= raw * 0.999)
    return [round(i * step, 12) for i in range(math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9) + 1)]


def chart(title: str, panels: Sequence[Panel], note: str = "") -> str:
    """The SVG, whole: a title, the panels two in a row, the names of the lines, a note."""
    names = list(dict.fromkeys(name for panel in panels for name in panel.lines))
    width = WIDTH * min(2, len(panels))
    beside = (3 if max(map(len, names)) < 28 else 2) if len(panels) > 1 else 1
    below = TOP + HEIGHT * math.ceil(len(panels) / 2)
    foot = below + 24 + 20 * math.ceil(len(names) / beside)
    height = foot + (22 if note else 4)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" role="img" width="{width}" height="{height}" '
        f'viewBox="0 0 {width} {height}" font-family="{FONTS}">\n',
        f"<title>{safe(title)}</title>\n<style>{_style()}</style>\n",
        f'<rect class="paper" width="{width}" height="{height}" rx="12"/>\n',
        _text(18, 28, title, "headline"),
    ]
    for index, panel in enumerate(panels):
        parts.append(
            f'<g transform="translate({index % 2 * WIDTH} {TOP + index // 2 * HEIGHT})">\n{_panel(panel, names)}</g>\n'
        )
    for index, name in enumerate(names):
        x, y = 24 + index % beside * (width - 36) / beside, below + 20 + 20 * (index // beside)
        parts.append(f'<path class="line l{index}" d="M{x:.1f} {y - 4:.1f}h26"/>{_mark(index, x + 13, y - 4)}\n')
        parts.append(_text(x + 34, y, name, "label"))
    if note:
        parts.append(_text(24, height - 10, note, "axis"))
    return "".join([*parts, "</svg>\n"])


def _panel(panel: Panel, names: Sequence[str]) -> str:
    points = [point for line in panel.lines.values() for point in line]
    xs, ys = [p[0] for p in points], [p[1] for p in points]
    low_y = min(ys) / 1.3 if panel.log_y else 0.0
    to_x = _scale(min(xs), max(xs), LEFT, WIDTH - RIGHT, panel.log_x)
    to_y = _scale(low_y, max(ys) * (1.3 if panel.log_y else 1.08), HEIGHT - BOTTOM, TOP, panel.log_y)
    parts = [_text(LEFT, TOP - 16, panel.title, "label")]
    for value in ticks(low_y, max(ys) * (1.3 if panel.log_y else 1.08), panel.log_y):
        y = to_y(value)
        parts.append(f'<path class="grid" d="M{LEFT} {y:.1f}H{WIDTH - RIGHT}"/>\n')
        parts.append(_text(LEFT - 7, y + 4, number(value), "axis", "end"))
    for value in sorted(set(xs)) if len(set(xs)) <= 6 else ticks(min(xs), max(xs), panel.log_x):
        parts.append(_text(to_x(value), HEIGHT - BOTTOM + 17, number(value), "axis", "middle"))
    parts.append(_text((LEFT + WIDTH - RIGHT) / 2, HEIGHT - 12, panel.x_label, "axis", "middle"))
    middle = (TOP + HEIGHT - BOTTOM) / 2
    parts.append(
        f'<text class="axis" text-anchor="middle" transform="translate(14 {middle:.1f}) rotate(-90)">'
        f"{safe(panel.y_label)}</text>\n"
    )
    for name, line in panel.lines.items():
        index = names.index(name)
        path = "L".join(f"{to_x(x):.1f} {to_y(y):.1f}" for x, y in line)
        parts.append(f'<path class="line l{index}" d="M{path}"/>\n')
        for x, y in line:
            told = f"<title>{safe(f'{name}: {number(y)} at {number(x)}')}</title>"
            parts.append(f"<g>{told}{_mark(index, to_x(x), to_y(y))}</g>\n")
    return "".join(parts)


def _scale(low: float, high: float, start: float, end: float, log: bool) -> _Scale:
    return _Scale(math.log(low) if log else low, math.log(high) if log else high, start, end, log)


@dataclass(frozen=True, slots=True)
class _Scale:
    low: float
    high: float
    start: float
    end: float
    log: bool

    def __call__(self, value: float) -> float:
        """Where `value` stands, pixels; in the middle when there is only one value."""
        if self.high == self.low:
            return (self.start + self.end) / 2
        share = ((math.log(value) if self.log else value) - self.low) / (self.high - self.low)
        return self.start + share * (self.end - self.start)


def number(value: float) -> str:
    """A tick's label: 0.05, 20, 3,000, 1.5M."""
    if abs(value) >= 1e6:
        return f"{value / 1e6:.3g}M"
    return f"{value:,.0f}" if abs(value) >= 100 or value == int(value) else f"{value:.3g}"


def _mark(index: int, x: float, y: float) -> str:
    shape = LINES[index % len(LINES)][3]
    outlines = {
        "square": "M-3.5 -3.5h7v7h-7z",
        "triangle": "M0 -4.5L4.3 3.3H-4.3z",
        "diamond": "M0 -4.8L4.8 0L0 4.8L-4.8 0z",
        "circle": "M-3.8 0a3.8 3.8 0 1 0 7.6 0a3.8 3.8 0 1 0 -7.6 0z",
    }
    return f'<path class="m{index}" transform="translate({x:.1f} {y:.1f})" d="{outlines[shape]}"/>'


def _text(x: float, y: float, text: str, kind: str, anchor: str = "start") -> str:
    return f'<text class="{kind}" x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{safe(text)}</text>\n'


def _style() -> str:
    def scheme(dark: bool) -> str:
        colours = DARK if dark else LIGHT
        fills = f".paper{{fill:{colours.paper}}}.label,.headline{{fill:{colours.ink}}}.axis{{fill:{colours.soft}}}"
        lines = "".join(f".l{i}{{stroke:{line[dark]}}}.m{i}{{fill:{line[dark]}}}" for i, line in enumerate(LINES))
        return f"{fills}.grid{{stroke:{colours.line}}}{lines}"

    dashes = "".join(f".l{i}{{stroke-dasharray:{line[2]}}}" for i, line in enumerate(LINES) if line[2])
    return (
        ".headline{font-size:16px;font-weight:600}.label{font-size:13px}.axis{font-size:11px}"
        f".line{{fill:none;stroke-width:2}}.grid{{stroke-width:1}}{dashes}{scheme(False)}"
        f"@media (prefers-color-scheme:dark){{{scheme(True)}}}"
    )
