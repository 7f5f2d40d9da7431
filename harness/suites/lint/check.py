"""
Findings about a suite that can be read: `harness suite check`.

Every load error is a finding too, so that one command shows everything. That the content was never
released is not a finding; `SuiteSummary.released` says so.
"""

from collections.abc import Mapping
from datetime import date
from pathlib import Path
from typing import Any

from harness.diagnostics import Places, Steps
from harness.documents import read_document
from harness.suites.files import SUITE_FILE, read_suite
from harness.suites.lint.case_rules import case_findings
from harness.suites.lint.findings import LintCode, LintFinding
from harness.suites.lint.suite_rules import suite_findings

TRAINING_FILES = ("train.jsonl", "valid.jsonl")


def check(path: Path, today: date) -> list[LintFinding]:
    """
    Return everything that is wrong with a suite, each file by line; empty if it is clean.
    """
    reading = read_suite(path, today=today)
    folder = path.parent if path.name == SUITE_FILE else path
    findings = [
        LintFinding(file=problem.file, line=problem.line, code="invalid", message=problem.message)
        for problem in reading.problems
    ]
    rows, unread = _training_texts(folder)
    if reading.suite is not None:
        suite, places = reading.suite, reading.places
        found = list(suite_findings(suite, places, rows))
        for index, case in enumerate(suite.cases):
            found += ((("cases", index, *at), code, text) for at, code, text in case_findings(case))
        findings += [_placed(places, *entry) for entry in found]
    findings += unread
    files = list(dict.fromkeys(finding.file for finding in findings))
    return sorted(findings, key=lambda finding: (files.index(finding.file), finding.line or 0))


def _placed(places: Places, steps: Steps, code: LintCode, message: str) -> LintFinding:
    file, line = places.find(steps)
    return LintFinding(file=file, line=line, code=code, message=message)


def _training_texts(folder: Path) -> tuple[list[tuple[str, str]], list[LintFinding]]:
    """
    Return each user message of a training row with its ``file:line``, and what cannot be read.
    """
    texts: list[tuple[str, str]] = []
    findings: list[LintFinding] = []
    for file in (folder / name for name in TRAINING_FILES):
        if not file.is_file():
            continue
        source = read_document(file)
        findings += [
            LintFinding(
                file=problem.file, line=problem.line, code="invalid", message=problem.message
            )
            for problem in source.problems
        ]
        for index, row in enumerate(source.value or ()):
            _, line = source.places.find((index,))
            said = _user_texts(row)
            texts += ((f"{file.name}:{line}", text) for text in said)
            if not said:
                text = 'a training row needs "messages" with a message of the user'
                findings.append(
                    LintFinding(file=str(file), line=line, code="invalid", message=text)
                )
    return texts, findings


def _user_texts(row: Any) -> list[str]:
    messages = row.get("messages") if isinstance(row, Mapping) else None
    return [
        message["content"]
        for message in (messages if isinstance(messages, list) else ())
        if isinstance(message, Mapping)
        and message.get("role") == "user"
        and isinstance(message.get("content"), str)
    ]
