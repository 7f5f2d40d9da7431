"""
What docstrings and pages refer to is there: modules, names, files, commands and other pages.
"""

import ast
import importlib
import importlib.util
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

from . import commands

ROOT = Path(__file__).parents[1]
CODE = sorted((ROOT / "harness").rglob("*.py"))
DOCS = ROOT / "docs"
PAGES = sorted([*ROOT.glob("*.md"), *DOCS.rglob("*.md")])

FILES = {"harness.toml"}
"""Looks like a module and is a file."""

EXAMPLES = re.compile(r"tests/toy\.yaml|.*\b[A-Z]+\b.*")
"""Files that a reader is to make, and placeholders such as ``NAME.yaml``."""

FOREIGN = {"generate", "generate_batch", "transformers", "trust_remote_code"}
"""Names of other libraries that docstrings refer to."""

_DOTTED = re.compile(r"`(harness(?:\.\w+)+)`")
_NAME = re.compile(r"(?<!`)`([A-Za-z_]\w*(?:\.\w+)*)`(?!`)")
_LINK = re.compile(r"\]\(([^)\s]+)\)")
_SHOWN_AS_IT_IS = re.compile(r"^(```+).*?^\1`*$|`[^`\n]+`", re.DOTALL | re.MULTILINE)
_PATH = re.compile(
    r"(?<![\w/.~-])((?:harness|docs|tests)/[\w/.-]*\w\.(?:py|md|json|yaml|toml|jinja))"
)


def docstrings(path: Path) -> Iterator[str]:
    """
    Yield the docstrings of a module, those of its attributes included.
    """
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        match node:
            case ast.Expr(value=ast.Constant(value=str(text))):
                yield text


@cache
def names() -> frozenset[str]:
    """
    Return every identifier in the code.
    """
    found = set(FOREIGN)
    for path in CODE:
        found.add(path.stem)
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            match node:
                case ast.FunctionDef() | ast.ClassDef():
                    found.add(node.name)
                case ast.Name():
                    found.add(node.id)
                case ast.Attribute():
                    found.add(node.attr)
                case ast.arg():
                    found.add(node.arg)
    return frozenset(found)


def resolves(dotted: str) -> bool:
    parts = dotted.split(".")
    for count in range(len(parts), 0, -1):
        module = ".".join(parts[:count])
        try:
            if importlib.util.find_spec(module) is None:
                continue
        except ModuleNotFoundError:
            continue
        found: object = importlib.import_module(module)
        for name in parts[count:]:
            if not hasattr(found, name):
                return False
            found = getattr(found, name)
        return True
    return False


def test_a_module_that_does_not_exist_does_not_resolve():
    assert resolves("harness.errors")
    assert resolves("harness.errors.HarnessError")
    assert not resolves("harness.suite_lint")
    assert not resolves("harness.errors.NoSuchError")


@pytest.mark.parametrize("path", [*CODE, *PAGES], ids=lambda path: str(path.relative_to(ROOT)))
def test_modules_and_files_that_are_referred_to_exist(path: Path):
    text = path.read_text("utf-8")
    if path.name == "CHANGELOG.md":
        # Releases of the past name things as they were.
        text = text.partition("\n## 0")[0]

    assert [] == [
        name for name in _DOTTED.findall(text) if name not in FILES and not resolves(name)
    ]
    assert [] == [
        file
        for file in _PATH.findall(text)
        if not EXAMPLES.fullmatch(file) and not (ROOT / file).exists()
    ]


@pytest.mark.parametrize("path", CODE, ids=lambda path: str(path.relative_to(ROOT)))
def test_names_in_docstrings_are_names_in_the_code(path: Path):
    found = [
        name
        for text in docstrings(path)
        for name in _NAME.findall(text)
        if not (set(name.split(".")) <= names() or resolves(name))
    ]

    assert [] == found


def links(page: Path) -> list[str]:
    """
    Return where a page links to inside the repository.
    """
    found = _LINK.findall(_SHOWN_AS_IT_IS.sub("", page.read_text("utf-8")))
    return [link for link in found if not re.match(r"[a-z]+:", link)]


def anchors(page: Path) -> set[str]:
    """
    Return the anchors of a page's headings, as GitHub makes them.
    """
    titles = re.findall(r"^#+ (.*)$", page.read_text("utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


def leads_somewhere(page: Path, link: str) -> bool:
    file, _, anchor = link.partition("#")
    target = page.parent / file if file else page
    return target.exists() and (not anchor or anchor in anchors(target))


@pytest.mark.parametrize("page", PAGES, ids=lambda path: str(path.relative_to(ROOT)))
def test_links_between_pages_lead_somewhere(page: Path):
    assert [] == [link for link in links(page) if not leads_somewhere(page, link)]


def test_the_index_of_the_documentation_lists_every_page_once():
    index = DOCS / "README.md"
    pages = [*DOCS.rglob("*.md"), *DOCS.rglob("*.yml"), *DOCS.rglob("*.sh")]
    wanted = sorted(page.relative_to(DOCS).as_posix() for page in pages if page != index)

    assert wanted == sorted(link for link in links(index) if not link.startswith("../"))


def test_the_reference_of_commands_is_made_from_the_parsers():
    page = commands.PAGE.read_text("utf-8")

    assert commands.page() == page, "write it with: python -m tests.commands"
