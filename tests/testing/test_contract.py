"""
The contracts find what they are there for: members that break one promise each.
"""

import inspect
import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from harness.backends.base import BackendOptions, Generation, Request
from harness.backends.registry import open_backend
from harness.checkpoints.checkpoint import Checkpoint
from harness.checkpoints.reference import Reference
from harness.diagnostics import Problem
from harness.dialects.base import Reading
from harness.dialects.hermes import HERMES, Hermes
from harness.errors import CheckpointError, HarnessError, UsageError
from harness.importers.base import Imported, ImportedCase, Sources
from harness.messages import Tool, ToolCall
from harness.reports.report import Report
from harness.testing import (
    BackendContract,
    DialectContract,
    DialectSample,
    ImporterContract,
    ImporterSample,
    RendererContract,
)
from harness.testing.contract import Contract
from harness.testing.examples import on_fixed_examples
from harness.testing.reports import REPORTS
from harness.testing.shared_answers import shared_answers
from harness.testing.texts import HOSTILE
from harness.transcript import Timing, Transcript

SAMPLE = DialectSample.read(Path(__file__).parents[1] / "dialects" / "hermes.yaml")

Tools = Sequence[Tool]


def without_hypothesis(test: Any) -> Callable[..., None]:
    return inspect.unwrap(test.hypothesis.inner_test)


class Silent(Hermes):
    """
    Drops calls that are begun and not finished.
    """

    def read(self, output: str, tools: Tools = ()) -> Reading:
        reading = super().read(output, tools)
        kept = tuple(attempt for attempt in reading.attempts if not attempt.unfinished)
        return replace(reading, attempts=kept)


class Finishing(Hermes):
    """
    Completes what was cut off.
    """

    def read(self, output: str, tools: Tools = ()) -> Reading:
        reading = super().read(output, tools)
        if any(attempt.unfinished for attempt in reading.attempts):
            return super().read(output + '"}}\n</tool_call>', tools)
        return reading


class Raising(Hermes):
    """
    Knows no brackets outside of calls.
    """

    def read(self, output: str, tools: Tools = ()) -> Reading:
        reading = super().read(output, tools)
        if "[" in reading.text:
            raise ValueError(reading.text)
        return reading


class Mute(Hermes):
    """
    Knows no text outside of calls: a few examples are enough to find it.
    """

    def read(self, output: str, tools: Tools = ()) -> Reading:
        reading = super().read(output, tools)
        if reading.text:
            raise ValueError(f"text outside of calls: {reading.text}")
        return reading


class Confusing(Hermes):
    """
    Takes every number for text.
    """

    def render(self, calls: Sequence[ToolCall]) -> str:
        return super().render(
            [
                replace(
                    call,
                    arguments={
                        name: str(value) if isinstance(value, int) else value
                        for name, value in call.arguments.items()
                    },
                )
                for call in calls
            ]
        )


class Secretive(Hermes):
    """
    Repairs without saying so.
    """

    def read_leniently(self, output: str, tools: Tools = ()) -> Reading:
        return replace(super().read_leniently(output, tools), repairs=())


class Misplacing(Hermes):
    """
    Says that a call begins where it does not.
    """

    def read(self, output: str, tools: Tools = ()) -> Reading:
        reading = super().read(output, tools)
        moved = (replace(attempt, start=attempt.start + 1) for attempt in reading.attempts)
        return replace(reading, attempts=tuple(moved))


@pytest.mark.parametrize(
    ("broken", "test", "lenient"),
    [
        (Silent, "a_call_that_is_begun_is_reported", False),
        (Finishing, "cutting_never_adds", False),
        (Finishing, "a_call_that_is_begun_is_reported", False),
        (Raising, "reads_any_text", False),
        (Misplacing, "reads_any_text", False),
        (Confusing, "reads_back_what_it_renders", False),
        (Secretive, "both_readings_are_one_where_nothing_is_repaired", None),
    ],
)
def test_a_dialect_that_breaks_its_promise_is_found_by_the_fixed_examples(
    broken: type[Hermes], test: str, lenient: bool | None
):
    run = on_fixed_examples(without_hypothesis(getattr(DialectContract, f"test_{test}")))
    more = {} if lenient is None else {"lenient": lenient}

    run(DialectContract(), sample=SAMPLE, **more)
    with pytest.raises((AssertionError, ValueError, IndexError)):
        run(DialectContract(), sample=replace(SAMPLE, dialect=broken()), **more)


def test_a_dialect_that_breaks_its_promise_is_found_by_hypothesis():
    broken = replace(SAMPLE, dialect=Mute())

    with pytest.raises(ValueError, match="text outside of calls"):
        DialectContract().test_reads_any_text(sample=broken, lenient=False)


