"""
Two checkpoints timed in alternation: the order, what cancels, what is decided, what is kept.
"""

import csv
import json
import math
import random
import re
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from harness.backends.base import BackendOptions, Generation, Request
from harness.backends.served import client
from harness.checkpoints.checkpoint import Checkpoint
from harness.checkpoints.reference import SCHEMES, Reference
from harness.cli.main import main
from harness.errors import BackendError, ExitCode, StoreError, UsageError
from harness.gating.alternation import Alternation, judge_alternation
from harness.gating.policy import default_policy, read_policy
from harness.transcript import Timing, Transcript
from harness.workflow.benchmark_json import read_benchmark, spell_benchmark
from harness.workflow.latency import judge_times, time_checkpoints
from harness.workflow.options import RunOptions

from ..backends.fault_server import Asked, FaultServer, fault_server

asked: list[tuple[str, str]] = []
"""Which checkpoint answered which case, in the order it happened."""

machine: list[Callable[[int], float]] = []
"""The machine's slowness as a function of how many answers it has made."""


class ClockedBackend:
    """
    ``clocked:FILE``: takes ``ms`` for an answer, times what the machine does at the moment.
    """

    def __init__(self, reference: Reference, options: BackendOptions) -> None:
        path = Path(reference.target)
        self._name = path.stem
        self._given: dict[str, Any] = json.loads(path.read_text())
        self.checkpoint = Checkpoint(
            reference=str(reference), weights="sha256:0", dialect="hermes", dialect_version=2
        )

    def describe(self) -> Mapping[str, Any]:
        return {"name": "clocked", "batch": 1}

    def answer(
        self, requests: Sequence[Request], generation: Generation
    ) -> Iterator[Sequence[Transcript]]:
        raise NotImplementedError

    def answer_alone(
        self, requests: Sequence[Request], generation: Generation
    ) -> Iterator[Transcript]:
        refused = self._given.get("refused", [])
        for request in requests:
            if request.key.case in refused:
                yield Transcript(key=request.key, error="too long")
        for request in requests:
            if request.key.case in refused:
                continue
            slow = machine[0](len(asked))
            asked.append((self._name, request.key.case))
            tokens = self._given.get("tokens", 11)
            total = self._given["ms"] * slow
            yield Transcript(
                key=request.key,
                output="text",
                output_tokens=tokens,
                timing=Timing(latency_ms=total, ttft_ms=total / 2),
            )

    def close(self) -> None:
        pass


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setitem(SCHEMES.built_in, "clocked", f"{__name__}:ClockedBackend")
    asked.clear()
    machine[:] = [lambda _: 1.0]
    cases = [{"id": f"c{n}", "prompt": f"Say {n}.", "expect": {"abstain": True}} for n in range(24)]
    suite = {"format": 1, "name": "say", "version": "1.0.0", "tools": [], "cases": cases}
    (tmp_path / "suites" / "say").mkdir(parents=True)
    (tmp_path / "suites" / "say" / "suite.yaml").write_text(json.dumps(suite))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def model(name: str, ms: float, **more: Any) -> str:
    Path(f"{name}.json").write_text(json.dumps({"ms": ms, **more}))
    return f"clocked:{name}.json"


def timed(old: str, new: str, **more: Any) -> Alternation:
    return time_checkpoints("say", old, new, **more)


def verdict(measured: Alternation, name: str = "latency_ms_p50") -> str:
    return judge_alternation(default_policy(), measured)[name].verdict


def test_they_answer_in_the_order_old_new_new_old_and_the_next_case_turned_round(project: Path):
    timed(model("a", 100), model("b", 100), options=RunOptions(limit=3))

    assert [
        *(("a", "c0"), ("b", "c0"), ("b", "c0"), ("a", "c0")),
        *(("b", "c1"), ("a", "c1"), ("a", "c1"), ("b", "c1")),
        *(("a", "c2"), ("b", "c2"), ("b", "c2"), ("a", "c2")),
    ] == asked


def test_more_rounds_are_turned_round_too(project: Path):
    found = timed(model("a", 100), model("b", 100), options=RunOptions(limit=1), rounds=2)

    assert list("abbabaab") == [name for name, _ in asked]
    assert (4, 4) == (len(found.cases[0].old), len(found.cases[0].new))


