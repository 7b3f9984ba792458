"""Downloading against a server of our own: whole, cut, changed, wrong, gone."""

from __future__ import annotations

import argparse
import gzip
import hashlib
import io
import threading
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from nmt.errors import ConfigError, CorpusError
from training import corpora
from training.__main__ import explain, main
from training.config import load_recipe
from training.corpora import CORPORA, Part, PublicCorpus, Remote
from training.download import download
from training.get import LANGUAGE, fetch, run

TEXT = "".join(f"cat number {n}\tchat numéro {n}\tCC-BY by someone\n" for n in range(2000))


@dataclass
class Server:
    """Files by path; it may cut an answer off, or fail a few times first."""

    url: str
    files: dict[str, bytes] = field(default_factory=dict)
    cut: int = 0
    failures: int = 0
    ranges: bool = True
    asked: list[dict[str, str]] = field(default_factory=list)

    def answer(self, request: BaseHTTPRequestHandler) -> None:
        self.asked.append(dict(request.headers))
        content = self.files.get(request.path)
        if content is None or self.failures > 0:
            self.failures -= 1
            request.send_error(404 if content is None else 503)
            return
        tag = f'"{hashlib.md5(content).hexdigest()}"'
        start = 0
        wanted = request.headers.get("Range")
        if wanted and self.ranges and request.headers.get("If-Range") == tag:
            start = int(wanted.removeprefix("bytes=").removesuffix("-"))
            request.send_response(206)
            request.send_header("Content-Range", f"bytes {start}-{len(content) - 1}/{len(content)}")
        else:
            request.send_response(200)
        request.send_header("ETag", tag)
        request.send_header("Content-Length", str(len(content) - start))
        request.end_headers()
        end = start + self.cut if self.cut else len(content)
        self.cut = 0
        request.wfile.write(content[start:end])


@pytest.fixture
def server() -> Iterator[Server]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            served.answer(self)

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as http:
        served = Server(f"http://127.0.0.1:{http.server_address[1]}")
        thread = threading.Thread(target=http.serve_forever, args=(0.01,))
        thread.start()
        yield served
        http.shutdown()
        thread.join()


@pytest.fixture
def get(server: Server) -> Callable[[], bytes]:
    """Downloads `/corpus` without waiting between attempts; returns what came."""
    server.files["/corpus"] = TEXT.encode()

    def whole() -> bytes:
        download(f"{server.url}/corpus", Path("corpus"), pause=0.0)
        assert not list(Path.cwd().glob("*.part*"))
        return Path("corpus").read_bytes()

    return whole


def test_a_file_comes_whole(get: Callable[[], bytes], server: Server) -> None:
    assert get() == TEXT.encode()
    assert "interlinear" in server.asked[0]["User-Agent"]


def test_after_a_cut_only_the_rest_is_fetched(get: Callable[[], bytes], server: Server) -> None:
    server.cut = 30_000
    assert get() == TEXT.encode()
    assert [one.get("Range") for one in server.asked] == [None, "bytes=30000-"]


