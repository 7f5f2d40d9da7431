"""
Three states of a case into one: edits of the suite stay, edits of the sources come.
"""

from typing import Any

import pytest

from harness.importers.writing.merging import ABSENT, Merged, merge


def case(expect: Any = None, **keys: Any) -> dict[str, Any]:
    return {"id": "a", "prompt": "P", "expect": expect or {"abstain": True}, **keys}


def calls(*arguments: dict[str, Any], tool: str = "find") -> dict[str, Any]:
    return {"calls": [{"tool": tool, "arguments": each} for each in arguments]}


LOOSE = {"contains_any": ["pears"]}


@pytest.mark.parametrize(
    ("base", "sources", "suite", "expected"),
    [
        (case(), case(), case(tags=["x"]), case(tags=["x"])),
        (case(), case(tags=["x"]), case(), case(tags=["x"])),
        (case(tags=["x"]), case(), case(tags=["x"]), case()),
        (case(must_pass=True), case(must_pass=True), case(), case()),
        (case(), case(), case(quarantine={"reason": "r"}), case(quarantine={"reason": "r"})),
        (
            case(tags=["a", "b"]),
            case(tags=["a", "c"]),
            case(tags=["a", "b", "mine"]),
            case(tags=["a", "mine", "c"]),
        ),
        (
            case(calls({"q": "pears", "n": 1})),
            case(calls({"q": "pears", "n": 2})),
            case(calls({"q": LOOSE, "n": 1})),
            case(calls({"q": LOOSE, "n": 2})),
        ),
        (
            case(calls({"q": "pears"})),
            case(calls({"q": "pears", "n": 2})),
            case({**calls({"q": LOOSE}), "order": "strict"}),
            case({**calls({"q": LOOSE, "n": 2}), "order": "strict"}),
        ),
        (
            case(calls({"q": "pears"})),
            case(calls({"q": "pears"}, {"q": "figs"})),
            case(calls({"q": "pears"})),
            case(calls({"q": "pears"}, {"q": "figs"})),
        ),
    ],
    ids=[
        "tag added here",
        "tag added there",
        "tag removed there",
        "must_pass removed here",
        "quarantine here",
        "tags of both",
        "an argument each",
        "an argument and an order",
        "a call added there",
    ],
)
def test_what_only_one_side_changed_is_taken_from_it(
    base: Any, sources: Any, suite: Any, expected: Any
):
    assert Merged(row=expected, kept=()) == merge(base, sources, suite)


@pytest.mark.parametrize(
    ("base", "sources", "suite", "kept"),
    [
        (
            case(calls({"q": "pears"})),
            case(calls({"q": "plums"})),
            case(calls({"q": LOOSE})),
            (("expect", "calls", 0, "arguments", "q"), "plums", LOOSE),
        ),
        (
            case(calls({"q": "pears"})),
            case(calls({})),
            case(calls({"q": LOOSE})),
            (("expect", "calls", 0, "arguments", "q"), ABSENT, LOOSE),
        ),
        (
            case(calls({"q": "pears"})),
            case(calls({"q": "plums"})),
            case(calls({})),
            (("expect", "calls", 0, "arguments", "q"), "plums", ABSENT),
        ),
        (
            case(calls({"q": "pears"})),
            case({"abstain": True}),
            case(calls({"q": LOOSE})),
            (("expect",), {"abstain": True}, calls({"q": LOOSE})),
        ),
        (
            case(calls({"q": "a"})),
            case(calls({"q": "a"}, {"q": "b"})),
            case(calls({"q": LOOSE})),
            (
                ("expect", "calls"),
                calls({"q": "a"}, {"q": "b"})["calls"],
                calls({"q": LOOSE})["calls"],
            ),
        ),
        (case(group="g"), case(group="h"), case(group="mine"), (("group",), "h", "mine")),
        (case(), case(must_pass=1), case(must_pass=True), (("must_pass",), 1, True)),
    ],
)
def test_what_both_changed_stays_and_is_said(base: Any, sources: Any, suite: Any, kept: Any):
    assert Merged(row=suite, kept=(kept,)) == merge(base, sources, suite)


def test_without_the_import_every_difference_is_an_edit():
    sources = case(calls({"q": "plums", "n": 1}), tags=["new"])
    suite = case(calls({"q": LOOSE}), quarantine={"reason": "r"})

    merged = merge(None, sources, suite)

    assert suite == merged.row
    assert [("expect", "calls", 0, "arguments", "q"), ("expect", "calls", 0, "arguments", "n")] == [
        steps for steps, _, _ in merged.kept if steps[0] == "expect"
    ]
    assert (("tags",), ["new"], ABSENT) in merged.kept
