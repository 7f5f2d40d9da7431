"""
``toyformat``: a question, ``=>`` and the tool it is for, one a line.
"""

from collections.abc import Mapping
from datetime import date

from harness.diagnostics import Problem
from harness.errors import UsageError, boundary
from harness.importers.base import Imported, ImportedCase, Sources

_PARAMETERS = {"type": "object", "properties": {"query": {"type": "string"}}}


class ToyFormat:
    """
    The format described above.
    """

    name = "toyformat"
    takes: Mapping[str, bool] = {"rows": True}

    def read(self, sources: Sources, today: date) -> Imported:
        """
        Read every line of every file.

        Raises:
            UsageError: if a file cannot be read.
        """
        cases, notes, named = [], [], set()
        for file in sources["rows"]:
            with boundary(UsageError, f"{file} cannot be read"):
                lines = file.read_text("utf-8").splitlines()
            for number, line in enumerate(lines, start=1):
                question, arrow, tool = (part.strip() for part in line.partition("=>"))
                if not (arrow and question and tool):
                    message = f"expected QUESTION => TOOL; left out: {line!r}"
                    notes.append(Problem(file=str(file), line=number, message=message))
                    continue
                named.add(tool)
                row = {
                    "id": f"toy-{len(cases)}",
                    "prompt": question,
                    "expect": {"calls": [{"tool": tool, "arguments": {"query": question}}]},
                }
                cases.append(ImportedCase(row=row, file=str(file), line=number))
        return Imported(
            cases=tuple(cases),
            description="Questions and the tool each of them is for.",
            tools=tuple(
                {"name": tool, "description": f"The tool {tool}.", "parameters": _PARAMETERS}
                for tool in sorted(named)
            ),
            notes=tuple(notes),
        )


TOYFORMAT = ToyFormat()
