"""
A checkpoint is checked before it is asked, and by ``harness doctor``.
"""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from harness.cli.main import main

from ..backends.fault_server import FaultServer, count, fault_server
from ..builders import question, write_suite


@pytest.fixture
def server() -> Iterator[FaultServer]:
    with fault_server() as running:
        yield running


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    write_suite(tmp_path, [question(f"c{number}") for number in range(12)])
    monkeypatch.chdir(tmp_path)
    return tmp_path


def run(server: FaultServer, *more: str) -> int:
    return main(["run", "ask", "--checkpoint", f"openai:cand@{server.url}", "--out", "r", *more])


def drops_tools(server: FaultServer) -> None:
    server.count = lambda body: count({**body, "tools": None})


def test_a_run_on_a_server_that_drops_tools_is_refused(
    project: Path, server: FaultServer, capsys: Any
):
    drops_tools(server)

    assert run(server) == 2
    said = capsys.readouterr().err
    assert "preflight: tool declarations: the server drops them" in said
    assert "--no-preflight" in said
    assert not (project / "r").exists()


def test_it_can_be_run_all_the_same(project: Path, server: FaultServer):
    drops_tools(server)

    assert run(server, "--no-preflight") == 0


def test_a_run_says_what_was_found(project: Path, server: FaultServer, capsys: Any):
    assert run(server) == 0

    assert "preflight: same answer: yes: 5 times alone and 5 among 8 others" in (
        capsys.readouterr().err
    )


def test_doctor_checks_a_server(project: Path, server: FaultServer, capsys: Any):
    reference = f"openai:cand@{server.url}"
    assert main(["doctor", reference, "--json", "-"]) == 0
    rows = {row["what"]: row for row in json.loads(capsys.readouterr().out)}

    assert "native" == rows["dialect"]["finding"]
    assert "kind vllm, version 0.32.0, model cand" in rows["server"]["finding"]
    assert "shown: they take " in rows["tool declarations"]["finding"]

    drops_tools(server)
    assert main(["doctor", reference]) == 2
    assert "--chat-template FILE" in capsys.readouterr().out


def test_doctor_checks_the_template_of_a_local_checkpoint(tiny_model: Path, capsys: Any):
    assert main(["doctor", str(tiny_model), "--json", "-"]) == 0
    rows = json.loads(capsys.readouterr().out)

    assert [
        "dialect",
        "tool declarations",
        "system text",
        "assistant calls",
        "tool results",
    ] == [row["what"] for row in rows]
    assert {"hermes", "shown"} == {row["finding"] for row in rows}


def test_doctor_names_what_a_template_drops(tiny_model: Path, tmp_path: Path, capsys: Any):
    for file in tiny_model.iterdir():
        if "safetensors" not in file.name:
            (tmp_path / file.name).write_bytes(file.read_bytes())
    template = tmp_path / "chat_template.jinja"
    dropped = template.read_text().replace("tools", "no_tools")
    template.write_text(dropped)

    assert main(["doctor", str(tmp_path), "--dialect", "hermes"]) == 2
    assert "drops tool declarations" in capsys.readouterr().out