def test_a_later_call_goes_on_where_an_earlier_one_was_stopped(
    get: Callable[[], bytes], server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    server.cut = 30_000

    def interrupt(seconds: float) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("training.download.time.sleep", interrupt)
        with pytest.raises(KeyboardInterrupt):
            get()
    assert not Path("corpus").exists()
    assert get() == TEXT.encode()
    assert server.asked[1]["Range"] == "bytes=30000-"


def test_a_file_that_changed_meanwhile_is_fetched_from_the_start(get: Callable[[], bytes], server: Server) -> None:
    new = TEXT.upper().encode()
    answer = server.answer

    def change(request: BaseHTTPRequestHandler) -> None:
        answer(request)
        server.files["/corpus"] = new

    server.answer = change  # type: ignore[method-assign]
    server.cut = 30_000
    assert get() == new


def test_a_server_without_ranges_is_asked_for_all_of_it(get: Callable[[], bytes], server: Server) -> None:
    server.cut, server.ranges = 30_000, False
    assert get() == TEXT.encode()


def test_a_server_out_of_order_for_a_moment_is_asked_again(get: Callable[[], bytes], server: Server) -> None:
    server.failures = 3
    assert get() == TEXT.encode()


def test_a_missing_file_is_not_asked_for_twice(server: Server) -> None:
    with pytest.raises(CorpusError, match=r"/nothing cannot be downloaded \(the server answers 404 Not Found\)"):
        download(f"{server.url}/nothing", Path("nothing"), pause=0.0)
    assert len(server.asked) == 1


def test_without_a_network_the_message_says_how_to_do_without() -> None:
    with pytest.raises(CorpusError, match=r"cannot be downloaded .* by other means, put it at .*corpus\.zip"):
        download("http://127.0.0.1:9/corpus.zip", Path("corpus.zip"), pause=0.0)


def test_a_full_disk_is_said(get: Callable[[], bytes]) -> None:
    Path("corpus.part").symlink_to("/dev/full")
    with pytest.raises(OSError, match="No space left") as caught:
        get()
    assert "the disk is full" in (explain(caught.value) or "")


@pytest.fixture
def tatoeba(server: Server, monkeypatch: pytest.MonkeyPatch) -> Callable[..., int]:
    """`python -m training get tatoeba`, from our server."""
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("_about.txt", "about")
        archive.writestr("fra.txt", TEXT)
    server.files["/anki/fra-eng.zip"] = packed.getvalue()
    here = server.url

    def remotes(source: str, target: str) -> list[Remote]:
        real = corpora._tatoeba(source, target)
        return [replace(one, url=one.url.replace("https://www.manythings.org", here)) for one in real]

    monkeypatch.setitem(CORPORA, "tatoeba", replace(CORPORA["tatoeba"], remotes=remotes))
    return lambda *arguments: main(["get", "tatoeba", *arguments])


def test_a_corpus_becomes_tsv_with_its_terms_and_the_next_command(
    tatoeba: Callable[..., int], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert tatoeba("fr", "en") == 0
    made = Path("data/tatoeba/fr-en.train.tsv").read_text("utf-8").splitlines()
    assert (len(made), made[7]) == (2000, "chat numéro 7\tcat number 7")
    assert "CC-BY 2.0 FR" in Path("data/tatoeba/LICENCE.txt").read_text()
    said = capsys.readouterr().out
    assert "licence: CC-BY 2.0 FR" in said
    command = "training init --source fr --target en --corpus data/tatoeba/fr-en.train.tsv"
    assert command in said
    monkeypatch.setattr("training.init.seconds_an_update", lambda recipe, folder: 1.0)
    assert main(command.split()[1:]) == 0
    assert load_recipe(Path("recipes/fr-en.toml")).card.licence == "CC-BY 2.0 FR"


def test_what_is_there_is_not_downloaded_again(tatoeba: Callable[..., int], server: Server) -> None:
    assert tatoeba("en", "fr") == tatoeba("en", "fr") == tatoeba("fr", "en") == 0
    assert len(server.asked) == 1


def test_a_file_that_is_not_what_it_was_is_put_aside(
    tatoeba: Callable[..., int], server: Server, capsys: pytest.CaptureFixture[str]
) -> None:
    assert tatoeba("en", "fr") == 0
    path = Path("data/tatoeba/original/fra-eng.zip")
    path.write_bytes(path.read_bytes()[:-1])
    assert tatoeba("en", "fr") == 2
    assert "the file is not the one it was (its sha256 is" in capsys.readouterr().err
    assert path.with_name("fra-eng.zip.wrong").exists()
    assert tatoeba("en", "fr") == 0


def test_a_new_version_is_taken_with_force_only(tatoeba: Callable[..., int], server: Server) -> None:
    assert tatoeba("en", "fr") == 0
    new = io.BytesIO()
    with zipfile.ZipFile(new, "w") as archive:
        archive.writestr("fra.txt", "new\tnouveau\n")
    server.files["/anki/fra-eng.zip"] = new.getvalue()
    Path("data/tatoeba/original/fra-eng.zip").unlink()
    assert tatoeba("en", "fr") == 2
    assert tatoeba("en", "fr", "--force") == 0
    assert Path("data/tatoeba/en-fr.train.tsv").read_text() == "new\tnouveau\n"


def test_a_published_checksum_is_held_against_the_file(server: Server, tmp_path: Path) -> None:
    content = gzip.compress(b"a\nb\n", mtime=0)
    server.files["/train.en.gz"] = content
    right = f"md5:{hashlib.md5(content).hexdigest()}"
    remote = Remote(f"{server.url}/train.en.gz", "train", ("en",), right)
    assert fetch(remote, tmp_path).read_bytes() == content
    (tmp_path / "other").mkdir()
    with pytest.raises(CorpusError, match="its md5 is"):
        fetch(Remote(remote.url, "train", ("en",), "md5:" + "0" * 32), tmp_path / "other")


def test_parallel_files_and_blank_lines_become_pairs(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    server.files |= {"/a.en": b"one\n\ntwo\n", "/a.fr": b"un\n\ndeux\n", "/d.en": b"x\n", "/d.fr": b"y\n"}
    parts: tuple[tuple[str, Part], ...] = (("a", "train"), ("d", "valid"))
    remotes = [Remote(f"{server.url}/{name}.{code}", part, (code,)) for name, part in parts for code in ("en", "fr")]
    made = PublicCorpus("Made", "two pairs", "", "none", "nobody", lambda source, target: remotes)
    monkeypatch.setitem(CORPORA, "opus-100", made)
    assert main(["get", "opus-100", "en", "fr", "--folder", "here"]) == 0
    assert Path("here/en-fr.train.tsv").read_text("utf-8") == "one\tun\ntwo\tdeux\n"
    assert Path("here/en-fr.valid.tsv").read_text("utf-8") == "x\ty\n"


@pytest.mark.parametrize("name", sorted(CORPORA))
def test_every_corpus_has_terms_and_secure_addresses(name: str) -> None:
    corpus = CORPORA[name]
    assert corpus.licence
    assert corpus.attribution
    for pair in (("en", "fr"), ("fr", "en")):
        remotes = corpus.remotes(*pair)
        assert all(one.url.startswith("https://") for one in remotes)
        assert {code for one in remotes if one.part == "train" for code in one.columns} == {"en", "fr"}
        assert remotes[0].member or len(remotes[0].columns) == 2 or remotes[0].columns[0] == pair[0]


@pytest.mark.parametrize(
    ("name", "pair"),
    [
        ("tatoeba", ("de", "fr")),
        ("tatoeba", ("en", "xx")),
        ("multi30k", ("en", "es")),
        ("opus-100", ("de", "fr")),
        ("news-commentary", ("en", "en")),
    ],
)
def test_a_pair_that_is_not_there_is_explained(name: str, pair: tuple[str, str]) -> None:
    with pytest.raises(ConfigError, match=name):
        CORPORA[name].remotes(*pair)


@pytest.mark.parametrize("code", ["../../x", "/etc/x", "", "en fr", "e", "en/fr"])
def test_a_language_code_cannot_name_another_folder(code: str) -> None:
    with pytest.raises(ConfigError, match="is not a language code"):
        run(argparse.Namespace(corpus="opus-100", source="en", target=code, folder=None, force=False))


@pytest.mark.parametrize("code", ["en", "zh_CN", "zh-Hans", "fra", "pt_br"])
def test_a_language_code_may_have_parts(code: str) -> None:
    assert LANGUAGE.fullmatch(code)
