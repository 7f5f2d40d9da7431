"""
Hugging Face models: the batch changes nothing, a lack of memory loses no work, text is kept raw.
"""

import json
import shutil
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from harness.backends.base import BackendOptions, Generation, Request
from harness.backends.encoding import PromptEncoding
from harness.backends.engine.agreement import Support
from harness.backends.engine.decoding import RowSampler, cut, decode
from harness.backends.transformers import TransformersBackend
from harness.checkpoints.checkpoint import Checkpoint
from harness.checkpoints.reference import parse_reference
from harness.dialects.registry import dialect
from harness.errors import BackendError, DialectError, TemplateError, UsageError
from harness.messages import Message, Tool, ToolCall
from harness.transcript import Key, Transcript

TOOL = Tool.from_schema({"name": "search", "description": "Search."})
WORDS = "what is the policy on overtime pay for staff who travel by train at night".split()
FOUR = Generation(max_new_tokens=4)


def request(case: str, *messages: Message, tools: Sequence[Tool] = ()) -> Request:
    return Request(key=Key(case), messages=messages, tools=tuple(tools))


def user(text: str) -> Message:
    return Message(role="user", content=text)


def questions(count: int) -> list[Request]:
    """
    Prompts of many lengths, in no order of length.
    """
    return [
        request(f"case-{n}", user(" ".join(WORDS[: 2 + n * 5 % 11])), tools=[TOOL])
        for n in range(count)
    ]


def opened(reference: object, **options: Any) -> TransformersBackend:
    return TransformersBackend.open(
        parse_reference(str(reference)), BackendOptions(device="cpu", **options)
    )


def groups(
    backend: TransformersBackend, requests: Sequence[Request], generation: Generation = FOUR
) -> list[Sequence[Transcript]]:
    return list(backend.answer(requests, generation))


def answers(
    backend: TransformersBackend, requests: Sequence[Request], generation: Generation = FOUR
) -> dict[str, Transcript]:
    return {
        each.key.case: each for group in groups(backend, requests, generation) for each in group
    }


class Scripted:
    """
    A model that writes the same ids for every prompt, and may run out of memory.
    """

    device = torch.device("cpu")
    dtype = torch.float32

    def __init__(self, ids: Sequence[int] = (70, 2), fits: Callable[[Any], bool] | None = None):
        self.ids = list(ids)
        self.fits = fits or (lambda ids: True)
        self.failure: Exception = torch.cuda.OutOfMemoryError("CUDA out of memory")
        self.sizes: list[int] = []
        self.generation_config = SimpleNamespace(eos_token_id=2)
        text = SimpleNamespace(max_position_embeddings=2048)
        self.config = SimpleNamespace(get_text_config=lambda: text, _attn_implementation="sdpa")

    def generate(self, *, input_ids: Any, **_: Any) -> Any:
        self.sizes.append(len(input_ids))
        if not self.fits(input_ids):
            raise self.failure
        return torch.cat([input_ids, torch.tensor([self.ids] * len(input_ids))], dim=1)


@pytest.fixture
def scripted(tiny_model: Path) -> Callable[..., TransformersBackend]:
    from transformers import AutoTokenizer

    def make(model: Scripted, **options: Any) -> TransformersBackend:
        backend = TransformersBackend(
            checkpoint=Checkpoint(reference="hf:toy", dialect="hermes", dialect_version=1),
            model=model,
            tokenizer=AutoTokenizer.from_pretrained(tiny_model),
            dialect=dialect("hermes"),
            **options,
        )
        # It has no logits to be compared.
        backend._padding = Support.CONFIRMED
        return backend

    return make


def copy(folder: Path, target: Path, **settings: Any) -> Path:
    """
    Copy a model with other generation settings.
    """
    shutil.copytree(folder, target)
    path = target / "generation_config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **settings}))
    return target


# What is decoded.