def test_a_machine_that_slows_down_evenly_does_not_show(project: Path):
    machine[:] = [lambda made: 1.01**made]
    found = timed(model("a", 100), model("b", 100))

    assert all(math.isclose(old, new) for old, new in found.paired("latency_ms_p50").values)
    assert "pass" == verdict(found)


def noisy(seed: int) -> Callable[[int], float]:
    draw = random.Random(seed)
    return lambda _: math.exp(draw.gauss(0, 0.03))


@pytest.mark.parametrize("seed", range(5))
def test_a_slowdown_beyond_the_limit_regresses_and_none_does_not(project: Path, seed: int):
    machine[:] = [noisy(seed)]

    assert "regressed" == verdict(timed(model("a", 100), model("b", 115)))
    assert "pass" == verdict(timed(model("a", 100), model("b", 100)))
    assert "pass" == verdict(timed(model("a", 115), model("b", 100)))


def test_a_sure_slowdown_within_the_limit_passes(project: Path):
    machine[:] = [noisy(1)]
    [judged] = judge_alternation(default_policy(), timed(model("a", 100), model("b", 105))).values()

    assert judged.ratio is not None
    assert judged.ratio[1] > 1
    assert "pass" == judged.verdict


def test_what_is_neither_shown_is_inconclusive_and_has_weight(project: Path):
    machine[:] = [noisy(1)]
    found = timed(model("a", 100), model("b", 107), options=RunOptions(limit=8))
    [judged] = judge_alternation(default_policy(), found).values()

    assert ("inconclusive", False) == (judged.verdict, judged.advisory)


def test_too_few_cases_for_an_interval_are_inconclusive(project: Path):
    found = timed(model("a", 100), model("b", 200), options=RunOptions(limit=3))

    assert "inconclusive" == verdict(found)


def test_every_time_that_the_policy_limits_is_judged(project: Path):
    policy = read_policy(
        '[limits]\nttft_ms_p50 = "+5%"\nms_per_token_p50 = "+50%"\naccuracy = "-3pp"\n', "p"
    )
    machine[:] = [noisy(3)]
    judged = judge_alternation(policy, timed(model("a", 100), model("b", 120)))

    assert {"ttft_ms_p50": "regressed", "ms_per_token_p50": "pass"} == {
        name: metric.verdict for name, metric in judged.items()
    }


def test_a_case_that_one_cannot_answer_is_left_out_with_the_reason(project: Path):
    found = timed(model("a", 100), model("b", 100, refused=["c1", "c5"]))

    assert {"c1": "new: too long", "c5": "new: too long"} == found.left_out
    assert 22 == len(found.cases) == found.paired("latency_ms_p50").pairs


def test_where_no_case_can_be_timed_that_is_an_error(project: Path):
    every = [f"c{n}" for n in range(24)]

    with pytest.raises(BackendError, match="no case could be timed: c0: new: too long"):
        timed(model("a", 100), model("b", 100, refused=every))


def test_a_replay_has_no_times(project: Path):
    Path("r.jsonl").write_text(
        "".join(json.dumps({"case": f"c{n}", "output": "x"}) + "\n" for n in range(24))
    )

    with pytest.raises(UsageError, match="time"):
        timed(model("a", 100), "replay:r.jsonl", options=RunOptions(dialect="hermes"))


def test_the_style_of_the_tools_names_is_recorded(project: Path):
    style = "dots-to-underscores"
    found = timed(model("a", 100), model("b", 100), options=RunOptions(tool_names=style, order=3))

    assert style == found.backend["tool_names"]
    assert "order" not in found.backend, "the cases are always asked in the suite's order"


def test_stored_times_come_back_as_they_were(project: Path):
    machine[:] = [noisy(2)]
    found = timed(model("a", 100), model("b", 110, refused=["c3"]))
    Path("times.json").write_text(spell_benchmark(found))

    assert found == read_benchmark(Path("times.json"))


def test_pytest_benchmark_reads_the_stored_times(project: Path):
    Path("times.json").write_text(spell_benchmark(timed(model("a", 100), model("b", 200))))
    command = [sys.executable, "-m", "pytest_benchmark", "compare", "times.json", "--csv=t.csv"]
    subprocess.run(command, capture_output=True, check=True)

    [table] = Path().glob("t*.csv")
    with table.open(newline="") as stream:
        rows = list(csv.DictReader(stream))
    assert {"latency[old]": 0.1, "latency[new]": 0.2} == {
        row["name"].rpartition("::")[2]: round(float(row["median"]), 6) for row in rows
    }


