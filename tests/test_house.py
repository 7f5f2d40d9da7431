"""
The rules of the house, each held by a test. The order of the layers is held by import-linter,
whose contracts are in pyproject.toml; ``tox -e lint`` runs it.
"""

import ast
import inspect
import re
import subprocess
import sys
import tomllib
from collections.abc import Callable, Iterable, Iterator
from functools import cache
from importlib import import_module
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

import harness

PACKAGE = Path(harness.__file__).parent
TESTS = Path(__file__).parent

PURE = [
    "canonical.py",
    "comparison",
    "constraints",
    "diagnostics.py",
    "dialects/readers",
    "errors.py",
    "gating",
    "messages.py",
    "scoring",
    "stats.py",
    "suites/expectations.py",
    "suites/parse.py",
    "suites/schema.py",
    "suites/suite.py",
    "suites/summary.py",
    "transcript.py",
    "wording.py",
]
"""Modules, and packages as a whole, that compute from their arguments and nothing else."""

OUTSIDE = {
    "http",
    "io",
    "os",
    "pathlib",
    "random",
    "requests",
    "shutil",
    "socket",
    "subprocess",
    "tempfile",
    "time",
    "urllib.request",
}

HEAVY = {
    "accelerate",
    "bm25s",
    "datasets",
    "httpx",
    "llama_cpp",
    "matplotlib",
    "numpy",
    "openai",
    "openpyxl",
    "pandas",
    "peft",
    "ray",
    "scipy",
    "torch",
    "transformers",
    "trl",
    "vllm",
}

DISTRIBUTIONS = {
    "llama_cpp": "llama-cpp-python",
    "dateutil": "python-dateutil",
    "ruamel": "ruamel-yaml",
}
"""Packages that are imported by another name than they are installed by."""

RULES = (
    "harness.comparison",
    "harness.gating",
    "harness.runs.rescore",
    "harness.runs.runner",
    "harness.scoring",
)
"""What judges, compares and decides: others get its functions through a step of the workflow."""

SPELLING = {
    "harness.gating.noise.sentences",
    "harness.gating.policy.allowed_change",
    "harness.gating.policy.default_policy",
    "harness.gating.release.explain",
    "harness.gating.verdict.explain",
    "harness.gating.verdict.let_through",
}
"""Functions there that decide nothing: they return a value, or say in words what was decided."""

MUTABLE = {
    "Row",  # backends/engine: an answer while it is decoded
}
"""Public dataclasses that are not values but work in progress; private ones may be."""

ACROSS = {
    "cli/test_names.py": "names that every command looks up",
    "dialects/test_known_bugs.py": "bugs of public parsers, whatever the dialect",
    "dialects/test_one_reading.py": "the two dialects that leave out a second reading",
    "dialects/test_rendering.py": "what dialects write, character by character",
    "dialects/test_table.py": "the table in docs/dialects.md",
    "finetuning/test_command.py": "harness finetune on the data of this folder",
    "importers/test_rows.py": "the three importers of chat rows, on one set of rows",
    "renderers/test_exports.py": "two forms, each read by the project it is written for",
    "scoring/test_seven_outcomes.py": "outcomes told apart in every dialect",
    "suites/test_bundled.py": "the suites of this repository",
    "suites/test_guide.py": "docs/first-suite.md, command by command",
}
"""Tests of a package that are about more than one of its modules, and what they are about."""


def sources(*places: str) -> list[Path]:
    """
    Return the source files at *places* of the package: modules, or packages with all they hold.
    """
    found: list[Path] = []
    for place in places or (".",):
        path = PACKAGE / place
        assert path.exists(), f"harness/{place} is gone: has it been renamed?"
        found += sorted(path.rglob("*.py")) if path.is_dir() else [path]
    return found


@cache
def tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text("utf-8"), str(path))


def offenders(rule: Callable[[Path], Iterable[str]], *places: str) -> dict[str, list[str]]:
    """
    Return what *rule* finds in each source file at *places*, leaving out files without a finding.
    """
    return {
        path.relative_to(PACKAGE).as_posix(): sorted(found)
        for path in sources(*places)
        if (found := set(rule(path)))
    }


