"""
What every dialect promises (`harness.dialects.base.Dialect`), as tests.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import pytest

from harness.dialects.base import Attempt, Dialect, Reading
from harness.dialects.reading import read
from harness.dialects.registry import detect
from harness.messages import Tool, ToolCall
from harness.scoring.score import judge
from harness.testing.contract import Contract
from harness.testing.dialect_sample import KEY, DialectSample
from harness.testing.examples import Examples, on_examples
from harness.testing.shared_answers import SharedAnswer, pairs, shared_answers
from harness.testing.texts import CUT_EVERYWHERE
from harness.transcript import Transcript

Read = Callable[[str], Reading]


class DialectContract(Contract):
    """
    Held by every dialect. A subclass lists `DialectSample` values in ``samples``.
    """

    def parameters(self, metafunc: pytest.Metafunc) -> dict[str, list[Any]]:
        """
        Return the samples, and what each test asks for of them: readings, answers, examples.
        """
        asked = metafunc.fixturenames
        found: dict[str, list[Any]] = {}
        if "answer" in asked:
            found["sample, answer"] = self._each(
                lambda sample: [
                    (f"{answer.kind}: {answer.id}", answer)
                    for answer in shared_answers()
                    if sample.takes(answer)
                ]
            )
        elif "example" in asked:
            found["sample, example"] = self._each(
                lambda sample: [(row["id"], row) for row in sample.examples]
            )
        elif "template" in asked:
            found["sample, template"] = self._each(lambda sample: list(sample.templates.items()))
        else:
            found = super().parameters(metafunc)
        if "lenient" in asked:
            found["lenient"] = [pytest.param(False, id="strict"), pytest.param(True, id="lenient")]
        return found

    def _each(self, values: Callable[[DialectSample], list[tuple[str, Any]]]) -> list[Any]:
        return [
            pytest.param(sample, value, id=f"{sample.name}: {name}")
            for sample in self.samples
            for name, value in values(sample)
        ]

    def test_is_a_dialect(self, sample: DialectSample) -> None:
        assert isinstance(sample.dialect, Dialect)
        assert sample.name == sample.dialect.name
        assert sample.dialect.version >= 1

    @on_examples
    def test_reads_back_what_it_renders(
        self, sample: DialectSample, lenient: bool, examples: Examples
    ) -> None:
        wanted = examples.calls()

        reading = reader(sample, lenient, wanted)(rendered(sample, wanted, examples))

        assert [said(call.name, call.arguments) for call in wanted] == readable(reading)
        assert len(wanted) == len(reading.attempts)
        assert reading.text == ""
        assert reading.repairs == ()

    def test_holds_an_everyday_call(self, sample: DialectSample) -> None:
        everyday = [ToolCall(name="get_weather", arguments={"city": "São Paulo", "days": 3})]

        assert ["'get_weather' [('city', 'São Paulo'), ('days', 3)]"] == readable(
            reader(sample, False, everyday)(sample.dialect.render(everyday))
        )

    def test_renders_an_answer_without_calls(self, sample: DialectSample) -> None:
        assert Reading() == sample.dialect.read(sample.dialect.render([]))

    @on_examples
    def test_reads_any_text(self, sample: DialectSample, lenient: bool, examples: Examples) -> None:
        """
        No text raises, and every attempt is where it says it is and is either readable or
        explained.
        """
        output = examples.answer()

        reading = reader(sample, lenient)(output)

        after = 0
        for attempt in reading.attempts:
            assert attempt.start >= after
            after = attempt.end
            if sample.frame.layout != "message":
                assert output[attempt.start : attempt.end] == attempt.raw
            if attempt.readable:
                assert attempt.name
                assert attempt.arguments is not None
                assert not attempt.unfinished
            else:
                assert attempt.problem
                assert attempt.arguments is None
        assert not any(attempt.unfinished for attempt in reading.attempts[:-1])

    @on_examples
    def test_both_readings_are_one_where_nothing_is_repaired(
        self, sample: DialectSample, examples: Examples
    ) -> None:
        output = examples.answer()

        strict, lenient = sample.dialect.read(output), sample.dialect.read_leniently(output)

        assert strict.repairs == ()
        if not lenient.repairs:
            assert readable(strict) == readable(lenient)
            assert strict.text == lenient.text

    @on_examples
    def test_cutting_never_adds(
        self, sample: DialectSample, lenient: bool, examples: Examples
    ) -> None:
        wanted = examples.calls()
        read_text = reader(sample, lenient, wanted)
        whole = examples.text() + rendered(sample, wanted, examples) + examples.text()
        cut = whole[: examples.integer(0, len(whole))]

        assert is_among(readable(read_text(cut)), readable(read_text(whole)))

    @pytest.mark.parametrize("text", CUT_EVERYWHERE)
    def test_cutting_never_adds_wherever_it_cuts(
        self, sample: DialectSample, lenient: bool, text: str
    ) -> None:
        read_text = reader(sample, lenient)
        whole = readable(read_text(text))

        for end in range(len(text)):
            assert is_among(readable(read_text(text[:end])), whole), text[:end]

    @on_examples
    def test_a_call_that_is_begun_is_reported(
        self, sample: DialectSample, lenient: bool, examples: Examples
    ) -> None:
        """
        Cut inside its n-th call, an answer holds n - 1 readable calls and one that is not.
        """
        wanted = examples.calls()
        read_text = reader(sample, lenient, wanted)
        whole = rendered(sample, wanted, examples)
        if sample.frame.layout == "message":
            start = whole.index(sample.opener) + len(sample.opener)
            cut = whole[: examples.integer(start, len(whole) - 1)]
            assert [True] == [attempt.unfinished for attempt in read_text(cut).attempts]
            return
        done = examples.integer(0, len(wanted) - 1)
        call = read_text(whole).attempts[done]
        start = call.start + sample.begun(wanted[done], call.raw)
        cut = whole[: examples.integer(start, call.end - 1)]

        *before, last = read_text(cut).attempts

        assert done == len(before)
        assert all(attempt.readable for attempt in before)
        assert not last.readable
        # A string that ends in the closing tag looks closed.
        closed = sample.closer is not None and last.raw.rstrip().endswith(sample.closer)
        assert last.unfinished or closed
        assert last.name in (None, call.name)

    @on_examples
    def test_an_answer_that_lost_a_tag_is_no_silence(
        self, sample: DialectSample, lenient: bool, examples: Examples
    ) -> None:
        """
        Whichever one tag is missing, a call was attempted.
        """
        wanted = examples.calls()
        whole = rendered(sample, wanted, examples)
        for start, end in _places(whole, sample.tags):
            assert reader(sample, lenient, wanted)(whole[:start] + whole[end:]).attempts

    def test_a_call_that_lost_a_tag_is_read_or_reported(
        self, sample: DialectSample, lenient: bool
    ) -> None:
        """
        Whichever one tag is missing, no call is lost without a word. (A value of bare text may
        swell: where it ends is told by its tags alone.)
        """
        wanted = [
            ToolCall(name="get_weather", arguments={"city": "São Paulo", "days": 3}),
            ToolCall(name="now", arguments={}),
        ][: sample.frame.at_most]
        whole = sample.dialect.render(wanted)
        names = [call.name for call in wanted]
        for start, end in _places(whole, sample.tags):
            attempts = reader(sample, lenient, wanted)(whole[:start] + whole[end:]).attempts
            unread = [attempt.problem for attempt in attempts if not attempt.readable]
            assert unread or [attempt.name for attempt in attempts] == names, whole[start:end]

    @on_examples
    def test_a_broken_character_is_never_a_crash(
        self, sample: DialectSample, lenient: bool, examples: Examples
    ) -> None:
        """
        One character of a good answer replaced by another.
        """
        wanted = examples.calls()
        whole = rendered(sample, wanted, examples)
        at = examples.integer(0, len(whole) - 1)
        char = examples.choice("'\"{}[],:\\<>|0-eN \n")

        reader(sample, lenient)(whole[:at] + char + whole[at + 1 :])

    @pytest.mark.parametrize(
        "piece", ["[", '{"a":', "{a:", "<tool_call>", '"', "\\", "1", "-", "x."]
    )
    def test_deep_or_long_input_does_not_exhaust_the_stack(
        self, sample: DialectSample, lenient: bool, piece: str
    ) -> None:
        own = sample.opener.replace("$name", "f")
        if sample.frame.layout == "message":
            own = "{" + own
        for before in ("", own, "<start_function_call>call:f{a:", "[f(a="):
            reading = reader(sample, lenient)(before + piece * 20_000)

            assert [] == readable(reading)

    def test_reads_and_judges_what_goes_wrong_in_real_output(
        self, sample: DialectSample, answer: SharedAnswer
    ) -> None:
        transcript, case = sample.transcript(answer), answer.case()
        want = sample.wanted(answer)

        (result,) = judge([case], {KEY: transcript}, sample.dialect)

        findings = result.turns[0].findings
        shown = (transcript.output or transcript.message, findings)
        assert want.get("status", "correct") == result.status, shown
        assert want.get("lenient", want.get("status", "correct")) == result.status_lenient, shown
        if transcript.error is not None:
            return
        told = sorted(one.code for one in findings if one.code != "repaired")
        assert sorted(want.get("findings", [])) == told, shown
        repaired = "; ".join(one.detail for one in findings if one.code == "repaired")
        for repair in want.get("repairs", []):
            assert repair in repaired, shown
        assert bool(want.get("repairs")) == bool(repaired), shown
        kinds = [one.kind for one in findings if one.kind is not None]
        assert want.get("kinds", kinds) == kinds, shown
        calls = pairs(want["calls"]) if "calls" in want else answer.written
        if calls is not None:
            reading = read(sample.dialect, transcript, case.tools)
            assert [said(*call) for call in calls] == readable(reading), shown

    def test_a_template_tells_its_dialect(self, sample: DialectSample, template: str) -> None:
        assert sample.name == detect(template).name

    def test_a_template_writes_what_its_dialect_reads(
        self, sample: DialectSample, template: str
    ) -> None:
        from transformers.utils.chat_template_utils import render_jinja_template

        calls = [
            ToolCall(name="get_weather", arguments={"city": "São Paulo", "days": 3}),
            ToolCall(name="now", arguments={}),
        ]
        tools = declared(calls)
        asked = [{"role": "user", "content": "Weather in São Paulo?"}]
        called = [
            {"name": call.name, "arguments": dict(call.arguments)}
            for call in calls[: sample.frame.at_most]
        ]
        answered = {"role": "assistant", "content": "", "tool_calls": [
            {"type": "function", "id": f"call{number:05}", "function": function}
            for number, function in enumerate(called)
        ]}  # fmt: skip

        def shown(messages: Sequence[Mapping[str, Any]], *, prompt: bool) -> str:
            texts, _ = render_jinja_template(
                [messages],
                chat_template=template,
                tools=[tool.schema for tool in tools],
                add_generation_prompt=prompt,
                bos_token="<s>",
                eos_token="</s>",
            )
            return str(texts[0])

        before = shown(asked, prompt=True)
        whole = shown([*asked, answered], prompt=False)

        reading = sample.dialect.read(whole.removeprefix(before), tools)

        assert whole.startswith(before)
        assert called == [
            {"name": one.name, "arguments": one.arguments} for one in reading.attempts
        ]
        assert reading.text == ""

    def test_reads_an_example_strictly(
        self, sample: DialectSample, example: Mapping[str, Any]
    ) -> None:
        reading = read_example(sample, example, lenient=False)

        check_attempts(example.get("attempts", ()), reading.attempts)
        assert example.get("rest", "") == reading.text
        assert reading.repairs == ()

    def test_reads_an_example_leniently(
        self, sample: DialectSample, example: Mapping[str, Any]
    ) -> None:
        """
        An example without ``lenient`` is read the same both ways.
        """
        reading = read_example(sample, example, lenient=True)

        if "lenient" not in example:
            assert read_example(sample, example, lenient=False) == reading
            return
        want = example["lenient"]
        check_attempts(want["attempts"], reading.attempts)
        assert want.get("rest", example.get("rest", "")) == reading.text
        assert tuple(want["repairs"]) == reading.repairs


def reader(sample: DialectSample, lenient: bool, calls: Sequence[ToolCall] = ()) -> Read:
    """
    Return the reading of one kind, with the tools of *calls* declared.
    """
    tools = declared(calls)
    chosen = sample.dialect.read_leniently if lenient else sample.dialect.read
    return lambda output: chosen(output, tools)


def rendered(sample: DialectSample, calls: Sequence[ToolCall], examples: Examples) -> str:
    """
    Render *calls*; skip the example if this format cannot represent them or tell their types.
    """
    examples.require(not sample.by_schema or _agree(calls))
    try:
        return sample.dialect.render(calls)
    except ValueError:
        examples.require(False)
        raise


def _places(text: str, tags: Sequence[str]) -> list[tuple[int, int]]:
    """
    Return where each of *tags* is in *text*.
    """
    found = []
    for tag in tags:
        start = text.find(tag)
        while start >= 0:
            found.append((start, start + len(tag)))
            start = text.find(tag, start + 1)
    return found


def readable(reading: Reading) -> list[str]:
    """
    Return the readable calls of a reading, as `said`.
    """
    return [said(one.name, one.arguments) for one in reading.attempts if one.readable]


def said(name: str | None, arguments: Mapping[str, Any] | None) -> str:
    """
    Spell a call so that equal texts are equal calls: 1, 1.0 and True are three values, and the
    order of keys is not part of a call.
    """
    return f"{name!r} {_sorted(arguments)!r}"


def is_among(some: Sequence[str], all_of_them: Sequence[str]) -> bool:
    """
    Return whether *some* occur in *all_of_them*, in this order.
    """
    rest = iter(all_of_them)
    return all(any(item == other for other in rest) for item in some)


def declared(calls: Sequence[ToolCall]) -> list[Tool]:
    """
    Declare the tools of *calls* with the types of their arguments.
    """
    properties: dict[str, dict[str, Any]] = {}
    for call in calls:
        types = properties.setdefault(call.name, {})
        for name, value in call.arguments.items():
            types[name] = {"type": _json_type(value)}
    return [
        Tool.from_schema({"name": name, "parameters": {"type": "object", "properties": types}})
        for name, types in properties.items()
    ]


def read_example(sample: DialectSample, example: Mapping[str, Any], *, lenient: bool) -> Reading:
    """
    Read an example's text or message with the tools it declares.
    """
    tools = [
        Tool.from_schema({"name": name, "parameters": {"type": "object", "properties": properties}})
        for name, properties in example.get("tools", {}).items()
    ]
    if "text" in example:
        chosen = sample.dialect.read_leniently if lenient else sample.dialect.read
        return chosen(example["text"], tools)
    transcript = Transcript(
        key=KEY, message=example["message"], finish_reason=example.get("finish_reason")
    )
    return read(sample.dialect, transcript, tools, lenient=lenient)


def check_attempts(wanted: Sequence[Mapping[str, Any]], attempts: Sequence[Attempt]) -> None:
    """
    Assert that *attempts* are those an example describes.
    """
    assert len(wanted) == len(attempts), attempts
    for want, attempt in zip(wanted, attempts, strict=True):
        if "call" in want:
            assert (want["call"], want["arguments"]) == (attempt.name, attempt.arguments)
            # 5 == 5.0 == True in Python, but not in a call.
            assert repr(want["arguments"]) == repr(attempt.arguments)
            assert attempt.readable
            assert not attempt.unfinished
            assert tuple(want.get("by_schema", ())) == attempt.by_schema
        else:
            assert not attempt.readable
            assert attempt.arguments is None
            assert want.get("name") == attempt.name
            assert ("unfinished" in want) == attempt.unfinished
            assert want.get("unfinished", want.get("malformed")) in (attempt.problem or "")
        if "raw" in want:
            assert want["raw"] == attempt.raw


def _sorted(value: Any) -> Any:
    if isinstance(value, Mapping):
        return sorted((key, _sorted(item)) for key, item in value.items())
    return [_sorted(item) for item in value] if isinstance(value, list) else value


def _agree(calls: Sequence[ToolCall]) -> bool:
    """
    Return whether one declaration fits all of *calls*: no argument has two types.
    """
    types = [
        (call.name, name, _json_type(value))
        for call in calls
        for name, value in call.arguments.items()
    ]
    return len({(tool, name) for tool, name, _ in types}) == len(set(types))


def _json_type(value: Any) -> str:
    names = {bool: "boolean", int: "integer", float: "number", str: "string", type(None): "null"}
    return names.get(type(value)) or ("object" if isinstance(value, Mapping) else "array")