@pytest.mark.parametrize(
    "text", ["", "{", "[]", "{}", '{"benchmarks": []}', '{"toolcall_harness": {"format": 2}}']
)
def test_a_file_that_is_something_else_is_named(project: Path, text: str):
    Path("times.json").write_text(text)

    with pytest.raises(StoreError, match=r"^times\.json: "):
        read_benchmark(Path("times.json"))


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (
            lambda answers, _: [each.update(latency_ms=1e308) for each in answers],
            "1e+308 ms is not",
        ),
        (lambda answers, _: answers[0].update(ttft_ms=1e-320), "ms is not a time"),
        (lambda answers, _: answers[0].update(output_tokens=10**400), "not a count of tokens"),
        (lambda answers, _: answers[0].update(output_tokens=-1), "not a count of tokens"),
        (lambda _, own: own["hardware"].update(cores=float("inf")), "Out of range"),
    ],
    ids=["long", "short", "many", "negative", "infinite"],
)
def test_numbers_that_no_clock_gives_are_one_error(
    project: Path, capsys: pytest.CaptureFixture[str], damage: Callable[..., Any], said: str
):
    data = json.loads(spell_benchmark(timed(model("a", 100), model("b", 110))))
    for each in data["benchmarks"]:
        damage(each["extra_info"]["answers"], data["toolcall_harness"])
    Path("times.json").write_text(json.dumps(data))

    assert main(["latency", "--stored", "times.json", "--json", "-"]) == 2

    error = capsys.readouterr().err
    assert error.startswith("harness: times.json: ")
    assert said in error


def test_times_of_other_answers_on_each_side_are_refused(project: Path):
    data = json.loads(spell_benchmark(timed(model("a", 100), model("b", 100))))
    data["benchmarks"][1]["extra_info"]["answers"].pop()
    Path("times.json").write_text(json.dumps(data))

    with pytest.raises(StoreError, match="same cases equally often"):
        read_benchmark(Path("times.json"))


def test_the_command_exits_by_the_verdict_and_says_it(
    project: Path, capsys: pytest.CaptureFixture[str]
):
    a, b = model("a", 100), model("b", 130)

    assert 1 == main(["latency", "say", a, b, "--quiet", "--benchmark-json", "times.json"])
    said = capsys.readouterr().out
    assert "regressed (exit 1)" in said
    assert "1.300" in said
    assert re.fullmatch(r"regressed after \d+\.\d s, exit 1", said.splitlines()[-1])
    assert 0 == main(["latency", "say", b, a, "--quiet", "--json", "-"])
    printed, aside = capsys.readouterr()
    assert re.fullmatch(r"pass after \d+\.\d s, exit 0\n", aside)
    told = json.loads(printed)
    assert ("pass", 0, 24) == (told["verdict"], told["exit"], told["cases"])
    assert "pass" == told["metrics"]["latency_ms_p50"]["verdict"]


def test_stored_times_are_judged_again_by_another_policy(
    project: Path, capsys: pytest.CaptureFixture[str]
):
    spoken = spell_benchmark(timed(model("a", 100), model("b", 130)))
    Path("times.json").write_text(spoken)
    Path("wide.toml").write_text('[limits]\nlatency_ms_p50 = "+50%"\n')
    Path("none.toml").write_text('[limits]\naccuracy = "-3pp"\n')

    assert 0 == main(["latency", "--stored", "times.json", "--policy", "wide.toml"])
    assert 1 == main(["latency", "--stored", "times.json"])
    assert 0 == main(["latency", "--stored", "times.json", "--policy", "none.toml"])
    assert "the policy limits no time" in capsys.readouterr().out


@pytest.mark.parametrize(
    "arguments", [[], ["say"], ["say", "clocked:a.json"], ["say", "x", "y", "--stored", "f.json"]]
)
def test_half_a_command_is_told_what_is_missing(
    project: Path, capsys: pytest.CaptureFixture[str], arguments: list[str]
):
    assert 2 == main(["latency", *arguments])
    assert "SUITE A B" in capsys.readouterr().err