@pytest.mark.model
@pytest.mark.parametrize("size", [1, 3, 8])
def test_batched_answers_are_the_tokens_of_the_plain_loop(
    plain_loop: dict[str, str], model_backend: TransformersBackend, size: int
):
    model_backend._rows = size

    found = answers(model_backend, questions(8), Generation(max_new_tokens=24))

    assert plain_loop == {case: each.output for case, each in found.items()}


@pytest.fixture(scope="module")
def model_backend(embedded_model: Path) -> TransformersBackend:
    return opened(embedded_model)


@pytest.fixture(scope="module")
def plain_loop(embedded_model: Path) -> dict[str, str]:
    return said_plainly(embedded_model, questions(8), 24)


def said_plainly(folder: Path, requests: Sequence[Request], most: int) -> dict[str, str]:
    """
    What a user would write: one prompt at a time through `generate`.
    """
    from transformers import AutoModelForCausalLM, AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(folder)
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
    said = {}
    for each in requests:
        encoded = tokenizer.apply_chat_template(
            [message.to_chat() for message in each.messages],
            tools=[dict(tool.schema) for tool in each.tools],
            add_generation_prompt=True,
            return_tensors="pt",
            return_dict=True,
        )
        [ids] = model.generate(**encoded, max_new_tokens=most, do_sample=False)
        said[each.key.case] = tokenizer.decode(ids[encoded["input_ids"].shape[1] :])
    return said


@pytest.mark.model
def test_past_its_sliding_window_a_real_gemma_answers_as_the_plain_loop(gemma_model: Path):
    """
    What all prompts begin with is longer than the 512 tokens that most of its layers look back.
    """
    told = " ".join(f"{number} {word}" for number, word in enumerate(WORDS * 12))
    tool = Tool.from_schema({"name": "search", "description": told})
    asked = [replace(each, tools=(tool,)) for each in questions(6)]
    backend = opened(gemma_model)

    found = answers(backend, asked, Generation(max_new_tokens=12))

    [shortest, *_] = sorted(len(each.ids) for each in backend._encoding.prompts(asked, FOUR)[0])
    assert 512 < shortest
    assert Support.CONFIRMED == backend._engine_checked.support
    assert said_plainly(gemma_model, asked, 12) == {
        case: each.output for case, each in found.items()
    }


def test_a_checkpoint_cannot_turn_on_sampling_or_penalties(tiny_model: Path, tmp_path: Path):
    wild = copy(
        tiny_model,
        tmp_path / "wild",
        do_sample=True,
        temperature=5.0,
        repetition_penalty=9.0,
        min_new_tokens=3,
        max_length=7,
        no_repeat_ngram_size=1,
        suppress_tokens=list(range(100)),
        begin_suppress_tokens=list(range(200)),
    )
    long = Generation(max_new_tokens=16)

    assert answers(opened(tiny_model), questions(3), long) == answers(
        opened(wild), questions(3), long
    )


def test_a_stop_token_of_the_checkpoint_ends_the_answer_and_is_kept(
    tiny_model: Path, tmp_path: Path
):
    asked, long = questions(5), Generation(max_new_tokens=12)
    plain = opened(tiny_model, batch_size=5)
    free = answers(plain, asked, long)
    [[prompt], _] = plain._encoding.prompts(asked[2:3], long)
    [answer] = decode(plain._model, [prompt], long, plain._stops)
    assert (12, "length") == (free["case-2"].output_tokens, free["case-2"].finish_reason)

    stop = answer.ids[3]
    folder = copy(tiny_model, tmp_path / "stops", eos_token_id=[2, stop])
    found = answers(opened(folder, batch_size=5), asked, long)

    until = answer.ids[: answer.ids.index(stop) + 1]
    assert (len(until), "stop") == (found["case-2"].output_tokens, found["case-2"].finish_reason)
    assert plain._encoding.tokenizer.decode(until) == found["case-2"].output


