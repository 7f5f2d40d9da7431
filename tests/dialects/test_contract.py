"""
The contract of dialects, held by every one of this package.
"""

from pathlib import Path

import pytest

from harness.dialects.registry import names
from harness.errors import UsageError
from harness.testing import DialectContract, DialectSample

HERE = Path(__file__).parent
FILES = {name: HERE / f"{name}.yaml" for name in names()}
SAMPLES = [DialectSample.read(file) for file in FILES.values() if file.exists()]


class TestEveryDialect(DialectContract):
    samples = SAMPLES


def test_every_dialect_has_a_sample():
    """
    Its form, templates and examples: harness.testing.dialect_sample says how it is written.
    """
    assert [] == [f"write {file}" for file in FILES.values() if not file.exists()]


def test_every_sample_is_of_a_dialect():
    assert {file.name for file in HERE.glob("*.yaml")} <= {file.name for file in FILES.values()}


@pytest.mark.parametrize("sample", SAMPLES, ids=lambda sample: sample.name)
def test_every_dialect_of_text_shows_a_template_it_is_found_by(sample: DialectSample):
    assert (sample.frame.layout == "message") == (not sample.templates)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("opener: x", "'frame' is missing"),
        ("frame: {kind: json, layout: whole}", "frame: 'call' is missing"),
        ("frame: {kind: json, layout: whole, call: x}", "'opener' is missing"),
        ("frame: {kind: json, layout: whole, cal: x}", "did you mean 'call'"),
        ("frame: {kind: xml, layout: whole, call: x}", "kind is 'xml'; choose from json, python"),
        (
            "opener: x\nframe: {kind: json, layout: whole, call: x}\n"
            "exceptions: {names: {no: null}}",
            r"no row 'no' in answers/names\.yaml",
        ),
        ("opener: [", r"hermes\.yaml:1"),
    ],
)
def test_a_sample_that_lacks_something_says_what(tmp_path: Path, text: str, reason: str):
    (tmp_path / "hermes.yaml").write_text(text, "utf-8")

    with pytest.raises(UsageError, match=reason):
        DialectSample.read(tmp_path / "hermes.yaml")
