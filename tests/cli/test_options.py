"""
What the options of a command make of a run.
"""

import pytest

from harness.cli.main import make_parser
from harness.cli.options import run_options
from harness.workflow.options import RunOptions

ASKING = "--dialect hermes --limit 3 --tags a b --device cpu --dtype float32 --max-new-tokens 9"
ASKED = {
    "dialect": "hermes",
    "limit": 3,
    "tags": ("a", "b"),
    "device": "cpu",
    "dtype": "float32",
    "max_new_tokens": 9,
}


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("run s --checkpoint c", RunOptions()),
        (
            f"run s --checkpoint c {ASKING} --seed 4 --batch-size 5 --repeats 6 --latency --resume "
            "--draft d --tool-names dots-to-underscores --case a --case b -k x --failed r "
            "--sample 7 --sample-seed 8",
            RunOptions(
                **ASKED,
                cases=("a", "b"),
                expression="x",
                failed="r",
                sample=7,
                sample_seed=8,
                seed=4,
                batch_size=5,
                repeats=6,
                latency=True,
                resume=True,
                draft="d",
                tool_names="dots-to-underscores",
            ),
        ),
        (
            f"aa s --checkpoint c {ASKING} --batch-size 5 --repeats 6",
            RunOptions(**ASKED, batch_size=5, repeats=6),
        ),
        (f"latency s a b {ASKING} --seed 4", RunOptions(**ASKED, seed=4)),
    ],
)
def test_every_option_of_a_run_reaches_it(words: str, expected: RunOptions):
    assert expected == run_options(make_parser().parse_args(words.split()))
