"""
What goes wrong in real output, each kind a data file in fixtures/, held for every dialect it
applies to: what is read, how it is judged strictly and leniently, and with which findings.

A fixture names what the model wrote without a family's tags; frames.yaml says how each family
frames it. A row has

- ``write``: calls as ``{tool: arguments}``, spelt for each kind of arguments; or ``bodies``: kind,
  class or dialect -> ``[[name, body], ...]``, where the spelling itself is the point; or ``text``,
  the whole answer; or ``error``; ``before`` and ``after`` stand outside the frame;
- ``expect``: the expectation, or the calls written where it is left out;
- ``want``: what comes of it, by ``default``, kind, class or dialect, the more special one first:
  ``status``, ``lenient`` (default: as strictly), ``findings``, ``repairs``, ``calls`` (as `write`);
  without any, all is right and nothing is found;
- ``only``, ``not``: kinds, classes or dialects it applies to.
"""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from harness.dialects.reading import read
from harness.dialects.registry import dialect, names
from harness.scoring.score import judge
from harness.suites.parse import parse_suite
from harness.suites.suite import Case
from harness.transcript import Key, Transcript

HERE = Path(__file__).parent
FRAMES = yaml.safe_load((HERE / "frames.yaml").read_text("utf-8"))
TOOLS = json.loads((HERE / "fixtures" / "tools.json").read_text("utf-8"))


def _rows() -> Iterator[Any]:
    for path in sorted((HERE / "fixtures").glob("*.yaml")):
        rows = yaml.safe_load(path.read_text("utf-8"))
        assert len({row["id"] for row in rows}) == len(rows), path
        for row in rows:
            for name, frame in FRAMES.items():
                if _applies(row, name, frame):
                    identity = f"{path.stem}: {row['id']} [{name}]"
                    yield pytest.param(name, row, id=identity)


def _applies(row: dict[str, Any], name: str, frame: dict[str, Any]) -> bool:
    labels = {name, frame["kind"], frame["class"]}
    if "bodies" in row and not labels & row["bodies"].keys():
        return False
    if len(row.get("write", [])) > frame.get("calls", 9):
        return False
    return bool(labels & set(row.get("only", labels))) and not labels & set(row.get("not", ()))


def _for(table: dict[str, Any], name: str, frame: dict[str, Any]) -> Any:
    """
    The entry for a dialect, or else for its class, its kind, or all.
    """
    for label in (name, frame["class"], frame["kind"], "default"):
        if label in table:
            return table[label]
    return None


def _spelt(arguments: dict[str, Any], frame: dict[str, Any]) -> Any:
    if frame["kind"] == "json":
        return json.dumps(arguments, ensure_ascii=False)
    if frame["kind"] == "python":
        return ", ".join(f"{key}={value!r}" for key, value in arguments.items())
    if frame["kind"] == "brace":
        return _braced(arguments)
    return [[key, _bare(value)] for key, value in arguments.items()]


def _braced(value: Any) -> str:
    if isinstance(value, str):
        return f"$string{value}$string"
    if isinstance(value, dict):
        return "{" + ",".join(f"{key}:{_braced(item)}" for key, item in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ",".join(map(_braced, value)) + "]"
    return json.dumps(value)


def _bare(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _call(name: str, body: Any, number: int, frame: dict[str, Any]) -> str:
    if not isinstance(body, str):
        body = frame.get("argument_join", "").join(
            frame["argument"].replace("$key", key).replace("$value", value) for key, value in body
        )
    body = body.replace("$string", frame.get("string", ""))
    text: str = frame["call"].replace("$name", name).replace("$number", str(number))
    return text.replace("$quoted", json.dumps(body, ensure_ascii=False)).replace("$body", body)


def _answer(row: dict[str, Any], name: str, frame: dict[str, Any]) -> str:
    if "text" in row:
        return str(row["text"]) + frame.get("end", "")
    if "bodies" in row:
        pairs = _for(row["bodies"], name, frame)
    else:
        pairs = [(tool, _spelt(given, frame)) for tool, given in _written(row["write"])]
    calls = [_call(tool, body, number, frame) for number, (tool, body) in enumerate(pairs)]
    framed = frame.get("before", "") + frame.get("join", "").join(calls) + frame.get("after", "")
    return f"{row.get('before', '')}{framed}{row.get('after', '')}{frame.get('end', '')}"


def _written(calls: list[dict[str, Any]]) -> list[tuple[str, dict[str, Any]]]:
    return [pair for call in calls for pair in call.items()]


def _case(row: dict[str, Any]) -> Case:
    expect = row.get("expect") or {
        "calls": [
            {"tool": tool, "arguments": {key: {"const": value} for key, value in given.items()}}
            for tool, given in _written(row["write"])
        ]
    }
    document = {
        "format": 1,
        "name": "fixtures",
        "version": "1.0.0",
        "tools": TOOLS,
        "cases": [{"id": "it", "prompt": "Please.", "expect": expect}],
    }
    return parse_suite(document, "fixtures").cases[0]


def _said(calls: list[tuple[str | None, Any]]) -> list[str]:
    # repr tells 1 from 1.0 and True, as a call does.
    return [f"{name} {sorted((arguments or {}).items())!r}" for name, arguments in calls]


@pytest.mark.parametrize(("name", "row"), list(_rows()))
def test_is_read_and_judged_as_the_fixture_says(name: str, row: dict[str, Any]):
    frame = FRAMES[name]
    key = Key("it")
    if "error" in row:
        transcript = Transcript(key=key, error=row["error"])
    elif frame["class"] == "message":
        text = _answer(row, name, frame)
        message = json.loads(text) if text.startswith("{") else {"content": text}
        transcript = Transcript(key=key, message=message)
    else:
        transcript = Transcript(key=key, output=_answer(row, name, frame))
    case = _case(row)
    want = _for(row.get("want", {}), name, frame) or {}

    (result,) = judge([case], {key: transcript}, dialect(name))

    shown = (transcript.output or transcript.message, result.turns[0].findings)
    findings = result.turns[0].findings
    assert want.get("status", "correct") == result.status, shown
    assert want.get("lenient", want.get("status", "correct")) == result.status_lenient, shown
    if "error" in row:
        return
    told = sorted(one.code for one in findings if one.code != "repaired")
    assert sorted(want.get("findings", [])) == told, shown
    mended = "; ".join(one.detail for one in findings if one.code == "repaired")
    for repair in want.get("repairs", []):
        assert repair in mended, shown
    assert bool(want.get("repairs")) == bool(mended), shown
    kinds = [one.kind for one in findings if one.kind is not None]
    assert want.get("kinds", kinds) == kinds, shown
    calls = want.get("calls", row.get("write"))
    if calls is not None:
        reading = read(dialect(name), transcript, case.tools)
        readable = [(one.name, one.arguments) for one in reading.attempts if one.readable]
        assert _said(_written(calls)) == _said(readable), shown


def test_every_dialect_has_a_frame():
    assert set(names()) == set(FRAMES)
