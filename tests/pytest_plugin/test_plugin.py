"""
The pytest plugin, seen from a user's project: a suite on disk, a function for a model.
"""

import gzip
import json
import shlex
import subprocess
import sys
import xml.etree.ElementTree as ElementTree
from importlib import import_module
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

import pytest

import harness

# Loaded before pytester's first run: what is first imported inside one is forgotten after it.
import harness.pytest_plugin.assertions
import harness.reports.build
import harness.workflow.run
from harness.runs.record import RunRecord
from harness.runs.store import load_run

import_module("numpy")  # The same: it cannot be imported twice.

pytest_plugins = ["pytester"]

INSTALLED = any(point.name == "toolcall_harness" for point in entry_points(group="pytest11"))
PLUGIN = () if INSTALLED else ("-p", "harness.pytest_plugin.plugin")

KNOWLEDGE, WEB = "search_knowledge_base", "search_google"

SUITE = """
format: 1
name: routing
version: 1.0.0
system: Pick a tool.
tools:
- name: search_knowledge_base
  parameters: {type: object, properties: {query: {type: string}}, required: [query]}
- name: search_google
  parameters: {type: object, properties: {query: {type: string}}, required: [query]}
cases: cases.jsonl
"""

MODEL = """
from pathlib import Path

def answer(messages, tools):
    said = [message["content"] for message in messages if message["role"] == "user"][-1]
    with Path("asked.txt").open("a") as file:
        file.write(said + "\\n")
    if "break" in said:
        raise RuntimeError("the server is gone")
    if "thanks" in said:
        return {"role": "assistant", "content": "You are welcome."}
    name = "search_google" if "google" in said else "search_knowledge_base"
    call = {"name": name, "arguments": {"query": said}}
    return {"role": "assistant", "tool_calls": [{"type": "function", "function": call}]}
"""


def wants(tool: str | None, **arguments: Any) -> dict[str, Any]:
    if tool is None:
        return {"abstain": True}
    return {"calls": [{"tool": tool, "arguments": arguments}]}


def case(name: str, prompt: str, expect: dict[str, Any], *tags: str, **more: Any) -> dict[str, Any]:
    return {"id": name, "prompt": prompt, "expect": expect, "tags": list(tags), **more}


LEAVE = case("kb-1", "vacation days", wants(KNOWLEDGE), "internal", "plain")
WRONG = case("kb-2", "google our policy", wants(KNOWLEDGE, query="policy"), "internal")
WEATHER = case("web-1", "google the weather", wants(WEB), "public", "plain")
THANKS = case("chat-1", "thanks", wants(None))
BROKEN = case("kb-3", "break it", wants(KNOWLEDGE))
ALL = (LEAVE, WRONG, WEATHER, THANKS, BROKEN)


class Project:
    """
    A folder with one suite and a model, and pytest run in it.
    """

    def __init__(self, pytester: pytest.Pytester) -> None:
        self.pytester = pytester
        self.path = pytester.path
        pytester.makeini("[pytest]\naddopts = --strict-markers --strict-config -p no:cacheprovider")
        pytester.makepyfile(model=MODEL)
        (self.path / "suites" / "routing").mkdir(parents=True)
        self.suite(SUITE)
        self.cases(*ALL)

    def suite(self, text: str, name: str = "routing") -> None:
        (self.path / "suites" / name / "suite.yaml").write_text(text, "utf-8")

    def cases(self, *rows: dict[str, Any], name: str = "routing") -> None:
        text = "".join(json.dumps(row) + "\n" for row in rows)
        (self.path / "suites" / name / "cases.jsonl").write_text(text, "utf-8")

    def run(
        self, *arguments: str, checkpoint: str | None = "python:model:answer"
    ) -> pytest.RunResult:
        given = () if checkpoint is None else ("--harness-checkpoint", checkpoint)
        return self.pytester.runpytest_inprocess(*PLUGIN, *given, *arguments)

    def run_apart(self, *arguments: str) -> pytest.RunResult:
        """
        Run pytest in a process of its own: torch and its like cannot be imported twice in one.
        """
        source = str(Path(harness.__file__).parents[1])
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("PYTHONPATH", source)
            return self.pytester.runpytest_subprocess(
                *PLUGIN, "--harness-checkpoint", "python:model:answer", *arguments
            )

    def asked(self) -> list[str]:
        file = self.path / "asked.txt"
        return file.read_text().splitlines() if file.exists() else []

    def record(self) -> RunRecord:
        (file,) = self.path.glob("reports/*/*/run.json")
        return load_run(file.parent).record

    def accept(self, name: str = "shipped") -> None:
        """
        Run the suite and make the run a baseline.
        """
        self.run("suites", "--harness-out", "first")
        stored = load_run(self.path / "first" / "routing")
        harness.save_baseline(stored, self.path / "baselines", name, saved="2026-01-01")
        (self.path / "asked.txt").unlink()

    def worsen(self) -> None:
        """
        The model now googles for vacation.
        """
        text = MODEL.replace('"google" in said', '"google" in said or "vacation" in said')
        self.pytester.makepyfile(other=text)

    def reword(self) -> str:
        """
        Return the checkpoint of a model that says the same in other words.
        """
        text = MODEL.replace('{"query": said}', '{"query": f"{said}, please"}')
        self.pytester.makepyfile(wordy=text)
        return "python:wordy:answer"


@pytest.fixture
def project(pytester: pytest.Pytester) -> Project:
    return Project(pytester)


# Suites as tests.


