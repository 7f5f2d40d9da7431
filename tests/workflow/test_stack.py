"""
What a serving stack costs: each part of it is told apart by what it does to answers.
"""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import pytest

from harness.backends.served import client
from harness.cli.main import main
from harness.comparison.stack import Part
from harness.errors import ExitCode, UsageError
from harness.renderers.registry import names, renderer
from harness.reports.build import report_stack
from harness.workflow.options import Progress, RunOptions
from harness.workflow.stack import Stacked, measure_stack

from ..backends.fault_server import Asked, FaultServer, fault_server
from ..builders import question, write_suite

Fate = Literal[
    "kept", "left", "dropped", "flattened", "cut", "retold", "sampled", "gained", "wrong", "broken"
]
COUNT = 40


@dataclass
class Stack:
    """
    A server of one model whose chat API does to each case what its `fates` say.
    """

    tokenizer: Any
    fates: dict[str, Fate]
    shows_tokens: bool = False
    counts: bool = True
    seen: list[Any] = field(default_factory=list)

    def __call__(self, request: Asked) -> bool:
        if request.body is None or "Ask about" not in json.dumps(request.body) + str(
            prompt := self.prompt(request.body)
        ):
            return False
        [name] = set(re.findall(r"Ask about (\w+)\.", prompt)) or {"?"}
        fate = self.fates.get(name, "kept")
        text = self.text(name, fate)
        if request.path.endswith("/chat/completions"):
            self.chat(request, name, fate, text, prompt)
        else:
            if fate in ("gained", "wrong"):
                text = text.replace("inside", "outside")
            request.choose(
                {"text": text, "finish_reason": "stop"},
                read=len(request.body["prompt"]),
                usage=self.usage(len(request.body["prompt"]), text),
            )
        return True

    def prompt(self, body: Any) -> str:
        if "messages" in body:
            rendered = self.tokenizer.apply_chat_template(
                body["messages"],
                tools=body.get("tools"),
                tokenize=False,
                add_generation_prompt=True,
            )
            return str(rendered)
        return str(self.tokenizer.decode(body["prompt"]))

    def text(self, name: str, fate: Fate) -> str:
        call = {"name": "inside", "arguments": {"q": name}}
        return f"<tool_call>\n{json.dumps(call)}\n</tool_call>"

    def usage(self, read: int, text: str) -> dict[str, int | None]:
        written = len(self.tokenizer.encode(text)) + 1
        return {
            "prompt_tokens": read if self.counts else None,
            "completion_tokens": written,
        }

    def chat(self, request: Asked, name: str, fate: Fate, text: str, prompt: str) -> None:
        if fate == "broken":
            request.send({"error": "no"}, 400)
            return
        if fate == "cut":
            prompt = prompt.replace("<|im_start|>user", "<|im_start|>user\n", 1)
        if fate in ("cut", "retold", "sampled", "wrong"):
            text = text.replace("inside", "outside")
        if fate == "retold":
            prompt = prompt[:-1] + " "
        calls = [json.loads(text.split("\n")[1])]
        content: str | None = None
        if fate == "left":
            calls, content = [], text
        elif fate == "dropped":
            calls = []
        elif fate == "flattened":
            calls[0]["arguments"] = {}
        message = {"role": "assistant", "content": content}
        if calls:
            message["tool_calls"] = [
                {"function": {**call, "arguments": json.dumps(call["arguments"])}} for call in calls
            ]
        ids = self.tokenizer.encode(prompt, add_special_tokens=False)
        choice: dict[str, Any] = {"message": message, "finish_reason": "stop"}
        shown: dict[str, Any] = {}
        if self.shows_tokens and request.body.get("return_token_ids"):
            choice["token_ids"] = self.tokenizer.encode(text, add_special_tokens=False)
            shown["prompt_token_ids"] = ids
        request.choose(choice, usage=self.usage(len(ids), text), **shown)


