"""AttentionMatrix -> SVG, self-contained HTML, CSV, JSON. No plotting library, no script.

Rows are target tokens, columns source tokens. A weight says how much one looked at the other, or (links) how
surely it stands for it; the scale is always 0 to 1, so that two figures can be compared. Pictures carry their
own light and dark colours and follow the reader's.
"""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Mapping
from typing import Any

import numpy as np

from nmt.alignment import AttentionMatrix, Token
from nmt.drawing import DARK, FONTS, LIGHT, Figure, Palette, Show, clean, safe

_FORMULA = re.compile("'*[=+\\-@\t\r\n＝＋－＠]")  # a spreadsheet would run these
CAPTIONS: dict[Show, str] = {"attention": "Attention weights.", "links": "Links and how sure they are."}


def to_svg(
    matrix: AttentionMatrix,
    *,
    title: str = "",
    metadata: Mapping[str, str] | None = None,
    show: Show = "attention",
) -> str:
    """A standalone picture.

    Every cell is `<g class="cell" data-row=… data-column=…>` with a `<title>` that says it in words.

    Args:
        matrix: What to draw, at word or subword level.
        title: Headline; any text.
        metadata: Names and values for the line under the matrix, such as the model and its version.
        show: What the weights are.
    """
    return Figure(matrix, title, metadata or {}, show).draw()


def to_html(
    matrix: AttentionMatrix,
    *,
    title: str = "",
    metadata: Mapping[str, str] | None = None,
    show: Show = "attention",
) -> str:
    """One page that needs nothing else: the picture, and a real table of the same numbers."""
    head = "".join(f'<th scope="col" dir="auto"{_special(token)}>{safe(token.text)}</th>' for token in matrix.source)
    rows = "".join(
        f'<tr><th scope="row" dir="auto"{_special(token)}>{safe(token.text)}</th>'
        + "".join(f"<td{' class=low' if weight < 0.1 else ''}>{weight:.2f}</td>" for weight in weights)
        + "</tr>\n"
        for token, weights in zip(matrix.target, matrix.weights.tolist(), strict=True)
    )
    facts = "".join(f"<dt>{safe(name)}</dt><dd>{safe(value)}</dd>" for name, value in (metadata or {}).items())
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        '<meta name="color-scheme" content="light dark">\n'
        f"<title>{safe(title) or show.capitalize()}</title>\n<style>{_page_style()}</style>\n</head>\n<body>\n<main>\n"
        f"<figure>\n{to_svg(matrix, title=title, show=show)}</figure>\n"
        '<div class="numbers" role="region" aria-labelledby="numbers" tabindex="0">\n<table>\n'
        f'<caption id="numbers">{CAPTIONS[show]} Rows: translation. Columns: source.</caption>\n'
        f"<thead><tr><td></td>{head}</tr></thead>\n<tbody>\n{rows}</tbody>\n</table>\n</div>\n"
        f"{f'<dl>{facts}</dl>' if facts else ''}\n</main>\n</body>\n</html>\n"
    )


def to_csv(matrix: AttentionMatrix) -> str:
    """RFC 4180: source tokens in the first row, then each target token and its weights.

    A token that a spreadsheet would take for a formula (`=`, `+`, `-`, `@`, tab or line break at
    its start, after any number of `'`) gets one more `'` in front; take it off to have the token
    back. Weights have just the digits that give the same float32 again.
    """
    out = io.StringIO()
    writer = csv.writer(out)
    writer.writerow(["", *(_cell(token.text) for token in matrix.source)])
    for token, weights in zip(matrix.target, matrix.weights, strict=True):
        writer.writerow([_cell(token.text), *(np.format_float_positional(weight, trim="0") for weight in weights)])
    return out.getvalue()


def to_json(
    matrix: AttentionMatrix,
    *,
    title: str = "",
    metadata: Mapping[str, str] | None = None,
    show: Show = "attention",
) -> str:
    """The matrix with all that is known of its tokens."""

    def plain(token: Token) -> dict[str, Any]:
        entry: dict[str, Any] = {"text": clean(token.text), "span": token.span and list(token.span)}
        if token.special:
            entry["special"] = True
        if token.logprob is not None:
            entry["logprob"] = round(token.logprob, 6)
        return entry

    weights = [[float(np.format_float_positional(weight)) for weight in row] for row in matrix.weights]
    figure = {
        "title": clean(title),
        "show": show,
        "metadata": {clean(name): clean(value) for name, value in (metadata or {}).items()},
        "rows": "target",
        "columns": "source",
        "source": [plain(token) for token in matrix.source],
        "target": [plain(token) for token in matrix.target],
        "weights": weights,
    }
    return json.dumps(figure, ensure_ascii=False, allow_nan=False)


def _cell(text: str) -> str:
    text = clean(text)
    return f"'{text}" if _FORMULA.match(text) else text


def _special(token: Token) -> str:
    return ' class="special"' if token.special else ""


def _page_style() -> str:
    def scheme(colours: Palette) -> str:
        return (
            f"body{{background:{colours.paper};color:{colours.ink}}}dt,caption,.special,.low{{color:{colours.soft}}}"
            f"th,td{{border-color:{colours.line}}}"
        )

    return (
        f"body{{margin:0;font:15px/1.5 {FONTS}}}main{{max-width:72rem;margin:0 auto;padding:2rem 1rem}}"
        "figure{margin:0 0 2rem;overflow-x:auto}.numbers{overflow-x:auto}"
        "table{border-collapse:collapse;font-variant-numeric:tabular-nums}caption{text-align:start;padding:0 0 .5rem}"
        "th,td{padding:.3rem .7rem;border-bottom:1px solid;text-align:end;white-space:nowrap}th{font-weight:600}"
        ".special{font-weight:400}dl{display:grid;grid-template-columns:max-content 1fr;gap:.2rem 1rem;margin:2rem 0 0}"
        f"dd{{margin:0;overflow-wrap:anywhere}}{scheme(LIGHT)}@media (prefers-color-scheme:dark){{{scheme(DARK)}}}"
    )
