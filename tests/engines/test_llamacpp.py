"""
llama.cpp on quantised files of real weights: ``tox -e engines``, or wherever it is installed.
"""

import re
import shutil
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import pytest

from harness.backends.base import BackendOptions, Generation, Request
from harness.backends.llamacpp import LlamaCppBackend
from harness.backends.registry import open_backend
from harness.errors import UsageError
from harness.messages import Message, Tool, ToolCall
from harness.runs.runner import request
from harness.suites.files import load_suite
from harness.testing import BackendContract
from harness.transcript import Key, Transcript

from .gguf_export import embedded_gguf, export

pytestmark = [
    pytest.mark.model,
    pytest.mark.skipif(
        find_spec("llama_cpp") is None, reason="llama-cpp-python is not installed: no wheel of it"
    ),
]

TREE = Path(__file__).parent.parent.parent
CASES = 5
GENERATION = Generation(max_new_tokens=48)


TOOLS = tuple(Tool.from_schema({"name": name}) for name in ("search_files", "search_web"))
CALLED_BEFORE = Request(
    key=Key("called-before"),
    messages=(
        Message(role="user", content="weather in lisbon"),
        Message(
            role="assistant",
            content="",
            tool_calls=(ToolCall(name="search_web", arguments={"query": "weather in lisbon"}),),
        ),
        Message(role="user", content="our vacation policy"),
        Message(
            role="assistant",
            content="",
            tool_calls=(ToolCall(name="search_files", arguments={"query": "vacation policy"}),),
        ),
        Message(role="user", content="nvidia stock price"),
    ),
    tools=TOOLS,
)
"""The small model calls a tool where it sees that tools were called."""


@pytest.fixture(scope="session")
def shipped(tmp_path_factory: pytest.TempPathFactory, embedded_model: Path) -> Path:
    """
    The embedded model's own quantised file, with our template beside it.
    """
    file = embedded_gguf(tmp_path_factory.mktemp("gguf"))
    shutil.copy(embedded_model / "chat_template.jinja", file.parent)
    return file


@pytest.fixture(scope="module")
def backend(shipped: Path) -> Iterator[LlamaCppBackend]:
    opened = open_backend(f"llamacpp:{shipped}", BackendOptions())
    assert isinstance(opened, LlamaCppBackend)
    yield opened
    opened.close()


class TestLlamaCpp(BackendContract):
    options = BackendOptions(device="cpu")

    @pytest.fixture
    def reference(self, shipped: Path) -> str:
        return f"llamacpp:{shipped}"


@pytest.fixture(scope="module")
def exported(shipped: Path, candidate: Path) -> Path:
    """
    The demo's candidate as it would be shipped.
    """
    return export(candidate, shipped, shipped.parent / "candidate.gguf", "Q8_0")


class TestLlamaCppOnTheCandidate(BackendContract):
    options = BackendOptions(device="cpu")

    @pytest.fixture
    def reference(self, exported: Path) -> str:
        return f"llamacpp:{exported}"

    def test_it_calls_the_tools_that_its_float_parent_calls(
        self, backend: LlamaCppBackend, candidate: Path
    ):
        parent = open_backend(str(candidate), BackendOptions(device="cpu"))
        known = {t.key: t for group in parent.answer(routing(), GENERATION) for t in group}
        parent.close()

        assert called(known) == called(answers(backend, routing()))
        assert all(called(known).values())


def called(answered: dict[Key, Transcript]) -> dict[Key, list[str]]:
    """
    Return the names of the tools that each answer calls.
    """
    return {key: re.findall(r'"name": "(\w+)"', str(t.output)) for key, t in answered.items()}


def routing(suite: str = "tool-routing", cases: int = CASES) -> list[Request]:
    loaded = load_suite(TREE / "suites" / suite)
    step = len(loaded.cases) // cases
    return [request(loaded, case, Key(case.id)) for case in loaded.cases[::step][:cases]]


def answers(backend: LlamaCppBackend, requests: list[Request]) -> dict[Key, Transcript]:
    return {t.key: t for group in backend.answer(requests, GENERATION) for t in group}


@pytest.mark.parametrize("suite", ["tool-routing", "languages", "after-result"])
def test_prompts_have_the_tokens_that_llama_cpp_itself_makes_of_them(
    backend: LlamaCppBackend, suite: str
):
    prompts, failed = backend._encoding.prompts(routing(suite, 40), GENERATION)

    assert not failed
    for prompt in prompts:
        text = backend.tokenizer.decode(prompt.ids, skip_special_tokens=False)
        own = backend._model.tokenize(text.encode(), add_bos=False, special=True)
        assert own == list(prompt.ids), prompt.key


def test_it_says_what_it_runs_and_on_what(backend: LlamaCppBackend):
    said = backend.describe()

    assert ("llama.cpp", "Q4_1", "cpu") == (said["name"], said["dtype"], said["device"])
    assert said["threads"] >= 1
    assert 8192 == said["context"]


def test_an_answer_does_not_depend_on_what_is_in_the_cache(backend: LlamaCppBackend):
    together = answers(backend, routing())

    alone = {}
    for one in routing():
        backend._model.keep(0)
        alone |= answers(backend, [one])
    assert alone == together


def test_float_weights_give_the_answers_and_margins_of_the_checkpoint(
    shipped: Path, embedded_model: Path, tmp_path: Path
):
    """
    All but numerics is the same: an export that lost nothing answers as its parent.
    """
    file = export(embedded_model, shipped, tmp_path / "float.gguf", "F32")
    asked = [*routing(cases=3), CALLED_BEFORE]
    found, known = {}, {}
    for reference, into in ((f"llamacpp:{file}", found), (str(embedded_model), known)):
        opened = open_backend(reference, BackendOptions(device="cpu"))
        into |= {t.key: t for group in opened.answer(asked, GENERATION) for t in group}
        opened.close()

    assert {k: t.output for k, t in known.items()} == {k: t.output for k, t in found.items()}
    margin = known[CALLED_BEFORE.key].margin
    assert margin is not None
    assert margin == pytest.approx(found[CALLED_BEFORE.key].margin, abs=0.05)


def test_a_prompt_over_the_context_is_an_error_of_its_case(backend: LlamaCppBackend):
    long = Request(
        key=Key("long"), messages=(Message(role="user", content="again " * 9000),), tools=()
    )

    [transcript] = answers(backend, [long]).values()

    assert transcript.error is not None
    assert "the model's context is 8192" in transcript.error


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"batch_size": 4}, "one prompt at a time"),
        ({"dtype": "float32"}, "is Q4_1, as it is stored"),
        ({"device": "tpu"}, "device 'tpu' is not available"),
    ],
)
def test_what_the_file_does_not_have_is_refused(shipped: Path, options: dict, said: str):
    with pytest.raises(UsageError, match=said):
        open_backend(f"llamacpp:{shipped}", BackendOptions(**options))


def test_a_stored_run_is_run_again_with_what_it_says_of_itself(shipped: Path):
    options = BackendOptions(batch_size=1, dtype="Q4_1", device="cpu")

    open_backend(f"llamacpp:{shipped}", options).close()