def test_each_case_is_an_item_that_passes_fails_or_errors(project: Project):
    result = project.run("suites", "-v")

    result.assert_outcomes(passed=3, failed=1, errors=1)
    result.stdout.fnmatch_lines(
        [
            "harness checkpoint: python:model:answer",
            "harness: routing: 5 answers to make",
            "*suites/routing/suite.yaml::kb-1 PASSED*",
            "*suites/routing/suite.yaml::kb-2 FAILED*",
            "*suites/routing/suite.yaml::web-1 PASSED*",
            "*suites/routing/suite.yaml::chat-1 PASSED*",
            "*suites/routing/suite.yaml::kb-3 ERROR*",
        ]
    )


def test_a_failure_shows_where_what_was_asked_expected_answered_and_found(project: Project):
    result = project.run("suites")
    shown = result.stdout.str()

    result.stdout.fnmatch_lines(
        [
            "wrong_tool: expected search_knowledge_base, called search_google(*",
            "case      suites/routing/cases.jsonl:2",
            "prompt    google our policy",
            'expected  search_knowledge_base(query="policy"), and nothing else',
            'answer    {"role":"assistant",*',
            'calls     search_google(query="google our policy")',
            "finding   wrong_tool: expected search_knowledge_base, called search_google(*",
        ]
    )
    assert "pytest_plugin" not in shown


def test_what_broke_is_an_error_and_never_a_failure(project: Project):
    project.cases(BROKEN)
    result = project.run("suites")

    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(
        ["*ERROR at setup of kb-3*", "no answer: RuntimeError: the server is gone"]
    )


def test_a_suite_is_one_run_that_is_stored(project: Project):
    result = project.run("suites")
    record = project.record()

    assert [row["prompt"] for row in ALL] == project.asked()
    assert record.selection.complete
    assert [row["id"] for row in ALL] == [case.id for case in record.cases]
    result.stdout.fnmatch_lines(
        [
            "routing 1.0.0: 3 of 4 correct, 1 without an answer",
            "  run: reports/routing/*",
        ]
    )


def test_a_multi_turn_case_is_one_item_and_names_the_failed_turn(project: Project):
    then = [
        {
            "role": "assistant",
            "tool_calls": [{"function": {"name": WEB, "arguments": {"query": "a"}}}],
        },
        {"role": "tool", "content": "sunny"},
        {"role": "user", "content": "now our policy"},
    ]
    turns = [{"expect": wants(WEB), "then": then}, {"expect": wants(None)}]
    project.cases({"id": "both", "prompt": "google the weather", "turns": turns})
    result = project.run("suites")

    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(
        [
            "unexpected_call: search_knowledge_base(*",
            "turn      2 of 2",
            "prompt    now our policy",
            "expected  no call",
        ]
    )


@pytest.mark.parametrize(
    ("arguments", "prompts"),
    [
        (["-k", "kb-1"], ["vacation days"]),
        (["-k", "not kb"], ["google the weather", "thanks"]),
        (["-k", "routing and web"], ["google the weather"]),
        (["-m", "plain"], ["vacation days", "google the weather"]),
        (["-m", "plain and not public"], ["vacation days"]),
        (["--deselect", "suites/routing/suite.yaml::kb-3"], [row["prompt"] for row in ALL[:-1]]),
    ],
)
def test_only_what_is_selected_is_asked(project: Project, arguments: list[str], prompts: list[str]):
    result = project.run("suites", *arguments)

    assert prompts == project.asked()
    assert not project.record().selection.complete
    result.stdout.fnmatch_lines(["*only part of the suite was asked"])


def test_one_case_can_be_named(project: Project):
    result = project.run("suites/routing/suite.yaml::kb-1")

    result.assert_outcomes(passed=1)
    assert ["vacation days"] == project.asked()


@pytest.mark.parametrize("tag", ["skip", "xfail", "parametrize", "_hidden", "lang:de", "a(b)"])
def test_a_tag_never_changes_what_pytest_does_with_a_case(project: Project, tag: str):
    project.cases({**WRONG, "tags": [tag]})

    project.run("suites").assert_outcomes(failed=1)


def test_collecting_asks_nothing(project: Project):
    result = project.run("suites", "--collect-only", "-q")

    result.stdout.fnmatch_lines(["suites/routing/suite.yaml::kb-1"])
    assert [] == project.asked()
    assert not (project.path / "reports").exists()


def test_junit_holds_status_tags_and_findings(project: Project):
    project.run("suites", "--junitxml", "out.xml")
    root = ElementTree.parse(project.path / "out.xml").getroot()
    cases = {node.get("name"): node for node in root.iter("testcase")}
    properties = [(p.get("name"), p.get("value")) for p in cases["kb-2"].iter("property")]

    assert [row["id"] for row in ALL] == list(cases)
    assert [("tags", "internal"), ("status", "incorrect"), ("finding", "wrong_tool")] == properties
    assert cases["kb-2"].find("failure") is not None
    assert cases["kb-3"].find("error") is not None
    assert cases["kb-1"].find("failure") is None


def test_a_quarantined_case_is_skipped_with_its_reason(project: Project):
    held = {"reason": "label in dispute", "until": "2999-01-01"}
    project.cases({**WRONG, "quarantine": held}, {**BROKEN, "quarantine": held})
    result = project.run("suites", "-rs")

    result.assert_outcomes(skipped=2)
    result.stdout.fnmatch_lines(
        [
            "*quarantined until 2999-01-01: label in dispute (now incorrect)",
            "*quarantined until 2999-01-01: label in dispute (now error)",
        ]
    )


