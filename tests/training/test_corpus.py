import gzip
import lzma
import sys
from pathlib import Path

import pytest

from nmt.errors import CorpusError
from training.corpus import SentencePair, one_line, read_blocks, read_pairs

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

TMX = """<?xml version="1.0" encoding="{encoding}"?>
<!DOCTYPE tmx SYSTEM "tmx14.dtd">
<tmx version="1.4"><header srclang="en"/><body>
<tu><tuv xml:lang="en-GB"><seg>Press <bpt i="1">&lt;b&gt;</bpt>the <hi>green</hi><ept i="1">&lt;/b&gt;</ept>
 button.</seg></tuv><tuv xml:lang="FR"><seg>Appuyez\tici &amp; là.</seg></tuv></tu>
<tu><tuv xml:lang="en"><seg>Alone.</seg></tuv></tu>
<tu><prop type="x">a note</prop><tuv lang="fr"><seg>Deux.</seg></tuv><tuv lang="en"><seg>Two.</seg></tuv></tu>
</body></tmx>"""


def test_reads_pairs_with_their_line(tmp_path: Path) -> None:
    path = tmp_path / "a.tsv"
    path.write_bytes(b"One.\tUn.\nTwo.\tDeux.\r\n")
    assert list(read_pairs((path,))) == [SentencePair("One.", "Un.", 1), SentencePair("Two.", "Deux.", 2)]


def test_swap_exchanges_the_columns(tmp_path: Path) -> None:
    path = tmp_path / "a.tsv"
    path.write_text("One.\tUn.\n")
    assert list(read_pairs((path,), swap=True)) == [SentencePair("Un.", "One.", 1)]


def test_further_columns_are_ignored(tmp_path: Path) -> None:
    path = tmp_path / "a.tsv"
    path.write_text("One.\tUn.\tCC-BY, somebody\n")
    assert list(read_pairs((path,))) == [SentencePair("One.", "Un.", 1)]


@pytest.mark.parametrize(
    ("suffix", "compress"), [(".gz", gzip.compress), (".xz", lzma.compress), (".zst", zstd.compress)]
)
def test_compressed_files_read_the_same(tmp_path: Path, suffix: str, compress: object) -> None:
    path = tmp_path / f"a.tsv{suffix}"
    path.write_bytes(compress("One.\tUn é.\n".encode()))  # type: ignore[operator]
    assert list(read_pairs((path,))) == [SentencePair("One.", "Un é.", 1)]


def test_parallel_files_are_read_side_by_side(tmp_path: Path) -> None:
    (tmp_path / "a.en").write_text("One.\nTwo.\n")
    (tmp_path / "a.fr").write_text("Un.\nDeux.")
    pairs = list(read_pairs((tmp_path / "a.en", tmp_path / "a.fr")))
    assert [(pair.source, pair.target) for pair in pairs] == [("One.", "Un."), ("Two.", "Deux.")]


def test_only_a_line_feed_ends_a_line(tmp_path: Path) -> None:
    path = tmp_path / "a.tsv"
    path.write_text("One\u2028more\x0b.\tUn\x85.\n", encoding="utf-8")
    assert list(read_pairs((path,))) == [SentencePair("One\u2028more\x0b.", "Un\x85.", 1)]


def test_a_byte_order_mark_is_not_text(tmp_path: Path) -> None:
    path = tmp_path / "a.tsv"
    path.write_bytes(b"\xef\xbb\xbfOne.\tUn.\n")
    assert next(read_pairs((path,))).source == "One."


def test_one_line_keeps_everything_but_tabs_and_line_ends() -> None:
    assert one_line("a\tb\u2028c\x0bd\u00a0 e") == "a b c d\u00a0 e"


def test_unequal_line_counts_name_both_files(tmp_path: Path) -> None:
    (tmp_path / "a.en").write_text("One.\nTwo.\n")
    (tmp_path / "a.fr").write_text("Un.\n")
    with pytest.raises(CorpusError, match=r"a\.fr ends after line 1, but .*a\.en has a line 2"):
        list(read_pairs((tmp_path / "a.en", tmp_path / "a.fr")))


def test_a_missing_tab_names_the_line(tmp_path: Path) -> None:
    path = tmp_path / "a.tsv"
    path.write_text("One.\tUn.\n\nTwo. Deux.\n")
    with pytest.raises(CorpusError, match=r"a\.tsv, line 3: no tab"):
        list(read_pairs((path,)))


