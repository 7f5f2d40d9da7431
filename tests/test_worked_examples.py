"""
The page of worked examples says what the gate makes of the public outputs today.
"""

from pathlib import Path

import pytest

from .test_bfcl_agreement import DATA
from .worked_examples import page

PAGE = Path(__file__).parent.parent / "docs" / "worked-examples.md"

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        not (DATA / "transcripts").is_dir(),
        reason=f"no BFCL data at {DATA}; name its folder in HARNESS_BFCL_DIR",
    ),
]


def test_the_worked_examples_are_what_the_gate_says(tmp_path: Path):
    assert PAGE.read_text("utf-8") == page(tmp_path)


def test_the_page_tells_format_from_decisions():
    page = PAGE.read_text("utf-8")

    assert "broken cases are right when read leniently (code fence" in page
    assert "format, not decisions" in page