FATES: dict[Fate, Part] = {
    "left": "parser",
    "dropped": "parser",
    "flattened": "parser",
    "cut": "template",
    "sampled": "sampling",
}


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(client, "FIRST_WAIT", 0.01)
    write_suite(tmp_path, [question(f"c{number}") for number in range(COUNT)])
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def stack(tiny_model: Path) -> Stack:
    from transformers import AutoTokenizer

    fates: list[Fate] = ["left", "dropped", "flattened", "cut", "sampled", "gained", "wrong"]
    return Stack(
        tokenizer=AutoTokenizer.from_pretrained(tiny_model),
        fates={f"c{number}": fate for number, fate in enumerate([*fates, "broken"])},
    )


@pytest.fixture
def server(stack: Stack) -> Iterator[FaultServer]:
    with fault_server(stack) as running:
        yield running


def measured(server: FaultServer, tiny_model: Path, **options: Any) -> Stacked:
    return measure_stack(
        "ask",
        f"openai:cand@{server.url}",
        out=Path("runs"),
        options=RunOptions(**{"tokenizer": str(tiny_model), "preflight": False, **options}),
    )


@pytest.mark.parametrize("shows_tokens", [False, True])
def test_each_part_is_charged_with_what_it_loses(
    project: Path, stack: Stack, server: FaultServer, tiny_model: Path, shows_tokens: bool
):
    stack.shows_tokens = shows_tokens
    cost = measured(server, tiny_model).cost

    assert {case: FATES[fate] for case, fate in stack.fates.items() if fate in FATES} == {
        lost.key.case: lost.by for lost in cost.lost
    }
    assert ["c5"] == [key.case for key in cost.gained]
    assert (COUNT - 8, 1, 1) == (cost.both_right, cost.both_wrong, cost.left_out)
    assert (COUNT - 3, COUNT - 7) == (cost.raw_right, cost.chat_right)
    asked = [body for path, body, _ in server.seen if path.endswith("chat/completions")]
    assert all(body.get("return_token_ids") for body in asked)


def test_a_prompt_of_the_same_length_is_told_apart_by_its_tokens(
    project: Path, stack: Stack, server: FaultServer, tiny_model: Path
):
    stack.fates = {"c1": "retold"}
    stack.shows_tokens = True
    [lost] = measured(server, tiny_model).cost.lost

    assert "template" == lost.by
    assert lost.ours.endswith("tant\n")
    assert lost.theirs.endswith("tant ")


def test_a_server_that_counts_nothing_leaves_the_template_in_doubt(
    project: Path, stack: Stack, server: FaultServer, tiny_model: Path
):
    stack.counts = False
    stack.fates = {"c1": "cut", "c2": "dropped"}
    by_case = {lost.key.case: lost for lost in measured(server, tiny_model).cost.lost}

    assert "sampling" == by_case["c1"].by
    assert "the server counts no prompt_tokens, so its template may be" in by_case["c1"].why
    assert "parser" == by_case["c2"].by


def test_what_the_preflight_finds_broken_is_measured_all_the_same(
    project: Path, stack: Stack, server: FaultServer, tiny_model: Path
):
    stack.fates = {f"c{number}": "left" for number in range(COUNT)}
    server.count = lambda body: 50
    cost = measured(server, tiny_model, preflight=True).cost

    assert COUNT == len(cost.by("parser"))
    assert any("tool declarations: the server drops them" in each for each in cost.findings)
    assert cost.stability is not None
    assert (10, 0) == (cost.stability.asked, cost.stability.differing)


def test_noise_of_the_preflight_is_weighed_against_what_sampling_lost(
    project: Path, stack: Stack, server: FaultServer, tiny_model: Path
):
    stack.fates = {"c1": "sampled"}
    drawn = iter(range(10**6))

    def drifts(request: Asked) -> bool:
        if request.path.endswith("chat/completions") and request.body.get("max_tokens") == 24:
            request.chat(content=f"answer {next(drawn)}")
            return True
        return False

    server.faults.insert(0, drifts)
    stacked = measured(server, tiny_model, preflight=True)
    text = renderer("markdown")(report_stack(stacked.compared, stacked.cost))

    assert stacked.cost.stability is not None
    assert 9 == stacked.cost.stability.differing
    assert "9 of 10 answers to one prompt were another in the preflight" in text


