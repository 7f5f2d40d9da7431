"""
The forms in which a report is written: those of this package, and those that others bring.
"""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

import harness
from harness.cli.main import main, make_parser
from harness.errors import UsageError
from harness.renderers.registry import names

from .conftest import answers, run, save

ACME = '''
from harness.dialects.hermes import Hermes
from harness.errors import BackendError
from harness.importers.base import Imported, ImportedCase

def csv(report):
    """One line a case of the last run."""
    return "case,status\\n" + "".join(f"{c.id},{c.status}\\n" for c in report.new.record.cases)

class Lines:
    name = "lines"
    takes = {"rows": True}

    def read(self, sources, today):
        cases = tuple(
            ImportedCase(
                row={"id": f"l{n}", "prompt": line, "expect": {"abstain": True}},
                file=str(file),
                line=n,
            )
            for file in sources["rows"]
            for n, line in enumerate(file.read_text("utf-8").splitlines(), 1)
        )
        return Imported(cases=cases, description="One prompt a line.", tools=(TOOL,))

TOOL = {"type": "function", "function": {"name": "go", "description": "Go."}}
LINES = Lines()

class Acme(Hermes):
    """Hermes by another name."""
    name = "acme"
    version = 7

ACME = Acme()

def open_backend(reference, options):
    raise BackendError(f"acme was asked for {reference.target}")
'''


@pytest.fixture
def acme(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """
    The folder that a package of somebody else's is installed in.
    """
    folder = tmp_path_factory.mktemp("site-packages")
    (folder / "acme_forms.py").write_text(ACME)
    info = folder / "acme_forms-1.2.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: acme-forms\nVersion: 1.2\n")
    (info / "entry_points.txt").write_text(
        "[harness.renderers]\ncsv = acme_forms:csv\nlost = acme_forms:lost\n"
        "[harness.importers]\nlines = acme_forms:LINES\n"
        "[harness.dialects]\nacme = acme_forms:ACME\n"
        "[harness.backends]\nacme = acme_forms:open_backend\n"
    )
    return folder


def harness_command(acme: Path, *words: str) -> subprocess.CompletedProcess[str]:
    """
    Run a command where that package is installed.
    """
    return subprocess.run(
        [sys.executable, "-m", "harness", *words],
        env={**os.environ, "PYTHONPATH": str(acme), "COLUMNS": "300"},
        capture_output=True,
        text=True,
        check=False,
    )


def test_a_form_of_another_package_is_written_and_printed(project: Path, acme: Path):
    run(project, "old", answers(wrong=1))
    save("old")
    run(project, "new", answers(wrong=1))

    printed = harness_command(acme, "report", "new", "--output", "csv=-")
    assert 0 == printed.returncode
    assert ["accuracy 99.2%"] == [each.split(" after ")[0] for each in printed.stderr.splitlines()]
    assert printed.stdout.startswith("case,status\nc0,incorrect\nc1,correct\n")

    files = ["--output", "csv=gate.csv", "--output=json=gate.json"]
    gated = harness_command(acme, "gate", "new", "--baseline", "shipped", *files)
    assert 0 == gated.returncode, gated.stderr
    assert printed.stdout == (project / "gate.csv").read_text("utf-8")
    assert "pass" == json.loads((project / "gate.json").read_text("utf-8"))["verdict"]


def test_help_names_forms_and_formats_of_other_packages(acme: Path):
    for words, said in (
        (["gate"], "csv (from acme-forms 1.2)"),
        (["compare"], "csv (from acme-forms 1.2)"),
        (["report"], "csv (from acme-forms 1.2)"),
        (["suite", "import"], "chat-jsonl, lines (from acme-forms 1.2), mobile-actions"),
    ):
        done = harness_command(acme, *words, "--help")
        assert said in done.stdout, words


