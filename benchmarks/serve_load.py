"""The service under load, over HTTP on this machine.

    python -m benchmarks.serve_load                    about 5 minutes
    python -m benchmarks.serve_load --quick            one minute
    python -m benchmarks.serve_load --soak 100000      and as many requests more, watching the memory

Starts `python -m service` with one model and drives it from a process of its own: a closed loop (1, 8, 64,
256 clients, each sends its next request when it has its answer), then an open loop (Poisson arrivals at 50,
80 and 120 % of the capacity just measured). In the same run: the same sentences offline through
`Translator`, in one call; the time that HTTP adds to a `Translator` call for one client, taking turns; the
time from process start to ready; memory. Results: JSON, Markdown and SVG in benchmarks/results.
"""

from __future__ import annotations

import argparse
import json
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from tqdm import tqdm

from benchmarks import plot, report, sentences
from benchmarks.server import Server, histogram_means

if TYPE_CHECKING:
    from collections.abc import Iterator

    from nmt.translator import Translator


class Client:
    """The load generator's process."""

    def __init__(self, port: int, bodies: list[dict[str, Any]]) -> None:
        command = [sys.executable, "-m", "benchmarks.load_client"]
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self._say({"port": port, "path": "/v1/translate", "bodies": bodies})

    def do(self, **job: Any) -> dict[str, Any]:
        """One job of `load_client.perform`."""
        self._say(job)
        stdout = self._process.stdout
        assert stdout is not None
        answer: dict[str, Any] = json.loads(stdout.readline())
        return answer

    def _say(self, value: dict[str, Any]) -> None:
        stdin: IO[str] | None = self._process.stdin
        assert stdin is not None
        stdin.write(json.dumps(value) + "\n")
        stdin.flush()

    def close(self) -> None:
        """End it."""
        self._process.communicate(timeout=30)


@contextmanager
def driving(model: Path, bodies: list[dict[str, Any]]) -> Iterator[tuple[Server, Client]]:
    """A running service and its load generator."""
    with Server(model) as server:
        client = Client(server.port, bodies)
        try:
            yield server, client
        finally:
            client.close()


def summary(answer: dict[str, Any]) -> dict[str, Any]:
    """What a table says of one job: rates a second, milliseconds, counts."""
    times, refused = answer["milliseconds"], answer["refused_ms"]
    other = {status: n for status, n in answer["statuses"].items() if status not in ("200", "429")}
    return {
        "requests_per_second": len(times) / answer["seconds"],
        "median_ms": report.median(times) if times else None,
        "p99_ms": report.percentile(times, 0.99) if times else None,
        "served": len(times),
        "refused": len(refused),
        "refused_p99_ms": report.percentile(refused, 0.99) if refused else None,
        "other": other,
        "client_cpu": answer["cpu"],
    }


def watched(server: Server, client: Client, **job: Any) -> dict[str, Any]:
    """A job with what the service says of itself: occupancy and the like, processor time, memory."""
    before, used, began = server.get("/metrics"), server.cpu_seconds(), time.perf_counter()
    found = summary(client.do(**job))
    seconds = time.perf_counter() - began
    found["service_cpu"] = (server.cpu_seconds() - used) / seconds
    found["means"] = histogram_means(before, server.get("/metrics"))
    found["resident_mb"] = server.resident() / 1e6
    return found


def overhead(
    client: Client, translator: Translator, texts: Sequence[str], options: Any, blocks: int
) -> dict[str, float]:
    """Median milliseconds of one request and of the `Translator` call for the same texts, in alternating blocks.

    The call reads confidence and flags too, which every answer of the service carries.
    """
    http: list[float] = []
    direct: list[float] = []
    for block in range(blocks):
        http += client.do(kind="closed", clients=1, seconds=60, most=len(texts), first=0)["milliseconds"]
        for text in texts:
            began = time.perf_counter()
            answer = translator.translate([text], options=options)[0]
            for sentence in answer.sentences:
                _ = sentence.flags, sentence.hypotheses[0].confidence
            if block:  # the first one warms up
                direct.append(1e3 * (time.perf_counter() - began))
    warm = http[len(texts) :]
    return {
        "http_ms": report.median(warm),
        "translator_ms": report.median(direct),
        "added_ms": report.median(warm) - report.median(direct),
    }


def offline(translator: Translator, texts: list[str], options: Any) -> float:
    """Sentences a second of one call with all texts, confidence and flags read as the service does."""
    began = time.perf_counter()
    for answer in translator.translate(texts, options=options):
        for sentence in answer.sentences:
            _ = sentence.flags, sentence.hypotheses[0].confidence
    return len(texts) / (time.perf_counter() - began)