def test_answers_of_other_length_are_shown(project: Path, capsys: pytest.CaptureFixture[str]):
    main(["latency", "say", model("a", 100, tokens=12), model("b", 100, tokens=38), "--quiet"])

    [row] = [row for row in capsys.readouterr().out.splitlines() if row.startswith("output tokens")]
    assert ["12", "38"] == row.split()[2:4]


def test_a_time_that_was_not_taken_every_time_does_not_count(project: Path):
    found = timed(model("a", 100), model("b", 100))
    [first, *rest] = found.cases
    half = replace(first, new=(replace(first.new[0], ttft_ms=None), first.new[1]))
    found = replace(found, cases=(half, *rest))

    assert (24, 23) == (found.paired("latency_ms_p50").pairs, found.paired("ttft_ms_p50").pairs)


def test_a_limited_time_that_only_one_side_has_is_not_a_pass(project: Path):
    policy = read_policy('[limits]\nttft_ms_p50 = "+5%"\n', "p")
    found = timed(model("a", 100), model("b", 100))
    cases = [
        replace(case, new=tuple(replace(answer, ttft_ms=None) for answer in case.new))
        for case in found.cases
    ]
    [lost] = judge_alternation(policy, replace(found, cases=tuple(cases))).values()
    [some] = judge_alternation(
        policy, replace(found, cases=(*cases[:8], *found.cases[8:]))
    ).values()

    assert ("inconclusive", False) == (lost.verdict, lost.advisory)
    assert "8 cases without this time" in some.reason


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("benchmarks", 0, "extra_info", "checkpoint"), {}),
        (("benchmarks", 0, "extra_info", "answers", 0, "latency_ms"), float("nan")),
        (("benchmarks", 0, "extra_info", "answers", 0, "latency_ms"), -1),
        (("benchmarks", 1, "extra_info", "answers", 0, "output_tokens"), float("inf")),
        (("toolcall_harness", "left_out"), None),
        (("toolcall_harness", "left_out"), ["c9"]),
    ],
)
def test_a_damaged_file_is_an_error_and_no_verdict(
    project: Path, capsys: pytest.CaptureFixture[str], path: tuple[Any, ...], value: Any
):
    data = json.loads(spell_benchmark(timed(model("a", 100), model("b", 100))))
    place = data
    for step in path[:-1]:
        place = place[step]
    place[path[-1]] = value
    Path("times.json").write_text(json.dumps(data))

    assert 2 == main(["latency", "--stored", "times.json"])
    said = capsys.readouterr().err
    assert said.startswith("harness: times.json: no times")
    assert "bug" not in said


def test_what_was_measured_is_shown_where_it_cannot_be_written(
    project: Path, capsys: pytest.CaptureFixture[str]
):
    a = model("a", 100)

    assert 2 == main(["latency", "say", a, a, "--quiet", "--benchmark-json", str(project)])
    assert "pass (exit 0)" in capsys.readouterr().out


# Servers


