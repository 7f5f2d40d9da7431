"""
A suite, and a Python function in the place of a model, for runs that are made in parts or by many.
"""

import json
import os
import re
import signal
import time
from collections.abc import Mapping
from hashlib import sha256
from pathlib import Path
from typing import Any

from harness.cli.main import main

from .builders import INSIDE_OUTSIDE, question, write_suite

TIMES = ('"started"', '"finished"', '"digests"')
"""The lines of run.json that hold times, or a digest of the whole."""


def write(root: Path, count: int, **settings: Any) -> None:
    """
    Write a suite of *count* cases of one and two turns, some in groups, with three lists of tools.
    """
    inside, outside = INSIDE_OUTSIDE
    cases = []
    for number in range(count):
        tools = ([inside, outside], [inside], [outside, inside])[number * 7 % 3]
        case = question(f"c{number:03}", prompt=f"Ask about {number}.", tools=tools)
        if number % 5 == 0:
            case["group"] = f"g{number % 4}"
        if number % 11 == 0:
            wanted = {"calls": [{"tool": "inside"}]}
            then = [{"role": "assistant", "content": "So?"}, {"role": "user", "content": "Again."}]
            del case["expect"]
            case["turns"] = [{"expect": wanted, "then": then}, {"expect": {"abstain": True}}]
        cases.append(case)
    write_suite(root, cases, **settings)


def answer(messages: list[dict[str, Any]], tools: list[dict[str, Any]]) -> Mapping[str, Any]:
    """
    Answer by what was asked: mostly with a call, sometimes with two or none, and seldom break.
    """
    kind = sha256(json.dumps([messages, tools]).encode()).digest()[0]
    if kind < 8:
        raise RuntimeError(f"broken by {kind}")
    names = [tools[kind % len(tools)]["function"]["name"]] * (0 if kind < 40 else 1 + (kind > 240))
    asked = messages[-1]["content"].removeprefix("Ask about ").removesuffix(".")
    given = json.dumps({"q": f"c{asked:>03}" if kind % 3 else asked})
    calls = [{"type": "function", "function": {"name": name, "arguments": given}} for name in names]
    return {"role": "assistant", "content": f"{kind}", "tool_calls": calls}


def sound(messages: list[dict[str, Any]], tools: list[dict[str, Any]]) -> Mapping[str, Any]:
    """
    Answer as `answer`, and never break.
    """
    try:
        return answer(messages, tools)
    except RuntimeError as broken:
        return {"role": "assistant", "content": str(broken)}


def interrupted(messages: list[dict[str, Any]], tools: list[dict[str, Any]]) -> Mapping[str, Any]:
    """
    Answer as `answer`, and be interrupted at a case once.
    """
    if messages[-1]["content"] == "Ask about 30." and not Path("interrupted").exists():
        Path("interrupted").touch()
        raise KeyboardInterrupt
    return answer(messages, tools)


def interrupted_never(
    messages: list[dict[str, Any]], tools: list[dict[str, Any]]
) -> Mapping[str, Any]:
    """
    Answer as `answer`.
    """
    return answer(messages, tools)


def slowly(messages: list[dict[str, Any]], tools: list[dict[str, Any]]) -> Mapping[str, Any]:
    """
    Answer as `answer`, at most a hundred times a second, and say which process did.
    """
    time.sleep(0.01)
    with Path("processes").open("a") as stream:
        stream.write(f"{os.getpid()}\n")
    return answer(messages, tools)


def together(messages: list[dict[str, Any]], tools: list[dict[str, Any]]) -> Mapping[str, Any]:
    """
    Answer as `slowly`, but only once two processes have been asked.
    """
    answered = slowly(messages, tools)
    until = time.monotonic() + 300
    while len(set(Path("processes").read_text().split())) < 2 and time.monotonic() < until:
        time.sleep(0.01)
    return answered


def pauses(messages: list[dict[str, Any]], tools: list[dict[str, Any]]) -> Mapping[str, Any]:
    """
    Answer as `slowly`, but after twenty answers of a process only once there is a file go.
    """
    answered = slowly(messages, tools)
    if Path("processes").read_text().split().count(str(os.getpid())) > 20:
        until = time.monotonic() + 300
        while not Path("go").exists() and time.monotonic() < until:
            time.sleep(0.01)
    return answered


def dies_once(messages: list[dict[str, Any]], tools: list[dict[str, Any]]) -> Mapping[str, Any]:
    """
    Answer as `answer`, and take the process down at three cases, once at each.
    """
    asked = messages[-1]["content"]
    mark = Path(f"died-{asked}")
    if asked in ("Ask about 9.", "Ask about 21.", "Ask about 40.") and not mark.exists():
        mark.touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return answer(messages, tools)


def dies_always(messages: list[dict[str, Any]], tools: list[dict[str, Any]]) -> Mapping[str, Any]:
    """
    Answer as `answer`, and take the process down at one case, always.
    """
    if messages[-1]["content"] == "Ask about 9.":
        os._exit(3)
    return answer(messages, tools)


def loses_its_node(
    messages: list[dict[str, Any]], tools: list[dict[str, Any]]
) -> Mapping[str, Any]:
    """
    Answer as `slowly`; after thirty answers take down the node of a Ray cluster, once, if it is not
    the one that the file head names.
    """
    import ray

    answered = slowly(messages, tools)
    node = ray.get_runtime_context().get_node_id()
    mine = Path("processes").read_text().split().count(str(os.getpid()))
    if mine > 30 and node != Path("head").read_text() and not Path("lost").exists():
        Path("lost").write_text(node)
        os.kill(os.getppid(), signal.SIGKILL)
        os.kill(os.getpid(), signal.SIGKILL)
    return answered


def run(out: str, *more: str, checkpoint: str = "answer") -> Path:
    """
    Run the suite ask and return the run's folder.
    """
    reference = f"python:tests.spread:{checkpoint}"
    assert 0 == main(["run", "ask", "--checkpoint", reference, "--out", out, "--quiet", *more])
    return Path(out)


def timeless(folder: Path) -> dict[str, bytes]:
    """
    Return every file of a run, without the lines that hold times, nor the number of threads, which
    is said where a test before this one has loaded torch.
    """
    files = {path.name: path.read_bytes() for path in folder.iterdir() if path.name != ".lock"}
    lines = files["run.json"].decode().split("\n")
    kept = "\n".join(each for each in lines if not each.startswith(TIMES))
    files["run.json"] = re.sub(r',"threads":\d+', "", kept).encode()
    return files
