"""
A Python function as a model: what it gets, what it may return, what its failures become.
"""

import itertools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from harness.backends.base import BackendOptions, Generation, Request
from harness.backends.python import PythonBackend
from harness.checkpoints.reference import Reference
from harness.errors import BackendError, DialectError
from harness.messages import Message, Tool
from harness.transcript import Key, Transcript

REQUEST = Request(
    key=Key("a"),
    messages=(Message(role="developer", content="S"), Message(role="user", content="u")),
    tools=(Tool.from_schema({"name": "f"}),),
)

Open = Callable[..., PythonBackend]

_numbers = itertools.count()


@pytest.fixture
def opened(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Open:
    """
    Open a backend on a module of its own in the current folder.
    """
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.path", ["/somewhere/else"])

    def open_(source: str, name: str = "model", **options: Any) -> PythonBackend:
        module = f"toy_function_{next(_numbers)}"
        (tmp_path / f"{module}.py").write_text(source)
        reference = Reference(scheme="python", target=f"{module}:{name}")
        return PythonBackend.open(reference, BackendOptions(**options))

    return open_


def ask(backend: PythonBackend) -> Transcript:
    [[transcript]] = backend.answer([REQUEST], Generation())
    return transcript


def test_the_function_sees_messages_and_tools_in_the_chat_shape(opened: Open):
    backend = opened("def model(messages, tools):\n    return {'content': repr((messages, tools))}")

    assert {
        "content": repr(
            (
                [{"role": "developer", "content": "S"}, {"role": "user", "content": "u"}],
                [{"type": "function", "function": {"name": "f"}}],
            )
        )
    } == ask(backend).message
    assert ("native", None) == (backend.checkpoint.dialect, backend.checkpoint.weights)


def test_text_needs_a_dialect(opened: Open):
    source = "def model(messages, tools):\n    return 'text'\n"

    with pytest.raises(DialectError, match=r"returned text.*--dialect: .*functiongemma, .*hermes"):
        ask(opened(source))
    assert "text" == ask(opened(source, dialect="hermes")).output
    assert "text" == ask(opened(source + "model.dialect = 'hermes'")).output
    assert "hermes" == opened(source + "model.dialect = 'hermes'").checkpoint.dialect
    both = opened(source + "model.dialect = 'hermes'", dialect="functiongemma")
    assert "functiongemma" == both.checkpoint.dialect


@pytest.mark.parametrize(
    ("raised", "said"),
    [
        ("ValueError('no\\n route')", "ValueError: no route"),
        ("KeyError", "KeyError"),
        ("__import__('asyncio').CancelledError", "CancelledError"),
        ("GeneratorExit", "GeneratorExit"),
    ],
)
def test_what_the_function_raises_is_an_error_of_that_case(opened: Open, raised: str, said: str):
    backend = opened(f"def model(messages, tools):\n    raise {raised}")

    assert Transcript(key=Key("a"), error=said) == ask(backend)


def test_a_stop_is_not_swallowed(opened: Open):
    with pytest.raises(KeyboardInterrupt):
        ask(opened("def model(messages, tools):\n    raise KeyboardInterrupt"))


def test_a_stop_while_importing_is_not_swallowed(opened: Open):
    with pytest.raises(KeyboardInterrupt):
        opened("raise KeyboardInterrupt")


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ("raise SystemExit(1)", "exits when imported"),
        ("import asyncio\nraise asyncio.CancelledError", "raises CancelledError when imported"),
        ("raise GeneratorExit", "raises GeneratorExit when imported"),
        ("1 / 0", "cannot be imported: division by zero"),
    ],
)
def test_a_module_that_breaks_when_imported_is_an_error(opened: Open, source: str, said: str):
    with pytest.raises(BackendError, match=said):
        opened(source)


@pytest.mark.parametrize(
    ("returned", "said"),
    [
        ("None", "got NoneType"),
        ("{'role': 'user', 'content': 'x'}", "got a dictionary with role, content"),
        ("{'error': 'overloaded'}", "got a dictionary with error"),
        ("{}", "nothing in it"),
    ],
)
def test_what_is_not_an_answer_is_an_error_of_its_case(opened: Open, returned: str, said: str):
    """
    An error body must not be judged as silence, and one bad answer must not end the run.
    """
    transcript = ask(opened(f"def model(messages, tools):\n    return {returned}"))

    assert transcript.output is None
    assert transcript.message is None
    assert said in (transcript.error or "")


@pytest.mark.parametrize(
    ("returned", "said"),
    [
        ("{'content': float('nan')}", "returned a value that is not JSON"),
        ("{'content': b'x'}", "returned a value that is not JSON"),
    ],
)
def test_what_cannot_be_stored_stops_the_run(opened: Open, returned: str, said: str):
    with pytest.raises(BackendError, match=said):
        ask(opened(f"def model(messages, tools):\n    return {returned}"))


def test_a_function_that_exits_breaks_its_case_alone(opened: Open):
    transcript = ask(opened("def model(messages, tools):\n    raise SystemExit(0)"))

    assert transcript.error == "SystemExit: 0"


def test_what_a_function_does_to_its_tools_stays_its_own(opened: Open):
    backend = opened(
        "def model(messages, tools):\n"
        "    names = [tool['function']['name'] for tool in tools]\n"
        "    tools[0]['function']['name'] = 'changed'\n"
        "    return {'content': ' '.join(names)}"
    )

    assert [{"content": "f"}, {"content": "f"}] == [ask(backend).message, ask(backend).message]


@pytest.mark.parametrize(
    ("target", "said"),
    [
        ("no_such_module_here:f", "module no_such_module_here cannot be imported"),
        ("json:no_such_function", "module json has no function no_such_function"),
        ("json:decoder", "module json has no function decoder"),
        ("json", "write python:package.module:function"),
        ("json:", "write python:package.module:function"),
    ],
)
def test_what_cannot_be_found_is_named(target: str, said: str):
    with pytest.raises(BackendError, match=said):
        PythonBackend.open(Reference(scheme="python", target=target), BackendOptions())


def test_a_method_of_an_object_is_found_too(opened: Open):
    source = (
        "class Client:\n"
        "    def answer(self, messages, tools):\n"
        "        return {'content': 'from a method'}\n"
        "client = Client()\n"
    )

    assert {"content": "from a method"} == ask(opened(source, "client.answer")).message


def test_the_warm_up_is_not_counted(opened: Open):
    backend = opened(
        "calls = []\n"
        "def model(messages, tools):\n"
        "    calls.append(1)\n"
        "    return {'content': str(len(calls))}\n"
    )

    alone = list(backend.answer_alone([REQUEST, REQUEST], Generation()))

    assert ["2", "3"] == [each.message["content"] for each in alone if each.message]
    assert [None, None] == [each.timing.ttft_ms for each in alone if each.timing]