def test_special_tokens_are_kept_and_padding_is_not(scripted: Callable[..., TransformersBackend]):
    backend = scripted(Scripted([1, 70, 2, 0, 0]))

    [[only]] = groups(backend, questions(1))

    assert "<|im_start|>" + backend._encoding.tokenizer.decode([70]) + "<|im_end|>" == only.output
    assert (3, "stop") == (only.output_tokens, only.finish_reason)


@pytest.mark.parametrize(
    ("ids", "kept", "stopped"),
    [([5, 2, 0, 0], [5, 2], True), ([5, 6], [5, 6], False), ([2], [2], True), ([], [], False)],
)
def test_an_answer_ends_at_its_first_stop(ids: list[int], kept: list[int], stopped: bool):
    assert (kept, stopped) == (cut(ids, (2, 9)).ids, cut(ids, (2, 9)).stopped)


def test_the_dialects_stops_end_an_answer_where_they_are_tokens():
    model = Scripted()
    model.generation_config.eos_token_id = None
    tokenizer = SimpleNamespace(
        eos_token_id=None,
        pad_token_id=None,
        get_vocab=lambda: {"<end>": 7, "other": 8},
        chat_template="{{ messages }}",
    )
    dialect = SimpleNamespace(stops=("<end>", "<not a token>"))
    encoding = PromptEncoding(tokenizer, dialect, None)  # type: ignore[arg-type]
    stops = encoding.stops(model.generation_config)

    assert ((7,), 7) == (stops.ids, stops.pad)


# Models that are not to be batched.


def untrained(kind: str, folder: Path, tiny_model: Path, **settings: Any) -> Path:
    """
    Make a model of another kind, with the tiny model's tokenizer.
    """
    from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(tiny_model)
    sizes = {
        "vocab_size": len(tokenizer),
        "hidden_size": 32,
        "intermediate_size": 64,
        "num_hidden_layers": 3,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "max_position_embeddings": 2048,
        "initializer_range": 0.5,
        "pad_token_id": 0,
        "bos_token_id": 1,
        "eos_token_id": 2,
    }
    torch.manual_seed(3)
    model = AutoModelForCausalLM.from_config(AutoConfig.for_model(kind, **sizes | settings))
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


LONG = Generation(max_new_tokens=24)


@pytest.mark.parametrize("sampled", [False, True])
def test_answers_that_may_pass_the_longrope_length_are_made_alone(
    tiny_model: Path, tmp_path: Path, sampled: bool
):
    asked = questions(8)
    generation = replace(LONG, do_sample=sampled)
    prompts, _ = opened(tiny_model)._encoding.prompts(asked, generation)
    lengths = sorted(len(prompt.ids) for prompt in prompts)
    # The longer half begins before the turn and may end behind it.
    turn = lengths[4] + LONG.max_new_tokens - 1
    folder = untrained(
        "phi3",
        tmp_path / "phi",
        tiny_model,
        original_max_position_embeddings=turn,
        rope_parameters={
            "rope_type": "longrope",
            "rope_theta": 10000.0,
            "short_factor": [1.0] * 4,
            "long_factor": [1.0, 3.0, 6.0, 9.0],
            "original_max_position_embeddings": turn,
        },
    )
    backend = opened(folder)
    found = answers(backend, asked, generation)

    assert answers(opened(folder, batch_size=1), asked, generation) == found
    turning = [prompt for prompt in prompts if backend._may_pass_longrope(prompt, generation)]
    assert 0 < len(turning) < len(prompts)


def test_chunks_that_only_an_answer_reaches_are_noticed(tiny_model: Path, tmp_path: Path):
    asked = questions(8)
    prompts, _ = opened(tiny_model)._encoding.prompts(asked, LONG)
    longest = max(len(prompt.ids) for prompt in prompts)
    folder = untrained(
        "llama4_text",
        tmp_path / "llama",
        tiny_model,
        attention_chunk_size=longest + 8,
        num_local_experts=4,
        intermediate_size_mlp=64,
        no_rope_layers=[1, 1, 0],
        head_dim=8,
    )

    assert answers(opened(folder, batch_size=1), asked, LONG) == answers(
        opened(folder), asked, LONG
    )


