"""
Ratios of benchmarks to their controls: what is said of them against those that are stored.
"""

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from .benchmarks import ratios
from .benchmarks.ratios import Stored

FAST, SLOW = "test_a.py::test_fast: time", "test_a.py::test_slow[1: 2]: json.loads, time"


def stored(*seen: float) -> Stored:
    return Stored(ratios=seen, versions="Python 3")


def verdict(known: Stored, seen: float) -> str:
    (found,) = ratios.compare({FAST: known}, {FAST: seen}, {"test_a.py::test_fast"})
    return found.verdict


@pytest.mark.parametrize(
    ("expected", "seen"),
    [("same", 12.4), ("slower", 12.6), ("same", 8.1), ("faster", 7.9)],
)
def test_a_quarter_is_tolerated_of_what_hardly_varies(expected: str, seen: float):
    assert expected == verdict(stored(9.9, 10.0, 10.1), seen)


@pytest.mark.parametrize(("expected", "seen"), [("same", 17.9), ("slower", 18.1)])
def test_twice_the_spread_is_tolerated_of_what_varies(expected: str, seen: float):
    assert expected == verdict(stored(8.0, 12.0, 10.0), seen)


@pytest.mark.parametrize(("expected", "seen"), [("same", 14.9), ("slower", 15.1)])
def test_half_is_tolerated_of_what_was_seen_once(expected: str, seen: float):
    assert expected == verdict(stored(10.0), seen)


def test_what_has_no_stored_ratio_is_not_compared():
    (found,) = ratios.compare({}, {FAST: 3.0}, {"test_a.py::test_fast"})

    assert ("new", None) == (found.verdict, found.change)


def test_what_was_not_run_is_told_from_what_is_gone():
    """
    Gone is a benchmark that no longer exists, and a part that one which ran no longer measures.
    """
    known = {"a: x": stored(1.0), "a: y": stored(1.0), "b: x": stored(1.0), "c: x": stored(1.0)}

    found = ratios.compare(known, {"a: x": 1.0}, {"a", "b"})

    expected = {"a: x": "same", "a: y": "gone", "b: x": "not run", "c: x": "gone"}
    assert expected == {each.name: each.verdict for each in found}


def test_what_became_slower_comes_first_and_is_said_plainly():
    known = {FAST: stored(10.0, 10.0), SLOW: stored(2.0, 2.0)}

    found = ratios.compare(known, {FAST: 10.0, SLOW: 3.0}, {"test_a.py::test_fast"})

    assert [SLOW, FAST] == [each.name for each in found]
    *_, counts, slower = ratios.table(found).splitlines()
    assert "1 became slower; 1 within its tolerance" == counts
    assert slower.startswith(f"SLOWER: {SLOW}: 3 times its control, stored is 2 (+50%, tolerance")


def test_an_update_keeps_the_last_five_runs_of_what_stayed_the_same():
    known = {FAST: stored(1.0, 2.0, 2.0, 2.0, 2.0)}

    found = ratios.compare(known, {FAST: 2.1}, {"test_a.py::test_fast"})

    assert (2.0, 2.0, 2.0, 2.0, 2.1) == ratios.updated(found, "Python 4")[FAST].ratios


def test_an_update_begins_anew_with_what_changed_and_drops_what_is_gone():
    known = {FAST: stored(1.0, 1.0), "gone: x": stored(1.0), "there: x": stored(3.0)}

    found = ratios.compare(known, {FAST: 2.0}, {"test_a.py::test_fast", "there"})

    expected = {FAST: Stored(ratios=(2.0,), versions="Python 4"), "there: x": stored(3.0)}
    assert expected == ratios.updated(found, "Python 4")


def test_ratios_are_read_as_they_were_written(tmp_path: Path):
    known = {SLOW: stored(0.5, 0.25), FAST: stored(3.0)}

    ratios.write(tmp_path / "ratios.json", known)

    assert known == ratios.read(tmp_path / "ratios.json")
    assert [FAST, SLOW] == list(json.loads((tmp_path / "ratios.json").read_text("utf-8")))


# A session of pytest

BENCHMARK = """
from tests.benchmarks.controls import store

def test_it(benchmark):
    benchmark(sum, [1, 2])
    store(benchmark, time={ratio})
"""
FORGETS = """
def test_forgets(benchmark):
    benchmark(sum, [1, 2])
"""


def session(folder: Path, text: str, *more: str) -> tuple[int, str]:
    """
    Run a file of benchmarks under the conftest of tests/benchmarks; return exit code and output.
    """
    (folder / "test_it.py").write_text(text, "utf-8")
    command: Sequence[str] = [
        *(sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider"),
        *("-p", "tests.benchmarks.conftest", f"--rootdir={folder}", "-c", "/dev/null"),
        *(f"--ratios={folder / 'ratios.json'}", "--benchmark-only", str(folder), *more),
    ]
    # Beside xdist pytest-benchmark measures nothing, and says so if it is told to.
    environment = {name: value for name, value in os.environ.items() if "XDIST" not in name}
    done = subprocess.run(
        command,
        cwd=Path(__file__).parents[1],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    return done.returncode, done.stdout + done.stderr


def test_a_benchmark_that_became_slower_fails_the_session_and_is_named(tmp_path: Path):
    first = session(tmp_path, BENCHMARK.format(ratio=2.0), "--update-ratios")
    slower = session(tmp_path, BENCHMARK.format(ratio=20.0))
    accepted = session(tmp_path, BENCHMARK.format(ratio=20.0), "--update-ratios")
    after = session(tmp_path, BENCHMARK.format(ratio=20.0))

    assert [0, 1, 0, 0] == [code for code, _ in (first, slower, accepted, after)], slower
    assert "no stored ratio: not compared" in first[1]
    assert "SLOWER: test_it.py::test_it: time" in slower[1]
    assert "1 within its tolerance" in after[1]


def test_an_update_keeps_what_is_elsewhere_and_drops_what_no_longer_exists(tmp_path: Path):
    elsewhere = "test_speed.py::test_asking_for_help: time"
    known = {elsewhere: stored(3.0), "test_none.py::test_x: time": stored(3.0)}
    ratios.write(tmp_path / "ratios.json", known)

    code, said = session(tmp_path, BENCHMARK.format(ratio=2.0), "--update-ratios")

    assert 0 == code, said
    kept = ratios.read(tmp_path / "ratios.json")
    assert {elsewhere, "test_it.py::test_it: time"} == set(kept)


def test_a_benchmark_without_a_ratio_fails(tmp_path: Path):
    code, said = session(tmp_path, FORGETS)

    assert 1 == code
    assert "stores no ratio to a control" in said
