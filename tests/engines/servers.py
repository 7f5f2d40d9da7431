"""
Real servers against the same weights in process: the table in docs/served.md.

    python -m tests.engines.servers --checkpoint DIR [--cases 120] [--write docs/served.md]

Each server is asked by ``harness stack``: raw, which must agree with the run in process but for
numerics, and through chat. Where raw answers differ, ``harness compare --logits`` says how near the
model was to the other one. DIR is a fine-tuned checkpoint of the embedded model's family, such as
that of the demo. With ``--work DIR`` what is already there is not asked again.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tabulate import tabulate

from tests.benchmarks.ways import write
from tests.engines.gguf_export import embedded_gguf, export
from tests.real_servers import HOST, free_port, serving, transformers_serve

TREE = Path(__file__).parent.parent.parent
MARK = "real servers"


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """
    One server, raw and through chat.
    """

    name: str
    same: int
    cases: int
    raw_right: int
    chat_right: int
    lost: dict[str, int]
    gained: int
    differences: list[str]
    """The first tokens that differ, and how near the model was to the other one."""


@contextmanager
def vllm(model: Path) -> Iterator[str]:
    """
    Serve *model* with vLLM as ``cand`` and yield the URL.
    """
    port = free_port()
    command = [sys.executable, "-m", "vllm.entrypoints.openai.api_server"]
    command += ["--model", str(model), "--served-model-name", "cand", "--dtype", "float32"]
    command += ["--enable-auto-tool-choice", "--tool-call-parser", "hermes"]
    command += ["--generation-config", "vllm", "--max-model-len", "2048", "--enforce-eager"]
    # On a busy machine an answer may take longer than vLLM waits for its own processes.
    os.environ.setdefault("VLLM_EXECUTE_MODEL_TIMEOUT_SECONDS", "3600")
    with serving([*command, "--host", HOST, "--port", str(port)], port, "/health", 900):
        yield f"cand@http://{HOST}:{port}/v1"


@contextmanager
def llama_cpp_python(model: Path) -> Iterator[str]:
    """
    Serve *model*, as a float GGUF file, with the server of llama-cpp-python and yield the URL.
    """
    port = free_port()
    with _as_gguf(model) as file:
        command = [sys.executable, "-m", "llama_cpp.server", "--model", str(file)]
        command += ["--model_alias", "cand", "--n_ctx", "2048", "--logits_all", "false"]
        command += ["--n_threads", str(_threads()), "--n_threads_batch", str(_threads())]
        command += ["--host", HOST, "--port", str(port)]
        with serving(command, port, "/v1/models", 300):
            yield f"cand@http://{HOST}:{port}/v1"


@contextmanager
def llama_server(model: Path) -> Iterator[str]:
    """
    Serve *model*, as a float GGUF file, with llama.cpp's own server and yield the URL.
    """
    port = free_port()
    with _as_gguf(model) as file:
        command = [sys.executable, "-m", "tests.engines.llama_server", str(file)]
        command += ["--alias", "cand", "--host", HOST, "--port", str(port)]
        with serving([*command, "--threads", str(_threads())], port, "/health", 300):
            yield f"cand@http://{HOST}:{port}/v1"


@contextmanager
def _as_gguf(model: Path) -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="harness-gguf-") as folder:
        yield export(model, embedded_gguf(Path(folder)), Path(folder) / "cand.gguf", "F32")


def _threads() -> int:
    import torch

    # What the environment allows this process.
    return torch.get_num_threads()


@contextmanager
def transformers(model: Path) -> Iterator[str]:
    """
    Serve *model* with `transformers serve` and yield the URL.
    """
    with transformers_serve(str(model)) as url:
        yield f"{model}@{url}"


SERVERS: dict[str, Callable[[Path], AbstractContextManager[str]]] = {
    "vLLM 0.32 (CPU build)": vllm,
    "llama.cpp's llama-server (F32)": llama_server,
    "llama-cpp-python's server (F32)": llama_cpp_python,
    "`transformers serve`": transformers,
}


def measure(model: Path, cases: int, chosen: Sequence[str], work: Path) -> list[Asked]:
    """
    Ask every server of *chosen*; *work* is where runs are kept.
    """
    here = work / "here"
    suite = ["tool-routing", "--tags", "demo", "--limit", str(cases), "--root", str(TREE)]
    if not (here / RUN).is_file():
        again = ["--resume"] if here.is_dir() else []
        weights = ["--checkpoint", str(model), "--dtype", "float32", "--device", "cpu"]
        _harness("run", *suite, *weights, "--out", str(here), *again)
    found = []
    for name in chosen:
        out = work / SERVERS[name].__name__
        if not (out / STACK).is_file():
            with SERVERS[name](model) as address:
                asked = ["--checkpoint", f"openai:{address}", "--tokenizer", str(model)]
                report = work / "unfinished.json"
                more = ["--no-preflight", "--out", str(out), "--json", str(report)]
                again = ["--resume"] if out.is_dir() else []
                _harness("stack", *suite, *asked, *more, *again)
                report.rename(out / STACK)
        cost = json.loads((out / STACK).read_text("utf-8"))["stack"]
        compared = out / "compared.json"
        _harness("compare", str(here), str(out / "raw"), "--logits", "--json", str(compared))
        apart = json.loads(compared.read_text("utf-8"))["divergences"]
        found.append(
            Asked(
                name=name,
                same=apart["answers"] - apart["differing"],
                cases=apart["answers"],
                raw_right=cost["raw_right"],
                chat_right=cost["chat_right"],
                lost=cost["lost"],
                gained=len(cost["gained"]),
                differences=[explained(each) for each in apart["first"]],
            )
        )
        print(table(found), file=sys.stderr, flush=True)
    return found


RUN, STACK = "run.json", "stack.json"


def _harness(*words: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "harness", *words, "--quiet"], cwd=TREE, check=False
    )
    if done.returncode:
        raise SystemExit(f"harness {' '.join(words)} ended with {done.returncode}")


def explained(found: Mapping[str, Any]) -> str:
    """
    Return in words where an answer of a server differs from that in process, of which *found* is
    what ``harness compare --json`` says.
    """
    logits = found["old"]["logits"]
    where = "" if found["token"] is None else f" {found['token']}"
    near = "unknown"
    if logits is not None:
        apart = logits["old"] - logits["new"]
        near = f"{logits['old']:.4f} and {logits['new']:.4f}, {apart:.4f} apart"
    return (
        f"{found['case']}, token{where}: {found['old']['text']!r} in process, "
        f"{found['new']['text']!r} there; the logits in process are {near}"
    )


def table(found: Sequence[Asked]) -> str:
    """
    Spell what was found as Markdown.
    """
    rows = [
        [
            each.name,
            f"{each.same} of {each.cases}",
            f"{each.raw_right} of {each.cases}",
            f"{each.chat_right} of {each.cases}",
            ", ".join(f"{count} by its {part}" for part, count in each.lost.items() if count)
            or "none",
            str(each.gained or "none"),
        ]
        for each in found
    ]
    heads = ["server", "raw answers as in process", "right raw", "right in chat", "lost", "gained"]
    lines = [f"- {each.name}: {line}." for each in found for line in each.differences]
    text = tabulate(rows, headers=heads, tablefmt="github") + "\n"
    if not lines:
        return f"{text}\nNo raw answer differs.\n"
    return text + "\nWhere raw answers differ:\n\n" + "\n".join(lines) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--checkpoint", required=True, type=Path)
    parser.add_argument("--cases", type=int, default=120)
    parser.add_argument("--servers", nargs="+", default=list(SERVERS), choices=list(SERVERS))
    parser.add_argument("--work", type=Path, help="where the runs are kept")
    parser.add_argument("--write", type=Path)
    given = parser.parse_args()
    work = given.work or Path(tempfile.mkdtemp(prefix="harness-servers-"))
    text = table(measure(given.checkpoint, given.cases, given.servers, work.absolute()))
    print(text)
    if given.write:
        write(given.write, text, MARK)


if __name__ == "__main__":
    main()