def test_a_model_that_padding_disturbs_is_answered_one_prompt_at_a_time(
    tiny_model: Path, tmp_path: Path
):
    folder = untrained("rwkv", tmp_path / "rwkv", tiny_model)
    said: list[str] = []

    alone = answers(opened(folder, batch_size=1), questions(6))
    found = answers(opened(folder, notify=said.append), questions(6))

    assert alone == found
    assert ["prompts are answered one at a time: padded, logits"] == [
        " ".join(line.split()[:9]) for line in said if "padded" in line and "one" in line
    ]


# Sampling.

SAMPLED = Generation(
    max_new_tokens=8, do_sample=True, temperature=1.5, top_k=50, top_p=0.95, seed=3
)


def test_sampled_answers_do_not_depend_on_the_batch(tiny_model: Path):
    whole = answers(opened(tiny_model, batch_size=5), questions(5), SAMPLED)

    assert whole == answers(opened(tiny_model, batch_size=2), questions(5)[::-1], SAMPLED)
    assert whole != answers(opened(tiny_model), questions(5), Generation(max_new_tokens=8))


def test_seed_and_repeat_give_other_answers(tiny_model: Path):
    backend = opened(tiny_model)
    [one] = questions(1)
    again = Request(key=Key("case-0", 1), messages=one.messages, tools=one.tools)
    other = Generation(max_new_tokens=8, do_sample=True, seed=4)
    [[first, repeated]] = groups(backend, [one, again], SAMPLED)
    [[seeded]] = groups(backend, [one], other)

    assert 3 == len({first.output, repeated.output, seeded.output})


def test_the_noise_draws_from_the_models_distribution():
    """
    4,000 draws of one token from 0.5, 0.3, 0.2 and an impossible one: within 4 standard errors.
    """
    share = [0.5, 0.3, 0.2, 0.0]
    scores = torch.tensor(share).log().repeat(4000, 1)
    sampler = RowSampler([Key(str(n)) for n in range(4000)], Generation(do_sample=True))
    drawn = Counter(sampler(None, scores).argmax(-1).tolist())

    assert 0 == drawn[3]
    for token, expected in enumerate(share):
        assert abs(drawn[token] / 4000 - expected) <= 4 * (expected * (1 - expected) / 4000) ** 0.5


def test_a_sampling_setting_that_makes_no_sense_is_a_usage_error(tiny_model: Path):
    with pytest.raises(UsageError, match=r"sampling cannot be set up: .*temperature"):
        groups(opened(tiny_model), questions(1), Generation(do_sample=True, temperature=0.0))


# Memory.


@pytest.mark.parametrize(
    "failure",
    [
        torch.cuda.OutOfMemoryError("CUDA out of memory"),
        RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 bytes"),
        RuntimeError("[enforce fail at alloc_cpu.cpp] DefaultCPUAllocator: not enough memory"),
        MemoryError(),
    ],
    ids=["cuda", "cpu", "cpu, other words", "python"],
)
def test_a_batch_that_does_not_fit_is_halved_and_nothing_is_lost(
    scripted: Callable[..., TransformersBackend], failure: Exception
):
    model = Scripted(fits=lambda ids: len(ids) <= 2)
    model.failure = failure
    said: list[str] = []
    backend = scripted(model, batch_size=8, notify=said.append)

    found = answers(backend, questions(9))

    assert {f"case-{n}" for n in range(9)} == set(found)
    assert {None} == {each.error for each in found.values()}
    assert [8, 4, 2, 2, 2, 2, 1] == model.sizes
    assert [
        "a batch of 8 does not fit in memory; continuing with 4",
        "a batch of 4 does not fit in memory; continuing with 2",
    ] == said
    assert 8 == backend.describe()["batch"]


