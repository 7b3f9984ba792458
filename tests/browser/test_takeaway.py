"""What is taken away is what the API gives, safe with any text, and says which model made it."""

from __future__ import annotations

import csv
import io
import json
import struct
import subprocess
import zlib
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import httpx
import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import QUESTION, Open

TWO = f"{QUESTION} One two three."
HOSTILE = "<img src=x onerror=alert(1)> \"&' done"


def download(page: Page, format: str) -> bytes:
    """The file behind a button."""
    with page.expect_download() as caught:
        page.locator(f"[data-format={format}]").click()
    assert caught.value.suggested_filename.endswith(f".{format}")
    return Path(caught.value.path()).read_bytes()


def figure(server: str, format: str, **body: Any) -> bytes:
    """The same from the API."""
    body = {"source": "en", "target": "fr", "granularity": "word"} | body
    return httpx.post(f"{server}/v1/heatmap", params={"format": format}, json=body).raise_for_status().content


def chunks(png: bytes) -> list[tuple[bytes, bytes]]:
    """Kind and data of every chunk; checks their sums."""
    assert png[:8] == b"\x89PNG\r\n\x1a\n"
    at, found = 8, []
    while at < len(png):
        (length,) = struct.unpack(">I", png[at : at + 4])
        kind, data = png[at + 4 : at + 8], png[at + 8 : at + 8 + length]
        assert zlib.crc32(kind + data) == struct.unpack(">I", png[at + 8 + length : at + 12 + length])[0]
        found.append((kind, data))
        at += 12 + length
    return found


def test_files_are_what_the_api_gives_and_can_be_read(open_page: Open, server: str) -> None:
    page = open_page(TWO)
    page.locator("#next").click()
    files = {format: download(page, format) for format in ("svg", "csv", "json", "html")}
    for format, content in files.items():
        assert content == figure(server, format, text=TWO, sentence=1)
    weights = json.loads(files["json"])["weights"]
    table = list(csv.reader(io.StringIO(files["csv"].decode())))
    assert [[float(cell) for cell in row[1:]] for row in table[1:]] == weights
    facts = {e.get("name"): e.text for e in ElementTree.fromstring(files["svg"]).iter("{urn:interlinear:figure}fact")}
    assert facts["model"] == "en-fr 1"
    assert facts["sha256"] == f"{len('en-fr'):064x}"
    assert json.loads(files["json"])["metadata"] == facts
    assert facts["sha256"] in files["html"].decode()


def test_what_was_changed_is_what_is_taken(open_page: Open, server: str) -> None:
    page = open_page(TWO)
    page.locator("#output .word", has_text="vas").click()
    page.locator("#choices .choice", has_text="vont").click()
    expect(page.locator("#output")).to_contain_text("vont")
    assert download(page, "svg") == figure(server, "svg", text=QUESTION, target_prefix="Comment vont")
    page.locator("#tab-own").click()
    page.locator("#own-text").fill("Ça va ?")
    expect(page.locator("#own-words li")).to_have_count(4)
    assert download(page, "csv") == figure(server, "csv", text=QUESTION, translation="Ça va ?")
    page.locator("#tab-compare").click()
    page.locator("#compare-columns input").nth(1).check()
    taken = json.loads(download(page, "json"))
    assert taken["metadata"]["model"] == "en-fr-quiet 1"


def test_a_png_is_drawn_by_the_browser_with_chinese_and_the_checksum(open_page: Open) -> None:
    page = open_page("你好 world", target="zh")
    found = chunks(download(page, "png"))
    assert found[0][0] == b"IHDR"
    assert found[-1][0] == b"IEND"
    texts = dict(data.split(b"\0\0\0\0\0") for kind, data in found if kind == b"iTXt")
    assert texts[b"Model"] == b"en-zh 1"
    assert texts[b"SHA256"].decode() == f"{len('en-zh'):064x}"
    width, height = struct.unpack(">II", found[0][1][:8])
    assert width > 400
    assert height > 100
    # The label's own pixels: a font without Chinese would leave a box or nothing.
    widths = page.locator("#matrix .label").evaluate_all(
        "all => all.filter((e) => /[\\u4e00-\\u9fff]/.test(e.textContent)).map((e) => e.getBBox().width)"
    )
    assert len(widths) >= 4
    assert min(widths) >= 10


@pytest.mark.parametrize("format", ["svg", "html"])
def test_markup_in_a_file_stays_text(open_page: Open, server: str, tmp_path: Path, format: str, browser: Any) -> None:
    page = open_page(HOSTILE)
    file = tmp_path / f"figure.{format}"
    file.write_bytes(download(page, format))
    reader = browser.new_page()  # opened from disk, where no header forbids scripts
    ran: list[str] = []
    reader.on("dialog", lambda dialog: (ran.append(dialog.message), dialog.dismiss()))
    reader.goto(file.as_uri())
    assert reader.locator("img, script, [onerror]").count() == 0
    assert "onerror" in reader.locator("svg").first.inner_html()
    assert ran == []
    reader.close()


def test_curl_repeats_the_request(open_page: Open, server: str) -> None:
    page = open_page("How's 'that'?", permissions=["clipboard-read", "clipboard-write"])
    page.locator("#curl").click()
    expect(page.locator("#curl")).to_have_text("Copied")
    command = page.evaluate("navigator.clipboard.readText()")
    said = subprocess.run(["bash", "-c", command.replace("curl", "curl -sS", 1)], capture_output=True, check=True)
    answer = json.loads(said.stdout)
    assert answer["results"][0]["text"] == page.locator("#output").inner_text()
    assert "attention" in answer["results"][0]["sentences"][0]["hypotheses"][0]


def test_a_figure_that_cannot_be_made_says_so(open_page: Open, faults: Any) -> None:
    faults.expect("503")
    page = open_page(QUESTION)
    body = {"code": "draining", "status": 503, "title": "", "detail": ""}
    page.route("**/v1/heatmap*", lambda route: route.fulfill(status=503, json=body))
    page.locator("[data-format=svg]").click()
    expect(page.locator("#download-note")).to_contain_text("stopping or restarting")