def test_a_report_says_the_same_in_every_form(
    project: Path, stack: Stack, server: FaultServer, tiny_model: Path, capsys: Any
):
    form = [f"--output={name}=out.{name}" for name in names() if name != "github"]
    command = ["stack", "ask", "--checkpoint", f"openai:cand@{server.url}", "--out", "runs"]
    code = main([*command, "--tokenizer", str(tiny_model), "--no-preflight", *form])

    assert ExitCode.PASS == code
    shown = capsys.readouterr().out
    assert "5 answers of 37 right raw were lost in chat, 1 gained: 37 and 33 of 39" in shown
    assert "Lost by its tool parser (3)" in shown
    assert "5 answers lost by the stack, 1 gained" in shown.splitlines()[-1]
    for name in ("terminal", "markdown", "html"):
        text = Path(f"out.{name}").read_text("utf-8")
        assert "Lost by its tool parser (3)" in text
        assert "5 answers of 37 right raw were lost in chat" in text
        assert "start vLLM with --enable-auto-tool-choice" in text
    # What the model said, and not what the server sent around it.
    assert "prompt_tokens" not in Path("out.markdown").read_text("utf-8")
    told = json.loads(Path("out.json").read_text())["stack"]
    assert {"template": 1, "parser": 3, "sampling": 1} == told["lost"]
    junit = Path("out.junit").read_text("utf-8")
    assert 5 == junit.count("<failure")
    assert "and not right in raw completions either" in junit


def test_only_what_a_server_refuses_of_sampling_is_named(
    project: Path, stack: Stack, server: FaultServer, tiny_model: Path
):
    def refuses(request: Asked) -> bool:
        for name in ("return_token_ids", "top_k"):
            if request.path.endswith("chat/completions") and name in request.body:
                request.send({"detail": f"Unexpected fields: {name}"}, 422)
                return True
        return False

    server.faults.insert(0, refuses)
    stacked = measured(server, tiny_model)

    assert stacked.cost.cures["sampling"].endswith("; it refuses top_k")
    assert ["top_k"] == stacked.compared.new.record.backend.extra["server"]["refused"]
    assert 5 == len(stacked.cost.lost)


def test_a_command_that_was_interrupted_is_continued(
    project: Path, stack: Stack, server: FaultServer, tiny_model: Path
):
    said: list[str] = []

    def interrupt(*_: Any) -> None:
        raise KeyboardInterrupt

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr("harness.workflow.stack.findings", interrupt)
        with pytest.raises(KeyboardInterrupt):
            measure_stack(
                "ask",
                f"openai:cand@{server.url}",
                out=Path("runs"),
                options=RunOptions(tokenizer=str(tiny_model)),
                progress=Progress(notify=said.append),
            )
    assert "runs: unfinished; the same command with --out runs --resume continues it" == said[-1]
    before = len(server.seen)
    cost = measured(server, tiny_model, resume=True).cost

    assert 5 == len(cost.lost)
    again = [path for path, *_ in server.seen[before:] if path == "/v1/completions"]
    # Only the probe: the raw answers are there.
    assert 1 == len(again)


@pytest.mark.parametrize("reference", ["replay:x", "completions:cand@http://localhost/v1"])
def test_only_a_chat_api_has_a_stack(project: Path, reference: str):
    with pytest.raises(UsageError, match="openai:MODEL@URL"):
        measure_stack("ask", reference, options=RunOptions(tokenizer="x"))


def test_an_executed_suite_is_refused(project: Path):
    documents = {"kind": "documents", "tool": "inside", "corpus": "corpus.jsonl"}
    environment = {**documents, "fixed": {"outside": "nothing"}}
    write_suite(project, [question("c1")], environment=environment)
    Path("suites/ask/corpus.jsonl").write_text('{"id": "d", "title": "t", "text": "x"}\n')

    with pytest.raises(UsageError, match="suite ask is executed"):
        measure_stack("ask", "openai:cand@http://h/v1", options=RunOptions(tokenizer="x"))


def test_raw_prompts_need_a_tokenizer(project: Path):
    with pytest.raises(UsageError, match="--tokenizer REF"):
        measure_stack("ask", "openai:cand@http://localhost/v1")
