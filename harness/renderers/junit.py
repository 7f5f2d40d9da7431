"""
A report as JUnit XML, the format every CI server reads.

One test suite for the new run, or for each of several; one test case for each
answered case. Wrong behaviour is a <failure>, broken infrastructure an <error>, quarantine a
<skipped>. There is no official schema; this keeps to what CI servers agree on
(https://github.com/testmoapp/junitxml).

The gate is one more test case. Beside it only what a change broke is a <failure>: cases that were
right, and those that must pass. Any other wrong case is a <skipped> that says why, or nobody would
look at the failures of a checkpoint that was never right everywhere.
"""

from collections.abc import Iterator
from xml.etree import ElementTree
from xml.etree.ElementTree import Element, SubElement

from harness.errors import ExitCode
from harness.gating.release import Release
from harness.gating.verdict import Decided, Verdict
from harness.reports.conversation import key_of
from harness.reports.escape import cut, line, xml
from harness.reports.format import call
from harness.reports.report import Report, RunView
from harness.scoring.results import WARNINGS, CaseResult, Finding

_ANSWER = 20_000
"""How many characters of one answer a test case holds: more than a screen shows."""


def render(report: Report) -> str:
    """
    Return *report* as an XML document.
    """
    root = Element("testsuites", name=_name(report.title))
    if report.release is not None:
        suite = SubElement(root, "testsuite", name="release")
        _release(suite, report.release)
        _count(suite)
    for part in report.parts or (report,):
        _suites(root, part)
    _count(root)
    ElementTree.indent(root)
    return f'<?xml version="1.0" encoding="UTF-8"?>\n{ElementTree.tostring(root, "unicode")}\n'


def _suites(root: Element, report: Report) -> None:
    for run in (report.new,) if report.comparison else report.runs:
        suite = SubElement(root, "testsuite", name=_name(f"{run.record.suite.name} ({run.name})"))
        before = {(case.id, case.repeat): case for case in report.old.record.cases}
        for case in run.record.cases:
            earlier = before.get((case.id, case.repeat))
            _case(suite, run, case, _excuse(report, case, earlier))
        if report.verdict is not None:
            _gate(suite, run, report.verdict)
        _count(suite)


def _release(suite: Element, release: Release) -> None:
    """
    Add the one verdict on all suites, which decides: advisory ones fail by themselves alone.
    """
    tested = SubElement(suite, "testcase", classname="release", name="release")
    said = [f"{name}: {each.word} ({each.tier})" for name, each in release.suites.items()]
    body = "\n".join(
        cut(text, _ANSWER) for text in (*said, *(reason.text for reason in release.reasons))
    )
    if release.exit != ExitCode.PASS:
        _outcome(tested, "failure", release.verdict, release.reasons[0].text, body)
    else:
        SubElement(tested, "system-out").text = xml(f"{_passed(release)}\n{body}")


def _excuse(report: Report, case: CaseResult, earlier: CaseResult | None) -> str | None:
    """
    Return why the gate does not count a wrong case as a failure; None if it does, as for every
    case without a gate.
    """
    if report.stack is not None:
        return _of_the_model(report, case)
    if report.verdict is None:
        return None
    name = report.old.name
    verdicts = [each for each in (report.verdict, report.verdict.anchor) if each is not None]
    if any(case.id in (*each.broken, *each.must_pass_failed) for each in verdicts):
        return None
    for each in report.verdict.accepted:
        if each.case == case.id and each.state == "unchanged":
            until = "" if each.until is None else f" until {each.until}"
            return f"{case.status}; accepted{until}: {each.reason}"
    if any(case.id in each.changed for each in verdicts):
        return f"{case.status}; the case was changed since {name}, so there is no comparison"
    if earlier is None:
        return f"{case.status}; the case is not in {name}, so there is no comparison"
    if earlier.quarantined:
        return f"{case.status}; quarantined in {name}, so there is no comparison"
    if earlier.status == "error":
        return f"{case.status}; {name} has no answer to compare with"
    if earlier.status == "correct":
        return f"{case.status}; correct in {name}, but not worse over its repeats"
    return f"known failure: {case.status}, and {earlier.status} in {name}"


