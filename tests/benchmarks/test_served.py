"""
Models behind a server: how near a run comes to what the server can give, and whether one that is
killed again and again is the undisturbed one in the end.
"""

import asyncio
import multiprocessing
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from multiprocessing.connection import Connection
from pathlib import Path
from statistics import median
from typing import Any

import pytest

from harness.backends.base import BackendOptions, Generation
from harness.backends.registry import open_backend
from harness.backends.served.client import _library
from harness.runs.runner import run as ask
from harness.runs.store import TRANSCRIPTS, load_run, read_transcripts
from harness.runs.writer import start_run
from harness.suites.files import load_suite
from harness.workflow import run as workflow
from harness.workflow.options import RunOptions

from ..backends.fault_server import Asked, fault_server
from ..builders import question, write_suite
from ..served import answering, killed_and_resumed, often_down
from .controls import store

TREE = Path(__file__).parents[2]
MANY, KILLS, FAILING = 2_000, 10, 0.2
SECONDS = 0.05
"""How long the server takes for an answer, however many it makes: an idle accelerator."""
ROUNDS = 3
LEAST = 0.9
"""The share of the server's throughput that a run must reach."""


def test_a_run_killed_ten_times_is_the_undisturbed_one(
    benchmark: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.chdir(tmp_path)
    names = [f"c{number}" for number in range(MANY)]
    write_suite(tmp_path, map(question, names))
    with fault_server() as server:
        server.model = answering(*names[::7])
        reference = f"openai:cand@{server.url}"
        begun = time.perf_counter()
        undisturbed = workflow.run("ask", reference, out=Path("runs/whole")).record
        alone = time.perf_counter() - begun
        server.faults.append(often_down(FAILING, seed=1))
        begun = time.perf_counter()
        benchmark.pedantic(
            killed_and_resumed,
            (server, tmp_path / "runs/killed", MANY, KILLS, tmp_path),
            rounds=1,
        )
        store(benchmark, time=(time.perf_counter() - begun) / alone)

    resumed = load_run(tmp_path / "runs/killed").record
    assert undisturbed.digests == resumed.digests
    assert undisturbed.metrics == resumed.metrics
    assert undisturbed.backend == resumed.backend
    assert undisturbed.cases == resumed.cases


def serve(told: Connection) -> None:
    """
    Serve a model that takes `SECONDS` for every answer, until it is told to end.
    """

    def slow(request: Asked) -> bool:
        if request.asks:
            time.sleep(SECONDS)
        return False

    with fault_server(slow) as server:
        server.model = answering()
        told.send(server.url)
        told.recv()


@contextmanager
def in_a_process() -> Iterator[str]:
    """
    Yield the URL of a server in a process of its own: it shares no interpreter with its clients.
    """
    here, there = multiprocessing.get_context("spawn").Pipe()
    process = multiprocessing.get_context("spawn").Process(target=serve, args=(there,), daemon=True)
    # It finds this module by its path, which pytest has not put there.
    sys.path.append(str(TREE))
    process.start()
    sys.path.remove(str(TREE))
    there.close()  # so that nobody waits for a process that has ended
    try:
        yield here.recv()
    finally:
        here.send("end")
        process.join(10)


def generate(url: str, bodies: Sequence[Mapping[str, Any]], concurrency: int) -> float:
    """
    Post *bodies* as a load generator does that looks at nothing; return answers a second.
    """
    http = _library()

    async def post_all() -> None:
        waiting = iter(bodies)

        async def one_after_the_other(client: Any) -> None:
            for body in waiting:
                reply = await client.post(f"{url}/chat/completions", json=body)
                reply.raise_for_status()

        limits = http.Limits(max_connections=concurrency)
        async with http.AsyncClient(limits=limits, timeout=60, trust_env=False) as client:
            await asyncio.gather(*(one_after_the_other(client) for _ in range(concurrency)))

    begun = time.perf_counter()
    asyncio.run(post_all())
    return len(bodies) / (time.perf_counter() - begun)


@pytest.mark.parametrize("concurrency", [8, 16])
def test_a_run_uses_what_the_server_gives(
    benchmark: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, concurrency: int
):
    """
    Asking and storing the answers, against the same requests sent bare, in turn: the ratio is of
    one machine at one time. Reading the suite and judging answers do not wait for a server.
    """
    monkeypatch.chdir(tmp_path)
    many = 60 * concurrency
    write_suite(tmp_path, [question(f"c{number}") for number in range(many)])
    options = RunOptions(concurrency=concurrency, preflight=False)
    shares = []
    with in_a_process() as url:
        bodies = sent(tmp_path, options)
        assert many == len(bodies)
        for number in range(ROUNDS):
            bare = generate(url, bodies, concurrency)
            shares.append(stored(url, tmp_path, number, concurrency) / bare)
        benchmark.pedantic(generate, (url, bodies, concurrency), rounds=1)
    benchmark.extra_info["share of the server's throughput"] = [round(each, 3) for each in shares]
    store(benchmark, time=1 / median(shares))
    assert median(shares) >= LEAST, shares


def sent(root: Path, options: RunOptions) -> list[dict[str, Any]]:
    """
    Return the bodies that a run sends to such a server.
    """
    with fault_server() as server:
        server.model = answering()
        workflow.run("ask", f"openai:cand@{server.url}", out=root / "runs/sent", options=options)
        return [dict(body) for body in server.answered]


def stored(url: str, root: Path, number: int, concurrency: int) -> float:
    """
    Ask the suite and store the answers; return how many a second.
    """
    suite = load_suite(root / "suites" / "ask")
    opening = BackendOptions(concurrency=concurrency)
    folder = root / "runs" / str(number)
    with (
        closing(open_backend(f"openai:cand@{url}", opening)) as backend,
        start_run(folder, suite=suite.text, plan={}) as writer,
    ):
        begun = time.perf_counter()
        ask(suite, backend, Generation(), writer.append)
        took = time.perf_counter() - begun
    transcripts = list(read_transcripts(folder / TRANSCRIPTS))
    assert len(suite.cases) == len(transcripts)
    assert not any(each.error for each in transcripts)
    return len(suite.cases) / took
