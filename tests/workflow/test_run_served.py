"""
Served checkpoints through every step that asks one: run, resume, score, gate, aa, latency, pytest.
"""

import json
import random
import re
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from harness.backends.served import client
from harness.cli.main import main
from harness.errors import StoreError
from harness.runs.store import StoredRun, load_run
from harness.workflow import run as workflow
from harness.workflow.aa import run_self_test
from harness.workflow.gate import gate
from harness.workflow.options import Progress, RunOptions
from harness.workflow.score import score

from .. import agents
from ..backends.fault_server import Asked, FaultServer, fault_server
from ..builders import question, write_suite
from ..served import answering, killed_and_resumed, often_down

COUNT = 120
CANARY = "sk-canary-93b1c7"


@pytest.fixture
def server() -> Iterator[FaultServer]:
    with fault_server() as running:
        running.model = answering()
        yield running


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(client, "FIRST_WAIT", 0.01)
    write_suite(tmp_path, [question(f"c{number}") for number in range(COUNT)])
    monkeypatch.chdir(tmp_path)
    return tmp_path


def run(server: FaultServer, name: str, **options: Any) -> StoredRun:
    return workflow.run(
        "ask", f"openai:cand@{server.url}", out=Path("runs") / name, options=RunOptions(**options)
    )


def test_a_run_is_judged_and_says_who_answered(project: Path, server: FaultServer):
    server.model = answering("c3")
    record = run(server, "a").record

    assert ["c3"] == [case.id for case in record.cases if case.status != "correct"]
    assert {
        "name": "openai",
        "dtype": None,
        "device": None,
        "batch": 8,
        "attention": None,
        "server": {
            "kind": "vllm",
            "version": "0.32.0",
            "model": "cand",
            "max_length": 4096,
            "fingerprints": ["fp-1"],
            "refused": [],
        },
    } == record.backend.to_json()
    assert record == load_run(Path("runs/a")).record


def test_the_order_of_completion_changes_no_byte(project: Path, server: FaultServer):
    def shuffled(request: Asked) -> bool:
        if request.asks:
            time.sleep(random.Random(request.question).random() * 0.02)
        return False

    plain = run(server, "a", concurrency=8)
    server.faults.append(shuffled)
    other = run(server, "b", concurrency=8)

    assert plain.record.digests == other.record.digests
    assert plain.record.cases == other.record.cases
    lines = (project / "runs/a/transcripts.jsonl").read_text().splitlines()
    assert [f"c{number}" for number in range(COUNT)] == [json.loads(line)["case"] for line in lines]


def test_an_error_of_one_answer_is_that_of_its_case(project: Path, server: FaultServer):
    def broken(request: Asked) -> bool:
        if request.asks and "c7." in request.question:
            request.raw(b"<html>")
            return True
        return False

    server.faults.append(broken)
    record = run(server, "a").record

    assert ["c7"] == [case.id for case in record.cases if case.status == "error"]


def test_a_stored_run_is_judged_again_without_its_server(project: Path, server: FaultServer):
    stored = run(server, "a")
    server.faults.append(lambda request: request.send({}, 500) or True)

    again = score(Path("runs/a"), out=Path("runs/again"))

    assert stored.record.cases == again.record.cases


def test_a_server_that_changed_during_the_run_is_comparable_with_nothing(
    project: Path, server: FaultServer
):
    def updated(request: Asked) -> bool:
        if request.asks and "c50." in request.question:
            server.pages["/version"] = {"version": "0.33.0"}
        return False

    old = run(server, "old")
    server.faults.append(updated)
    said: list[str] = []
    new = workflow.run(
        "ask",
        f"openai:cand@{server.url}",
        out=Path("runs/new"),
        progress=Progress(notify=said.append),
    )

    changed = ["version was 0.32.0 and is 0.33.0"]
    assert changed == new.record.backend.extra["server"]["changed"]
    assert "the server changed during the run" in said[-1]
    assert "not_comparable" == gate(Path("runs/old"), new).verdict.verdict
    # Nor with a run in which the same happened.
    assert "not_comparable" == gate(Path("runs/new"), new).verdict.verdict
    assert old.record.backend != new.record.backend


