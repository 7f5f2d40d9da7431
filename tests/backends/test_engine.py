"""
The engine returns the tokens of the plain loop: on three kinds of models, in batches of any size,
with drafts and without, and where memory runs out.
"""

import contextlib
import weakref
from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import islice
from typing import Any

import pytest
import torch

from harness.backends.base import Generation
from harness.backends.engine import engine as engine_module
from harness.backends.engine.agreement import agreement
from harness.backends.engine.attention import (
    DecodeStep,
    KVCache,
    Prefix,
    PrefixPrefill,
    Segment,
)
from harness.backends.engine.decoding import OutOfMemory, Prompt, Stops, decode
from harness.backends.engine.engine import Engine, answer_of
from harness.backends.engine.prefixes import Group, groups, together
from harness.transcript import Key

STOPS = Stops(ids=tuple(range(2, 16)), pad=0)
MOST = 12
REACH = 80
"""Tokens of the longest prompt and its answer, and some more."""

GENERATION = Generation(max_new_tokens=MOST)
SIZES: dict[str, Any] = {
    "vocab_size": 120,
    "hidden_size": 32,
    "intermediate_size": 64,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 512,
    "initializer_range": 0.5,
    "pad_token_id": 0,
}


def llama() -> Any:
    from transformers import LlamaConfig, LlamaForCausalLM

    return LlamaForCausalLM(LlamaConfig(**SIZES))


def gemma() -> Any:
    """
    Gemma 3: two layers of three see 16 tokens back, fewer than the prefix has.
    """
    from transformers import Gemma3ForCausalLM, Gemma3TextConfig

    kinds = ["sliding_attention", "full_attention", "sliding_attention"]
    return Gemma3ForCausalLM(
        Gemma3TextConfig(**SIZES, head_dim=16, sliding_window=16, layer_types=kinds)
    )


def qwen() -> Any:
    from transformers import Qwen3Config, Qwen3ForCausalLM

    return Qwen3ForCausalLM(Qwen3Config(**SIZES, head_dim=8))


@pytest.fixture(scope="module", params=[llama, gemma, qwen], ids=lambda make: make.__name__)
def model(request: pytest.FixtureRequest) -> Any:
    from transformers import GenerationConfig

    torch.manual_seed(3)
    made = request.param().eval()
    made.generation_config = GenerationConfig()
    return made


def prompts(count: int = 70, prefix: int = 40) -> list[Prompt]:
    """
    Prompts with a common beginning and ends of 1 to 9 tokens.
    """
    drawn = torch.Generator().manual_seed(1)

    def some(length: int) -> list[int]:
        return torch.randint(7, 120, (length,), generator=drawn).tolist()

    first = some(prefix)
    return [Prompt(key=Key(f"{n:02}"), ids=first + some(1 + n % 9)) for n in range(count)]


@pytest.fixture(scope="module")
def plain(model: Any) -> dict[Key, list[int]]:
    """
    What one prompt at a time through `generate` gives.
    """
    answers = {p.key: list(decode(model, [p], GENERATION, STOPS)[0].ids) for p in prompts()}
    # Some end by themselves and some by the limit, or there is little to get wrong.
    assert 5 < sum(len(ids) < MOST for ids in answers.values()) < len(answers) - 5, answers
    return answers


def engine_for(model: Any, asked: Sequence[Prompt], prefix: int = 40) -> Engine:
    group = Group(prefix=prefix, prompts=tuple(asked))
    return Engine(model, [group], stops=STOPS, max_new_tokens=MOST)


def answers(engine: Engine, rows: int) -> dict[Key, list[int]]:
    found: dict[Key, list[int]] = {}
    for done in engine.run(rows):
        for row in done:
            assert row.prompt.key not in found
            found[row.prompt.key] = row.ids
    return found


def drafted(draft: Callable[[list[int]], list[int]], plain: dict[Key, list[int]]) -> list[Prompt]:
    return [Prompt(key=p.key, ids=p.ids, draft=draft(plain[p.key])) for p in prompts()]


