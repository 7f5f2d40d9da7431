"""
docs/served.md and its job for GitHub: each server's cures are those that the preflight names, and
the job starts a server, gates what it answers and stops it.
"""

import os
import shlex
import socket
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from harness.backends.served.preflight import context_is_whole, parser_hint, tools_are_read
from harness.cli import gate, run
from harness.cli.main import main, make_parser

from .builders import question, write_suite

ROOT = Path(__file__).parent.parent
GUIDE = (ROOT / "docs" / "served.md").read_text("utf-8")
JOB = YAML(typ="safe").load((ROOT / "docs" / "ci" / "served.yml").read_text("utf-8"))
STEPS = {step.get("name", step.get("run")): step for step in JOB["jobs"]["gate"]["steps"]}
KINDS = {
    "vLLM": "vllm",
    "SGLang": "sglang",
    "llama.cpp": "llama.cpp",
    "Ollama": "ollama",
    "TGI": "tgi",
    "transformers serve": "transformers serve",
}


def section(title: str) -> str:
    """
    Return the part of the guide about one server.
    """
    return GUIDE.partition(f"### {title}\n")[2].partition("\n##")[0]


def cut(request: Mapping[str, Any]) -> dict[str, Any]:
    """
    Answer as a server that reads no more than so much of any prompt.
    """
    return {"usage": {"prompt_tokens": 7}}


@pytest.mark.parametrize("title", KINDS)
def test_the_guide_has_the_cures_that_the_preflight_names(title: str):
    kind, text = KINDS[title], section(title)
    longest = {"messages": [{"role": "user", "content": "x"}]}
    dropped = tools_are_read(cut, {"tools": [{}]}, kind).finding.rpartition("; ")[2]
    short = context_is_whole(cut, longest, kind, None).finding.rpartition("; ")[2]
    general = context_is_whole(cut, longest, "another", None).finding.rpartition("; ")[2]

    assert text.startswith("\n```console\n")
    assert dropped in text
    if short != general:
        assert short in text
    if parser_hint(kind) != parser_hint("another"):
        assert parser_hint(kind) in text


def test_the_commands_of_the_job_are_ours():
    ours = [
        shlex.split(step["run"]) for step in STEPS.values() if "harness " in step.get("run", "")
    ]
    parsed: list[Any] = [
        make_parser().parse_args(each[1:]) for each in ours if each[0] == "harness"
    ]

    assert [run.run, gate.run] == [each.handler for each in parsed]
    assert "openai:candidate@http://127.0.0.1:8000/v1" == parsed[0].checkpoint
    assert Path("gate.toml") == parsed[1].policy


def test_the_server_is_stopped_whatever_happened():
    assert "always()" == STEPS["stop the server"]["if"]
    assert list(STEPS).index("stop the server") > list(STEPS).index("gate it")


SERVER = """
import sys
from tests.backends.fault_server import FaultServer
from tests.served import answering

server = FaultServer(address=("127.0.0.1", int(sys.argv[1])))
server.pages["/v1/models"]["data"][0]["id"] = "candidate"
server.model = answering(*sys.argv[2:])
server.serve_forever()
"""


@pytest.mark.parametrize(("wrong", "code"), [((), 0), ([f"c{n}" for n in range(30)], 1)])
def test_the_job_gates_a_server(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, wrong: list[str], code: int
):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    monkeypatch.chdir(tmp_path)
    write_suite(tmp_path, [question(f"c{n}") for n in range(120)], name="tool-routing")
    (tmp_path / "gate.toml").write_bytes((ROOT / "docs" / "ci" / "gate.toml").read_bytes())
    (tmp_path / "server.py").write_text(SERVER)
    commands = {
        "vllm": f"exec {sys.executable} server.py {port} $WRONG",
        "harness": f'exec {sys.executable} -m harness "$@"',
    }
    (tmp_path / "bin").mkdir()
    for name, command in commands.items():
        (tmp_path / "bin" / name).write_text(f"#!/bin/sh\n{command}\n")
        (tmp_path / "bin" / name).chmod(0o755)
    environment = {
        **os.environ,
        "PATH": f"{tmp_path / 'bin'}{os.pathsep}{os.environ['PATH']}",
        "PYTHONPATH": str(ROOT),
        "GITHUB_STEP_SUMMARY": str(tmp_path / "summary.md"),
        "GITHUB_OUTPUT": str(tmp_path / "output"),
    }

    def step(name: str, *wrong: str) -> int:
        script = STEPS[name]["run"].replace("8000", port)
        return subprocess.run(
            ["bash", "-e", "-c", script],
            env={**environment, "WRONG": " ".join(wrong)},
            timeout=120,
            check=False,
            stdout=subprocess.DEVNULL,
        ).returncode

    def served(*wrong: str) -> None:
        assert 0 == step("start the server", *wrong)
        assert 0 == step("wait for it")
        assert 0 == step("run the candidate")

    served()
    assert 0 == step("stop the server")
    assert 0 == main(["baseline", "save", "reports/candidate", "--name", "shipped"])
    (tmp_path / "reports" / "candidate").rename(tmp_path / "before")
    served(*wrong)
    assert code == step("gate it")
    process = int((tmp_path / "server.pid").read_text())
    assert 0 == step("stop the server")

    for _ in range(200):
        if (
            not Path(f"/proc/{process}/cmdline").exists()
            or not Path(f"/proc/{process}/cmdline").read_bytes()
        ):
            break
        time.sleep(0.05)
    else:
        pytest.fail("the server still runs")
    assert "verdict" in (tmp_path / "output").read_text()
