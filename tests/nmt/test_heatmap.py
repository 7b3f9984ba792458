"""The figure: SVG, HTML, CSV, JSON. Safe with any text, readable in light and dark."""

from __future__ import annotations

import csv
import io
import json
import re
from html.parser import HTMLParser
from itertools import product
from xml.etree import ElementTree

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nmt.alignment import AttentionMatrix, Token
from nmt.drawing import DARK, LIGHT, NUMBERS, Palette, contrast
from nmt.heatmap import to_csv, to_html, to_json, to_svg

EOS = Token("</s>", None, special=True)
END = Token("</s>", None, special=True, logprob=-0.1)
SVG = "{http://www.w3.org/2000/svg}"


def matrix(source: list[str], target: list[str], rows: list[list[float]] | None = None) -> AttentionMatrix:
    columns = (*(Token(text, (i, i + 1)) for i, text in enumerate(source)), EOS)
    lines = (*(Token(text, (i, i + 1), logprob=-0.5) for i, text in enumerate(target)), END)
    weights = np.full((len(lines), len(columns)), 1 / len(columns)) if rows is None else np.array(rows)
    return AttentionMatrix(columns, lines, weights.astype(np.float32))


CATS = matrix(["a", "cat"], ["un", "chat"], [[0.9, 0.1, 0.0], [0.08, 0.82, 0.1], [0.0, 0.0, 1.0]])


def named(svg: str, name: str) -> list[ElementTree.Element]:
    root = ElementTree.fromstring(svg)
    return [e for e in root.iter() if name in (e.get("class") or "").split()]


def test_every_cell_says_what_it_is() -> None:
    cells = named(to_svg(CATS), "cell")
    assert [(c.get("data-row"), c.get("data-column")) for c in cells] == [(t, s) for t in "012" for s in "012"]
    assert cells[4].findtext(f"{SVG}title") == "chat from cat, 0.82"
    assert cells[4].findtext(f"{SVG}text") == "0.82"


def test_scale_is_fixed_so_that_figures_compare() -> None:
    weight = next(e for e in named(to_svg(CATS), "cell")[4] if e.get("class") == "weight")
    assert weight.get("fill-opacity") == "0.82"


def test_end_of_sentence_is_muted() -> None:
    cells = named(to_svg(CATS), "cell")
    assert [("special" in (c.get("class") or "")) for c in cells] == [False, False, True] * 2 + [True] * 3


def test_title_and_metadata_are_shown() -> None:
    svg = to_svg(CATS, title="Un chat", metadata={"model": "en-fr", "sha256": "ab" * 32})
    assert "".join(named(svg, "headline")[0].itertext()) == "Un chat"
    assert any("model en-fr · sha256 abababababab…" in "".join(e.itertext()) for e in named(svg, "axis"))


def test_metadata_is_in_the_picture_whole() -> None:
    facts = {"model": "en-fr 1", "sha256": "ab" * 32, "<odd>": "&"}
    found = ElementTree.fromstring(to_svg(CATS, metadata=facts)).iter("{urn:interlinear:figure}fact")
    assert {fact.get("name"): fact.text for fact in found} == facts


def test_numbers_are_left_out_where_there_is_no_room() -> None:
    words = [f"word{i}" for i in range(40)]
    assert not named(to_svg(matrix(words, words)), "n")


def test_a_figure_of_links_does_not_speak_of_attention() -> None:
    for figure in (to_svg(CATS, show="links"), to_html(CATS, show="links")):
        assert "ttention" not in figure
        assert "<title>Links</title>" in figure
    assert json.loads(to_json(CATS, show="links"))["show"] == "links"


def test_weight_of_nothing_is_an_empty_cell() -> None:
    cell = named(to_svg(CATS), "cell")[2]
    assert [child.get("class") for child in cell] == [None, "ground"]


@pytest.mark.parametrize(("palette", "special"), list(product([LIGHT, DARK], [False, True])))
def test_numbers_read_well_on_every_cell(palette: Palette, special: bool) -> None:
    for weight in np.linspace(0.005, 1, 200).tolist():
        name = palette.number(weight, special)
        colour = palette.soft if name == "soft" else NUMBERS[name]
        channels = tuple(int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5))
        assert contrast(channels, palette.shade(weight, special)) >= 4.5


@pytest.mark.parametrize("palette", [LIGHT, DARK])
def test_labels_read_well_on_paper(palette: Palette) -> None:
    paper, ink, soft = (
        tuple(int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5))
        for colour in (palette.paper, palette.ink, palette.soft)
    )
    assert contrast(paper, ink) >= 7
    assert contrast(paper, soft) >= 4.5


def test_contrast_is_that_of_wcag() -> None:
    assert contrast((0, 0, 0), (1, 1, 1)) == pytest.approx(21)
    assert contrast((1, 1, 1), (119 / 255,) * 3) == pytest.approx(4.48, abs=0.01)  # #777 on white


HOSTILE = ["<img onerror=alert(1) src=x>", "&amp;", '"', "'", "]]>", "\x00\x1b\ufffe\ud800", "\u202eevil", "-->", ""]


