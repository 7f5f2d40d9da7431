"""
The jobs that docs/ci offers for copying: they parse, and their commands are commands.

`harness init` writes the same jobs.
"""

import json
import os
import re
import shlex
import subprocess
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib import resources
from pathlib import Path
from shutil import which
from threading import Thread
from typing import Any
from urllib.parse import parse_qs

import pytest
from ruamel.yaml import YAML

from harness.cli import baseline, comment, gate, merge, run
from harness.cli.main import make_parser
from harness.gating.policy import default_policy, read_policy
from harness.workflow.comment import KEPT, MARKER

CI = Path(__file__).parent.parent / "docs" / "ci"


def github() -> list[str]:
    job = YAML(typ="safe").load((CI / "github.yml").read_text("utf-8"))["jobs"]["gate"]
    return [step["run"] for step in job["steps"] if "run" in step]


def gitlab() -> list[str]:
    return list(YAML(typ="safe").load((CI / "gitlab.yml").read_text("utf-8"))["gate"]["script"])


def words(command: str) -> list[str]:
    """
    Return the words of a command as a shell would see them where its optional part is there.
    """
    filled_in = command.replace("$NUMBER", "7")
    return shlex.split(re.sub(r"\$\{\w+:\+([^}]*)\}", r"\1", filled_in))


def slurm() -> list[str]:
    """
    Return the commands of ours in the script for an array of Slurm, comments included.
    """
    text = (CI / "slurm.sh").read_text("utf-8").replace("\\\n", " ").replace("&&\n#", "&&")
    found = re.findall(r"harness (?:run|merge|gate)\b[^\n\"&]*(?:\"[^\"]*\"[^\n\"&]*)?", text)
    return [each.strip() for each in found]


def azure() -> list[str]:
    steps = YAML(typ="safe").load((CI / "azure.yml").read_text("utf-8"))["steps"]
    return [step["script"] for step in steps if "script" in step]


README = (CI.parent.parent / "README.md").read_text("utf-8")


def readme() -> list[str]:
    (job,) = (part for part in README.split("```yaml\n") if part.startswith("jobs:"))
    steps = YAML(typ="safe").load(job.partition("```")[0])["jobs"]["gate"]["steps"]
    return [step["run"] for step in steps if "run" in step]


@pytest.mark.parametrize(
    "commands", [github(), gitlab(), azure()], ids=["github", "gitlab", "azure"]
)
def test_the_commands_are_ours(commands: list[str]):
    ours = [words(each) for each in commands if each.startswith("harness ")]

    parsed: list[Any] = [make_parser().parse_args(each[1:]) for each in ours]

    assert [run.run, gate.run] == [each.handler for each in parsed[:2]]
    assert {"html", "junit", "markdown"} <= {name for name, _ in parsed[1].forms}
    assert parsed[1].override_event or parsed[1].override_by
    forms = dict(parsed[1].forms)
    for each in parsed[2:]:
        assert comment.run == each.handler
        assert (forms["comment"], forms["json"]) == (str(each.file), str(each.checks))


def test_the_script_for_slurm_makes_parts_merges_and_gates():
    merging, gating, running = (make_parser().parse_args(shlex.split(each)[1:]) for each in slurm())

    assert [merge.run, gate.run, run.run] == [each.handler for each in (merging, gating, running)]
    assert ("auto", True) == (running.shard, running.resume)
    assert [str(merging.out)] == gating.runs
    done = subprocess.run(["bash", "-n", str(CI / "slurm.sh")], check=False)
    assert 0 == done.returncode


@pytest.mark.parametrize(
    "commands",
    [github(), gitlab(), azure(), readme()],
    ids=["github", "gitlab", "azure", "README"],
)
def test_the_jobs_block_where_little_was_measured(commands: list[str]):
    (command,) = (words(each) for each in commands if each.startswith("harness gate "))

    assert Path("gate.toml") == make_parser().parse_args(command[1:]).policy
    text = (CI / "gate.toml").read_text("utf-8")
    assert "block" == read_policy(text, "gate.toml").on_inconclusive
    assert default_policy().limits == read_policy(text, "gate.toml").limits
    assert 'on_inconclusive = "block"' in README


@pytest.mark.parametrize("name", ["github.yml", "gitlab.yml"])
def test_a_new_project_gets_the_job_that_is_offered_for_copying(name: str):
    template = (resources.files("harness.workflow") / "template" / name).read_text("utf-8")

    def job(text: str) -> list[str]:
        return [line for line in text.splitlines() if not line.startswith("#")]

    offered = (CI / name).read_text("utf-8")
    assert job(offered) == job(template.replace("SUITE", "tool-routing"))


