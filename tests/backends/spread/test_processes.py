"""
One run by several processes: the single run, whatever becomes of them.
"""

import json
import multiprocessing
import os
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from harness.backends.base import Backend, BackendOptions, Generation, Request, Spread
from harness.backends.spread.opened import in_chunks
from harness.backends.spread.processes import ProcessesBackend
from harness.backends.spread.worker import Asked, Said, serve
from harness.cli.main import main
from harness.errors import BackendError, UsageError
from harness.messages import Message
from harness.runs.store import load_run
from harness.testing import BackendContract
from harness.transcript import Key
from tests import agents, spread
from tests.builders import TOOLS
from tests.spread import run, timeless


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    spread.write(tmp_path, 60)
    return tmp_path


def expected(whole: Path, checkpoint: str) -> dict[str, bytes]:
    files = timeless(whole)
    files["run.json"] = files["run.json"].replace(b"spread:answer", f"spread:{checkpoint}".encode())
    return files


class TestProcesses(BackendContract):
    timed = False

    @pytest.fixture
    def reference(self) -> str:
        return "python:tests.spread:sound"

    @pytest.fixture
    def backend(self, reference: str) -> Iterator[Backend]:
        opened = ProcessesBackend.open(reference, BackendOptions(), workers=2)
        yield opened
        opened.close()


def test_two_processes_make_the_single_run_but_for_times(project: Path):
    whole = run("whole", "--repeats", "2")

    spread_out = run("spread", "--repeats", "2", "--workers", "2", checkpoint="together")

    assert expected(whole, "together") == timeless(spread_out)
    shares = Counter(Path("processes").read_text().split())
    assert 2 == len(shares)
    assert str(os.getpid()) not in shares


def test_an_executed_run_is_the_same_by_two_processes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.chdir(tmp_path)
    agents.write_suite(tmp_path)
    command = ["run", "kb", "--checkpoint", "python:tests.agents:right", "--quiet", "--out"]
    assert 0 == main([*command, "whole"])
    assert 0 == main([*command, "spread", "--workers", "2"])

    assert timeless(Path("whole")) == timeless(Path("spread"))


