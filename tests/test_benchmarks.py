"""The parts of the benchmarks that do not depend on a clock, and one small run."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest
import torch

from benchmarks import batch_invariance, decode_speed, load_client, plot, report, sentences, serve_load, server
from benchmarks.models import Work, endless, joeynmt_shape, parallel_shape
from benchmarks.peers.process import Peer, PeerError
from benchmarks.train_speed import faster_precision
from nmt.alignment import AttentionMatrix, Token
from nmt.search import SearchOptions, Sentence, translate_all
from nmt.translation import TranslatedHypothesis


def test_percentile_is_the_nearest_rank() -> None:
    values = [float(n) for n in range(100, 0, -1)]
    assert report.percentile(values, 0.99) == 99
    assert report.percentile(values, 0.5) == 50
    assert report.percentile([7.0], 0.99) == 7
    with pytest.raises(ValueError, match="nothing"):
        report.percentile([], 0.5)


def test_timing_calls_until_the_time_is_filled() -> None:
    calls: list[int] = []
    report.timed(lambda: calls.append(1), least_seconds=1e9, most_calls=4)
    assert len(calls) == 4
    report.timed(lambda: calls.append(1), least_seconds=0.0)
    assert len(calls) == 5


def test_table_aligns_numbers_and_shows_what_is_missing() -> None:
    lines = report.table(["name", "ms"], [["one", 1234.5], ["two", None]]).split("\n")
    assert lines == ["| name |    ms |", "|------|------:|", "| one  | 1,234 |", "| two  |     – |"]


def test_results_are_named_by_theme_hardware_and_date(tmp_path: Path) -> None:
    data, page = report.write("decode-speed", {"value": 1}, "# Title", folder=tmp_path, gpu="NVIDIA H200")
    theme, hardware, date = data.stem.split("_")
    assert (theme, hardware) == ("decode-speed", "h200")
    assert len(date) == len("2026-11-21")
    assert json.loads(data.read_text()) == {"value": 1}
    assert page.suffix == ".md"


def test_ticks_are_round_and_inside() -> None:
    assert plot.ticks(0, 10, log=False) == [0, 2, 4, 6, 8, 10]
    assert plot.ticks(0, 0.9, log=False) == [0, 0.2, 0.4, 0.6, 0.8]
    assert plot.ticks(3, 120, log=True) == [5, 10, 20, 50, 100]
    assert plot.ticks(1, 5000, log=True) == [1, 10, 100, 1000]


def test_chart_draws_every_point_and_is_xml() -> None:
    lines = {"a < b": [(1.0, 10.0), (8.0, 80.0)], "other": [(1.0, 5.0)]}
    panel = plot.Panel("title", "batch", "sentences/s", lines, log_x=True, log_y=True)
    root = ElementTree.fromstring(plot.chart("Speed & more", [panel, panel], "a note"))
    told = [element.text for element in root.iter("{http://www.w3.org/2000/svg}title")]
    assert told.count("a < b: 80 at 8") == 2
    assert told[0] == "Speed & more"
    assert "prefers-color-scheme:dark" in ElementTree.tostring(root, "unicode")


def test_joeynmt_shape_has_joeynmts_parameters() -> None:
    parameters = sum(p.numel() for p in endless(joeynmt_shape()).parameters())
    assert parameters == 9_872_384 + 8_000  # what JoeyNMT 2.3 says of its own, which has no output bias


@pytest.mark.parametrize("shape", [joeynmt_shape, parallel_shape])
def test_endless_models_write_to_their_limit(shape: Any) -> None:
    model = endless(shape(40))
    asked = [Sentence(source=[5, 6, 3], limit=9, options=SearchOptions(beam_size=beam)) for beam in (1, 4)]
    with torch.inference_mode():
        translate_all(model, asked)
    for sentence in asked:
        assert sentence.hypotheses is not None
        assert len(sentence.hypotheses[0].tokens) == 9
        assert sentence.hypotheses[0].truncated


def test_floor_is_bound_by_memory_alone_and_by_arithmetic_together() -> None:
    work = Work(step_weights=1_000, encoder_weights=0, recurrent_weights=0, attention_values=0)
    assert work.floor(batch=1, beam=1, length=10, width=4, bandwidth=40_000, peak=1e9) == (1.0, "memory")
    assert work.floor(batch=100, beam=5, length=10, width=4, bandwidth=1e9, peak=1e7) == (1.0, "arithmetic")


def test_work_counts_what_a_step_reads() -> None:
    work = Work.of(endless(joeynmt_shape(1000)))
    cell = 4 * 512 * (1024 + 512 + 2)
    readout = 512 * 1024 + 512
    output = 1000 * 512 + 1000
    assert work.step_weights == cell + readout + output
    assert work.recurrent_weights == 2 * 4 * 256 * 256
    assert work.attention_values == 1024


def test_made_up_sentences_differ_and_repeat_with_their_seed() -> None:
    texts = sentences.made_up(300)
    assert len(set(texts)) == 300
    assert texts == sentences.made_up(300)
    assert texts != sentences.made_up(300, seed=1)
    assert all(text[0].isupper() and text[-1] in ".!?" for text in texts)


def test_invented_pairs_say_the_same_words_on_both_sides() -> None:
    pairs = sentences.foreign(50)
    assert pairs == sentences.foreign(50)
    assert all(len(source.split()) == len(target.split()) for source, target in pairs)


def test_lines_are_read_whatever_white_space_they_hold(tmp_path: Path) -> None:
    path = tmp_path / "lines.tsv"
    path.write_text("one\tun\n\ntwo\u2028lines\tdeux\nthree\ttrois\n", "utf-8")
    assert sentences.read(path, 2) == ["one", "two\u2028lines"]
    assert sentences.read(path, 9, column=1) == ["un", "deux", "trois"]


ANSWER = b"HTTP/1.1 429 Too Many Requests\r\nRetry-After: 3\r\nContent-Length: 4\r\n\r\nbusy"


def test_answers_are_read_when_they_are_whole() -> None:
    assert load_client.parse_answer(ANSWER[:20]) is None
    assert load_client.parse_answer(ANSWER[:-1]) is None
    parsed = load_client.parse_answer(ANSWER)
    assert parsed is not None
    status, head, body = parsed
    assert (status, body) == (429, b"busy")
    assert load_client.header(head, b"retry-after") == b"3"
    assert load_client.header(head, b"etag") is None


def test_arrivals_come_at_the_rate_asked_for() -> None:
    moments = list(load_client.arrivals(200, 50, seed=1))
    assert len(moments) == pytest.approx(10_000, rel=0.05)
    assert moments == sorted(moments)
    gaps = np.diff(moments)
    assert gaps.std() == pytest.approx(gaps.mean(), rel=0.05)  # as a Poisson process has it


def drive(*jobs: dict[str, Any]) -> list[dict[str, Any]]:
    """Do jobs against a server that refuses every third request."""

    async def serve() -> list[dict[str, Any]]:
        seen = 0

        async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            nonlocal seen
            while head := await reader.readline():
                length = 0
                while head.strip():
                    if head.lower().startswith(b"content-length"):
                        length = int(head.split(b":")[1])
                    head = await reader.readline()
                body = await reader.readexactly(length)
                assert json.loads(body)["texts"]
                seen += 1
                short = ANSWER.replace(b"Retry-After: 3\r\n", b"")
                answer = short if seen % 3 == 0 else b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}"
                writer.write(answer)
            writer.close()

        listener = await asyncio.start_server(handle, "127.0.0.1", 0)
        port = listener.sockets[0].getsockname()[1]
        load = load_client.Load(port, [load_client.request_bytes("/v1/translate", {"texts": ["é"]})])
        done = [await load_client.perform(load, job) for job in jobs]
        for connection in load.idle:
            assert connection.transport is not None
            connection.transport.close()
        await asyncio.sleep(0.05)
        listener.close()
        return done

    return asyncio.run(serve())


def test_closed_loop_sends_as_many_as_asked_for() -> None:
    (found,) = drive({"kind": "closed", "clients": 4, "seconds": 30, "most": 30})
    assert found["statuses"] == {"200": 20, "429": 10}
    assert len(found["milliseconds"]) == 20
    assert len(found["refused_ms"]) == 10


def test_open_loop_sends_whatever_comes() -> None:
    (found,) = drive({"kind": "open", "rate": 200, "seconds": 0.5, "seed": 3})
    expected = len(list(load_client.arrivals(200, 0.5, seed=3)))
    assert sum(found["statuses"].values()) == expected


def test_means_are_taken_between_two_readings_over_all_labels() -> None:
    before = 'interlinear_step_rows_sum{model="a"} 10.0\ninterlinear_step_rows_count{model="a"} 5.0\n'
    after = (
        'interlinear_step_rows_sum{model="a"} 30.0\ninterlinear_step_rows_count{model="a"} 7.0\n'
        'interlinear_step_rows_sum{model="b"} 20.0\ninterlinear_step_rows_count{model="b"} 2.0\n'
        "interlinear_other_sum 0.0\ninterlinear_other_count 0.0\n"
    )
    assert server.histogram_means(before, after) == {"interlinear_step_rows": 10.0}


def load_result() -> dict[str, Any]:
    def phase(rate: float, p99: float, **other: int) -> dict[str, Any]:
        return {
            **{"requests_per_second": rate, "median_ms": p99 / 2, "p99_ms": p99, "served": 100, "refused": 1},
            **{"refused_p99_ms": 1.0, "other": other, "client_cpu": 0.1, "service_cpu": 1.8, "resident_mb": 400.0},
            "means": {"interlinear_step_rows": rate / 10},
        }

    return {
        "machine": {"cpu": "a CPU"},
        "beam_size": 5,
        "ready_seconds": [3.0],
        "texts": {"count": 10, "mean_words": 9.0},
        "offline_per_second": [100.0, 102.0],
        "resident_mb_at_start": 300.0,
        "resident_mb_after_load": 420.0,
        "capacity_per_second": 90.0,
        "closed": {"1": phase(20, 60), "64": phase(90, 900)},
        "open": {"80": phase(72, 200), "120": phase(89, 500, **{"504": 2})},
        "overhead": {"http_ms": 12.0, "translator_ms": 10.0, "added_ms": 2.0},
    }


def test_goals_say_what_is_met_and_what_is_not() -> None:
    met = {str(row[0]).split(",")[0]: (row[1], row[3]) for row in serve_load.goals(load_result())}
    assert met["throughput with 64 clients"] == (pytest.approx(100 * 90 / 101), "yes")
    assert met["HTTP adds"] == (2.0, "yes")
    assert met["memory at the end"] == (420.0, "yes")
    assert met["99th percentile at 120 % over that at 80 %"] == (2.5, "no")
    assert met["answers at 120 % that are neither 200 nor 429"] == (2, "no")


def test_load_page_and_picture_hold_every_phase() -> None:
    text = serve_load.page(load_result())
    assert "2 × 504" in text
    assert "step_rows" in text
    assert "99th percentile" in serve_load.drawing(load_result())


def outcome(weight: float, score: float, *units: str) -> batch_invariance.Outcome:
    target = tuple(Token(unit, None, logprob=-0.1) for unit in units)
    matrix = AttentionMatrix((Token("x", (0, 1)),), target, np.full((len(units), 1), weight, np.float32))
    return [TranslatedHypothesis(" ".join(units), score, matrix, "x")]


def test_invariance_counts_other_units_and_measures_the_rest() -> None:
    expected = [outcome(1.0, -0.5, "a", "b"), outcome(1.0, -0.5, "c")]
    found = [outcome(0.75, -0.25, "a", "b"), outcome(0.0, -9.0, "d")]
    assert batch_invariance.compare(expected, found) == {"different": 1, "score": 0.25, "attention": 0.25}


def test_precision_is_the_one_whose_lstm_is_faster() -> None:
    assert faster_precision({"lstm_fp32": 100.0, "lstm_bf16": 300.0}) == "bf16"
    assert faster_precision({"lstm_fp32": 100.0, "lstm_bf16": 0.3}) == "fp32"


def test_a_missing_peer_says_how_to_get_it(tmp_path: Path) -> None:
    with pytest.raises(PeerError, match=r"python -m benchmarks\.peers\.install ctranslate2"):
        Peer("ctranslate2-8k", threads=1, vocabulary=100, folder=tmp_path)


def test_decoding_benchmark_runs_without_peers(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    sizes = ["--batches", "1", "2", "--lengths", "3", "--beams", "1", "2", "--vocabulary", "64", "--rounds", "1"]
    alone = ["--peers", "--model", "", "--modes", "default", "reference", "--threads", "1", "--least-seconds", "0"]
    decode_speed.main([*sizes, *alone, "--output", str(tmp_path)])
    (data,) = tmp_path.glob("decode-speed_*.json")
    result = json.loads(data.read_text())
    assert len(result["cells"]) == 4
    assert set(result["cells"][0]["milliseconds"]) == {"default", "reference", "parallel"}
    assert "| beam |" in capsys.readouterr().out
    ElementTree.fromstring(data.with_suffix(".svg").read_text())
