"""
The table of docs/dialects.md, made of the dialects and their samples.

``python -m tests.dialects.table`` writes it there; `test_table` holds the page to it.
"""

from pathlib import Path

from harness.dialects.registry import names
from harness.messages import Tool, ToolCall
from harness.testing import DialectSample

PAGE = Path(__file__).parents[2] / "docs" / "dialects.md"

_HEAD = '| name | written by | a call `f(q="a")` |\n|---|---|---|\n'
_CALL = ToolCall(name="f", arguments={"q": "a"})
_TOOL = Tool.from_schema(
    {"name": "f", "parameters": {"type": "object", "properties": {"q": {"type": "string"}}}}
)


def table() -> str:
    """
    Return a row for each dialect, as the dialect itself writes a call.
    """
    samples = (DialectSample.read(Path(__file__).with_name(f"{name}.yaml")) for name in names())
    return _HEAD + "".join(map(_row, samples))


def page() -> str:
    """
    Return the page as it has to be: the rows from the head of the table to the next empty line.
    """
    text = PAGE.read_text("utf-8")
    start = text.index(_HEAD)
    return text[:start] + table() + text[text.index("\n\n", start) + 1 :]


def _row(sample: DialectSample) -> str:
    written = sample.dialect.render([_CALL])
    (call,) = sample.dialect.read(written, [_TOOL]).attempts
    marks = (" *" if sample.experimental else "") + (" t" if call.by_schema else "")
    shown = written.removesuffix(sample.frame.end).replace("\n", "⏎").replace("|", "\\|")
    fence = "``" if "`" in shown else "`"
    space = " " if "`" in shown else ""
    return f"| `{sample.name}`{marks} | {sample.models} | {fence}{space}{shown}{space}{fence} |\n"


if __name__ == "__main__":
    PAGE.write_text(page(), "utf-8")
