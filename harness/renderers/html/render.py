"""
A report as one self-contained HTML file: no server, no network, no other files.

Foreign text reaches the page in two ways only: through Jinja2, which escapes it, and as JSON that
the page's script puts into text nodes. The content security policy allows only that script and the
style sheet, identified by their digests.
"""

import base64
import hashlib
from functools import cache
from importlib import resources
from typing import Any

from jinja2 import Environment, FunctionLoader, StrictUndefined
from markupsafe import Markup, escape

from harness.renderers.html import page
from harness.renderers.html.case_data import embedded_cases
from harness.renderers.html.svg import SERIES
from harness.reports import changes
from harness.reports import escape as safe
from harness.reports.blocks import Block, Inline, Quote, parts, plain
from harness.reports.release import head
from harness.reports.report import Report
from harness.reports.sheet import Sheet


def render(report: Report) -> str:
    """
    Return *report* as an HTML document.
    """
    decided = report.release or report.verdict
    return _document(
        title=safe.line(safe.cut(report.title)),
        verdict=decided,
        word=changes.word(decided) if decided else "",
        override=(
            *(changes.override(decided) if decided else ()),
            *changes.exported(report.verdict),
        ),
        mood=changes.MOODS[decided.verdict] if decided else "title",
        # Of a release the table of suites comes first, and then what else speaks for it.
        reasons=decided.reasons[1:] if decided and not report.release else (),
        notes=decided.notes if decided and not report.release else (),
        summary=_summary(report),
        before=page.before_cases(report),
        after=page.after_cases(report),
        # A release shows of each suite what decides; its own report has all of its cases.
        data="" if report.release else embedded_cases(report),
    )


def render_sheet(sheet: Sheet) -> str:
    """
    Return *sheet* as an HTML document.
    """
    return _document(
        title=safe.line(safe.cut(sheet.title)),
        verdict=None,
        word="",
        override=(),
        mood="title",
        reasons=(),
        notes=(),
        summary=sheet.summary,
        before=page.of_sheet(sheet),
        after=(),
        data="",
    )


def _document(**parts: Any) -> str:
    style, code = file_text("report.css"), file_text("report.js")
    return (
        environment()
        .get_template("report.html.jinja")
        .render(
            **parts,
            style=style,
            code=code,
            policy=(
                f"default-src 'none'; script-src {digest_for_policy(code)}; "
                f"style-src {digest_for_policy(style)}; base-uri 'none'; form-action 'none'"
            ),
            series=SERIES,
        )
    )


def _summary(report: Report) -> tuple[Block, ...]:
    if report.release is not None:
        # The page shows the sentence and the override in its own way.
        return head(report.release)[1 + (report.release.override is not None) :]
    if report.comparison is None:
        return ()
    blocks = changes.summary(report, report.comparison)
    # The page shows the verdict in its own way.
    return blocks if report.verdict is None else blocks[-1:]


def inline(text: Inline) -> Markup:
    """
    Return a line as HTML: foreign parts are isolated, so that right-to-left text in one does not
    affect the rest.
    """
    return Markup("").join(
        Markup("<bdi>{}</bdi>").format(safe.line(part.text) or "(empty)")
        if isinstance(part, Quote)
        else escape(safe.line(part))
        for part in parts(text)
    )


@cache
def environment() -> Environment:
    """
    Return what makes pages of templates.
    """
    made = Environment(
        loader=FunctionLoader(file_text),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    made.filters["inline"] = inline
    made.filters["plain"] = lambda text: safe.line(plain(text))
    made.filters["harmless"] = lambda text: safe.line(safe.cut(text))
    made.filters["reason"] = lambda text: safe.line(safe.cut(text, changes.REASON))
    made.filters["kind"] = lambda item: type(item).__name__
    return made


@cache
def file_text(name: str) -> str:
    """
    Return a file of this package.
    """
    return (resources.files("harness.renderers.html") / name).read_text("utf-8")


def digest_for_policy(text: str) -> str:
    """
    Return the hash of an inlined text for a content security policy (CSP 3, section 2.3.1).
    """
    digest = hashlib.sha256(text.encode("utf-8")).digest()
    return f"'sha256-{base64.b64encode(digest).decode('ascii')}'"
