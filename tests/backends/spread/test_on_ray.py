"""
One run on a Ray cluster: the single run, whatever is lost of the cluster. `tox -e ray` has Ray.
"""

import os
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from harness.cli.main import main
from harness.errors import BackendError
from harness.runs.store import load_run
from harness.transcript import Key
from tests import agents, spread
from tests.spread import run, timeless

ray = pytest.importorskip("ray", reason="Ray is not installed: tox -e ray")

from harness.backends.base import BackendOptions  # noqa: E402
from harness.backends.spread.on_ray import RayBackend  # noqa: E402


@pytest.fixture(scope="module")
def cluster() -> Iterator[Any]:
    """
    Begin a cluster of two nodes on this machine, with a core each.
    """
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    from ray.cluster_utils import Cluster

    node: dict[str, Any] = {"num_cpus": 1, "object_store_memory": 80 << 20}
    head = {
        "include_dashboard": False,
        # A node that is lost is missed in seconds.
        "_system_config": {"health_check_period_ms": 1000, "health_check_failure_threshold": 3},
    }
    begun = Cluster(initialize_head=True, head_node_args={**node, **head})
    begun.add_node(**node)
    begun.wait_for_nodes()
    yield begun
    begun.shutdown()


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    spread.write(tmp_path, 60)
    return tmp_path


def on(cluster: Any, checkpoint: str, *more: str, out: str = "spread") -> Path:
    return run(out, "--on", "ray", "--address", cluster.address, *more, checkpoint=checkpoint)


def expected(whole: Path, checkpoint: str) -> dict[str, bytes]:
    files = timeless(whole)
    files["run.json"] = files["run.json"].replace(b"spread:answer", f"spread:{checkpoint}".encode())
    return files


def test_actors_of_two_nodes_make_the_single_run_but_for_times(project: Path, cluster: Any):
    whole = run("whole", "--repeats", "2")

    spread_out = on(cluster, "together", "--repeats", "2")

    assert expected(whole, "together") == timeless(spread_out)
    shares = Counter(Path("processes").read_text().split())
    assert 2 == len(shares)
    assert str(os.getpid()) not in shares
    assert not ray.is_initialized()


def test_no_usage_is_reported(project: Path, cluster: Any, monkeypatch: pytest.MonkeyPatch):
    usage = pytest.importorskip("ray._common.usage.usage_lib")
    monkeypatch.setenv("RAY_USAGE_STATS_ENABLED", "1")
    assert usage.usage_stats_enabled()

    on(cluster, "answer")

    assert not usage.usage_stats_enabled()


def test_an_executed_run_is_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, cluster: Any):
    monkeypatch.chdir(tmp_path)
    agents.write_suite(tmp_path)
    command = ["run", "kb", "--checkpoint", "python:tests.agents:right", "--quiet", "--out"]
    assert 0 == main([*command, "whole"])
    assert 0 == main([*command, "spread", "--on", "ray", "--address", cluster.address])

    assert timeless(Path("whole")) == timeless(Path("spread"))


def test_what_an_actor_that_was_killed_had_begun_is_asked_again(project: Path, cluster: Any):
    whole = run("whole")

    spread_out = on(cluster, "dies_once")

    assert expected(whole, "dies_once") == timeless(spread_out)
    assert 3 == len(list(project.glob("died-*")))


def test_a_chunk_that_takes_every_actor_down_is_errors(project: Path, cluster: Any):
    whole = run("whole")

    answers = load_run(on(cluster, "dies_always")).answers()

    broken = {key for key, each in answers.items() if "lost, 3 times" in (each.error or "")}
    assert Key("c009") in broken
    assert len(broken) <= 9
    before = load_run(whole).answers()
    rest = {key: each for key, each in answers.items() if key not in broken}
    assert rest == {key: before[key] for key in rest}


def test_a_checkpoint_that_cannot_be_opened_is_one_error(project: Path, cluster: Any):
    with pytest.raises(BackendError, match="has no function nobody"):
        RayBackend.open("python:tests.spread:nobody", BackendOptions(), address=cluster.address)
    assert not ray.is_initialized()


def test_a_run_of_which_a_node_is_killed_is_the_single_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, cluster: Any
):
    monkeypatch.chdir(tmp_path)
    spread.write(tmp_path, 500)
    whole = run("whole")
    total = len(load_run(whole).answers())
    Path("head").write_text(cluster.head_node.node_id)

    spread_out = on(cluster, "loses_its_node")

    assert expected(whole, "loses_its_node") == timeless(spread_out)
    assert Path("lost").read_text() == cluster.worker_nodes.pop().node_id
    # What had been begun there was asked again.
    assert len(Path("processes").read_text().split()) > total
