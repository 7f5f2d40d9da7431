"""
The table of dialects in the documentation is that of the dialects there are.
"""

from .table import PAGE, page


def test_the_table_of_dialects_is_up_to_date():
    assert page() == PAGE.read_text("utf-8"), "write it with: python -m tests.dialects.table"