def test_a_dialect_that_reads_real_output_wrongly_is_found():
    run = DialectContract().test_reads_and_judges_what_goes_wrong_in_real_output
    found = set()
    for answer in shared_answers():
        if SAMPLE.takes(answer):
            run(SAMPLE, answer)
            try:
                run(replace(SAMPLE, dialect=Secretive()), answer)
            except AssertionError:
                found.add(answer.kind)

    assert {"broken-arguments", "strings"} <= found


def test_a_dialect_found_by_another_template_is_found():
    run = DialectContract().test_a_template_tells_its_dialect

    with pytest.raises(AssertionError):
        run(replace(SAMPLE, name="shouting"), SAMPLE.templates["qwen"])


def test_a_wrong_example_is_found():
    example = {"text": HERMES.render([ToolCall(name="f", arguments={"n": 1})])}
    wanted = {"call": "f", "arguments": {"n": True}}

    with pytest.raises(AssertionError):
        DialectContract().test_reads_an_example_strictly(SAMPLE, {**example, "attempts": [wanted]})


def test_fixed_examples_of_which_none_fits_are_no_proof():
    @on_fixed_examples
    def never(examples: Any) -> None:
        examples.require(False)

    with pytest.raises(AssertionError, match="none of the fixed examples"):
        never()


def test_a_contract_without_samples_says_so():
    class TestNothing(Contract):
        pass

    with pytest.raises(UsageError, match=r"TestNothing\.samples is empty"):
        TestNothing().pytest_generate_tests(None)  # type: ignore[arg-type]


# Backends.


class Toy:
    """
    A backend that keeps its promises, in memory.
    """

    def __init__(self, reference: Reference, options: BackendOptions) -> None:
        self.checkpoint = Checkpoint(
            reference=str(reference), dialect="hermes", dialect_version=Hermes.version
        )

    def describe(self) -> Mapping[str, Any]:
        return dict.fromkeys(("name", "dtype", "device", "batch", "attention"))

    def answer(
        self, requests: Sequence[Request], generation: Generation
    ) -> Iterator[Sequence[Transcript]]:
        yield [self.transcript(request, requests) for request in requests]

    def answer_alone(
        self, requests: Sequence[Request], generation: Generation
    ) -> Iterator[Transcript]:
        for request in requests:
            timing = Timing(latency_ms=1.0, ttft_ms=None)
            yield replace(self.transcript(request, [request]), timing=timing)

    def transcript(self, request: Request, requests: Sequence[Request]) -> Transcript:
        return Transcript(key=request.key, output=request.messages[-1].content)

    def close(self) -> None:
        pass


class Losing(Toy):
    def answer(
        self, requests: Sequence[Request], generation: Generation
    ) -> Iterator[Sequence[Transcript]]:
        yield [self.transcript(request, requests) for request in requests[1:]]


class Repeating(Toy):
    def answer(
        self, requests: Sequence[Request], generation: Generation
    ) -> Iterator[Sequence[Transcript]]:
        for _ in range(2):
            yield from super().answer(requests, generation)


class Crowded(Toy):
    def transcript(self, request: Request, requests: Sequence[Request]) -> Transcript:
        return Transcript(key=request.key, output=f"one of {len(requests)}")


class Anonymous(Toy):
    def __init__(self, reference: Reference, options: BackendOptions) -> None:
        super().__init__(reference, options)
        self.checkpoint = replace(self.checkpoint, reference="nowhere:x")


class Chatty(Toy):
    def describe(self) -> Mapping[str, Any]:
        return {**super().describe(), "options": {1, 2}}


class Untimed(Toy):
    def answer_alone(
        self, requests: Sequence[Request], generation: Generation
    ) -> Iterator[Transcript]:
        for group in self.answer(requests, generation):
            yield from group


@pytest.mark.parametrize(
    ("broken", "test"),
    [
        (Losing, "each_request_has_exactly_one_transcript"),
        (Repeating, "each_request_has_exactly_one_transcript"),
        (Crowded, "answers_do_not_depend_on_grouping_or_order"),
        (Anonymous, "the_checkpoint_can_be_opened_again_from_what_a_run_stores"),
        (Chatty, "it_describes_itself_in_json"),
        (Untimed, "answers_alone_are_timed_or_refused"),
    ],
)
def test_a_backend_that_breaks_its_promise_is_found(
    installed: Callable[..., None], broken: type[Toy], test: str
):
    installed("harness.backends", toy=f"{__name__}:Toy", broken=f"{__name__}:{broken.__name__}")

    def run(reference: str) -> None:
        backend = open_backend(reference, BackendContract.options)
        getattr(BackendContract(), f"test_{test}")(backend)

    run("toy:x")
    with pytest.raises((AssertionError, CheckpointError, TypeError)):
        run("broken:x")


# Renderers.


def plain(report: Report) -> str:
    return repr([run.record.suite.version.isprintable() for run in report.runs]) + "\n"


_count = itertools.count()


def counting(report: Report) -> str:
    return f"{next(_count)}\n"


def judging(report: Report) -> str:
    assert report.verdict is not None
    return "a verdict\n"


