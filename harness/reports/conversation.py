"""
How an executed case went: step by step what was called and what came back, then what came of it.
"""

from collections.abc import Iterator, Mapping, Sequence

from harness.canonical import canonical_json
from harness.reports.blocks import Inline, Part, Quote, quotes
from harness.reports.escape import cut
from harness.reports.format import calls, finding, plural
from harness.reports.report import RunView
from harness.scoring.results import CaseResult, Change, Execution
from harness.transcript import Key, ToolResult

STOPS: Mapping[str, str] = {
    "answered": "an answer without calls",
    "step_limit": "as many answers as it may take",
    "repeated_step": "a step that repeats the one before",
    "error": "an answer that could not be made",
}
"""`harness.environments.loop.Stop` in words."""

_CHANGES = 8
"""How many changes of one case are written out."""

Field = tuple[str, Inline]


def key_of(case: CaseResult, index: int) -> Key:
    """
    Return the key of an answer by its place among the answers of *case*.
    """
    if case.executed is not None:
        return Key(case.id, case.repeat, 0, index)
    return Key(case.id, case.repeat, index)


def conversation(run: RunView, case: CaseResult, who: str = "") -> Iterator[Field]:
    """
    Yield the steps of an executed case; *who* begins the name of each field, such as "old".
    """
    executed = case.executed
    assert executed is not None
    for step, answer in enumerate(case.answers):
        key = key_of(case, step)
        where = " ".join(filter(None, [who, f"step {step}"]))
        if answer.status == "error":
            reason = run.errors.get(key, "the answer could not be made")
            yield where, ("error: ", Quote(cut(reason)))
            continue
        if answer.calls:
            yield where, ("called ", *calls(answer.calls))
        unread = answer.status in ("malformed", "truncated")
        if not answer.calls or unread:
            said = run.answers.get(key, "") if unread else text_of(run, key)
            yield where, ("answered ", Quote(cut(said))) if said else "nothing at all"
        for result in run.results.get(key, ()):
            yield where, ("got ", *returned(result, run.relevant.get(case.id, {})))
    yield from ((_named(who, "state"), _change(each)) for each in executed.changes[:_CHANGES])
    if len(executed.changes) > _CHANGES:
        hidden = len(executed.changes) - _CHANGES
        yield _named(who, "state"), f"… and {plural(hidden, 'more change')}"


def text_of(run: RunView, key: Key) -> str:
    """
    Return what an answer says to the user; as it came, where it was not read.
    """
    return run.said[key] if key in run.said else run.answers.get(key, "")


def faults(case: CaseResult) -> tuple[Inline, ...]:
    """
    Return what is wrong with an executed case, the first five findings.
    """
    return tuple(finding(each) for each in case.findings[:5])


def returned(result: ToolResult, relevant: Mapping[str, int]) -> tuple[Part, ...]:
    """
    Return what a call brought back in one line: documents, of which the relevant ones are marked,
    or its text.
    """
    if result.documents is None:
        return (Quote(cut(result.text)),)
    if not result.documents:
        return ("no document",)
    marked = [f"{name} (relevant)" if name in relevant else name for name in result.documents]
    return quotes(marked)


def _named(who: str, what: str) -> str:
    return " ".join(filter(None, [who, what]))


def _change(change: Change) -> tuple[Part, ...]:
    return (Quote(cut(spell_change(change))),)


def spell_change(change: Change) -> str:
    """
    Return a change in one line.
    """
    where = f"{change.table} {change.row}"
    if change.kind == "added":
        return f"{where} is new: {canonical_json(change.new)}"
    if change.kind == "removed":
        return f"{where} is gone: {canonical_json(change.old)}"
    return f"{where}: {change.column} {canonical_json(change.old)} → {canonical_json(change.new)}"


def outcome(executed: Execution) -> Sequence[str]:
    """
    Return in words what came of a case.
    """
    flags = {
        "a relevant document was found": executed.found,
        "the answer is right": executed.answered,
        "the goal is reached": executed.reached,
    }
    said = [f"ended with {STOPS.get(executed.stop, executed.stop)}"]
    said += [
        f"{what}: {'yes' if flag else 'no'}" for what, flag in flags.items() if flag is not None
    ]
    return said