@pytest.mark.parametrize("rows", [1, 2, 3, 8, 33, 64])
def test_it_gives_the_tokens_of_the_plain_loop(model: Any, plain: dict[Key, list[int]], rows: int):
    assert plain == answers(engine_for(model, prompts()), rows)


@pytest.mark.parametrize("rows", [1, 7, 64])
@pytest.mark.parametrize(
    "draft",
    [
        lambda ids: ids,
        lambda ids: ids[:-1],
        lambda ids: ids[: len(ids) // 2],
        lambda ids: [*ids, 9, 9, 9],
        lambda ids: [9] * 40,
        lambda ids: [2],
        lambda ids: ids[::-1],
    ],
    ids=["right", "too short", "half", "too long", "wrong", "a stop alone", "backwards"],
)
def test_a_draft_changes_nothing(
    model: Any,
    plain: dict[Key, list[int]],
    draft: Callable[[list[int]], list[int]],
    rows: int,
):
    assert plain == answers(engine_for(model, drafted(draft, plain)), rows)


@pytest.mark.parametrize("place", range(MOST))
def test_a_draft_may_be_wrong_at_any_place(model: Any, plain: dict[Key, list[int]], place: int):
    def wrong(ids: list[int]) -> list[int]:
        return [*ids[:place], 9 if ids[place : place + 1] != [9] else 10, *ids[place + 1 :]]

    assert plain == answers(engine_for(model, drafted(wrong, plain)), 16)


class Counted:
    """
    Counts the forwards of a model, and lets some of them run out of memory.
    """

    def __init__(self, model: Any, fails: Callable[[int], bool] = lambda tokens: False) -> None:
        self.tokens: list[int] = []
        self._fails = fails
        self._hook = model.register_forward_pre_hook(self._seen, with_kwargs=True)

    def _seen(self, model: Any, args: Any, kwargs: Any) -> None:
        self.tokens.append(kwargs["input_ids"].shape[1])
        if self._fails(self.tokens[-1]):
            raise torch.cuda.OutOfMemoryError("CUDA out of memory")

    def __enter__(self) -> "Counted":
        return self

    def __exit__(self, *_: object) -> None:
        self._hook.remove()


def test_right_drafts_take_one_forward(model: Any, plain: dict[Key, list[int]]):
    asked = drafted(lambda ids: ids, plain)
    with Counted(model) as counted:
        answers(engine_for(model, asked), len(asked))

    # The prefix, then nothing but the prompts' own tokens and the drafts but for their last token.
    own = sum(len(p.ids) - 40 + len(p.draft) - 1 for p in asked)
    assert [40, own] == [counted.tokens[0], sum(counted.tokens[1:])]
    assert len(counted.tokens) <= 3


def test_decoding_goes_on_where_a_draft_departs(model: Any, plain: dict[Key, list[int]]):
    asked = drafted(lambda ids: [*ids[:-2], 9], plain)
    with Counted(model) as counted:
        answers(engine_for(model, asked), len(asked))

    # Two tokens at most are left to be decided of each answer.
    assert sum(tokens <= len(asked) for tokens in counted.tokens[1:]) <= 2 + 2


@pytest.mark.parametrize("drafts", [False, True])
def test_where_memory_runs_out_nothing_that_was_decided_is_lost(
    model: Any, plain: dict[Key, list[int]], drafts: bool
):
    asked = drafted(lambda ids: ids[:3], plain) if drafts else prompts()
    engine = engine_for(model, asked)
    found: dict[Key, list[int]] = {}
    with Counted(model, lambda tokens: False) as counted:

        def fails(tokens: int) -> bool:
            # Once, in the middle of things.
            return len(counted.tokens) == 6

        counted._fails = fails
        with pytest.raises(OutOfMemory):  # noqa: PT012 - it is raised on the way
            for done in engine.run(16):
                found.update({row.prompt.key: row.ids for row in done})
        before = len(counted.tokens)
        assert any(row.draft for row in engine.waiting)
        for done in engine.run(8):
            assert not {row.prompt.key for row in done} & set(found)
            found.update({row.prompt.key: row.ids for row in done})

    assert plain == found
    assert len(counted.tokens) > before


@pytest.mark.parametrize("stranger", [120, 5000, -1])
def test_a_token_the_model_has_not_ends_a_draft(
    model: Any, plain: dict[Key, list[int]], stranger: int
):
    asked = drafted(lambda ids: [*ids[: len(ids) // 2], stranger, *ids], plain)

    assert plain == answers(engine_for(model, asked), 16)


def test_memory_that_runs_out_behind_the_model_loses_nothing(
    model: Any, plain: dict[Key, list[int]], monkeypatch: pytest.MonkeyPatch
):
    calls = iter(range(1000))
    decide = Engine._decide

    def sometimes(self: Engine, logits: Any) -> Any:
        if next(calls) == 4:
            raise torch.cuda.OutOfMemoryError("CUDA out of memory")
        return decide(self, logits)

    monkeypatch.setattr(Engine, "_decide", sometimes)
    engine = engine_for(model, prompts())
    found: dict[Key, list[int]] = {}
    with contextlib.suppress(OutOfMemory):
        for done in engine.run(16):
            found.update({row.prompt.key: row.ids for row in done})

    assert engine.waiting
    assert plain == found | answers(engine, 8)


# Several prefixes.

LENGTHS = (40, 3, 25, 60, 1)


@pytest.fixture(scope="module")
def alike() -> list[Group]:
    """
    Nine prompts behind each of five prefixes.
    """
    drawn = torch.Generator().manual_seed(2)
    ends = iter(prompts())
    made = []
    for length in LENGTHS:
        first = torch.randint(7, 120, (length,), generator=drawn).tolist()
        asked = [Prompt(key=p.key, ids=[*first, *p.ids[40:]]) for p in islice(ends, 9)]
        made.append(Group(prefix=length, prompts=tuple(asked)))
    return made


@pytest.fixture(scope="module")
def plainly(model: Any, alike: list[Group]) -> dict[Key, list[int]]:
    asked = [prompt for group in alike for prompt in group.prompts]
    return {p.key: list(decode(model, [p], GENERATION, STOPS)[0].ids) for p in asked}


class Computed:
    """
    Sees which prefixes are computed, and how many are kept.
    """

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.lengths: list[int] = []
        self.kept = 0
        self._seen: list[weakref.ref[Prefix]] = []
        monkeypatch.setattr(engine_module, "PrefixPrefill", self._made)

    def _made(self, prefix: Prefix) -> PrefixPrefill:
        self.lengths.append(prefix.length)
        self._seen.append(weakref.ref(prefix))
        self.kept = max(self.kept, sum(each() is not None for each in self._seen))
        return PrefixPrefill(prefix)


@pytest.mark.parametrize("rows", [1, 2, 5, 16, 64])
@pytest.mark.parametrize("drafted", [False, True])
def test_rows_of_several_prefixes_are_decoded_together(
    model: Any,
    alike: list[Group],
    plainly: dict[Key, list[int]],
    rows: int,
    drafted: bool,
    monkeypatch: pytest.MonkeyPatch,
):
    computed = Computed(monkeypatch)
    if drafted:
        alike = [
            replace(
                group,
                prompts=tuple(
                    replace(p, draft=plainly[p.key][: n % MOST])
                    for n, p in enumerate(group.prompts)
                ),
            )
            for group in alike
        ]

    assert plainly == answers(Engine(model, alike, stops=STOPS, max_new_tokens=MOST), rows)
    # Each once, and kept no longer than a row needs it.
    assert list(LENGTHS) == computed.lengths
    assert computed.kept <= rows


def test_a_step_decodes_a_token_of_every_row(model: Any, alike: list[Group]):
    with Counted(model) as counted:
        answers(Engine(model, alike, stops=STOPS, max_new_tokens=MOST), 45)

    # The prefixes, one forward pass that prefills all rows, and the steps.
    assert len(counted.tokens) <= len(LENGTHS) + 1 + MOST - 1


def test_rows_of_a_prefix_stay_beside_each_other(
    model: Any, alike: list[Group], monkeypatch: pytest.MonkeyPatch
):
    seen = []

    def step(cache: KVCache, segments: Sequence[Segment]) -> DecodeStep:
        seen.append([segment.prefix.length for segment in segments])
        return DecodeStep(cache, segments)

    monkeypatch.setattr(engine_module, "DecodeStep", step)

    answers(Engine(model, alike, stops=STOPS, max_new_tokens=MOST), 20)

    # Else one prefix would be multiplied several times a step.
    assert all(len(lengths) == len(set(lengths)) for lengths in seen)
    assert max(map(len, seen)) > 1


def test_where_memory_runs_out_with_several_prefixes_nothing_is_lost(
    model: Any, alike: list[Group], plainly: dict[Key, list[int]]
):
    engine = Engine(model, alike, stops=STOPS, max_new_tokens=MOST)
    found: dict[Key, list[int]] = {}
    with Counted(model) as counted:
        for fails, rows in ((9, 20), (23, 10), (None, 5)):
            counted._fails = lambda tokens, at=fails: len(counted.tokens) == at
            with contextlib.suppress(OutOfMemory):
                for done in engine.run(rows):
                    assert not {row.prompt.key for row in done} & set(found)
                    found.update({row.prompt.key: row.ids for row in done})
            assert bool(engine.waiting) == (fails is not None)

    assert plainly == found


def test_several_prefixes_agree_with_the_plain_way(model: Any, alike: list[Group]):
    asked = [prompt for group in alike for prompt in group.prompts]

    found = agreement(model, Engine(model, alike, stops=STOPS, max_new_tokens=MOST), asked, REACH)

    assert found.max_difference is not None
    assert found.max_difference < 1e-3


def test_groups_that_need_about_as_much_room_go_together():
    def group(prefix: int, own: int) -> Group:
        ids = tuple(range(prefix + own))
        return Group(prefix=prefix, prompts=(prompt(*ids), prompt(*ids[:-1], 999)))

    short, other, long = group(50, 4), group(9, 10), group(1, 60)

    assert [[long], [other, short]] == together([short, long, other], max_new_tokens=8)
    assert [[long, other, short]] == together([short, long, other], max_new_tokens=60)


# Where it is not sure.


def test_near_ties_are_not_decided_here(model: Any, plain: dict[Key, list[int]]):
    engine = engine_for(model, prompts())
    engine.near_tie = 1e9

    done = [row for rows in engine.run(16) for row in rows]

    assert len(plain) == len(done)
    assert all(row.near_tie and len(row.ids) == 1 for row in done)


def test_watched_logits_are_those_of_the_plain_loop(model: Any, plain: dict[Key, list[int]]):
    watched = (9, 50, 7)
    asked = [
        Prompt(key=p.key, ids=p.ids, draft=p.draft, watched=watched)
        for p in drafted(lambda ids: ids[: len(ids) // 2], plain)
    ]
    rows = {row.prompt.key: row for done in engine_for(model, asked).run(8) for row in done}

    for prompt in asked[:9]:
        [alone] = decode(model, [prompt], GENERATION, STOPS)
        seen = answer_of(rows[prompt.key], STOPS).watched
        assert len(alone.ids) == len(alone.watched) == len(seen)
        one, other = torch.stack([*seen]), torch.stack([*alone.watched])
        torch.testing.assert_close(one, other, rtol=0, atol=1e-3)


# May a model be run in this way?


def test_the_three_kinds_agree_with_themselves(model: Any):
    found = agreement(model, engine_for(model, prompts()), prompts(), REACH)

    assert found.max_difference is not None
    assert 0 <= found.max_difference < 1e-3
    assert "sdpa" == model.config._attn_implementation


def test_a_model_that_ignores_positions_does_not_agree(model: Any, monkeypatch: pytest.MonkeyPatch):
    from harness.backends.engine import attention

    monkeypatch.setattr(
        attention.DecodeStep, "positions", property(lambda self: self._slot), raising=True
    )

    found = agreement(model, engine_for(model, prompts()), prompts(), REACH)

    assert found.max_difference is None
    assert "logits differ by" in found.reason


def test_an_ignored_window_is_noticed(monkeypatch: pytest.MonkeyPatch):
    from harness.backends.engine import attention

    torch.manual_seed(3)
    model = gemma().eval()
    parameters = attention.AttentionParameters
    monkeypatch.setattr(
        attention,
        "AttentionParameters",
        lambda scale, window, softcap: parameters(scale, None, softcap),
    )

    assert agreement(model, engine_for(model, prompts()), prompts(), REACH).max_difference is None


@pytest.fixture
def masked() -> Any:
    """
    A model that gives its last twenty tokens no chance at all.
    """
    from transformers import GenerationConfig

    torch.manual_seed(3)
    made = llama().eval()
    made.generation_config = GenerationConfig()

    def mask(module: Any, given: Any, logits: Any) -> Any:
        return torch.cat([logits[..., :100], torch.full_like(logits[..., 100:], -torch.inf)], -1)

    made.get_output_embeddings().register_forward_hook(mask)
    return made


def test_equal_infinities_are_no_difference(masked: Any):
    found = agreement(masked, engine_for(masked, prompts()), prompts(), REACH)

    assert found.max_difference is not None
    # As of a model without a mask: a run keeps its distance from ties.
    assert 1e-7 < found.max_difference < 1e-3


def test_beside_infinities_a_difference_is_noticed(masked: Any, monkeypatch: pytest.MonkeyPatch):
    from harness.backends.engine import attention

    monkeypatch.setattr(attention.DecodeStep, "positions", property(lambda self: self._slot))

    found = agreement(masked, engine_for(masked, prompts()), prompts(), REACH)

    assert found.max_difference is None
    assert "logits differ by" in found.reason


def test_nan_is_not_agreement(model: Any, monkeypatch: pytest.MonkeyPatch):
    forward = Engine._forward

    def broken(self: Engine, *given: Any) -> Any:
        return forward(self, *given) * float("nan")

    monkeypatch.setattr(Engine, "_forward", broken)

    found = agreement(model, engine_for(model, prompts()), prompts(), REACH)

    assert found.max_difference is None
    assert "finite in one way only" in found.reason


# Which prompts share a prefix.


def prompt(*ids: int) -> Prompt:
    return Prompt(key=Key("-".join(map(str, ids))), ids=ids)


def test_one_list_of_tools_is_one_group():
    asked = [prompt(1, 2, 3, 4, n) for n in range(5)]

    [group] = groups(asked[::-1])

    assert (4, tuple(asked)) == (group.prefix, group.prompts)


def test_a_token_of_each_prompt_is_left_over():
    [group] = groups([prompt(1, 2, 3), prompt(1, 2, 3, 4)])
    [alone] = groups([prompt(1, 2, 3)])

    assert (2, 2) == (group.prefix, alone.prefix)


def test_each_list_of_tools_with_enough_cases_has_its_own_prefix():
    first = [prompt(1, *[2] * 50, n) for n in range(20)]
    second = [prompt(1, *[3] * 50, n) for n in range(20)]
    few = [prompt(1, *[kind] * 50, n) for kind in (4, 5) for n in range(2)]

    found = groups([*first, *second, *few], worth=500)

    assert {(51, 20), (1, 4)} == {(group.prefix, len(group.prompts)) for group in found}
    assert {p.key for p in [*first, *second, *few]} == {
        p.key for group in found for p in group.prompts
    }
    assert all(len({p.ids[: group.prefix] for p in group.prompts}) == 1 for group in found)


def test_prompts_without_anything_in_common_are_apart():
    assert [(0, 1), (1, 1)] == sorted(
        (group.prefix, len(group.prompts)) for group in groups([prompt(1), prompt(2, 3)])
    )