def test_another_version_is_not_comparable_and_another_model_is_what_is_compared(
    project: Path, server: FaultServer
):
    run(server, "old")
    server.pages["/v1/models"]["data"][0]["id"] = "next"
    reference = f"openai:next@{server.url}"
    same = workflow.run("ask", reference, out=Path("runs/same"))
    server.pages["/version"] = {"version": "0.33.0"}
    newer = workflow.run("ask", reference, out=Path("runs/newer"))

    assert "pass" == gate(Path("runs/old"), same).verdict.verdict
    assert "not_comparable" == gate(Path("runs/old"), newer).verdict.verdict
    allowed = gate(Path("runs/old"), newer, allow=["backend.server.version"])
    assert "pass" == allowed.verdict.verdict


WRONG = [f"c{number}" for number in range(10)]


def two_servers(server: FaultServer, other: FaultServer) -> StoredRun:
    """
    Make *server*'s run the baseline, and return one of *other*, which has ten cases wrong.
    """
    run(server, "old")
    assert main(["baseline", "save", "runs/old", "--name", "shipped"]) == 0
    other.model = answering(*WRONG)
    return run(other, "new")


def names_weights(server: FaultServer, digest: str) -> None:
    server.pages = {
        "/v1/models": {"data": [{"id": "cand", "owned_by": "library"}]},
        "/api/version": {"version": "0.9"},
        "/api/tags": {"models": [{"name": "cand", "digest": digest}]},
    }


def test_what_would_block_is_asked_again_one_at_a_time(project: Path, server: FaultServer):
    with fault_server() as other:
        names_weights(server, "sha256:1")
        names_weights(other, "sha256:2")
        new = two_servers(server, other)
        other.model = answering(*WRONG[:9])
        found = gate("shipped", new, recheck=True)

    assert "regressed" == found.verdict.verdict
    assert set(WRONG[:9]) == set(found.verdict.broken)
    assert "1 of 10 were not confirmed" in found.verdict.notes[0]


def test_a_server_with_other_weights_by_now_is_not_asked_again(project: Path, server: FaultServer):
    with fault_server() as other:
        names_weights(server, "sha256:1")
        names_weights(other, "sha256:2")
        new = two_servers(server, other)
        names_weights(server, "sha256:3")
        server.model = answering(*WRONG)
        found = gate("shipped", new, recheck=True)

    assert "regressed" == found.verdict.verdict
    assert "is another checkpoint now: its weights differ" in found.verdict.notes[0]


def test_a_server_that_names_no_weights_is_not_asked_again_at_any_url(
    project: Path, server: FaultServer
):
    with fault_server() as other:
        new = two_servers(server, other)
        # The update was rolled out there too: both would answer alike now.
        server.model = answering(*WRONG)
        requests = len(server.seen) + len(other.seen)
        found = gate("shipped", new, recheck=True)

        assert requests == len(server.seen) + len(other.seen)
    assert "regressed" == found.verdict.verdict
    assert "has no digest of weights to tell whether the run was" in found.verdict.notes[0]


def test_one_server_is_not_asked_again_for_two_runs(project: Path, server: FaultServer):
    run(server, "old")
    assert main(["baseline", "save", "runs/old", "--name", "shipped"]) == 0
    server.model = answering(*WRONG)
    found = gate("shipped", run(server, "new"), recheck=True)

    assert "regressed" == found.verdict.verdict
    assert "has no digest of weights to tell whether the run was" in found.verdict.notes[0]


def test_an_answer_cut_off_in_its_thinking_is_truncated(project: Path, server: FaultServer):
    def thinks(request: Asked) -> bool:
        if not request.asks or "c3." not in request.question:
            return False
        message = {"role": "assistant", "content": None, "reasoning": "Let me see"}
        request.choose({"message": message, "finish_reason": "length"})
        return True

    server.faults.append(thinks)
    record = run(server, "a").record

    assert {"c3": "truncated"} == {
        case.id: case.status for case in record.cases if case.status != "correct"
    }


def test_noise_of_a_server_is_kept_and_said_where_cases_flip(project: Path, server: FaultServer):
    drawn = iter(range(10**6))

    def drifts(request: Asked) -> bool:
        # What the preflight asks to see whether answers are stable.
        if request.body is not None and request.body.get("max_tokens") == 24:
            request.chat(content=f"answer {next(drawn)}")
            return True
        return False

    run(server, "old")
    server.faults.append(drifts)
    same = run(server, "same")
    server.model = answering("c3")
    flipped = run(server, "flipped")

    assert {"asked": 10, "differing": 9} == flipped.record.environment.extra["noise"]
    said = "the candidate's server answered one prompt otherwise 9 of 10 times, so flips may be"
    assert any(note.startswith(said) for note in gate(Path("runs/old"), flipped).verdict.notes)
    assert not any("otherwise" in note for note in gate(Path("runs/old"), same).verdict.notes)