def imported(nodes: Iterable[ast.AST]) -> set[tuple[str, str | None]]:
    """
    Return the module and, for ``from`` imports, the name of each import among *nodes*.
    """
    found: set[tuple[str, str | None]] = set()
    for node in nodes:
        if isinstance(node, ast.Import):
            found |= {(alias.name, None) for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found |= {(node.module, alias.name) for alias in node.names}
    return found


def distributions(nodes: Iterable[ast.AST]) -> set[str]:
    return {module.partition(".")[0] for module, _ in imported(nodes)}


def run_on_import(node: ast.AST) -> Iterator[ast.AST]:
    """
    Yield the nodes below *node* that run when the module is imported.
    """
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
            continue
        if isinstance(child, ast.If) and ast.unparse(child.test) == "TYPE_CHECKING":
            continue
        yield child
        yield from run_on_import(child)


def rules_imported(path: Path) -> Iterator[str]:
    """
    Yield the functions, and the modules as a whole, that *path* imports from where the rules are.
    """
    for module, name in imported(ast.walk(tree(path))):
        dotted = module if name is None else f"{module}.{name}"
        if f"{dotted}.".startswith(tuple(f"{rule}." for rule in RULES)):
            value = getattr(import_module(module), name) if name else import_module(module)
            rule = inspect.ismodule(value) or inspect.isroutine(inspect.unwrap(value))
            if rule and dotted not in SPELLING:
                yield dotted


def test_few_modules_lie_flat_and_none_spells_a_package_in_its_name():
    """
    A folder is a stage of the flow or a family; a flat module is ground for every stage.
    """
    flat = {path.stem for path in PACKAGE.glob("*.py")} - {"__init__", "__main__"}
    packages = {path.parent.name for path in PACKAGE.glob("*/__init__.py")}
    prefixes = {f"{spelled}_" for package in packages for spelled in (package, package[:-1])}

    assert len(flat) <= 12, sorted(flat)
    assert [] == [module for module in sorted(flat) if module.startswith(tuple(prefixes))]


def test_the_tests_of_a_package_mirror_it():
    """
    What is in harness/P/X.py is tested in tests/P/test_X.py, or a side of it in test_X_SIDE.py.
    """

    def about(test: Path) -> Iterator[Path]:
        words = test.stem.removeprefix("test_").split("_")
        for many in range(1, len(words) + 1):
            module = PACKAGE / test.relative_to(TESTS).with_name("_".join(words[:many]))
            yield from (module.with_suffix(".py"), module / "__init__.py")

    tests = [
        test
        for package in PACKAGE.glob("*/__init__.py")
        for test in (TESTS / package.parent.name).rglob("test_*.py")
        if test.name != "test_contract.py"  # of an open family: every member is held to it
    ]
    stray = {
        test.relative_to(TESTS).as_posix()
        for test in tests
        if not any(module.exists() for module in about(test))
    }

    assert len(tests) > 50
    assert ACROSS.keys() == stray


def test_pure_modules_touch_nothing_outside():
    def reaches_out(path: Path) -> Iterator[str]:
        for module, name in imported(ast.walk(tree(path))):
            names = {module, module.partition(".")[0], f"{module}.{name}"}
            yield from names & OUTSIDE

    assert {} == offenders(reaches_out, *PURE)


def test_heavy_packages_are_imported_inside_functions_only():
    assert {} == offenders(lambda path: distributions(run_on_import(tree(path))) & HEAVY)


def test_every_package_that_is_imported_is_declared():
    """
    As a dependency or an extra: what only another package brings along may be gone tomorrow.
    """
    project = tomllib.loads((TESTS.parent / "pyproject.toml").read_text("utf-8"))["project"]
    extras = project["optional-dependencies"].values()
    declared = {
        canonicalize_name(Requirement(line).name)
        for line in (*project["dependencies"], *(line for extra in extras for line in extra))
    }

    def undeclared(path: Path) -> set[str]:
        used = distributions(ast.walk(tree(path))) - sys.stdlib_module_names - {"harness"}
        return {canonicalize_name(DISTRIBUTIONS.get(name, name)) for name in used} - declared

    assert {} == offenders(undeclared)


@pytest.mark.parametrize("statement", ["import harness", "import harness.cli.main", "--help"])
def test_starting_up_loads_nothing_heavy(statement: str):
    run = statement
    if statement == "--help":
        run = "from harness.cli.main import main\nassert main(['--help']) == 0"
    code = f"{run}\nimport sys; print('LOADED', *sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    loaded = {module.partition(".")[0] for module in done.stdout.partition("LOADED")[2].split()}

    assert "harness" in loaded
    assert set() == loaded & HEAVY


def test_only_the_command_line_prints():
    """
    The gate decides, a renderer returns text: what is done with it is the surface's.
    """

    def prints(path: Path) -> Iterator[str]:
        for node in ast.walk(tree(path)):
            match node:
                case ast.Name(id="print"):
                    yield f"line {node.lineno}: print"
                case ast.Attribute(value=ast.Name(id="sys"), attr="stdout"):
                    yield f"line {node.lineno}: sys.stdout"

    elsewhere = {path.name for path in PACKAGE.iterdir() if path.name != "cli"}

    assert {} == offenders(prints, *sorted(elsewhere - {"__pycache__"}))


def test_surfaces_hold_no_rules():
    """
    They take the workflow's steps, so two of them cannot disagree about the same runs.
    """
    found = offenders(rules_imported, "cli", "pytest_plugin")
    # An assertion is an expectation of a suite, judged as a suite's are.
    found.pop("pytest_plugin/assertions.py", None)

    assert {} == found


def test_renderers_decide_nothing():
    """
    A renderer spells a finished report: it neither judges, nor compares, nor reads a run.
    """
    reading = {"harness.runs.store", "harness.runs.baselines", "harness.stats"}

    def decides(path: Path) -> set[str]:
        modules = {module for module, _ in imported(ast.walk(tree(path)))}
        return {*rules_imported(path), *(modules & reading)}

    assert {} == offenders(decides, "renderers")


def test_values_are_frozen_slotted_dataclasses():
    def loose(path: Path) -> Iterator[str]:
        for node in ast.walk(tree(path)):
            for decorator in node.decorator_list if isinstance(node, ast.ClassDef) else ():
                spelled = ast.unparse(decorator)
                if not re.match(r"(dataclasses\.)?dataclass\b", spelled):
                    continue
                may_change = node.name.startswith("_") or node.name in MUTABLE
                if "slots=True" not in spelled or not (may_change or "frozen=True" in spelled):
                    yield node.name

    assert {} == offenders(loose)


def test_the_public_names_exist():
    for public in harness.__all__:
        assert getattr(harness, public) is not None
    assert sorted(harness.__all__) == harness.__all__
    with pytest.raises(AttributeError):
        harness.no_such_name  # noqa: B018


def test_type_checkers_and_python_find_the_same_public_names():
    seen = {
        alias.asname: node.module
        for node in ast.walk(tree(PACKAGE / "__init__.py"))
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("harness.")
        for alias in node.names
    }

    assert harness._HOME == seen


def test_no_module_has_the_name_of_a_public_function():
    """
    Importing it would put the module where the function is.
    """
    assert set() == {path.stem for path in PACKAGE.iterdir()} & set(harness.__all__)