@pytest.fixture
def servers(project: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[list[FaultServer]]:
    monkeypatch.setattr(client, "FIRST_WAIT", 0.01)
    with fault_server() as one, fault_server() as other:
        yield [one, other]


def url(server: FaultServer) -> str:
    return f"openai:cand@{server.url}"


def slowly(seconds: float) -> Callable[[Asked], bool]:
    """
    Take *seconds* before the first token and as many after it.
    """

    def fault(request: Asked) -> bool:
        if not request.asks:
            return False
        time.sleep(seconds)
        return False

    return fault


def test_two_servers_are_compared_by_what_they_say_of_themselves(servers: list[FaultServer]):
    one, other = servers
    other.pages["/version"] = {"version": "0.33.0"}
    found = timed(url(one), url(other), options=RunOptions(limit=6))
    refused = judge_times(found, default_policy())
    allowed = judge_times(found, default_policy(), allow=["backend.server.version"])

    assert ("not_comparable", ExitCode.UNDECIDED) == (refused.verdict, refused.exit)
    assert "backend.server.version was 0.32.0 and is 0.33.0; " in (
        refused.metrics["latency_ms_p50"].reason
    )
    assert "not_comparable" != allowed.verdict
    with pytest.raises(UsageError, match="unknown field 'version2'"):
        judge_times(found, default_policy(), allow=["version2"])


def test_a_server_that_changes_while_it_is_timed_is_not_comparable(servers: list[FaultServer]):
    one, other = servers

    def updated(request: Asked) -> bool:
        if request.asks:
            other.pages["/version"] = {"version": "0.33.0"}
        return False

    other.faults.append(updated)
    judged = judge_times(timed(url(one), url(other)), default_policy())

    assert "not_comparable" == judged.verdict
    assert "version was 0.32.0 and is 0.33.0" in judged.metrics["latency_ms_p50"].reason


def test_a_slower_server_regresses(servers: list[FaultServer]):
    one, other = servers
    one.faults.append(slowly(0.01))
    other.faults.append(slowly(0.15))
    policy = read_policy('[limits]\nttft_ms_p50 = "+10%"\nlatency_ms_p50 = "+10%"\n', "p")
    options = RunOptions(limit=8)

    assert {"regressed"} == {
        each.verdict
        for each in judge_times(
            timed(url(one), url(other), options=options), policy
        ).metrics.values()
    }
    assert "pass" == judge_times(timed(url(other), url(one), options=options), policy).verdict


def test_a_server_and_a_checkpoint_that_runs_here_are_advisory(
    servers: list[FaultServer], capsys: Any
):
    local = model("here", 500)
    served = ["--api-key-env", "SERVED_KEY", "--dtype", "float32"]
    with pytest.MonkeyPatch.context() as patched:
        patched.setenv("SERVED_KEY", "sk-canary-0123456789")
        code = main(["latency", "say", url(servers[0]), local, "--limit", "8", *served])

    shown = capsys.readouterr().out
    assert ExitCode.PASS == code
    assert "(regressed)" in shown
    assert "- advisory: one is behind a server and the other runs here" in shown
    assert servers[0].answered


def test_load_is_measured_apart(servers: list[FaultServer], capsys: Any):
    now, most = [0], [0]
    lock = threading.Lock()

    def counted(request: Asked) -> bool:
        if not request.asks:
            return False
        with lock:
            now[0] += 1
            most[0] = max(most[0], now[0])
        time.sleep(0.02)
        with lock:
            now[0] -= 1
        return False

    for server in servers:
        server.faults.append(counted)
    alone = timed(url(servers[0]), url(servers[1]), options=RunOptions(limit=6))
    assert 1 == most[0]
    loaded = timed(url(servers[0]), url(servers[1]), options=RunOptions(limit=6), load=4)

    assert 4 == most[0]
    assert alone.backend == loaded.backend
    assert 1 == loaded.backend["batch"]
    assert loaded.load is not None
    assert (4, 6) == (loaded.load.concurrency, len(loaded.load.cases))
    for side in (loaded.load.old, loaded.load.new):
        # Four times four requests at least, in whole rounds of six cases, twice.
        assert 36 == len(side.answers)
        assert 36 / side.seconds == side.answers_per_s
        assert side.tokens_per_s is not None
        assert math.isclose(3 * side.answers_per_s, side.tokens_per_s)
    judged = judge_times(loaded, default_policy())
    assert judged.under_load["latency_ms_p50"].advisory
    Path("times.json").write_text(spell_benchmark(loaded))
    assert loaded == read_benchmark(Path("times.json"))
    main(["latency", "--stored", "times.json"])
    shown = capsys.readouterr().out
    assert "under load: 4 requests in flight, in alternation" in shown
    assert "answers a second" in shown
    told = judged.to_json()["load"]
    assert {"answers_per_s", "output_tokens_per_s", "ttft_ms_p95"} <= told["new"].keys()


def test_answers_that_fail_under_load_are_counted(servers: list[FaultServer]):
    def busy(request: Asked) -> bool:
        if request.asks and request.question == "Say 3.":
            request.send({"error": "no"}, 400)
            return True
        return False

    servers[1].faults.append(busy)
    found = timed(url(servers[0]), url(servers[1]), options=RunOptions(limit=6), load=2)

    assert found.load is not None
    assert (0, 4) == (found.load.old.failed, found.load.new.failed)
    assert ["c0", "c1", "c2", "c4", "c5"] == [case.id for case in found.load.cases]


def test_only_servers_can_be_loaded(servers: list[FaultServer]):
    with pytest.raises(UsageError, match="--load N is for two models behind URLs"):
        timed(url(servers[0]), model("here", 5), load=4)