class Tags(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.seen: set[str] = set()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.add(tag)
        assert not any(name.startswith("on") or name in ("href", "src") for name, _ in attrs)


def test_text_stays_text() -> None:
    figure = matrix(HOSTILE, HOSTILE)
    told = {"title": "</title><script>alert(1)</script>", "metadata": {"<b>": "</dd><script>"}}
    svg, page = to_svg(figure, **told), to_html(figure, **told)  # type: ignore[arg-type]
    assert {e.tag.removeprefix(SVG) for e in ElementTree.fromstring(svg).iter()} == {
        "svg", "title", "desc", "style", "rect", "text", "g",
        "metadata", "{urn:interlinear:figure}facts", "{urn:interlinear:figure}fact",
    }  # fmt: skip
    tags = Tags()
    tags.feed(page)
    assert not tags.seen & {"script", "img", "b", "iframe", "link"}
    assert "http" not in page.replace("http://www.w3.org/2000/svg", "")


@given(st.lists(st.text(max_size=12), max_size=4), st.lists(st.text(max_size=12), max_size=4), st.text(max_size=80))
@settings(max_examples=60, deadline=None)
def test_any_text_gives_well_formed_files(source: list[str], target: list[str], title: str) -> None:
    figure = matrix(source, target)
    svg = to_svg(figure, title=title, metadata={title: title})
    assert len(named(svg, "cell")) == figure.weights.size
    for text in (svg, to_html(figure, title=title), to_csv(figure), to_json(figure, title=title)):
        text.encode("utf-8")


def test_long_and_wide_labels_stay_inside() -> None:
    for text in ("Donaudampfschifffahrtsgesellschaftskapitän", "图" * 60, "W" * 50, "😀" * 30):
        svg = to_svg(matrix(["a", text], [text]), title=text * 5)
        labels = ["".join(e.itertext()) for e in named(svg, "label")]
        assert any("…" in label for label in labels)
        width = float(ElementTree.fromstring(svg).get("width") or 0)
        assert width < 900


def test_words_from_right_to_left_do_not_turn_the_sentence_round() -> None:
    title = named(to_svg(matrix(["cat"], ["חתול"])), "cell")[0].findtext(f"{SVG}title")
    assert title == "\u2068חתול\u2069 from cat, 0.50"


def test_page_has_a_real_table() -> None:
    page = to_html(CATS, title="Un chat", metadata={"model": "en-fr"})
    assert page.startswith("<!doctype html>")
    assert "<caption" in page
    assert page.count('scope="col"') == page.count('scope="row"') == 3
    assert re.search(r"chat</th><td class=low>0.08</td><td>0.82</td>", page)
    assert "<dt>model</dt><dd>en-fr</dd>" in page


def read_csv(text: str) -> tuple[list[str], list[str], list[list[np.float32]]]:
    """The way back, as `to_csv` tells it."""

    def token(cell: str) -> str:
        return cell[1:] if re.match("'+[=+\\-@\t\r\n＝＋－＠]", cell) else cell

    head, *lines = csv.reader(io.StringIO(text, newline=""))
    weights = [[np.float32(cell) for cell in line[1:]] for line in lines]
    return [token(cell) for cell in head[1:]], [token(line[0]) for line in lines], weights


CELLS = st.text(
    st.one_of(st.sampled_from("=+-@'\"\t\r\n,;a ＝"), st.characters(exclude_categories=["Cs", "Cc", "Cn", "Co"])),
    max_size=6,
)


@given(st.lists(CELLS, max_size=4), st.lists(CELLS, max_size=4), st.integers(0, 1000))
@settings(deadline=None)
def test_csv_comes_back_as_it_went(source: list[str], target: list[str], seed: int) -> None:
    rows = np.random.default_rng(seed).dirichlet(np.ones(len(source) + 1), len(target) + 1)
    figure = matrix(source, target, rows.tolist())
    columns, lines, weights = read_csv(to_csv(figure))
    assert columns == [token.text for token in figure.source]
    assert lines == [token.text for token in figure.target]
    np.testing.assert_array_equal(np.array(weights), figure.weights)


@pytest.mark.parametrize("formula", ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "'=1", "＝1"])
def test_spreadsheet_runs_nothing(formula: str) -> None:
    cells = next(csv.reader(io.StringIO(to_csv(matrix([formula], [])), newline="")))
    assert cells[1] == f"'{formula}"


def test_json_holds_all_that_is_known() -> None:
    figure = json.loads(to_json(CATS, title="Un chat", metadata={"model": "en-fr"}))
    assert figure["title"] == "Un chat"
    assert figure["metadata"] == {"model": "en-fr"}
    assert (figure["rows"], figure["columns"]) == ("target", "source")
    assert figure["source"][1:] == [{"text": "cat", "span": [1, 2]}, {"text": "</s>", "span": None, "special": True}]
    assert figure["target"][0] == {"text": "un", "span": [0, 1], "logprob": -0.5}
    np.testing.assert_array_equal(np.array(figure["weights"], dtype=np.float32), CATS.weights)