def test_a_name_nobody_brings_gets_the_nearest_and_one_that_is_broken_its_reason(acme: Path):
    unknown = harness_command(acme, "report", "new", "--output", "cvs=-")
    assert 2 == unknown.returncode
    assert "unknown renderer 'cvs' (did you mean 'csv'?)" in unknown.stderr

    flag = harness_command(acme, "report", "new", "--csv", "-")
    assert 2 == flag.returncode
    assert "unrecognized arguments: --csv (did you mean --output csv=FILE?)" in flag.stderr

    broken = harness_command(acme, "report", "new", "--output", "lost=-")
    assert 2 == broken.returncode
    assert "renderer 'lost' (acme_forms:lost" in broken.stderr
    assert "cannot be loaded" in broken.stderr
    assert "Traceback" not in broken.stderr


def test_rows_are_imported_by_another_package(project: Path, acme: Path):
    (project / "prompts.txt").write_text("Say hello.\nSay goodbye.\n")

    done = harness_command(acme, "suite", "import", "lines", "prompts.txt", "--out", "suites/lines")

    assert 0 == done.returncode, done.stderr
    assert 2 == len((project / "suites" / "lines" / "cases.jsonl").read_text().splitlines())


def test_doctor_lists_what_other_packages_bring(project: Path, acme: Path):
    done = harness_command(acme, "doctor")

    found = {" ".join(line.split()) for line in done.stdout.splitlines()}
    assert "ok renderer csv from acme-forms 1.2" in found
    assert "ok importer lines from acme-forms 1.2" in found
    assert "ok dialect acme version 7, from acme-forms 1.2" in found
    assert "ok backend acme from acme-forms 1.2" in found
    assert any(line.startswith("BROKEN renderer lost") for line in found)
    assert 2 == done.returncode


def test_a_dialect_and_a_backend_of_another_package_are_used(project: Path, acme: Path):
    rows = answers()
    call = '<tool_call>\n{"name": "inside", "arguments": {"q": "0"}}\n</tool_call>'
    rows[0] = {"case": "c0", "output": call}
    (project / "raw.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))

    words = ["run", "ask", "--checkpoint", "replay:raw.jsonl", "--dialect", "acme", "--out", "new"]
    done = harness_command(acme, *words)
    assert 0 == done.returncode, done.stderr
    stored = json.loads((project / "new" / "run.json").read_text("utf-8"))
    assert ("acme", 7) == tuple(stored["checkpoint"][k] for k in ("dialect", "dialect_version"))
    assert "correct" == stored["cases"][0]["status"]

    refused = harness_command(acme, "run", "ask", "--checkpoint", "acme:north")
    assert (2, "harness: acme was asked for north\n") == (refused.returncode, refused.stderr)


def test_two_packages_that_bring_one_name_are_named(acme: Path):
    info = acme / "other-3.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: other\nVersion: 3\n")
    (info / "entry_points.txt").write_text("[harness.renderers]\ncsv = other:csv\n")

    gated = harness_command(acme, "gate", "new", "--baseline", "shipped")
    assert (2, 1) == (gated.returncode, len(gated.stderr.splitlines()))
    assert gated.stderr.startswith("harness: two packages define a renderer 'csv': ")
    doctor = harness_command(acme, "doctor")
    assert "BROKEN  renderers " in doctor.stdout
    assert "acme-forms 1.2" in doctor.stdout