def test_a_proposed_case_is_skipped_whatever_became_of_it(project: Project):
    project.cases({**WRONG, "status": "proposed"}, {**BROKEN, "status": "proposed"})
    result = project.run("suites", "-rs")

    result.assert_outcomes(skipped=2)
    result.stdout.fnmatch_lines(
        [
            "*proposed, and not confirmed yet (now incorrect)",
            "*proposed, and not confirmed yet (now error)",
        ]
    )


def test_a_quarantine_that_has_run_out_is_a_collection_error(project: Project):
    project.cases({**WRONG, "quarantine": {"reason": "x", "until": "2020-01-01"}})
    result = project.run("suites")

    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(["*cases.jsonl:1: case 'kb-2': quarantine.until has passed*"])


def test_a_wrong_suite_is_a_collection_error_that_names_the_line(project: Project):
    project.cases(LEAVE, {**WRONG, "expect": wants("search_gogle")})
    result = project.run("suites")

    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(["*cases.jsonl:2: *did you mean 'search_google'?"])
    assert [] == project.asked()


@pytest.mark.parametrize(
    ("checkpoint", "message"),
    [
        ("replay:nowhere.jsonl", "ERROR: nowhere.jsonl cannot be read*"),
        ("python:model:nope", "ERROR: *nope*"),
    ],
)
def test_a_checkpoint_that_cannot_be_opened_ends_the_session_with_one_error(
    project: Project, checkpoint: str, message: str
):
    project.pytester.makepyfile(test_own="def test_own(): open('own.txt', 'w').close()")

    result = project.run(".", checkpoint=checkpoint)

    assert pytest.ExitCode.USAGE_ERROR == result.ret
    result.assert_outcomes()
    result.stderr.fnmatch_lines([message])
    assert 1 == len([line for line in result.errlines if "ERROR" in line])
    assert not (project.path / "own.txt").exists()
    assert "Traceback" not in result.stdout.str() + result.stderr.str()


def test_what_is_only_listed_opens_no_checkpoint(project: Project):
    result = project.run("suites", "--collect-only", "-q", checkpoint="python:model:nope")

    assert pytest.ExitCode.OK == result.ret
    result.stdout.fnmatch_lines(["*suite.yaml::kb-1"])


def test_a_model_that_breaks_the_run_is_asked_once(project: Project):
    """
    What breaks a batch is not tried again for every case of it.
    """
    project.pytester.makepyfile(
        model=MODEL.replace(
            'raise RuntimeError("the server is gone")', "return {'content': float('nan')}"
        )
    )
    project.cases(BROKEN, LEAVE, WEATHER)
    result = project.run("suites")

    result.assert_outcomes(errors=3)
    assert ["break it"] == project.asked()


def test_stored_answers_serve_without_a_model(project: Project):
    call = {"function": {"name": KNOWLEDGE, "arguments": '{"query": "x"}'}}
    with gzip.open(project.path / "old.jsonl.gz", "wt") as file:
        for name in ("kb-1", "web-1"):
            message = {"role": "assistant", "tool_calls": [call]}
            file.write(json.dumps({"case": name, "message": message}) + "\n")
    project.cases(LEAVE, WEATHER)

    project.run("suites", checkpoint="replay:old.jsonl.gz").assert_outcomes(passed=1, failed=1)


def test_the_dialect_can_be_given(project: Project):
    text = f'<tool_call>{{"name": "{KNOWLEDGE}", "arguments": {{"query": "x"}}}}</tool_call>'
    line = json.dumps({"case": "kb-1", "output": text})
    (project.path / "old.jsonl").write_text(line, "utf-8")
    project.cases(LEAVE)

    unread = project.run("suites", checkpoint="replay:old.jsonl")

    assert pytest.ExitCode.USAGE_ERROR == unread.ret
    unread.stderr.fnmatch_lines(["ERROR: *dialect*"])
    project.run("suites", "--dialect", "hermes", checkpoint="replay:old.jsonl").assert_outcomes(
        passed=1
    )


# Which suites.


def test_without_a_checkpoint_nothing_is_collected(project: Project):
    result = project.run("suites", checkpoint=None)

    assert pytest.ExitCode.NO_TESTS_COLLECTED == result.ret
    assert [] == project.asked()
    # Once installed, pytest's own list of plugins names the package; nothing else may.
    lines = [line for line in result.stdout.lines if not line.startswith("plugins: ")]
    assert "harness" not in "\n".join(lines).replace("harness.pytest_plugin.plugin", "")


def test_the_ini_file_can_name_the_checkpoint(project: Project):
    project.pytester.makeini("[pytest]\nharness_checkpoint = python:model:answer")

    project.run("suites", checkpoint=None).assert_outcomes(passed=3, failed=1, errors=1)


def test_the_ini_file_can_name_the_gate_and_its_paths_begin_at_the_rootdir(project: Project):
    project.cases(LEAVE, WEATHER, THANKS)
    project.accept()
    (project.path / "rules").mkdir()
    (project.path / "rules" / "strict.toml").write_text('on_inconclusive = "block"\n')
    project.pytester.makeini(
        "[pytest]\nharness_baseline = shipped\nharness_policy = rules/strict.toml"
    )

    project.run("suites", checkpoint=project.reword()).assert_outcomes(passed=3, failed=1)


def test_a_suite_file_elsewhere_is_left_alone_unless_it_is_named(project: Project):
    other = project.path / "music" / "opus"
    other.mkdir(parents=True)
    (other / "suite.yaml").write_text("movements: [allemande, courante]")

    project.run(".").assert_outcomes(passed=3, failed=1, errors=1)
    project.run("music/opus").assert_outcomes(errors=1)