def run(options: argparse.Namespace) -> dict[str, Any]:
    """Measure; the figures as plain values."""
    texts = sentences.read(options.sentences, options.count)
    source, target = options.direction.split("-")
    bodies = [{"texts": [text], "source": source, "target": target, "beam_size": options.beam_size} for text in texts]
    result: dict[str, Any] = {"machine": report.machine(), "beam_size": options.beam_size, "ready_seconds": []}
    for _ in tqdm(range(options.starts), desc="starting"):
        with Server(options.model) as server:
            result["ready_seconds"].append(server.ready_seconds)

    from nmt.search import SearchOptions  # only now: the service's start was timed alone
    from nmt.translator import Translator

    search = SearchOptions(beam_size=options.beam_size)
    translator = Translator.load(options.model, device="cpu")
    translator.translate(texts[:64], options=search)
    result["texts"] = {"count": len(texts), "mean_words": sum(len(t.split()) for t in texts) / len(texts)}
    result["offline_per_second"] = [offline(translator, texts, search)]
    jobs = len(options.clients) + len(options.loads) + 2
    with driving(options.model, bodies) as (server, client), tqdm(total=jobs, desc="driving") as bar:
        result["resident_mb_at_start"] = server.resident() / 1e6
        client.do(kind="closed", clients=min(64, max(options.clients)), seconds=options.seconds / 3)
        result["closed"] = {}
        for clients in options.clients:
            found = watched(server, client, kind="closed", clients=clients, seconds=options.seconds)
            result["closed"][str(clients)] = found
            bar.set_postfix_str(f"{clients} clients: {found['requests_per_second']:.0f}/s")
            bar.update()
        capacity = max(found["requests_per_second"] for found in result["closed"].values())
        result["capacity_per_second"] = capacity
        result["open"] = {}
        for load in options.loads:
            rate = capacity * load / 100
            found = watched(server, client, kind="open", rate=rate, seconds=2 * options.seconds, seed=load)
            result["open"][str(load)] = found | {"offered_per_second": rate}
            bar.set_postfix_str(f"{load} %: p99 {found['p99_ms'] or 0:.0f} ms")
            bar.update()
        result["offline_per_second"].append(offline(translator, texts, search))
        bar.update()
        result["overhead"] = overhead(client, translator, texts[:30], search, 1 + options.blocks)
        bar.update()
        result["resident_mb_after_load"] = server.resident() / 1e6
        if options.soak:
            result["soak"] = soak(server, client, options.soak)
    return result