def _of_the_model(report: Report, case: CaseResult) -> str | None:
    """
    Return why an answer that is wrong in chat was not lost by the serving stack; None if it was.
    """
    lost = report.stack.lost if report.stack else ()
    if any((each.key.case, each.key.repeat) == (case.id, case.repeat) for each in lost):
        return None
    return f"{case.status}, and not right in raw completions either"


def _case(suite: Element, run: RunView, case: CaseResult, excuse: str | None) -> None:
    name = f"{case.id}[repeat {case.repeat}]" if case.repeat else case.id
    tested = SubElement(suite, "testcase", classname=_name(run.record.suite.name), name=_name(name))
    times = [turn.latency_ms for turn in case.turns]
    if known := [each for each in times if each is not None]:
        tested.set("time", f"{sum(known) / 1000:.3f}")
    if case.quarantined:
        SubElement(tested, "skipped", message=f"quarantined; its status is {case.status}")
    elif case.status == "error":
        message = next(_errors(run, case), "the answer could not be made")
        _outcome(tested, "error", "infrastructure", message, _body(run, case))
    elif case.status != "correct" and excuse is not None:
        skipped = SubElement(tested, "skipped", message=line(cut(excuse, 1000)))
        skipped.text = xml(_body(run, case))
    elif case.status != "correct":
        found = _first(case)
        kind = found.code if found else case.status
        message = f"{found.code}: {found.detail}" if found else case.status
        _outcome(tested, "failure", kind, message, _body(run, case))


def _gate(suite: Element, run: RunView, verdict: Verdict) -> None:
    tested = SubElement(suite, "testcase", classname=_name(run.record.suite.name), name="gate")
    said = [*([str(verdict.export)] if verdict.export else ()), *map(str, verdict.reasons)]
    reasons = "\n".join(cut(text, _ANSWER) for text in said)
    if verdict.exit != ExitCode.PASS:
        _outcome(tested, "failure", verdict.verdict, verdict.reasons[0].text, reasons)
    else:
        SubElement(tested, "system-out").text = xml(f"{_passed(verdict)}\n{reasons}")


def _passed(decided: Decided) -> str:
    """
    Return the word of a verdict that does not block, and who overrode it if somebody did.
    """
    if decided.override is None:
        return decided.verdict
    return cut(f"{decided.verdict}\n{decided.override}", _ANSWER)


def _outcome(tested: Element, tag: str, kind: str, message: str, body: str) -> None:
    outcome = SubElement(tested, tag, type=_name(kind), message=line(cut(message, 1000)))
    outcome.text = xml(body)


def _body(run: RunView, case: CaseResult) -> str:
    lines = []
    if prompt := run.prompts.get(case.id):
        lines.append(f"prompt: {cut(prompt, _ANSWER)}")
    for index, turn in enumerate(case.answers):
        key = key_of(case, index)
        if case.executed is not None:
            lines.append(f"step {index}: {turn.status}")
        elif len(case.turns) > 1:
            lines.append(f"turn {index + 1}: {turn.status}")
        if key in run.errors:
            lines.append(f"error: {cut(run.errors[key], _ANSWER)}")
        if key in run.answers:
            lines.append(f"answer: {cut(run.answers[key], _ANSWER)}")
        lines += [f"called: {cut(call(made), _ANSWER)}" for made in turn.calls]
        lines += [cut(f"{found.code}: {found.detail}", _ANSWER) for found in turn.findings]
    if case.executed is not None:
        wrong = case.executed.findings
        lines += [cut(f"{found.code}: {found.detail}", _ANSWER) for found in wrong]
    return "\n".join(lines)


def _first(case: CaseResult) -> Finding | None:
    found = [each for each in case.findings if each.code not in WARNINGS]
    return found[0] if found else None


def _errors(run: RunView, case: CaseResult) -> Iterator[str]:
    for index in range(len(case.answers)):
        key = key_of(case, index)
        if key in run.errors:
            yield run.errors[key]


def _count(parent: Element) -> None:
    """
    Set the attributes of *parent* that count the outcomes of its test cases.
    """
    wanted = {"failures": "failure", "errors": "error", "skipped": "skipped"}
    cases = list(parent.iter("testcase"))
    parent.set("tests", str(len(cases)))
    for name, outcome in wanted.items():
        parent.set(name, str(sum(case.find(outcome) is not None for case in cases)))


def _name(text: str) -> str:
    return line(cut(text))