def test_suites_can_be_chosen_by_name_wherever_they_lie(project: Project):
    (project.path / "suites" / "small").mkdir()
    project.suite(SUITE.replace("routing", "small"), "small")
    project.cases(LEAVE, name="small")
    project.pytester.makepyfile(test_own="def test_own(): pass")

    project.run("test_own.py", "--suite", "small").assert_outcomes(passed=2)
    project.run("suites", "--suite", "small").assert_outcomes(passed=1)
    project.run("suites").assert_outcomes(passed=4, failed=1, errors=1)


def test_a_suite_outside_pytest_s_root_has_a_name(project: Project):
    project.pytester.makepyfile(test_own="def test_own(): pass")

    result = project.run("test_own.py", "--suite", "tool-routing", "-k", "kb-001", "-rA")

    result.stdout.fnmatch_lines("PASSED tool-routing/suite.yaml::kb-001")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--suite", "ruoting"], "*unknown suite 'ruoting'*did you mean 'routing'?"),
        (["--harness-root", "nowhere"], "*nowhere is not a folder*"),
        (["--harness-checkpoint", ""], "*--harness-checkpoint is empty*"),
        (["--harness-baseline="], "*--harness-baseline is empty*"),
    ],
)
def test_what_cannot_be_found_is_a_usage_error(
    project: Project, arguments: list[str], message: str
):
    result = project.run(*arguments)

    assert pytest.ExitCode.USAGE_ERROR == result.ret
    result.stderr.fnmatch_lines([message])


def test_a_run_is_never_written_over(project: Project):
    project.run("suites", "--harness-out", "here").assert_outcomes(passed=3, failed=1, errors=1)
    before = (project.path / "here" / "routing" / "run.json").read_bytes()
    again = project.run("suites", "--harness-out", "here")

    again.assert_outcomes(errors=1)
    again.stdout.fnmatch_lines(["*exists; give another --harness-out"])
    assert before == (project.path / "here" / "routing" / "run.json").read_bytes()


def stops_at(word: str) -> str:
    """
    Return a model that is interrupted at a prompt with *word*, as by Ctrl-C, once.
    """
    return MODEL.replace(
        '    if "break" in said:',
        f'    if "{word}" in said and not Path("calm").exists():\n'
        '        Path("calm").touch()\n'
        "        raise KeyboardInterrupt\n"
        '    if "break" in said:',
    )


@pytest.mark.parametrize("stored", [(), ("--harness-out", "my runs")], ids=["fresh", "named"])
def test_an_interrupted_session_says_the_command_that_continues_it(
    project: Project, stored: tuple[str, ...]
):
    project.pytester.makepyfile(model=stops_at("thanks"))
    (project.path / "suites" / "after").mkdir()
    project.suite(SUITE.replace("routing", "after"), "after")
    project.cases(case("it", "google this first", wants(WEB)), name="after")
    asked = ["google this first", *(row["prompt"] for row in ALL)]

    stopped = project.run_apart("suites", "-k", "not nothing", *stored)
    (said,) = [line for line in stopped.stdout.lines if line.startswith("to continue: ")]
    program, *arguments = shlex.split(said.removeprefix("to continue: "))

    assert pytest.ExitCode.INTERRUPTED == stopped.ret
    assert "python" == program
    assert [*asked[:4], "thanks"] == [*project.asked()]
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", str(Path(harness.__file__).parents[1]))
        resumed = project.pytester.run(sys.executable, *arguments)

    resumed.assert_outcomes(passed=4, failed=1, errors=1)
    assert "to continue" not in resumed.stdout.str()
    assert sorted([*asked, "thanks"]) == sorted(project.asked())


def test_a_session_that_ends_says_nothing_about_continuing(project: Project):
    assert "to continue" not in project.run("suites").stdout.str()


def test_a_run_to_continue_must_be_there(project: Project):
    result = project.run("suites", "--harness-resume", "nowhere")

    assert pytest.ExitCode.USAGE_ERROR == result.ret
    result.stderr.fnmatch_lines(["*nowhere: neither a complete nor an unfinished run is there"])


def test_suites_are_not_split_among_workers(project: Project):
    pytest.importorskip("xdist")
    result = project.run_apart("suites", "-n", "1")

    result.stdout.fnmatch_lines(["*run suites without -n*"])
    assert [] == project.asked()


# The gate.


def test_the_gate_passes_an_equal_checkpoint(project: Project):
    project.cases(LEAVE, WEATHER, THANKS)
    (project.path / "gate.toml").write_text('[limits]\naccuracy = "-90pp"\n')
    project.accept()
    result = project.run("suites", "--harness-baseline", "shipped", "-v")

    result.assert_outcomes(passed=4)
    result.stdout.fnmatch_lines(["*suite.yaml::gate PASSED*", "  gate against shipped: pass"])
    assert 3 == len(project.asked())


def test_the_gate_fails_a_worse_checkpoint_and_says_why(project: Project):
    project.cases({**LEAVE, "must_pass": True}, WEATHER, THANKS)
    project.accept()
    project.worsen()
    result = project.run(
        "suites", "--harness-baseline", "shipped", checkpoint="python:other:answer"
    )

    result.assert_outcomes(passed=2, failed=2)
    result.stdout.fnmatch_lines(
        ["wrong_tool: expected * (it must pass)", "regressed: *", "in full: harness gate *"]
    )
    assert pytest.ExitCode.TESTS_FAILED == result.ret


