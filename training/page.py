"""Self-contained HTML pages about a run: no script, no request, light and dark as the reader likes."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence

from nmt.drawing import DARK, FONTS, LIGHT, safe
from nmt.heatmap import to_svg
from nmt.translation import Translation

_WIDTH, _HEIGHT, _LEFT, _BOTTOM, _TOP = 460, 210, 46, 26, 12

_STYLE = f"""
:root{{color-scheme:light dark;--paper:{LIGHT.paper};--ink:{LIGHT.ink};--soft:{LIGHT.soft};--line:{LIGHT.line};
--ground:{LIGHT.ground};--accent:{LIGHT.accent};--worse:#a3341f}}
@media (prefers-color-scheme:dark){{:root{{--paper:{DARK.paper};--ink:{DARK.ink};--soft:{DARK.soft};--line:{DARK.line};
--ground:{DARK.ground};--accent:{DARK.accent};--worse:#f0937e}}}}
body{{margin:0;background:var(--paper);color:var(--ink);font:16px/1.55 {FONTS}}}
main{{max-width:66rem;margin:0 auto;padding:2.5rem 1.25rem 4rem}}
h1{{font-size:1.9rem;line-height:1.2;margin:0 0 .3rem}}h2{{font-size:1.2rem;margin:3rem 0 .8rem}}
p{{margin:.4rem 0;max-width:46rem}}.soft,caption,small{{color:var(--soft)}}.worse{{color:var(--worse)}}
.facts{{display:flex;flex-wrap:wrap;gap:.8rem 2.5rem;margin:1.5rem 0}}.facts div{{min-width:6rem}}
.facts b{{display:block;font-size:1.7rem;font-weight:600;font-variant-numeric:tabular-nums}}
.charts{{display:grid;grid-template-columns:repeat(auto-fit,minmax(min(100%,24rem),1fr));gap:1.5rem 2rem}}
figure{{margin:0}}figcaption{{font-weight:600;margin-bottom:.3rem}}svg.chart{{width:100%;height:auto;overflow:visible}}
svg.chart text{{fill:var(--soft);font-size:11px}}.grid{{stroke:var(--line)}}.curve{{fill:none;stroke-width:2}}
table{{border-collapse:collapse;font-variant-numeric:tabular-nums}}.wide{{overflow-x:auto}}
th,td{{text-align:start;padding:.35rem 1.2rem .35rem 0;border-bottom:1px solid var(--line);vertical-align:top}}
td.number,th.number{{text-align:end}}pre{{background:var(--ground);padding:1rem;overflow-x:auto;font-size:.85rem}}
article{{border-top:1px solid var(--line);padding:1.2rem 0}}dl{{display:grid;grid-template-columns:max-content 1fr;
gap:.15rem 1rem;margin:0}}dt{{color:var(--soft)}}dd{{margin:0;overflow-wrap:anywhere}}
.pair{{margin-top:.6rem;display:grid;grid-template-columns:repeat(auto-fit,minmax(min(100%,26rem),1fr));gap:1rem}}
img{{max-width:100%;height:auto}}summary{{cursor:pointer;color:var(--accent);margin:.6rem 0}}
.legend{{display:flex;flex-wrap:wrap;gap:.1rem 1rem;font-size:.8rem;color:var(--soft)}}
.legend i{{display:inline-block;width:.9rem;height:.2rem;vertical-align:middle;margin-inline-end:.35rem}}
"""


def page(title: str, body: str) -> str:
    """A whole page."""
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{safe(title)}</title>\n<style>{_STYLE}</style>\n</head>\n<body>\n<main>\n{body}</main>\n</body>\n</html>\n"
    )


def facts(values: Mapping[str, str]) -> str:
    """A row of figures with their names."""
    items = "".join(f"<div><b>{safe(value)}</b>{safe(name)}</div>" for name, value in values.items())
    return f'<div class="facts">{items}</div>\n'


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table; the first column is text, the others are numbers."""

    def line(cells: Sequence[str], kind: str) -> str:
        return "".join(
            f"<{kind}{' class=number' if index else ''}>{safe(cell)}</{kind}>" for index, cell in enumerate(cells)
        )

    body = "\n".join(f"<tr>{line(row, 'td')}</tr>" for row in rows)
    return (
        f'<div class="wide"><table>\n<thead><tr>{line(head, "th")}</tr></thead>\n'
        f"<tbody>\n{body}\n</tbody></table></div>\n"
    )


def chart(title: str, curves: Mapping[str, Sequence[tuple[float, float]]], *, zero: bool = False) -> str:
    """Curves over the same x.

    Args:
        title: Above the chart.
        curves: Points of each, by name; a legend is drawn when there are several.
        zero: Whether the vertical scale begins at zero.
    """
    points = [point for curve in curves.values() for point in curve]
    if not points:
        return ""
    low_x, high_x = min(x for x, _ in points), max(x for x, _ in points)
    low = 0.0 if zero else min(y for _, y in points)
    high = max(y for _, y in points)
    span_x, span = (high_x - low_x) or 1.0, (high - low) or 1.0

    def place(x: float, y: float) -> str:
        across = _LEFT + (x - low_x) / span_x * (_WIDTH - _LEFT - 8)
        return f"{across:.1f},{_HEIGHT - _BOTTOM - (y - low) / span * (_HEIGHT - _BOTTOM - _TOP):.1f}"

    lines = ""
    for step in range(4):
        value = low + span * step / 3
        y = float(place(low_x, value).partition(",")[2])
        lines += f'<line class="grid" x1="{_LEFT}" x2="{_WIDTH - 8}" y1="{y}" y2="{y}"/>'
        lines += f'<text x="{_LEFT - 6}" y="{y + 4}" text-anchor="end">{_tick(value)}</text>'
    for x, anchor in ((low_x, "start"), (high_x, "end")):
        lines += f'<text x="{place(x, low).partition(",")[0]}" y="{_HEIGHT - 6}" text-anchor="{anchor}">{x:g}</text>'
    legend = ""
    for number, (name, curve) in enumerate(curves.items()):
        colour = (
            "var(--accent)"
            if len(curves) == 1
            else f"hsl({(196 + number * 360 / max(len(curves), 3)) % 360:.0f} 60% 46%)"
        )
        path = " ".join(place(x, y) for x, y in curve)
        lines += f'<polyline class="curve" stroke="{colour}" points="{path}"><title>{safe(name)}</title></polyline>'
        if len(curve) == 1:
            across, down = place(*curve[0]).split(",")
            lines += f'<circle cx="{across}" cy="{down}" r="3" fill="{colour}"/>'
        legend += f'<span><i style="background:{colour}"></i>{safe(name)}</span>'
    legend = f'<div class="legend">{legend}</div>' if len(curves) > 1 else ""
    return (
        f"<figure><figcaption>{safe(title)}</figcaption>"
        f'<svg class="chart" viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img" aria-label="{safe(title)}">{lines}</svg>'
        f"{legend}</figure>\n"
    )


def _tick(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"


def heatmaps(translation: Translation, title: str) -> str:
    """The attention of every sentence of a text, each picture kept apart from the page's own styles."""
    pictures = ""
    for sentence in translation.sentences:
        best = sentence.hypotheses[0]
        if best.words.source and best.words.target:
            data = base64.b64encode(to_svg(best.words, title=title).encode()).decode()
            pictures += f'<img alt="Attention: {safe(best.text)}" src="data:image/svg+xml;base64,{data}">'
    return pictures
