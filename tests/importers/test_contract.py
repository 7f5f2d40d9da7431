"""
The contract of importers, held by every one of this package.
"""

from collections.abc import Callable

import pytest

from harness.errors import UsageError
from harness.importers.registry import importer, names
from harness.testing import ImporterContract

from .examples import SAMPLES


class TestEveryImporter(ImporterContract):
    samples = tuple(SAMPLES.values())


def test_every_importer_has_a_sample():
    assert [] == [f"add {name} to tests/importers/examples.py" for name in {*names()} - {*SAMPLES}]


def test_an_unknown_format_lists_the_choices():
    with pytest.raises(UsageError, match=r"did you mean 'bfcl'.*bfcl, chat-jsonl, mobile-actions"):
        importer("bfc")


@pytest.mark.parametrize("name", ["csv", "xlsx"])
def test_a_file_s_ending_is_led_to_the_format_of_spreadsheets(name: str):
    with pytest.raises(UsageError, match=rf"'{name}'; a spreadsheet is of format 'sheet'"):
        importer(name)


def test_what_is_not_an_importer_is_refused(installed: Callable[..., None]):
    installed("harness.importers", odd="harness.importers.base:QUARANTINED_FOR")

    with pytest.raises(UsageError, match="not a format of that name"):
        importer("odd")
