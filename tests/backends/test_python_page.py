"""
docs/python-function.md: each of its functions is run as it is printed.
"""

import json
import re
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from harness.cli.main import main
from harness.runs.store import load_run

PAGE = (Path(__file__).parents[2] / "docs" / "python-function.md").read_text("utf-8")
NOTHING, RULES, TEXT, SERVER = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.path", list(sys.path))
    assert 0 == main(["init"])
    yield tmp_path
    sys.modules.pop("mine", None)


def correct(project: Path, function: str, *more: str) -> set[str]:
    """
    Run the first suite with a function of the page, and return the cases it gets right.
    """
    (project / "mine.py").write_text(function)
    command = re.search(r"^harness (run first --checkpoint \S+)$", PAGE, re.MULTILINE)
    assert command is not None
    assert 0 == main([*command[1].split(), "--out", "run", "--quiet", *more])
    cases = load_run(project / "run").record.cases
    assert {"correct", "incorrect"} >= {case.status for case in cases}
    return {case.id for case in cases if case.status == "correct"}


@pytest.mark.parametrize(
    ("function", "wanted"),
    [
        (NOTHING, {"chat-001"}),
        (RULES, {"weather-001", "chat-001"}),
        (TEXT, {"weather-001"}),
    ],
    ids=["nothing", "rules", "text"],
)
def test_a_function_of_the_page_answers_as_it_says(project: Path, function: str, wanted: set[str]):
    assert wanted == correct(project, function)


def test_the_client_of_a_server_sends_messages_and_tools(
    project: Path, monkeypatch: pytest.MonkeyPatch
):
    asked = []

    class Answers(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            asked.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            said = {"choices": [{"message": {"role": "assistant", "content": "Bye."}}]}
            self.send_response(200)
            self.end_headers()
            self.wfile.write(json.dumps(said).encode())

        def log_message(self, *_: object) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Answers) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        monkeypatch.setenv("MY_SERVER", f"http://127.0.0.1:{server.server_port}")
        assert {"chat-001"} == correct(project, SERVER)
        server.shutdown()

    assert "Will I need an umbrella in Lisbon tomorrow?" in {
        body["messages"][-1]["content"] for body in asked
    }
    assert all(["get_weather", "create_reminder"] == [
        tool["function"]["name"] for tool in body["tools"]
    ] for body in asked)  # fmt: skip
