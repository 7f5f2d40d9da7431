"""
Served runs that tests and benchmarks put in trouble: a model's answers, failures at random, kills.
"""

import json
import os
import random
import re
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from .backends.fault_server import Asked, Fault, FaultServer


def answering(*wrong: str) -> Callable[[Mapping[str, Any]], dict[str, Any]]:
    """
    Return a model that answers all questions right but for those about *wrong*.
    """

    def model(body: Mapping[str, Any]) -> dict[str, Any]:
        [name] = re.findall(r"Ask about (\w+)\.", str(body["messages"])) or ["?"]
        tool = "outside" if name in wrong else "inside"
        call = {"name": tool, "arguments": json.dumps({"q": name})}
        return {
            "content": None,
            "tool_calls": [{"id": "call00001", "type": "function", "function": call}],
        }

    return model


def often_down(share: float, seed: int) -> Fault:
    """
    Break *share* of the answers at random, but none four times in a row.
    """
    drawn = random.Random(seed)
    failed: Counter[str] = Counter()

    def fault(request: Asked) -> bool:
        if not request.asks:
            return False
        time.sleep(0.004)
        with request.server.lock:
            fails = drawn.random() < share and failed[request.question] < 4
            failed[request.question] = failed[request.question] + 1 if fails else 0
            kind = drawn.randrange(3)
        if not fails:
            return False
        if kind == 0:
            request.drop()
        else:
            request.send({"error": "busy"}, (429, 503)[kind - 1], Retry_After="0")
        return True

    return fault


def killed_and_resumed(
    server: FaultServer, folder: Path, answers: int, kills: int, project: Path
) -> None:
    """
    Run the suite in a process of its own, kill it *kills* times, and let it end.
    """
    command = [
        *(sys.executable, "-c", "import sys; from harness.cli.main import main; sys.exit(main())"),
        *("run", "ask", "--checkpoint", f"openai:cand@{server.url}"),
        *("--out", str(folder), "--resume", "--quiet"),
    ]
    transcripts = folder / "transcripts.jsonl"
    for number in range(1, kills + 1):
        with subprocess.Popen(command, cwd=project, env=os.environ) as process:
            while process.poll() is None and _lines(transcripts) < number * answers // (kills + 1):
                time.sleep(0.01)
            assert process.poll() is None, "it ended before it could be killed"
            process.kill()
    subprocess.run(command, cwd=project, check=True)


def _lines(path: Path) -> int:
    return path.read_bytes().count(b"\n") if path.is_file() else 0