def test_an_inconclusive_gate_passes_where_the_policy_warns_and_fails_where_it_blocks(
    project: Project,
):
    project.cases(LEAVE, WEATHER, THANKS)
    project.accept()
    wordy = project.reword()
    warned = project.run("suites", "--harness-baseline", "shipped", checkpoint=wordy)
    (project.path / "strict.toml").write_text('on_inconclusive = "block"\n')
    blocked = project.run(
        "suites",
        "--harness-baseline",
        "shipped",
        "--harness-policy",
        "strict.toml",
        checkpoint=wordy,
    )

    warned.assert_outcomes(passed=4)
    warned.stdout.fnmatch_lines(["  gate against shipped: inconclusive"])
    blocked.assert_outcomes(passed=3, failed=1)


def test_part_of_a_suite_is_at_best_inconclusive(project: Project):
    project.cases(LEAVE, WEATHER, THANKS)
    (project.path / "gate.toml").write_text('[limits]\naccuracy = "-90pp"\n')
    project.accept()
    result = project.run("suites", "--harness-baseline", "shipped", "-k", "kb or gate")

    result.assert_outcomes(passed=2, deselected=2)
    result.stdout.fnmatch_lines(["  gate against shipped: inconclusive"])


def test_the_gate_alone_asks_the_whole_suite(project: Project):
    project.cases(LEAVE, WEATHER, THANKS)
    project.accept()
    result = project.run("suites", "--harness-baseline", "shipped", "-k", "gate")

    result.assert_outcomes(passed=1, deselected=3)
    assert 3 == len(project.asked())


def two_suites(project: Project) -> None:
    """
    A second suite with other questions, and the baseline of both.
    """
    (project.path / "suites" / "thanking").mkdir()
    project.suite(SUITE.replace("routing", "thanking"), "thanking")
    project.cases(THANKS, name="thanking")
    project.cases({**LEAVE, "must_pass": True}, WEATHER)
    (project.path / "gate.toml").write_text('[limits]\naccuracy = "-90pp"\n')
    project.run("suites", "--harness-out", "first")
    for name in ("routing", "thanking"):
        stored = load_run(project.path / "first" / name)
        harness.save_baseline(stored, project.path / "baselines", "shipped", saved="2026-01-01")
    (project.path / "asked.txt").unlink()


def test_several_suites_have_one_release_in_place_of_their_gates(project: Project):
    two_suites(project)
    result = project.run("suites", "--harness-baseline", "shipped", "-v")

    result.assert_outcomes(passed=4)
    result.stdout.no_fnmatch_line("*::gate *")
    result.stdout.fnmatch_lines(
        [
            "*::release PASSED*",
            "  gate against shipped: pass",
            "  gate against shipped: pass",
            "release against shipped: pass",
            "  2 required suites passed: routing, thanking",
        ]
    )


def test_a_release_fails_for_one_suite_and_says_which(project: Project):
    two_suites(project)
    project.worsen()
    run = ("suites", "--harness-baseline", "shipped", "-k", "gate")
    result = project.run(*run, checkpoint="python:other:answer")

    result.assert_outcomes(failed=1, deselected=3)
    result.stdout.fnmatch_lines(
        ["*regressed: routing: 1 case that must pass failed: kb-1*", "*in full: harness gate *"]
    )


def test_a_policy_that_names_a_further_suite_makes_a_release_of_one(project: Project):
    project.cases(LEAVE, WEATHER, THANKS)
    project.accept()
    (project.path / "gate.toml").write_text("[suites.missing]\n")
    result = project.run("suites", "--harness-baseline", "shipped")

    result.assert_outcomes(passed=3, failed=1)
    result.stdout.fnmatch_lines(["*not_comparable: missing: no run of this suite*"])


def test_a_gate_without_its_baseline_ends_the_session_before_a_case_is_asked(project: Project):
    project.cases(LEAVE)
    project.accept()
    (project.path / "asked.txt").unlink(missing_ok=True)

    missing = project.run("suites", "--harness-baseline", "shiped")
    of_no_gate = project.run("suites", "--harness-baseline", "shiped", "-k", "kb")

    assert pytest.ExitCode.USAGE_ERROR == missing.ret
    missing.stderr.fnmatch_lines(
        ["ERROR: suite routing has no baseline 'shiped'; did you mean 'shipped'?"]
    )
    of_no_gate.assert_outcomes(passed=1, deselected=1)
    assert ["vacation days"] == project.asked()


def test_a_gate_without_its_policy_is_an_error(project: Project):
    project.cases(LEAVE)
    project.accept()
    unread = project.run("suites", "--harness-baseline", "shipped", "--harness-policy", "no.toml")

    unread.assert_outcomes(passed=1, errors=1)
    unread.stdout.fnmatch_lines(["*no.toml: there is no such policy file"])


# Fixtures.

OWN = """
from harness import contains_any

def test_policy_questions_stay_inside(tool_calls):
    calls = tool_calls("How many vacation days do I have left?", suite="tool-routing")
    calls.assert_only("search_knowledge_base", query=contains_any("vacation", "leave"))
"""


def test_the_example_of_the_documentation_works(project: Project):
    project.pytester.makepyfile(test_own=OWN)
    (project.path / "suites" / "routing").rename(project.path / "suites" / "tool-routing")

    project.run("test_own.py").assert_outcomes(passed=1)
    assert ["How many vacation days do I have left?"] == project.asked()