def test_the_jobs_that_accept_are_ours_and_leave_the_default_branch_alone():
    job = YAML(typ="safe").load((CI / "accept.yml").read_text("utf-8"))["jobs"]["accept"]
    steps = [step["run"] for step in job["steps"] if "run" in step]
    button = YAML(typ="safe").load((CI / "accept-gitlab.yml").read_text("utf-8"))["accept"]
    (asked,) = (each for each in steps if each.startswith("harness "))
    (pressed,) = (each for each in button["script"] if each.startswith("harness "))

    parsed = [
        make_parser().parse_args(shlex.split(each.partition(" ${CASES")[0])[1:])
        for each in (asked, pressed)
    ]

    assert [baseline.run_accept] * 2 == [each.handler for each in parsed]
    assert "$GITHUB_EVENT_PATH" == str(parsed[0].event)
    # What a comment says is read by the harness, and never by a shell.
    assert not [each for each in steps if "${{" in each]
    assert '[ "$BRANCH" != "$DEFAULT" ]' in steps[-1]
    assert "$CI_MERGE_REQUEST_SOURCE_BRANCH_NAME != $CI_DEFAULT_BRANCH" in button["rules"][0]["if"]
    assert "permission" in steps[0]


# What is posted to servers that the harness does not know


class Server(BaseHTTPRequestHandler):
    """
    Keeps what is posted, as GitLab's notes or the threads of Azure DevOps.
    """

    server: "Kept"  # type: ignore[assignment]

    def do_GET(self) -> None:
        rows: Any = [{"id": 70 + n, "body": body} for n, body in enumerate(self.server.bodies)]
        if self.server.azure:
            comments = [{"id": 3, "comments": [{"id": 1, "content": None}]}]
            comments += [
                {"id": 70 + n, "comments": [{"id": 1, "content": body}]}
                for n, body in enumerate(self.server.bodies)
            ]
            rows = {"value": comments}
        self.answer(rows)

    def do_POST(self) -> None:
        self.server.bodies.append(self.sent())
        self.answer({})

    def do_PUT(self) -> None:
        number = re.search(r"/(?:notes|threads)/(\d+)", self.path)
        assert number is not None
        self.server.bodies[int(number[1]) - 70] = self.sent()
        self.answer({})

    do_PATCH = do_PUT  # noqa: N815

    def sent(self) -> str:
        text = self.rfile.read(int(self.headers["Content-Length"])).decode()
        if not self.server.azure:
            return parse_qs(text)["body"][0]
        found = json.loads(text)
        return str(found["content"] if "content" in found else found["comments"][0]["content"])

    def answer(self, found: Any) -> None:
        self.send_response(200)
        self.end_headers()
        self.wfile.write(json.dumps(found).encode())

    def log_message(self, *_: Any) -> None:
        pass


class Kept(ThreadingHTTPServer):
    """
    A server with what was posted to it.
    """

    def __init__(self, *, azure: bool) -> None:
        super().__init__(("127.0.0.1", 0), Server)
        self.azure = azure
        self.bodies = ["Looks good to me"]


def posting() -> dict[str, str]:
    job = YAML(typ="safe").load((CI / "gitlab.yml").read_text("utf-8"))["gate"]
    return {"gitlab": job["after_script"][0], "azure": azure()[-1]}


@pytest.mark.skipif(not (which("curl") and which("jq")), reason="curl or jq is not installed")
@pytest.mark.parametrize("host", ["gitlab", "azure"])
def test_one_comment_is_made_elsewhere_and_kept_up_to_date(host: str, tmp_path: Path):
    with Kept(azure=host == "azure") as server:
        Thread(target=server.serve_forever, daemon=True).start()
        url = f"http://127.0.0.1:{server.server_port}/"
        environment = {
            "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
            "NOTE_TOKEN": "x",
            "CI_API_V4_URL": url,
            "CI_PROJECT_ID": "5",
            "CI_MERGE_REQUEST_IID": "7",
            "SYSTEM_COLLECTIONURI": url,
            "SYSTEM_TEAMPROJECT": "models",
            "BUILD_REPOSITORY_ID": "5",
            "SYSTEM_PULLREQUEST_PULLREQUESTID": "7",
            "SYSTEM_ACCESSTOKEN": "x",
        }
        (tmp_path / "reports").mkdir()
        kept = f"Overridden by ann: agreed {KEPT}"
        for text in (f"{MARKER} -->\n\n> +50% & \u00e9\n\n{kept}\n", f"{MARKER} -->\n\nnow\n"):
            (tmp_path / "reports" / "comment.md").write_text(text, "utf-8")
            script = ["bash", "-e", "-c", posting()[host]]
            subprocess.run(script, env=environment, check=True, cwd=tmp_path)
            assert server.bodies[1].startswith(text.rstrip())
        server.shutdown()

    assert "Looks good to me" == server.bodies[0]
    assert [f"{MARKER} -->", "", "now", "", kept] == server.bodies[1].splitlines()