def test_every_form_of_this_package_has_a_flag_of_its_own():
    parser = make_parser()
    assert parser.commands is not None
    command = parser.commands.choices["gate"]
    command.declare_all()

    # A report that goes into no file is shown as the terminal has it.
    wanted = {f"--{name}" for name in names() if name != "terminal"}
    assert {"--html", "--json", "--markdown", "--junit", "--lm-eval", "--github"} <= wanted
    assert wanted <= {flag for action in command._actions for flag in action.option_strings}


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--json", "-", "--markdown", "-"], "json and markdown cannot both be printed"),
        (["--json", "-", "--output", "junit=-"], "json and junit cannot both be printed"),
        (["--json", "/dev/stdout", "--markdown", "-"], "json and markdown cannot both be printed"),
        (["--json", "-", "--github"], "github and json cannot both be printed"),
        (["--github", "--json", "-"], "github and json cannot both be printed"),
        (["--html", "r", "--junit", "r"], "html and junit cannot both be written to r"),
        (["--output", "json"], "'json' is not NAME=FILE, such as markdown=report.md"),
        (["--output", "json="], "'' names nothing"),
        (["--json", ""], "'' names nothing"),
        (["--output", "jsno=r"], "unknown renderer 'jsno' (did you mean 'json'?)"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_forms_that_cannot_be_written_are_refused_before_anything_is_read(
    project: Path, capsys: pytest.CaptureFixture[str], words: list[str], said: str
):
    assert 2 == main(["gate", "nowhere", "--baseline", "shipped", *words])

    shown = capsys.readouterr()
    assert "" == shown.out
    assert shown.err.startswith("usage: harness gate")
    assert said in shown.err
    assert "nowhere" not in shown.err


def test_one_form_is_printed_beside_files(project: Path, capsys: pytest.CaptureFixture[str]):
    run(project, "new", answers())
    capsys.readouterr()

    words = ["--json", "-", "--output", "markdown=r.md", "--output", "terminal=r.txt"]
    assert 0 == main(["report", "new", *words])

    assert "new" != json.loads(capsys.readouterr().out)["suite"]["name"]
    assert (project / "r.md").read_text("utf-8").startswith("### ")
    assert "accuracy" in (project / "r.txt").read_text("utf-8")


def test_a_form_written_to_the_device_of_standard_output_is_printed(
    project: Path, capsys: pytest.CaptureFixture[str]
):
    run(project, "new", answers())
    capsys.readouterr()

    assert 0 == main(["report", "new", "--json", "/dev/stdout"])

    assert "ask" == json.loads(capsys.readouterr().out)["suite"]["name"]


def test_python_renders_what_the_command_writes(project: Path):
    run(project, "old", answers())
    save("old")
    run(project, "new", answers(wrong=10))
    old, new = harness.load_run(project / "old"), harness.load_run(project / "new")
    assert 1 == main(["gate", "new", "--baseline", "shipped", "--markdown", "gate.md"])
    assert 0 == main(["compare", "old", "new", "--json", "compare.json"])
    assert 0 == main(["report", "new", "--html", "new.html"])

    for subject, name, file in (
        (harness.gate("shipped", new), "markdown", "gate.md"),
        (harness.compare(old, new), "json", "compare.json"),
        (new, "html", "new.html"),
    ):
        assert (project / file).read_text("utf-8") == harness.render(subject, name), name
    with pytest.raises(UsageError, match=r"did you mean 'markdown'"):
        harness.render(new, "markdwon")


@pytest.mark.parametrize("text", ["half \ud83d pair", "\ude00"])
def test_an_answer_with_half_a_surrogate_pair_is_reported_in_every_form(project: Path, text: str):
    run(project, "old", answers())
    save("old")
    message = {"role": "assistant", "content": text}
    run(project, "new", [{"case": "c0", "message": message}, *answers()[1:]])
    forms = ["html", "markdown", "junit", "json", "terminal"]
    files = [word for form in forms for word in ("--output", f"{form}={form}.out")]

    assert 0 == main(["report", "new", *files])
    assert 0 == main(["gate", "new", "--baseline", "shipped", *files])
    assert "c0" in (project / "html.out").read_text("utf-8")
    run_of = harness.load_run(project / "new")
    (answer,) = (each for key, each in run_of.answers().items() if key.case == "c0")
    assert message == answer.message


def test_each_report_that_was_written_is_named(project: Path, capsys: pytest.CaptureFixture[str]):
    run(project, "old", answers())
    save("old")
    run(project, "new", answers())
    files = ["--html", "nodir/x.html", "--markdown", "x.md", "--json", "-"]
    capsys.readouterr()

    assert 0 == main(["gate", "new", "--baseline", "old", *files])
    gated = capsys.readouterr()
    assert 0 == main(["report", "new", *files, "-q"])
    quiet = capsys.readouterr()

    assert "wrote: nodir/x.html, x.md" in gated.err.splitlines()
    assert "wrote" not in quiet.err + quiet.out
    assert Path("nodir/x.html").is_file()