def test_a_model_answers_the_same_in_two_processes_and_its_tools_are_checked(
    project: Path, tiny_model: Path, capsys: pytest.CaptureFixture[str]
):
    command = ["run", "ask", "--checkpoint", str(tiny_model), "--max-new-tokens", "8"]
    command += ["--limit", "9", "--device", "cpu", "--out"]
    assert 0 == main([*command, "whole"])
    assert 0 == main([*command, "spread", "--workers", "2"])

    whole, spread_out = load_run(Path("whole")), load_run(Path("spread"))
    assert list(whole.transcripts()) == list(spread_out.transcripts())
    assert whole.record.checkpoint == spread_out.record.checkpoint
    assert whole.record.backend == spread_out.record.backend
    cores = whole.record.environment.hardware["cores"]
    assert max(1, cores // 2) >= spread_out.record.environment.hardware["threads"]


def test_what_a_process_that_died_had_not_answered_is_asked_again(
    project: Path, capsys: pytest.CaptureFixture[str]
):
    whole = run("whole")
    command = ["run", "ask", "--checkpoint", "python:tests.spread:dies_once", "--out", "spread"]

    assert 0 == main([*command, "--workers", "2"])

    assert expected(whole, "dies_once") == timeless(Path("spread"))
    assert 3 == len(list(project.glob("died-*")))
    said = capsys.readouterr().err
    assert 3 == said.count("a process was killed by SIGKILL")
    assert "asked again" in said


def test_what_always_takes_its_process_down_is_an_error_after_three_tries(
    project: Path, capsys: pytest.CaptureFixture[str]
):
    whole = run("whole")
    command = ["run", "ask", "--checkpoint", "python:tests.spread:dies_always", "--out", "spread"]

    assert 0 == main([*command, "--workers", "2"])

    answers = load_run(Path("spread")).answers()
    broken = {key for key, each in answers.items() if "3 times" in (each.error or "")}
    assert {Key("c009")} == broken
    rest = {key: each for key, each in answers.items() if key not in broken}
    before = load_run(whole).answers()
    assert rest == {key: before[key] for key in rest}
    assert "ended by itself (exit code 3), 3 times" in capsys.readouterr().err


def test_ctrl_c_leaves_a_run_that_is_resumed_and_no_process(
    project: Path, request: pytest.FixtureRequest
):
    whole = run("whole")
    command = ["run", "ask", "--checkpoint", "python:tests.spread:pauses", "--out", "spread"]
    command += ["--workers", "2"]
    begun = subprocess.Popen(
        [sys.executable, "-m", "harness", *command],
        env=os.environ | {"PYTHONPATH": str(Path(__file__).parents[3])},
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        # A shell in the background ignores it, and so does what it starts.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    request.addfinalizer(begun.kill)
    stored = Path("spread", "transcripts.jsonl")
    until = time.monotonic() + 120
    while not (stored.is_file() and stored.read_bytes().count(b"\n") >= 20):
        assert begun.poll() is None, begun.communicate()
        assert time.monotonic() < until
        time.sleep(0.05)
    # As a terminal does: to every process of the command.
    os.killpg(begun.pid, signal.SIGINT)
    said = begun.communicate(timeout=60)[1]

    assert 130 == begun.returncode
    assert "Traceback" not in said
    assert "--resume continues it" in said
    for process in set(Path("processes").read_text().split()):
        with pytest.raises(ProcessLookupError):
            os.kill(int(process), 0)
    # Errors are asked again.
    kept = sum(b'"error"' not in line for line in stored.read_bytes().splitlines())
    assert 10 <= kept < len(load_run(whole).answers())
    asked = len(Path("processes").read_text().split())
    Path("go").touch()
    assert 0 == main([*command, "--resume", "--quiet"])
    assert expected(whole, "pauses") == timeless(Path("spread"))
    more = len(Path("processes").read_text().split()) - asked
    assert more == len(load_run(Path("spread")).answers()) - kept


def test_a_process_that_is_not_the_same_checkpoint_is_found_out(
    project: Path, capsys: pytest.CaptureFixture[str]
):
    (project / "moody.py").write_text(
        "from pathlib import Path\n"
        "from tests.spread import together\n"
        "def answer(*asked):\n"
        "    return together(*asked)\n"
        "try:\n"
        "    Path('first').touch(exist_ok=False)\n"
        "    answer.dialect = 'hermes'\n"
        "except FileExistsError:\n"
        "    answer.dialect = 'native'\n"
    )
    command = ["run", "ask", "--checkpoint", "python:moody:answer", "--out", "spread"]

    assert 2 == main([*command, "--repeats", "20", "--workers", "2"])
    assert "is not the same everywhere: dialect is" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ("import os; os._exit(7)", "ended by itself (exit code 7), 3 times in a row"),
        ("import nowhere_to_be_found", "module toy cannot be imported"),
        ("def other(): pass", "has no function answer"),
    ],
    ids=["dies", "import", "function"],
)
def test_a_checkpoint_that_cannot_be_opened_is_one_error(
    project: Path, capsys: pytest.CaptureFixture[str], source: str, said: str
):
    (project / "toy.py").write_text(source)
    command = ["run", "ask", "--checkpoint", "python:toy:answer", "--out", "spread"]

    assert 2 == main([*command, "--workers", "2"])
    assert said in capsys.readouterr().err
    assert not Path("spread").exists()


@pytest.mark.parametrize(
    ("more", "said"),
    [
        (["--workers", "2", "--latency"], "timed by one process alone"),
        (["--devices", "cpu,cpu", "--device", "cpu"], "say two things"),
        (["--devices", "cuda:99"], "there is no cuda:99"),
        (["--devices", "cpu,"], "not a list"),
    ],
)
def test_what_several_processes_cannot_do_is_refused(
    project: Path, capsys: pytest.CaptureFixture[str], more: list[str], said: str
):
    command = ["run", "ask", "--checkpoint", "python:tests.spread:answer", "--out", "spread"]

    assert 2 == main([*command, *more])
    assert said in capsys.readouterr().err
    assert not Path("spread").exists()


