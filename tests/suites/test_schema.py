"""
Keys and types of a suite: the compiled validator passes nothing that the other refuses.
"""

import copy
import json
from pathlib import Path
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from harness.suites import schema
from harness.suites.files import load_suite

ROOT = Path(__file__).parents[2] / "suites"
DOCUMENTS = [
    {**suite.document, "cases": suite.document["cases"][:6]}
    for suite in map(load_suite, sorted(ROOT.glob("*/suite.yaml")))
]
ODD = st.sampled_from([None, 0, -1, 1.5, True, "", "x", "\ud800", [], ["x", "x"], {}, {"x": 1}])


@st.composite
def documents(draw: st.DrawFn) -> Any:
    """
    Return a suite in which up to two parts were replaced, removed or added.
    """
    document = copy.deepcopy(draw(st.sampled_from(DOCUMENTS)))
    for _ in range(draw(st.integers(0, 2))):
        part: Any = draw(st.sampled_from(document["cases"])) if document.get("cases") else document
        while isinstance(part, dict | list) and part:
            keys = list(part) if isinstance(part, dict) else list(range(len(part)))
            key = draw(st.sampled_from(keys))
            inner = part[key]
            if not isinstance(inner, dict | list) or not inner or draw(st.booleans()):
                change = draw(st.sampled_from(["replace", "remove", "add"]))
                if change == "replace":
                    part[key] = draw(ODD)
                elif change == "remove":
                    del part[key]
                elif isinstance(part, dict):
                    part["unknown"] = draw(ODD)
                break
            part = inner
    return document


@given(documents())
def test_flaws_are_the_same_with_and_without_the_compiled_validator(document: Any):
    quick = list(schema.shape_flaws(document))

    everything = [
        (tuple(error.absolute_path), error.validator)
        for error in schema._validator().iter_errors(document)
    ]
    assert bool(everything) == bool(quick)
    for index, case in enumerate(document["cases"]):
        doubtful = any(steps[:2] == ("cases", index) for steps, _ in everything)
        if schema._surely_sound(case, "case"):
            assert not doubtful, json.dumps(case)
    assert {steps[:2] for steps, _ in quick if steps[:1] == ("cases",)} <= {
        steps[:2] for steps, _ in everything
    }


def test_the_flaws_of_the_last_case_alone_have_its_own_place():
    document = copy.deepcopy(DOCUMENTS[0])
    document["cases"][5]["id"] = 3

    assert [(("cases", 5, "id"), "case 6: id must be text without white space")] == list(
        schema.shape_flaws(document)
    )