def test_a_self_test_asks_in_other_numbers(project: Path, server: FaultServer):
    numbers = iter(range(10**6))
    plain = server.model

    def with_ids(body: Mapping[str, Any]) -> dict[str, Any]:
        message = plain(body)
        # As vLLM does, which makes an id for each call.
        message["tool_calls"][0]["id"] = f"call-{next(numbers)}"
        return message

    server.model = with_ids
    found = run_self_test("ask", f"openai:cand@{server.url}", out=project / "aa")

    assert {0} == {noise.text.differing for noise in found.noises}


def test_raw_completions_run_resume_and_are_asked_again(
    project: Path, server: FaultServer, tiny_model: Path
):
    options = RunOptions(tokenizer=str(tiny_model))
    reference = f"completions:cand@{server.url}"
    stored = workflow.run("ask", reference, out=Path("runs/raw"), options=options)

    assert "hermes" == stored.record.checkpoint.dialect
    assert str(tiny_model) == stored.record.checkpoint.extra["tokenizer_of"]
    assert {"incorrect"} == {case.status for case in stored.record.cases}
    again = score(Path("runs/raw"), out=Path("runs/again"))
    assert stored.record.cases == again.record.cases
    resumed = RunOptions(tokenizer=str(tiny_model), resume=True)
    same = workflow.run("ask", reference, out=Path("runs/raw"), options=resumed)
    assert stored.record == same.record


def test_latency_of_two_servers(project: Path, server: FaultServer, capsys: Any):
    with fault_server() as other:
        a, b = (f"openai:cand@{each.url}" for each in (server, other))
        assert main(["latency", "ask", a, b, "--limit", "4", "--json", "-"]) in (0, 3)

    # Two files' worth of four cases, each asked of both, in both orders.
    assert "inconclusive" == json.loads(capsys.readouterr().out)["verdict"]
    assert 4 == sum(body.get("stream", False) for body in server.answered) // 2


def test_a_run_has_times_when_asked_for(project: Path, server: FaultServer):
    record = run(server, "a", latency=True).record

    assert 24 == record.metrics["latency_ms_p50"].eligible
    assert 24 == record.metrics["ttft_ms_p50"].eligible


def test_a_key_is_in_no_file_and_no_output(
    project: Path,
    server: FaultServer,
    tiny_model: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: Any,
):
    def repeats(request: Asked) -> bool:
        if not request.asks:
            return False
        number = int("".join(re.findall(r"c(\d+)\.", request.question)) or 0)
        said = request.headers["Authorization"]
        if "prompt" in request.body:
            request.choose(
                {"text": f"{said} {number}", "finish_reason": "stop"},
                read=len(request.body["prompt"]),
                system_fingerprint=f"{said} {number}",
            )
            return True
        acts: list[Callable[[], Any]] = [
            lambda: request.send({"error": said}, 400),
            lambda: request.chat(content=said),
            lambda: request.raw(said.encode()),
            request.answer,
        ]
        acts[number % 4]()
        return True

    monkeypatch.setenv("SERVED_KEY", CANARY)
    server.faults.append(repeats)
    key = ["--api-key-env", "SERVED_KEY"]
    reference = f"openai:cand@{server.url}"
    asked = ["--checkpoint", reference, *key]

    assert main(["run", "ask", *asked, "--out", "runs/a", "--latency"]) == 0
    assert main(["baseline", "save", "runs/a", "--name", "shipped"]) in (0, 2)
    main(["run", "ask", *asked, "--out", "runs/b"])
    main(
        ["gate", "runs/b", "--baseline", "runs/a", "--html", "gate.html", "--json", "g.json", *key]
    )
    main(["aa", "ask", *asked, "--limit", "4"])
    times = ["--load", "2", "--json", "l.json", "--benchmark-json", "b.json"]
    main(["latency", "ask", reference, reference, "--limit", "4", *times, *key])
    forms = ["--html", "s.html", "--json", "s.json", "--markdown", "s.md", "--junit", "s.xml"]
    stack = [*asked, "--tokenizer", str(tiny_model), "--out", "runs/stack"]
    assert main(["stack", "ask", *stack, *forms, "-v"]) == 0
    main(["doctor", reference, *key])
    main(["explain", "runs/a", "c1"])
    main(["score", "runs/a", "--out", "runs/c"])
    for part in ("1", "2"):
        sharded = ["--shard", f"{part}/2", "--out", f"runs/part-{part}", "--no-preflight"]
        assert main(["run", "ask", *asked, *sharded]) == 0
    assert main(["merge", "runs/part-1", "runs/part-2", "--out", "runs/merged"]) == 0
    main(["compare", "runs/a", "runs/merged", "--logits", "-v", "--html", "c.html"])
    main(["report", "runs/a", "--html", "r.html", "--junit", "r.xml", "-v"])
    with_pytest = ["--harness-checkpoint", reference, "--harness-api-key-env", "SERVED_KEY"]
    said = subprocess.run(
        [
            *(sys.executable, "-m", "pytest", "suites", "-vv", "--showlocals", "--tb=long"),
            *("--junitxml", "pytest.xml", *with_pytest),
        ],
        capture_output=True,
        text=True,
        cwd=project,
        timeout=120,
        check=False,
    )
    assert "failed" in said.stdout
    assert CANARY not in said.stdout + said.stderr
    monkeypatch.setattr("harness.workflow.run.make_record", _breaks)
    assert main(["run", "ask", *asked, "--out", "runs/d"]) == 2

    assert any(CANARY in headers["Authorization"] for *_, headers in server.seen)
    shown = capfd.readouterr()
    assert "RuntimeError: a bug" in shown.err
    assert CANARY not in shown.out + shown.err
    files = [path for path in project.rglob("*") if path.is_file()]
    assert len(files) > 30
    assert [] == [path for path in files if CANARY in path.read_text("utf-8", "replace")]