def test_no_memory_for_the_first_prompt_stops_the_run(
    scripted: Callable[..., TransformersBackend],
):
    backend = scripted(Scripted(fits=lambda ids: False))

    with pytest.raises(
        BackendError, match=r"hf:toy: not enough memory for one prompt of \d+ tokens"
    ):
        groups(backend, questions(3))


def test_no_memory_for_a_later_prompt_is_an_error_of_its_case(
    scripted: Callable[..., TransformersBackend],
):
    model = Scripted()
    backend = scripted(model, batch_size=2)
    assert {None} == {each.error for each in answers(backend, questions(2)).values()}

    model.fits = lambda ids: ids.shape[1] < 600
    model.sizes.clear()
    found = answers(backend, [*questions(4), request("long", user("x" * 600), tools=[TOOL])])

    # The prompt that was too long on its own does not make the batches after it smaller.
    assert [2, 1, 2, 2] == model.sizes

    assert {"long"} == {case for case, each in found.items() if each.error}
    assert "not enough memory for one prompt" in (found["long"].error or "")
    alone = list(backend.answer_alone([request("long", user("x" * 600))], FOUR))
    assert [True] == ["not enough memory" in (each.error or "") for each in alone]


def test_a_model_that_breaks_stops_the_run(scripted: Callable[..., TransformersBackend]):
    model = Scripted(fits=lambda ids: False)
    model.failure = RuntimeError("mat1 and mat2 shapes cannot be multiplied")

    with pytest.raises(BackendError, match="failed on a batch with case case-0: mat1 and mat2"):
        groups(scripted(model), questions(1))


# What is shown to the model.


def shown(backend: TransformersBackend, one: Request) -> str:
    [[prompt], failed] = backend._encoding.prompts([one], FOUR)
    assert [] == failed
    return str(backend._encoding.tokenizer.decode(prompt.ids))


def test_developer_is_shown_as_system_to_a_template_that_does_not_know_it(
    tiny_model: Path, tmp_path: Path, hermes_template: str
):
    folder = tmp_path / "strict"
    shutil.copytree(tiny_model, folder)
    older = hermes_template.replace("('system', 'developer')", "('system',)")
    older = older.replace(
        "'system' if message.role == 'developer' else message.role", "message.role"
    )
    assert "developer" not in older
    (folder / "chat_template.jinja").write_text(older)

    text = shown(
        opened(folder), request("a", Message(role="developer", content="Be brief."), user("u"))
    )

    assert text.startswith("<|im_start|>system\nBe brief.<|im_end|>\n")


def test_tools_are_shown_only_where_the_request_holds_them(tiny_model: Path):
    backend = opened(tiny_model, declares_tools=False)

    assert "search" not in shown(backend, request("a", user("u")))
    assert '{"name": "search"' in shown(backend, request("a", user("u"), tools=[TOOL]))


TOOL_BLIND = "<tool_call>{% for m in messages %}{{ m.role }}: {{ m.content }}\n{% endfor %}"


def blind(tiny_model: Path, folder: Path, template: str = TOOL_BLIND) -> Path:
    shutil.copytree(tiny_model, folder)
    (folder / "chat_template.jinja").write_text(template)
    return folder


def test_a_template_that_drops_tools_is_refused_where_they_are_declared(
    tiny_model: Path, tmp_path: Path
):
    folder = blind(tiny_model, tmp_path / "blind")

    with pytest.raises(TemplateError, match="drops tool declarations"):
        opened(folder, dialect="hermes")
    backend = opened(folder, dialect="hermes", declares_tools=False)
    assert ["a"] == list(answers(backend, [request("a", user("u"))]))