def test_a_question_the_suite_holds_is_answered_from_stored_text(project: Project):
    call = {"function": {"name": WEB, "arguments": '{"query": "x"}'}}
    line = {"case": "web-1", "message": {"role": "assistant", "tool_calls": [call]}}
    (project.path / "old.jsonl").write_text(json.dumps(line), "utf-8")
    project.pytester.makepyfile(
        test_own="""
        def test_held(tool_calls):
            tool_calls("google the weather", suite="routing").assert_only("search_google")

        def test_new(tool_calls):
            tool_calls("google the news", suite="routing").assert_only("search_google")
        """
    )
    result = project.run("test_own.py", checkpoint="replay:old.jsonl")

    result.assert_outcomes(passed=1, failed=1)
    result.stdout.fnmatch_lines(["E*BackendError: no answer to 'google the news': no line for *"])


def test_a_failed_assertion_shows_the_answer_and_not_the_helpers_insides(project: Project):
    project.pytester.makepyfile(
        test_own="""
        def test_own(tool_calls):
            tool_calls("google it", suite="routing").assert_only("search_knowledge_base")
        """
    )
    result = project.run("test_own.py")
    shown = result.stdout.str()

    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(
        [
            "E*AssertionError: wrong_tool: expected search_knowledge_base, called *",
            "E*prompt    google it",
            "E*expected  search_knowledge_base(), and nothing else",
            'E*calls     search_google(query="google it")',
        ]
    )
    assert "score_turn" not in shown
    assert "assertions.py" not in shown


UNASKABLE = {
    "typo": 'tool_calls("google it", suite="routing").assert_only("search_gogle")',
    "suite": 'tool_calls("google it", suite="ruoting")',
    "answer": 'tool_calls("break it", suite="routing")',
    "tools": 'tool_calls("google it")',
    "run": 'harness_run("ruoting")',
    "rows": 'finetuned_checkpoint(suite="routing", train="nowhere.jsonl")',
}


@pytest.mark.parametrize("asked", UNASKABLE.values(), ids=UNASKABLE)
def test_an_error_ends_at_the_line_of_the_test(project: Project, asked: str):
    project.pytester.makepyfile(
        test_own=f"""
        def helper(tool_calls, harness_run, finetuned_checkpoint):
            {asked}

        def test_own(tool_calls, harness_run, finetuned_checkpoint):
            helper(tool_calls, harness_run, finetuned_checkpoint)
        """
    )
    run = project.run_apart if "finetuned" in asked else project.run
    result = run("test_own.py")
    shown = result.stdout.str()

    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines([">*helper(tool_calls, harness_run, *", f">*{asked}"])
    assert "direct cause" not in shown
    assert [] == [line for line in result.stdout.lines if ".py:" in line and "test_own" not in line]
    assert "harness/" in run("test_own.py", "--full-trace").stdout.str()


def test_a_bug_keeps_its_frames(project: Project):
    project.pytester.makepyfile(
        test_own='def test_own(tool_calls): tool_calls(7, suite="routing", generation=3)'
    )
    result = project.run("test_own.py")

    result.stdout.fnmatch_lines(["*TypeError*generation*"])


