"""
Where a checkpoint is opened, by the options of a run.
"""

import sys

import pytest

from harness.backends.base import BackendOptions
from harness.errors import MissingDependencyError, UsageError
from harness.workflow.options import RunOptions
from harness.workflow.spread import open_spread

TEXT = "python:tests.spread:answer"


def test_without_ray_the_error_names_the_extra(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(sys.modules, "ray", None)

    with pytest.raises(MissingDependencyError, match=r'pip install "toolcall-harness\[ray\]"'):
        open_spread(TEXT, BackendOptions(), RunOptions(on="ray"))


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (RunOptions(on="ray", devices=("cuda:0",)), "--devices are of this machine"),
        (RunOptions(on="dask"), "the only cluster that is known is ray"),
        (RunOptions(address="auto"), "add --on ray"),
        (RunOptions(device="cpu", devices=("cpu",)), "say two things"),
    ],
)
def test_options_that_contradict_each_other_are_refused(options: RunOptions, said: str):
    with pytest.raises(UsageError, match=said):
        open_spread(TEXT, BackendOptions(), options)


def test_a_server_is_not_asked_from_a_cluster():
    with pytest.raises(UsageError, match="raise --concurrency"):
        open_spread("openai:m@http://localhost:1/v1", BackendOptions(), RunOptions(on="ray"))