def test_a_server_is_asked_by_one_process():
    with pytest.raises(UsageError, match="raise --concurrency"):
        ProcessesBackend.open("openai:m@http://localhost:1/v1", BackendOptions(), workers=2)


def test_each_process_sees_a_gpu_of_its_own(monkeypatch: pytest.MonkeyPatch):
    seen = []

    class Process:
        def __init__(self, *, args: tuple[object, ...], kwargs: dict[str, object], **_: object):
            seen.append((args[2].device, kwargs["visible"]))  # type: ignore[attr-defined]

        def start(self) -> None:
            raise BackendError("enough")

    context = multiprocessing.get_context("spawn")
    monkeypatch.setattr(context, "Process", Process, raising=False)
    monkeypatch.setattr(multiprocessing, "get_context", lambda _: context)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "4,5,GPU-6")
    for number in range(4):
        for settings in ({}, {"devices": ["cuda:2", "cpu"]}):
            backend = ProcessesBackend(
                "m", BackendOptions(), workers=4, **{"devices": (), **settings}
            )
            with pytest.raises(BackendError):
                backend._begin(number)
    backend = ProcessesBackend("m", BackendOptions(tensor_parallel=2), workers=1, devices=())
    with pytest.raises(BackendError):
        backend._begin(0)

    alone = [(None, "4"), (None, "5"), (None, "GPU-6"), (None, "4")]
    chosen = [("cuda", "GPU-6"), ("cpu", None)] * 2
    pairs = [each for pair in zip(alone, chosen, strict=True) for each in pair]
    assert [*pairs, (None, "4,5")] == seen


def test_a_worker_answers_over_its_connection_until_it_is_closed():
    here, there = multiprocessing.Pipe()
    options = BackendOptions()
    thread = threading.Thread(
        target=serve,
        args=(there, "python:tests.spread:answer", options),
        kwargs={"among": 1, "visible": None},
    )
    thread.start()
    opened = here.recv()
    assert isinstance(opened, Said)
    assert opened.opened is not None
    assert "native" == opened.opened.checkpoint.dialect
    asked = tuple(
        Request(key=Key(name), messages=(Message(role="user", content="u"),), tools=())
        for name in "ab"
    )
    here.send(Asked(requests=asked, generation=Generation()))
    groups = [here.recv() for _ in range(3)]
    here.close()
    thread.join(30)

    assert [["a"], ["b"], []] == [[each.key.case for each in g.answers or ()] for g in groups]
    assert groups[-1].done
    assert not thread.is_alive()


def test_chunks_keep_the_same_tools_together_and_none_is_long():
    lists = (TOOLS[:1], TOOLS[:2])
    asked = [
        Request(
            key=Key(f"c{number}"),
            messages=(Message(role="user", content="u"),),
            tools=lists[number % 2],
        )
        for number in range(300)
    ]

    few, many = in_chunks(asked, 2), in_chunks(asked[:3], 8)

    assert [38] * 7 + [34] == [len(chunk) for chunk in few]
    assert 1 == sum(len({len(each.tools) for each in chunk}) == 2 for chunk in few)
    assert [1, 1, 1] == [len(chunk) for chunk in many]


def test_nothing_is_left_of_a_run_whose_reader_stops(project: Path):
    backend = ProcessesBackend.open("python:tests.spread:slowly", BackendOptions(), workers=2)
    asked = [
        Request(key=Key(f"c{n}"), messages=(Message(role="user", content=f"{n}"),), tools=())
        for n in range(40)
    ]
    answering = backend.answer(asked, Generation())
    first = next(iter(answering))[0].key
    answering.close()

    again = [each.key for group in backend.answer(asked, Generation()) for each in group]
    backend.close()

    assert isinstance(backend, Spread)
    assert first in again
    assert sorted(again) == sorted(each.key for each in asked)
    assert json.dumps(dict(backend.hardware()))