def test_a_run_is_not_resumed_with_another_model_behind_the_name(
    project: Path, server: FaultServer
):
    name = ["cand-2027-01"]

    def named(request: Asked) -> bool:
        if request.body is None:
            return False
        request.choose(
            {"message": server.model(request.body), "finish_reason": "stop"}, model=name[0]
        )
        return True

    server.faults.append(named)
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr("harness.workflow.run.make_record", _interrupt)
        with pytest.raises(KeyboardInterrupt):
            run(server, "a", preflight=False)
    name[0] = "cand-2027-02"

    with pytest.raises(StoreError, match="checkpoint"):
        run(server, "a", preflight=False, resume=True)


def _interrupt(*_: Any, **__: Any) -> None:
    raise KeyboardInterrupt


def _breaks(*_: Any, **__: Any) -> None:
    raise RuntimeError("a bug")


def test_pytest_runs_a_suite_against_a_server(project: Path, server: FaultServer):
    ran = subprocess.run(
        [
            *(sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "suites"),
            *("--harness-checkpoint", f"openai:cand@{server.url}"),
        ],
        capture_output=True,
        text=True,
        cwd=project,
        timeout=120,
    )

    assert f"{COUNT} passed" in ran.stdout, ran.stdout + ran.stderr


def test_a_run_killed_five_times_is_the_undisturbed_one(project: Path, server: FaultServer):
    names = [f"c{number}" for number in range(200)]
    write_suite(project, map(question, names))
    server.model = answering(*names[::7])
    undisturbed = run(server, "whole").record
    server.faults.append(often_down(0.2, seed=1))

    killed_and_resumed(server, project / "runs/killed", 200, 5, project)

    resumed = load_run(project / "runs/killed").record
    assert undisturbed.cases == resumed.cases
    assert undisturbed.metrics == resumed.metrics
    assert undisturbed.digests == resumed.digests
    assert undisturbed.backend == resumed.backend


def test_an_executed_suite_is_run_step_by_step(project: Path, server: FaultServer):
    agents.write_suite(project)
    server.model = lambda body: agents.right(body["messages"], body["tools"])

    options = RunOptions(preflight=False)

    record = workflow.run(
        "kb", f"openai:cand@{server.url}", out=Path("runs/kb"), options=options
    ).record

    assert ["correct", "correct"] == [case.status for case in record.cases]
    asked = [body["messages"] for body in server.answered]
    assert [1, 1, 3, 3] == [len(messages) for messages in asked]
    _, called, told = asked[-1]
    assert "assistant" == called["role"]
    assert [called["tool_calls"][0]["id"]] == [told["tool_call_id"]]
    assert told["content"].startswith("[")
