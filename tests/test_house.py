"""
The rules of the house, each held by a test: layers, light imports, who may print and decide.
"""

import ast
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import pytest

import harness

PACKAGE = Path(harness.__file__).parent

LAYERS = """
errors files families canonical cache messages moments keywords constraints suite
suite_source suite_shape suite_expect suite_parse suite_files suite_findings
suite_lint_values suite_lint_case suite_similar suite_lint_whole suite_lint
suite_summary suite_release importers suite_import
transcript dialects embedded chat checkpoint backends runner
results tool_names assignment tool_schema scoring metrics stats provenance
record store unfinished judging
paired compare policy judgement rates lengths times limits slices verdict gate noise
history finetune renderers project workflow anchoring rechecking self_test
latency benchmark_json
reports rescoring prompts explaining
progress doctor demo assertions pytest_session pytest_plugin commands cli
""".split()
"""From the ground up: a module imports only from modules named before it."""

PURE = [
    "canonical",
    "keywords",
    "constraints",
    "moments",
    "messages",
    "suite",
    "transcript",
    "results",
    "tool_names",
    "assignment",
    "tool_schema",
    "scoring",
    "metrics",
    "stats",
    "paired",
    "compare",
    "judgement",
    "rates",
    "lengths",
    "times",
    "limits",
    "slices",
    "verdict",
    "gate",
    "noise",
]
IMPURE = {"os", "pathlib", "time", "random", "socket", "subprocess", "urllib", "requests", "io"}
HEAVY = {
    "torch",
    "transformers",
    "datasets",
    "trl",
    "vllm",
    "openai",
    "ray",
    "matplotlib",
    "scipy",
    "peft",
    "numpy",
    "pandas",
}


def sources() -> list[Path]:
    return sorted(PACKAGE.rglob("*.py"))


def module(path: Path) -> str:
    """
    The layer a file belongs to: its module, or the folder of its family.
    """
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def imported(path: Path, *, top_level_only: bool = False) -> set[str]:
    tree = ast.parse(path.read_text("utf-8"))
    nodes = tree.body if top_level_only else ast.walk(tree)
    names = set()
    for node in nodes:
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names.add(node.module)
            names |= {f"{node.module}.{alias.name}" for alias in node.names}
    return names


def files(layer: str) -> list[Path]:
    """
    A layer's one file, or all of its folder.
    """
    return [path for path in sources() if module(path) == layer]


def layers_imported(path: Path) -> set[str]:
    return {
        name.split(".")[1]
        for name in imported(path)
        if name.startswith("harness.") and name.split(".")[1] in LAYERS
    }


def test_every_module_has_a_layer():
    known = {*LAYERS, "__init__", "__main__"}

    assert set() == {module(path) for path in sources()} - known
    assert set() == set(LAYERS) - {module(path) for path in sources()}


@pytest.mark.parametrize(
    "path",
    # The package's front door names everything, lazily.
    [path for path in sources() if module(path) not in ("__init__", "__main__")],
    ids=lambda path: str(path.relative_to(PACKAGE)),
)
def test_a_module_imports_only_from_layers_below_it(path: Path):
    name = module(path)
    below = set(LAYERS[: LAYERS.index(name) + 1])

    assert set() == layers_imported(path) - below


@pytest.mark.parametrize("name", PURE)
def test_pure_modules_touch_nothing_outside(name: str):
    roots = {found.split(".")[0] for found in imported(PACKAGE / f"{name}.py")}

    assert set() == roots & IMPURE


@pytest.mark.parametrize("path", sources(), ids=lambda path: str(path.relative_to(PACKAGE)))
def test_heavy_packages_are_imported_inside_functions_only(path: Path):
    roots = {found.split(".")[0] for found in imported(path, top_level_only=True)}

    assert set() == roots & HEAVY


@pytest.mark.parametrize("name", ["gate", "limits", "renderers"])
def test_what_decides_or_spells_does_not_print(name: str):
    for path in files(name):
        calls = [
            node.func.id
            for node in ast.walk(ast.parse(path.read_text("utf-8")))
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)
        ]

        assert "print" not in calls, path


@pytest.mark.parametrize(
    "surface", ["cli", "commands", "pytest_plugin", "pytest_session", "progress"]
)
def test_surfaces_hold_no_rules(surface: str):
    """
    They take the workflow's steps: scoring, statistics and comparison are out of their reach.
    """
    rules = {"scoring", "compare", "metrics", "judging", "runner"}

    for path in files(surface):
        assert set() == layers_imported(path) & rules, path


def test_renderers_decide_nothing():
    for path in (PACKAGE / "renderers").glob("*.py"):
        assert set() == layers_imported(path) & {"scoring", "judging", "runner", "store"}, path


@pytest.mark.parametrize("statement", ["import harness", "import harness.cli.main", "--help"])
def test_starting_up_loads_nothing_heavy(statement: str):
    run = statement
    if statement == "--help":
        run = "from harness.cli.main import main\ntry: main(['--help'])\nexcept SystemExit: pass"
    code = f"{run}\nimport sys; print('LOADED', *sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    loaded = {name.split(".")[0] for name in done.stdout.partition("LOADED")[2].split()}

    assert "harness" in loaded
    assert set() == loaded & HEAVY


def test_the_public_names_exist():
    for name in harness.__all__:
        assert getattr(harness, name) is not None
    assert sorted(harness.__all__) == harness.__all__
    with pytest.raises(AttributeError):
        harness.no_such_name  # noqa: B018


def test_functions_win_over_modules_of_the_same_name():
    """
    ``harness.comparison.compare`` is the step, whatever module has been imported before.
    """
    for name in ("compare", "gate", "finetune"):
        import_module(f"harness.{name}")
        assert callable(getattr(harness, name)), name


def test_files_stay_readable():
    """
    A look is due when a file passes 400 lines; well beyond, it holds two ideas.
    """
    long = {
        str(path.relative_to(PACKAGE)): lines
        for path in sources()
        if (lines := len(path.read_text("utf-8").splitlines())) > 450
    }

    assert {} == long
