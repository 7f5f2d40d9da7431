"""
Names that are looked up: what is said where there is none.
"""

from pathlib import Path

import pytest

from harness.cli.main import main

from .conftest import answers, run


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["explain", "ask/v1", "c12x"], "suite ask has no case 'c12x'; did you mean 'c12'?"),
        (
            ["explain", "ask/v1", "zz"],
            "; choose from c0, c1, c10, c100, c101, c102, c103, c104 and 112 more",
        ),
        (["report", "ask/v2"], "neither a run folder nor a baseline; did you mean 'ask/v1'?"),
        (["gate", "ask/v1", "--baseline", "v11"], "no baseline 'v11'; did you mean 'v1'?"),
        (["gate", "ask/v1", "--baseline", "v1", "--anchor", "v11"], "; did you mean 'v1'?"),
        (["explain", "ask/v1", "c1", "--baseline", "v11"], "no baseline 'v11'; did you mean 'v1'?"),
        (
            ["gate", "ask/v1", "--baseline", "v1", "--allow-mismatch", "generation", "dtpye"],
            "unknown field 'dtpye' to allow; did you mean 'dtype'?",
        ),
        (
            ["gate", "ask/v1", "--baseline", "v1", "--allow-mismatch", "backend.sever.kind"],
            "unknown field 'backend.sever.kind' to allow; did you mean 'backend.server.kind'?",
        ),
        (["baseline", "rm", "v11"], "no baseline 'v11'; did you mean 'v1'?"),
        (["baseline", "rename", "v11", "v2"], "no baseline 'v11'; did you mean 'v1'?"),
        (["baseline", "show", "v11"], "neither a run folder nor a baseline; did you mean 'v1'?"),
        (["baseline", "history", "--metric", "acuracy"], "'acuracy'; did you mean 'accuracy'?"),
        (["suite", "show", "asc"], "unknown suite 'asc': "),
        (["suite", "import", "bfc", "x", "--out", "y"], "'bfc' (did you mean 'bfcl'?)"),
        (["suite", "import", "sheets", "b3.csv"], "'sheets' (did you mean 'sheet'?)"),
        (
            ["score", "ask/v1", "--suite", "ask", "--dialect", "hermess"],
            "unknown dialect 'hermess' (did you mean 'hermes'?)",
        ),
        (
            ["score", "ask/v1", "--suite", "ask", "--tool-names", "dots-to-underscore"],
            "unknown value 'dots-to-underscore'; did you mean 'dots-to-underscores'?",
        ),
        (["run", "ask", "--checkpoint", "replya:x"], "did you mean replay:x?"),
        (
            ["run", "ask", "--checkpoint", "embedded:smollm2"],
            "unknown embedded model 'smollm2'; did you mean 'smollm2-135m'?",
        ),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_a_name_that_is_looked_up_in_vain_is_answered_by_the_nearest(
    project: Path, capsys: pytest.CaptureFixture[str], words: list[str], said: str
):
    run(project, "one", answers())
    assert 0 == main(["baseline", "save", "one", "--name", "v1"])
    capsys.readouterr()

    assert 2 == main(words)

    assert said in capsys.readouterr().err


@pytest.mark.parametrize("folder", ["./nope", "../nope", "~/nope", "./org/name", "hf:./nope"])
def test_a_missing_folder_is_said_to_be_missing_and_the_hub_is_not_asked(
    project: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    folder: str,
):
    import huggingface_hub

    def asked(*_: object, **__: object) -> None:
        raise AssertionError("the hub was asked")

    monkeypatch.setattr(huggingface_hub, "snapshot_download", asked)

    assert 2 == main(["run", "ask", "--checkpoint", folder])

    assert f"harness: {folder.removeprefix('hf:')}: no such folder\n" == capsys.readouterr().err
