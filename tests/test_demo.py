"""
What the demo may touch. The demo itself is run by ``tox -e e2e``.
"""

from pathlib import Path

import pytest

from harness.demo import forget
from harness.errors import StoreError


def files(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}


def test_a_fresh_demo_forgets_the_last_one_and_nothing_else(tmp_path: Path):
    """
    ``--out`` may be any folder: what the demo did not make is not its to remove.
    """
    kept = {"thesis.txt", "base/notes.txt", "baselines/own/shipped/run.json"}
    made = {"base/run.json", "candidate/transcripts.jsonl", "model/training.json", "report.md"}
    for name in kept | made:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("x")
    forget(tmp_path)

    assert kept == files(tmp_path)


def test_a_model_folder_that_is_no_fine_tune_is_left_alone(tmp_path: Path):
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "weights.bin").write_text("x")

    with pytest.raises(StoreError, match="no fine-tune"):
        forget(tmp_path)
    assert {"model/weights.bin"} == files(tmp_path)


def test_there_may_be_nothing_to_forget(tmp_path: Path):
    forget(tmp_path / "nowhere")

    assert not (tmp_path / "nowhere").exists()