def raw(report: Report) -> str:
    return "".join(answer for run in report.runs for answer in run.answers.values())


@pytest.mark.parametrize(
    ("broken", "test", "what"),
    [
        ("counting", "the_same_report_gives_the_same_text", {"kind": "gate"}),
        ("judging", "the_same_report_gives_the_same_text", {"kind": "run"}),
        ("raw", "whatever_a_model_writes_can_be_shown", {"hostile": "escape"}),
        ("raw", "whatever_a_model_writes_can_be_shown", {"hostile": "surrogate"}),
        ("raw", "any_characters_can_be_shown", {}),
        ("missing", "is_found_by_its_name", {}),
    ],
)
def test_a_renderer_that_breaks_its_promise_is_found(
    installed: Callable[..., None], broken: str, test: str, what: dict[str, str]
):
    known = {name: f"{__name__}:{name}" for name in ("plain", "counting", "judging", "raw")}
    installed("harness.renderers", **known)
    run = getattr(RendererContract(), f"test_{test}")

    run(sample="plain", **what)
    with pytest.raises((AssertionError, UsageError, UnicodeError)):
        run(sample=broken, **what)


def test_the_reports_are_of_every_kind():
    assert {True, False} == {make().verdict is None for make in REPORTS.values()}
    assert {1, 2, 3} == {len(make().runs) for make in REPORTS.values()}
    assert all(HOSTILE.values())


# Importers.


class Lines:
    """
    An importer that keeps its promises: a prompt a line.
    """

    name = "lines"
    takes: Mapping[str, bool] = {"rows": True}

    def read(self, sources: Sources, today: date) -> Imported:
        (file,) = sources["rows"]
        if not file.is_file():
            raise UsageError(f"{file} is missing")
        with file.open(encoding="utf-8") as stream:
            return self.imported(file, list(enumerate(stream, start=1)))

    def imported(self, file: Path, rows: list[tuple[int, str]]) -> Imported:
        cases, notes = [], []
        for number, line in rows:
            if line.startswith("#"):
                notes.append(Problem(file=str(file), line=number, message="not read"))
                continue
            row = {"id": f"c{len(cases)}", "prompt": line.strip(), "expect": {"abstain": True}}
            cases.append(ImportedCase(row=row, file=str(file), line=number))
        tool = {"name": "f", "description": "F.", "parameters": {"type": "object"}}
        return Imported(cases=tuple(cases), tools=(tool,), description="L.", notes=tuple(notes))


class Forgetful(Lines):
    name = "forgetful"

    def imported(self, file: Path, rows: list[tuple[int, str]]) -> Imported:
        return replace(super().imported(file, rows), notes=())


class Strict(Lines):
    name = "strict"

    def imported(self, file: Path, rows: list[tuple[int, str]]) -> Imported:
        found = super().imported(file, rows)
        if found.notes:
            raise UsageError(str(found.notes[0]))
        return found


class Moody(Lines):
    name = "moody"

    def imported(self, file: Path, rows: list[tuple[int, str]]) -> Imported:
        return replace(super().imported(file, rows), description=f"{next(_count)}")


class Invalid(Lines):
    name = "invalid"

    def imported(self, file: Path, rows: list[tuple[int, str]]) -> Imported:
        found = super().imported(file, rows)
        return replace(found, cases=found.cases[:1] * 2)


LINES, FORGETFUL, STRICT, MOODY, INVALID = Lines(), Forgetful(), Strict(), Moody(), Invalid()


@pytest.mark.parametrize(
    ("broken", "test"),
    [
        ("forgetful", "notes_a_line_that_cannot_be_read_and_goes_on"),
        ("strict", "notes_a_line_that_cannot_be_read_and_goes_on"),
        ("moody", "gives_the_same_value_twice"),
        ("invalid", "makes_a_suite_that_loads"),
    ],
)
def test_an_importer_that_breaks_its_promise_is_found(
    installed: Callable[..., None], tmp_path: Path, broken: str, test: str
):
    known = {name: f"{__name__}:{name.upper()}" for name in ("lines", broken)}
    installed("harness.importers", **known)
    run = getattr(ImporterContract(), f"test_{test}")

    def sample(name: str) -> ImporterSample:
        return ImporterSample(
            name=name,
            files={"rows": ("rows.txt", "Hello.\nGoodbye.\n")},
            json_lines=False,
            unreadable="#\n#\n",
        )

    run(sample("lines"), tmp_path)
    (tmp_path / "other").mkdir()
    with pytest.raises((AssertionError, HarnessError)):
        run(sample(broken), tmp_path / "other")


def test_a_sample_without_a_kind_of_file_that_is_needed_is_found(installed: Callable[..., None]):
    installed("harness.importers", lines=f"{__name__}:LINES")

    with pytest.raises(AssertionError):
        ImporterContract().test_takes_what_its_sample_has(ImporterSample(name="lines", files={}))