def test_the_short_summary_begins_with_code_and_case(
    project: Project, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("COLUMNS", "200")
    project.cases({**WRONG, "expect": wants(WEB, query="policy")}, BROKEN)
    project.pytester.makepyfile(
        test_own="""
        def test_own(tool_calls):
            tool_calls("google it", suite="routing").assert_only("search_google", query="that")
        """
    )
    result = project.run("suites", "test_own.py", checkpoint="python:model:answer")
    unopened = project.run("test_own.py", checkpoint="replay:nowhere.jsonl")

    result.stdout.fnmatch_lines(
        [
            "FAILED *suite.yaml::kb-2 - wrong_value: query 'google our policy' is not 'policy'",
            "FAILED test_own.py::test_own - wrong_value: query 'google it' is not 'that'",
            "ERROR *suite.yaml::kb-3 - no answer: RuntimeError: the server is gone",
        ]
    )
    unopened.stdout.fnmatch_lines(["ERROR test_own.py::test_own - nowhere.jsonl cannot be read*"])


def test_fixtures_skip_without_a_checkpoint(project: Project):
    project.pytester.makepyfile(
        test_own="""
        def test_calls(tool_calls): pass
        def test_checkpoint(checkpoint): pass
        def test_run(harness_run): harness_run("routing")
        """
    )
    result = project.run("test_own.py", "-rs", checkpoint=None)

    result.assert_outcomes(skipped=3)
    result.stdout.fnmatch_lines(["*no checkpoint: pass --harness-checkpoint REF*"])


def test_the_checkpoint_is_opened_once_for_suites_and_fixtures(project: Project):
    project.pytester.makepyfile(
        model=MODEL + '\nwith Path("opened.txt").open("a") as file: file.write("x")\n',
        test_own="""
        def test_one(checkpoint): assert checkpoint.checkpoint.reference == "python:model:answer"
        def test_two(tool_calls, checkpoint):
            tool_calls("thanks", suite="routing").assert_none()
        """,
    )
    project.cases(LEAVE)

    project.run("suites", "test_own.py").assert_outcomes(passed=3)
    assert "x" == (project.path / "opened.txt").read_text()


def test_a_project_can_bring_its_own_checkpoint_fixture(project: Project):
    project.pytester.makepyfile(
        test_own="""
        import pytest
        from harness.backends.base import BackendOptions
        from harness.backends.registry import open_backend

        @pytest.fixture(scope="session")
        def checkpoint():
            return open_backend("python:model:answer", BackendOptions())

        def test_own(tool_calls):
            tool_calls("google x", suite="routing").assert_only("search_google")
        """
    )

    project.run("test_own.py", checkpoint=None).assert_outcomes(passed=1)


def test_tools_can_be_schemas_or_python_functions(project: Project):
    project.pytester.makepyfile(
        test_own='''
        def search_google(query: str) -> str:
            """
            Search.

            Args:
                query: What for.
            """

        def test_function(tool_calls):
            tool_calls("google x", tools=[search_google]).assert_only("search_google")

        def test_schema(tool_calls):
            query = {"type": "object", "properties": {"query": {"type": "string"}}}
            schema = {"name": "search_google", "parameters": query}
            tool_calls("google x", tools=[schema], system="s").assert_called("search_google")
        '''
    )

    project.run_apart("test_own.py").assert_outcomes(passed=2)


def test_a_suite_can_be_run_in_a_test(project: Project):
    project.pytester.makepyfile(
        test_own="""
        def test_own(harness_run):
            whole = harness_run("routing")
            part = harness_run("routing", tags=["plain"], limit=1)
            other = harness_run("routing", checkpoint="python:model:answer", limit=2, repeats=2)
            assert whole.record.selection.complete
            assert ["kb-1"] == [case.id for case in part.record.cases]
            assert 4 == len(other.record.cases)
            assert 3 == len({whole.folder, part.folder, other.folder})
        """
    )

    project.run("test_own.py").assert_outcomes(passed=1)
    assert not (project.path / "reports").exists()


def test_runs_of_tests_and_of_suites_share_a_folder(project: Project):
    project.pytester.makepyfile(test_own='def test_own(harness_run): harness_run("routing")')
    project.cases(LEAVE)

    project.run("test_own.py", "suites", "--harness-out", "out").assert_outcomes(passed=2)
    assert 2 == len(list((project.path / "out").rglob("run.json")))


def test_an_answer_can_be_timed_with_pytest_benchmark(
    project: Project, monkeypatch: pytest.MonkeyPatch
):
    # The process may be a worker of pytest-xdist, in which nothing is timed; this session is not.
    monkeypatch.delenv("PYTEST_XDIST_WORKER", raising=False)
    project.pytester.makepyfile(
        test_own="""
        def test_latency(benchmark, tool_calls):
            calls = benchmark.pedantic(
                tool_calls, ("vacation",), {"suite": "routing"}, rounds=3, warmup_rounds=1
            )
            calls.assert_called("search_knowledge_base")
        """
    )

    project.run("test_own.py").assert_outcomes(passed=1)
    assert 4 == len(project.asked())


# At home with others.


def test_starting_pytest_loads_nothing_heavy():
    heavy = {"torch", "transformers", "datasets", "trl", "matplotlib", "scipy", "jsonschema"}
    code = (
        "import sys, pytest\n"
        "before = set(sys.modules)\n"
        "import harness.pytest_plugin.plugin\n"
        "print('LOADED', *(set(sys.modules) - before))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    loaded = done.stdout.partition("LOADED")[2].split()

    assert "harness.pytest_plugin.session" in loaded
    assert set() == {name.split(".")[0] for name in loaded} & heavy
    assert not any(name.startswith("harness.workflow") for name in loaded)


def test_options_and_fixtures_are_documented(project: Project):
    options = project.run("--help", checkpoint=None).stdout.str()
    fixtures = project.run("--fixtures", checkpoint=None).stdout.str()

    for name in ("checkpoint", "suite", "dialect", "baseline", "policy", "root", "out"):
        assert f"--harness-{name}=" in options
    assert "harness_root" in options
    for name in ("checkpoint", "tool_calls", "harness_run", "finetuned_checkpoint"):
        assert f"{name} [session scope]" in fixtures


BARE = ("--checkpoint", "--suite", "--dialect")

OTHERS = f"""
def pytest_addoption(parser):
    for name in {BARE}:
        parser.addoption(name, default="unset")
"""

THEIRS = f"""
def test_theirs(request):
    assert ["one", "two", "unset"] == [request.config.getoption(name) for name in {BARE}]
"""


def distribute(folder: Path, module: str) -> None:
    """
    Write to *folder* what an installation leaves of a package that brings the plugin *module*.
    """
    info = folder / f"{module}-1.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {module}\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(f"[pytest11]\n{module} = {module}\n")


@pytest.mark.skipif(not INSTALLED, reason="the plugin is not installed")
@pytest.mark.parametrize(
    "order",
    ["-p", "-p after ours", "installed before", "installed after", "conftest", "conftest below"],
)
def test_options_of_others_keep_their_names(
    project: Project, monkeypatch: pytest.MonkeyPatch, order: str
):
    """
    Whoever registers --checkpoint, --suite and --dialect, and when: they are theirs.
    """
    path, given = project.path, []
    tests = path / "tests"
    tests.mkdir()
    (tests / "test_theirs.py").write_text(THEIRS)
    if order.startswith("conftest"):
        (path / "conftest.py" if order == "conftest" else tests / "conftest.py").write_text(OTHERS)
    else:
        module = f"others_{order.replace(' ', '_').strip('-')}"
        given = {"-p": ["-p", module], "-p after ours": ["-p", "toolcall_harness", "-p", module]}
        home = path / "home"
        home.mkdir()
        (home / f"{module}.py").write_text(OTHERS)
        if order.startswith("installed"):
            distribute(home, module)
        given = given.get(order, [])
        at = len(sys.path) if order == "installed after" else 0
        monkeypatch.setattr(sys, "path", [*sys.path[:at], str(home), *sys.path[at:]])

    result = project.run(
        *given, "--suite", "two", "tests", "suites", "--checkpoint=one", "-p", "no:randomly"
    )

    # The suite's five cases, and their test.
    result.assert_outcomes(passed=4, failed=1, errors=1)


def test_an_option_of_a_conftest_met_while_collecting_keeps_its_name(project: Project):
    deep = project.path / "services" / "mail"
    deep.mkdir(parents=True)
    (deep / "conftest.py").write_text(OTHERS)
    (deep / "test_theirs.py").write_text(THEIRS.replace('"one", "two"', '"unset", "unset"'))

    project.run(
        "--checkpoint", "python:model:answer", "--suite", "routing", checkpoint=None
    ).assert_outcomes(passed=4, failed=1, errors=1)


def test_an_alias_that_nobody_else_has_is_ours_even_if_others_are_taken(project: Project):
    project.pytester.makeconftest(OTHERS.replace(str(BARE), '("--suite", "--dialect")'))

    project.run(
        "--suite", "theirs", "suites", "--checkpoint", "python:model:answer", checkpoint=None
    ).assert_outcomes(passed=3, failed=1, errors=1)


@pytest.mark.parametrize("how", ["command line", "ini-file", "environment"])
def test_aliases_are_taken_wherever_options_are_given(
    project: Project, monkeypatch: pytest.MonkeyPatch, how: str
):
    given = ["--checkpoint=python:model:answer", "--suite=routing"]
    if how == "ini-file":
        project.pytester.makeini(f"[pytest]\naddopts = {' '.join(given)}")
    if how == "environment":
        monkeypatch.setenv("PYTEST_ADDOPTS", " ".join(given))
    arguments = given if how == "command line" else []

    project.run(*arguments, checkpoint=None).assert_outcomes(passed=3, failed=1, errors=1)


def test_the_value_of_an_alias_does_not_hide_a_conftest(project: Project):
    """
    ``pytest --checkpoint DIR`` looks for conftest.py files where ``pytest`` does.
    """
    project.pytester.makeini("[pytest]\ntestpaths = checks")
    checks = project.path / "checks"
    checks.mkdir()
    (checks / "conftest.py").write_text(
        'def pytest_addoption(parser): parser.addoption("--mine", default="unset")'
    )
    (checks / "test_mine.py").write_text(
        'def test_mine(request): assert "x" == request.config.getoption("--mine")'
    )
    (project.path / "candidate").mkdir()

    project.run("--checkpoint", "candidate", "--mine=x", checkpoint=None).assert_outcomes(passed=1)


@pytest.mark.slow
def test_a_fine_tune_is_trained_once_and_its_result_can_be_run(
    project: Project, tiny_model: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("HARNESS_CACHE", str(project.path / "cache"))
    rows = [
        {
            "messages": [
                {"role": "user", "content": f"question {number}"},
                {
                    "role": "assistant",
                    "tool_calls": [{"function": {"name": WEB, "arguments": {"query": "x"}}}],
                },
            ]
        }
        for number in range(4)
    ]
    for name, part in (("train", rows[:2]), ("valid", rows[2:])):
        text = "".join(json.dumps(row) + "\n" for row in part)
        (project.path / "suites" / "routing" / f"{name}.jsonl").write_text(text)
    project.pytester.makepyfile(
        test_own=f"""
        from harness import Recipe

        RECIPE = Recipe(epochs=1, max_length=2048)

        def test_own(finetuned_checkpoint, harness_run):
            asked = dict(suite="routing", base="hf:{tiny_model}", recipe=RECIPE)
            reference = finetuned_checkpoint(**asked)
            assert reference == finetuned_checkpoint(**asked)
            stored = harness_run("routing", checkpoint=reference, limit=1)
            assert stored.record.checkpoint.reference == reference
        """
    )
    done = []
    for _ in range(2):
        result = project.run_apart("test_own.py")
        result.assert_outcomes(passed=1)
        done += list((project.path / "cache" / "finetuned").glob("*/training.json"))
        result_says = result.stdout.str()

    assert 1 == len(set(done))
    assert "fine-tuning" not in result_says


LAMP = """
format: 1
name: lamp
version: 1.0.0
tools:
- name: switch
  parameters: {type: object, properties: {on: {type: boolean}}, required: [on]}
environment: {kind: python, target: "world:Lamp"}
cases: cases.jsonl
"""

WORLD = """
class Lamp:
    def reset(self, **case):
        self.state = {"lamps": [{"id": 1, "on": False}]}

    def switch(self, on: bool) -> str:
        self.state["lamps"][0]["on"] = on
        return "done"

def answer(messages, tools):
    if messages[-1]["role"] == "tool":
        return {"role": "assistant", "content": "It is on."}
    call = {"name": "switch", "arguments": {"on": True}}
    return {"role": "assistant", "tool_calls": [{"type": "function", "function": call}]}
"""


def test_code_of_an_executed_suite_runs_only_if_it_is_named(project: Project):
    (project.path / "suites" / "lamp").mkdir()
    project.suite(LAMP, "lamp")
    goal = {"lamps": {"changed": {"1": {"on": True}}}}
    project.cases({"id": "on", "prompt": "Light, please.", "goal": goal}, name="lamp")
    project.pytester.makepyfile(world=WORLD)
    command = ("suites/lamp/suite.yaml",)

    refused = project.run(*command, checkpoint="python:world:answer")
    refused.assert_outcomes(errors=1)
    refused.stdout.fnmatch_lines(["*--harness-environment world:Lamp*"])

    named = project.run(
        *command, "--harness-environment", "world:Lamp", checkpoint="python:world:answer"
    )
    named.assert_outcomes(passed=1)