def soak(server: Server, client: Client, requests: int) -> list[dict[str, float]]:
    """Memory after every tenth of `requests` requests from 64 clients."""
    seen = [{"requests": 0.0, "resident_mb": server.resident() / 1e6}]
    for part in tqdm(range(10), desc=f"{requests:,} requests"):
        client.do(kind="closed", clients=64, seconds=3600, most=requests // 10)
        seen.append({"requests": (part + 1) * (requests // 10), "resident_mb": server.resident() / 1e6})
    return seen


def goals(result: dict[str, Any]) -> list[list[object]]:
    """Each goal, what was measured, whether it is met."""
    closed, opened = result["closed"], result["open"]
    rows: list[list[object]] = []

    def add(name: str, value: float | None, most: float, *, least: bool = False) -> None:
        if value is not None:
            rows.append([name, value, most, "yes" if (value >= most if least else value <= most) else "no"])

    batch = report.median(result["offline_per_second"])
    if "64" in closed:
        share = 100 * closed["64"]["requests_per_second"] / batch
        add("throughput with 64 clients, % of offline, at least", share, 80, least=True)
    if "overhead" in result:
        add("HTTP adds, ms at the median, at most", result["overhead"]["added_ms"], 3)
    add("start to ready, s, at most", report.median(result["ready_seconds"]), 4)
    add("memory at the end, MB, at most", _last_memory(result), 450)
    if "80" in opened and "120" in opened and opened["80"]["p99_ms"]:
        p99 = opened["120"]["p99_ms"]
        add("99th percentile at 120 % over that at 80 %, at most", p99 / opened["80"]["p99_ms"], 2)
    if "120" in opened:
        add("answers at 120 % that are neither 200 nor 429, at most", sum(opened["120"]["other"].values()), 0)
    return rows


def _last_memory(result: dict[str, Any]) -> float:
    return float(result["soak"][-1]["resident_mb"] if "soak" in result else result["resident_mb_after_load"])


def page(result: dict[str, Any]) -> str:
    """The result for people."""
    columns = ("requests_per_second", "median_ms", "p99_ms", "served", "refused", "refused_p99_ms")
    shares = ("service_cpu", "client_cpu", "resident_mb")
    header = ["requests/s", "median ms", "p99 ms", "served", "refused", "refusal p99 ms", "other"]
    header += ["service CPU", "client CPU", "memory MB"]

    def row(name: object, found: dict[str, Any]) -> list[object]:
        others = ", ".join(f"{n} × {status}" for status, n in found["other"].items()) or "none"
        return [name, *(found[c] for c in columns), others, *(found[c] for c in shares)]

    texts = result["texts"]
    parts = [
        "# The service under load",
        f"{texts['count']:,} sentences of {texts['mean_words']:.1f} words on average, beam {result['beam_size']}, one "
        "sentence a request. Client and service share the machine; CPU is in cores. A refused client waits as long as "
        "it was told. In the open loop, time counts from the moment of arrival.",
        report.table(["goal", "measured", "limit", "met"], goals(result)),
        "## Closed loop\n\n"
        + report.table(["clients", *header], [row(int(n), found) for n, found in result["closed"].items()]),
        f"## Open loop, capacity {result['capacity_per_second']:.0f} requests/s\n\n"
        + report.table(["load %", *header], [row(int(n), found) for n, found in result["open"].items()]),
        "## What the service says of itself\n\n" + _means(result),
        f"Offline, all sentences in one call: {' and '.join(f'{v:.0f}' for v in result['offline_per_second'])} "
        f"sentences/s before and after. One client: HTTP {result['overhead']['http_ms']:.2f} ms, `Translator` "
        f"{result['overhead']['translator_ms']:.2f} ms. Start to ready: "
        f"{', '.join(f'{v:.2f}' for v in result['ready_seconds'])} s. Memory at the start "
        f"{result['resident_mb_at_start']:.0f} MB.",
    ]
    if "soak" in result:
        rows = [[int(seen["requests"]), seen["resident_mb"]] for seen in result["soak"]]
        parts.append("## Memory over many requests\n\n" + report.table(["requests", "memory MB"], rows))
    return "\n\n".join(parts)


def _means(result: dict[str, Any]) -> str:
    """The mean of every histogram in each phase; occupancy is among them."""
    phases = {f"{n} clients": found["means"] for n, found in result["closed"].items()}
    phases |= {f"{n} %": found["means"] for n, found in result["open"].items()}
    names = sorted({name for means in phases.values() for name in means})
    rows = [[name.removeprefix("interlinear_"), *(means.get(name) for means in phases.values())] for name in names]
    return report.table(["mean of", *phases], rows)


def drawing(result: dict[str, Any]) -> str:
    """Latency by load, and throughput by clients."""
    opened = [(float(load), found) for load, found in result["open"].items() if found["median_ms"]]
    closed = [(float(n), found) for n, found in result["closed"].items() if found["median_ms"]]
    latency = {
        "median": [(load, found["median_ms"]) for load, found in opened],
        "99th percentile": [(load, found["p99_ms"]) for load, found in opened],
    }
    batch = report.median(result["offline_per_second"])
    throughput = {
        "over HTTP": [(n, found["requests_per_second"]) for n, found in closed],
        "offline": [(n, batch) for n, _ in closed],
    }
    panels = [
        plot.Panel("Open loop: latency by load", "% of capacity", "milliseconds", latency, False, True),
        plot.Panel("Closed loop: throughput", "clients", "sentences a second", throughput, True, False),
    ]
    return plot.chart("The service under load", panels, result["machine"]["cpu"])


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure, print, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="a third of the time for everything")
    parser.add_argument("--model", type=Path, default=Path("models/en-fr"), help="model folder (default models/en-fr)")
    parser.add_argument("--direction", default="en-fr", help="source-target (default en-fr)")
    parser.add_argument("--sentences", type=Path, help="source sentences, one a line (default: made up)")
    parser.add_argument("--count", type=int, default=2000, help="how many different sentences (default 2000)")
    parser.add_argument("--clients", type=int, nargs="+", default=[1, 8, 64, 256])
    parser.add_argument("--loads", type=int, nargs="+", default=[50, 80, 120], help="%% of capacity")
    parser.add_argument("--seconds", type=float, default=15, help="of each closed loop; open ones take twice as long")
    parser.add_argument("--beam-size", type=int, default=5)
    parser.add_argument("--starts", type=int, default=3, help="how often the start is timed (default 3)")
    parser.add_argument("--blocks", type=int, default=5, help="turns of HTTP and Translator, 30 calls each (default 5)")
    parser.add_argument("--soak", type=int, default=0, help="that many requests more, watching memory")
    parser.add_argument("--output", type=Path, default=report.RESULTS, help="folder for the result")
    options = parser.parse_args(arguments)
    if options.quick:
        options.seconds, options.count, options.starts = options.seconds / 3, options.count // 3, 1
    signal.signal(
        signal.SIGTERM, lambda *_: sys.exit(143)
    )  # leave through the `with` blocks: the service must stop too
    result = run(options)
    text = page(result)
    print(text)
    written = report.write("serve-load", result, text, folder=options.output)
    picture = written[0].with_suffix(".svg")
    picture.write_text(drawing(result), "utf-8")
    print("\n".join(map(str, [*written, picture])))


if __name__ == "__main__":
    main()
