"""
A varied suite: what is carried over, and what it says of where it comes from.
"""

from pathlib import Path

import pytest

from harness.errors import UsageError
from harness.suites.files import load_suite
from harness.suites.parse import parse_suite
from harness.suites.vary.vary import Variation, vary
from harness.workflow.project import bundled_suites

ALL = [
    Variation(tools="shuffled"),
    Variation(tools="distractors", distractors=8),
    Variation(tools="renamed"),
    Variation(prompt="typos"),
    Variation(prompt="lower"),
    Variation(prompt="polite"),
    Variation(tools="renamed", prompt="typos", seed=7),
]
SUITES = bundled_suites()


@pytest.mark.parametrize("folder", SUITES, ids=lambda folder: folder.name)
@pytest.mark.parametrize("variation", ALL, ids=lambda variation: variation.suffix)
def test_every_bundled_suite_can_be_varied_and_keeps_its_cases(folder: Path, variation: Variation):
    suite = load_suite(folder)
    # An environment answers its own tools, and that of rag-kb has only one.
    refused = {"renamed", "distractors"} | ({"shuffled"} if folder.name == "rag-kb" else set())
    if "environment" in suite.document and variation.tools in refused:
        with pytest.raises(UsageError, match="drop --tools"):
            vary(suite, variation)
        return

    document = vary(suite, variation)

    varied = parse_suite(document, "variant")
    assert [case.id for case in suite.cases] == [case.id for case in varied.cases]
    for was, now in zip(suite.cases, varied.cases, strict=True):
        assert (was.group, was.tags, was.must_pass) == (now.group, now.tags, now.must_pass)
        assert [turn.expectation.expects for turn in was.turns] == [
            turn.expectation.expects for turn in now.turns
        ]
    assert [case.digest for case in suite.cases] == [row["variant_of"] for row in document["cases"]]
    altered = sum(
        was.digest != now.digest for was, now in zip(suite.cases, varied.cases, strict=True)
    )
    # Much of what users say has no capitals to begin with.
    assert altered > (0.4 if variation.prompt == "lower" else 0.9) * len(suite.cases)
    assert document == vary(suite, variation)


def test_a_variant_says_what_it_was_made_of_and_how():
    suite = load_suite(SUITES[0])

    document = vary(suite, Variation(tools="distractors", distractors=3, prompt="lower", seed=2))

    assert f"{suite.name}-distractors-3-lower-2" == document["name"]
    assert {
        "of": suite.name,
        "version": suite.version,
        "digest": suite.digest,
        "how": ["3 distractors", "prompts in lower case"],
        "seed": 2,
    } == document["variant"]


def test_a_variant_is_not_varied_again_and_tools_that_are_not_shown_are_not():
    suite = load_suite(SUITES[0])
    variant = parse_suite(vary(suite, Variation(prompt="lower")), "x")
    unshown = parse_suite({**suite.document, "declare_tools": False}, "x")

    with pytest.raises(UsageError, match=f"is a variant itself; vary {suite.name}, all at once"):
        vary(variant, Variation(prompt="typos"))
    with pytest.raises(UsageError, match="shows no tools"):
        vary(unshown, Variation(tools="shuffled"))
    with pytest.raises(UsageError, match="nothing to vary"):
        vary(suite, Variation())