def test_invalid_utf8_names_line_and_byte(tmp_path: Path) -> None:
    path = tmp_path / "a.tsv"
    path.write_bytes(b"One.\tUn.\nTea.\tTh\xe9.\n")
    with pytest.raises(CorpusError, match=r"line 2: not UTF-8 at byte 8.*iconv -f LATIN1"):
        list(read_pairs((path,)))
    path.write_text("One.\tUn.\n", "utf-16")  # a spreadsheet's "Unicode text"
    with pytest.raises(CorpusError, match=r"line 1: not UTF-8 at byte 1.*iconv -f UTF-16"):
        list(read_pairs((path,)))


def test_a_cut_off_archive_is_named(tmp_path: Path) -> None:
    path = tmp_path / "a.tsv.gz"
    path.write_bytes(gzip.compress(b"One.\tUn.\n" * 1000)[:-20])
    with pytest.raises(CorpusError, match=r"a\.tsv\.gz.*damaged or cut off"):
        list(read_pairs((path,)))


def test_a_file_that_is_no_archive_is_named(tmp_path: Path) -> None:
    for name in ("a.tsv.gz", "a.tsv.xz"):
        (tmp_path / name).write_text("One.\tUn.\n")
        with pytest.raises(CorpusError, match=f"{name}.*damaged"):
            list(read_pairs((tmp_path / name,)))


def test_an_empty_file_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "a.tsv").write_text("")
    with pytest.raises(CorpusError, match="empty"):
        list(read_pairs((tmp_path / "a.tsv",)))


def test_a_missing_file_says_where_to_look() -> None:
    with pytest.raises(CorpusError, match=r"there is no such file; check data\.folder"):
        list(read_pairs((Path("nowhere.tsv"),)))


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16"])
@pytest.mark.parametrize("name", ["a.tmx", "a.tmx.gz", "a.tmx.zst"])
def test_a_translation_memory_gives_its_units_in_our_order(tmp_path: Path, name: str, encoding: str) -> None:
    content = TMX.format(encoding=encoding).encode(encoding)
    content = gzip.compress(content) if name.endswith("gz") else content
    content = zstd.compress(content) if name.endswith("zst") else content
    (tmp_path / name).write_bytes(content)
    pairs = list(read_pairs((tmp_path / name,), languages=("en", "fr"), swap=True))  # the languages decide, not swap
    assert pairs == [
        SentencePair("Press the green  button.", "Appuyez ici & là.", 1),
        SentencePair("Alone.", "", 2),
        SentencePair("Two.", "Deux.", 3),
    ]


def test_a_translation_memory_without_the_language_says_which_it_has(tmp_path: Path) -> None:
    (tmp_path / "a.tmx").write_text(TMX.format(encoding="utf-8"))
    with pytest.raises(CorpusError, match="no unit has both 'en' and 'de'; the languages there are en, en-gb, fr"):
        list(read_pairs((tmp_path / "a.tmx",), languages=("en", "de")))


def test_a_broken_translation_memory_names_the_unit(tmp_path: Path) -> None:
    (tmp_path / "a.tmx").write_text(TMX.format(encoding="utf-8").replace("Two.</seg>", "Two."))
    with pytest.raises(CorpusError, match=r"a\.tmx, unit 3: not well-formed XML"):
        list(read_pairs((tmp_path / "a.tmx",), languages=("en", "fr")))


def test_two_variants_of_one_language_are_told_apart(tmp_path: Path) -> None:
    units = '<tu><tuv xml:lang="pt-PT"><seg>autocarro</seg></tuv><tuv xml:lang="pt-BR"><seg>ônibus</seg></tuv></tu>'
    (tmp_path / "a.tmx").write_text(f"<tmx><body>{units}</body></tmx>", "utf-8")
    pairs = list(read_pairs((tmp_path / "a.tmx",), languages=("pt-BR", "pt-PT")))
    assert pairs == [SentencePair("ônibus", "autocarro", 1)]


def test_blocks_never_cut_a_line_and_keep_count(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("training.corpus._BLOCK", 64)
    lines = [f"line {n} {'x' * (n % 90)}\tligne {n}" for n in range(200)]
    (tmp_path / "a.tsv").write_text("\n".join(lines))
    (tmp_path / "a.en").write_text("\n".join(line.split("\t")[0] for line in lines))
    (tmp_path / "a.fr").write_text("\n".join(line.split("\t")[1] for line in lines) + "\n")
    for paths in ((tmp_path / "a.tsv",), (tmp_path / "a.en", tmp_path / "a.fr")):
        assert len(list(read_blocks(paths))) > 20
        found = list(read_pairs(paths))
        assert [f"{pair.source}\t{pair.target}" for pair in found] == lines
        assert [pair.line for pair in found] == list(range(1, 201))
