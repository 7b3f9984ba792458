import gzip
import lzma
from pathlib import Path

import pytest

from nmt.errors import CorpusError
from training.corpus import SentencePair, one_line, read_pairs


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


@pytest.mark.parametrize(("suffix", "compress"), [(".gz", gzip.compress), (".xz", lzma.compress)])
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
    with pytest.raises(CorpusError, match=r"line 2: not UTF-8 at byte 8.*iconv"):
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
