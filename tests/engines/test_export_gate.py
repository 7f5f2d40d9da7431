"""
The gate of exports on real weights: a file with the very weights passes, a damaged one is caught.
"""

from importlib.util import find_spec
from pathlib import Path

import pytest

import harness
from harness.gating.decision import Gated
from harness.workflow.project import Project, open_project

from ..builders import write_suite
from .gguf_export import damage, embedded_gguf, export

pytestmark = [
    pytest.mark.model,
    pytest.mark.skipif(
        find_spec("llama_cpp") is None, reason="llama-cpp-python is not installed: no wheel of it"
    ),
]

FACTS = {
    "What is the capital of France?": "Paris",
    "What is the capital of Italy?": "Rome",
    "What is the capital of Japan?": "Tokyo",
    "What is the capital of Germany?": "Berlin",
    "What is the capital of Spain?": "Madrid",
    "Which planet is called the Red Planet?": "Mars",
    "Which animal says meow?": "cat",
    "Which star is at the centre of our solar system?": "Sun",
}
"""What the small model knows: it calls nothing before it is trained."""


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Project:
    root = tmp_path_factory.mktemp("exports")
    cases = [
        {
            "id": f"fact-{number}",
            "prompt": question,
            "tools": [],
            "expect": {"abstain": True, "text": {"contains_any": [word]}},
        }
        for number, (question, word) in enumerate(FACTS.items())
    ]
    write_suite(root, cases, generation={"max_new_tokens": 16})
    return open_project(root)


@pytest.fixture(scope="module")
def exact(project: Project, embedded_model: Path) -> Path:
    like = embedded_gguf(project.root)
    return export(embedded_model, like, project.root / "F32.gguf", "F32")


def gated(project: Project, model: Path, file: Path, *, logits: bool = False) -> Gated:
    parent, made = project.root / "parent", project.root / file.stem
    if not parent.exists():
        harness.run("ask", str(model), project=project, out=parent)
    harness.run("ask", f"llamacpp:{file}", project=project, out=made)
    return harness.gate(parent, made, project=project, export=True, logits=logits)


def test_a_file_with_the_very_weights_passes(project: Project, embedded_model: Path, exact: Path):
    found = gated(project, embedded_model, exact)

    assert found.verdict.export is not None
    assert () == found.verdict.export.changed
    assert "pass" == found.verdict.verdict
    assert 0 < found.old.record.metrics["accuracy"].hits


def test_a_file_with_one_damaged_block_is_caught(
    project: Project, embedded_model: Path, exact: Path
):
    like = project.root / "smollm2-135m.gguf"
    whole = export(embedded_model, like, project.root / "Q8_0.gguf", "Q8_0")

    found = gated(
        project, embedded_model, damage(whole, project.root / "damaged.gguf"), logits=True
    )

    assert ("regressed", 1) == (found.verdict.verdict, int(found.verdict.exit))
    change = found.verdict.export
    assert change is not None
    assert len(FACTS) == change.changed_answers
    # The parent itself says how far from its own answers they are.
    assert all(each.token is not None and each.by_old is not None for each in change.first.first)