def test_a_template_that_drops_history_is_refused_once_it_is_needed(
    tiny_model: Path, tmp_path: Path
):
    backend = opened(blind(tiny_model, tmp_path / "blind"), dialect="hermes", declares_tools=False)
    call = Message(role="assistant", tool_calls=(ToolCall(name="f", arguments={}),))
    result = Message(role="tool", content="r", name="f")

    with pytest.raises(TemplateError, match="drops assistant calls"):
        groups(backend, [request("a", user("u"), call, result)])


def test_a_conversation_the_template_refuses_is_an_error_of_its_case(
    tiny_model: Path, tmp_path: Path, hermes_template: str
):
    strict = hermes_template + (
        "{% if messages[-1].content == 'bad' %}{{ raise_exception('no such words') }}{% endif %}"
    )
    backend = opened(blind(tiny_model, tmp_path / "strict", strict))

    found = answers(backend, [request("a", user("good")), request("b", user("bad"))])

    assert None is found["a"].error
    assert "the chat template cannot render this conversation: no such words" == found["b"].error


def test_a_prompt_beyond_the_context_is_an_error_of_its_case(tiny_model: Path):
    found = answers(opened(tiny_model), [request("a", user("x" * 2100)), request("b", user("x"))])

    assert None is found["b"].error
    assert "the model's context is 2048" in (found["a"].error or "")


# Opening.


def test_the_dialect_comes_from_the_template_unless_it_is_given(tiny_model: Path, tmp_path: Path):
    unknown = blind(tiny_model, tmp_path / "unknown", "{{ messages }}{{ tools }}")

    assert "hermes" == opened(tiny_model).checkpoint.dialect
    assert "native" == opened(tiny_model, dialect="native").checkpoint.dialect
    with pytest.raises(DialectError, match="--dialect"):
        opened(unknown)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"device": "tpu"}, "device 'tpu' is not available; available: .*cpu"),
        (
            {"device": "cpu", "dtype": "int8"},
            "unknown dtype 'int8'; choose from float32, bfloat16, float16",
        ),
        ({"device": "cpu", "batch_size": 0}, "a batch size must be 1 or more, not 0"),
    ],
)
def test_what_this_machine_does_not_have_is_a_usage_error(
    tiny_model: Path, options: dict[str, Any], said: str
):
    with pytest.raises(UsageError, match=said):
        TransformersBackend.open(parse_reference(str(tiny_model)), BackendOptions(**options))


def test_it_says_how_it_runs(tiny_model: Path):
    assert {
        "name": "transformers",
        "dtype": "float32",
        "device": "cpu",
        "batch": "auto",
        "attention": "sdpa",
    } == opened(tiny_model).describe()
    half = opened(tiny_model, dtype="bfloat16", batch_size=7).describe()
    assert ("bfloat16", 7) == (half["dtype"], half["batch"])


def test_a_checkpoint_is_identified_by_digests(tiny_model: Path):
    checkpoint = opened(tiny_model).checkpoint

    assert f"hf:{tiny_model}" == checkpoint.reference
    assert None is checkpoint.adapter
    for value in (checkpoint.weights, checkpoint.tokenizer, checkpoint.template):
        assert str(value).startswith("sha256:")


# The clock.


def test_the_first_token_is_timed_within_the_whole(tiny_model: Path):
    [alone] = opened(tiny_model).answer_alone(questions(1), Generation(max_new_tokens=12))

    assert alone.timing is not None
    assert alone.timing.ttft_ms is not None
    assert 0 < alone.timing.ttft_ms < alone.timing.latency_ms
    assert 12 == alone.output_tokens


def test_a_sampled_answer_alone_is_the_one_of_the_batch(tiny_model: Path):
    backend = opened(tiny_model)
    [alone] = backend.answer_alone(questions(1), SAMPLED)

    assert answers(backend, questions(4), SAMPLED)["case-0"].output == alone.output


def test_one_prompt_is_decoded_twice_to_warm_up(scripted: Callable[..., TransformersBackend]):
    model = Scripted()
    list(scripted(model).answer_alone(questions(3), FOUR))

    assert [1, 1, 1, 1] == model.sizes
