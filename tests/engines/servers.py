"""
Real servers against the same weights in process: the table in docs/served.md.

    python -m tests.engines.servers --checkpoint DIR [--cases 120] [--write docs/served.md]

Each server is asked by ``harness stack``: raw, which must agree with the run in process but for
numerics, and through chat. DIR is a fine-tuned checkpoint of the embedded model's family, such as
that of the demo.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
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
_SHOWN = 3
# Differences that are listed for each server.


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
    differences: list[str]


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
def llama_cpp(model: Path) -> Iterator[str]:
    """
    Serve *model*, as a float GGUF file, with the server of llama-cpp-python and yield the URL.
    """
    port = free_port()
    with tempfile.TemporaryDirectory(prefix="harness-gguf-") as folder:
        file = export(model, embedded_gguf(Path(folder)), Path(folder) / "cand.gguf", "F32")
        command = [sys.executable, "-m", "llama_cpp.server", "--model", str(file)]
        command += ["--model_alias", "cand", "--n_ctx", "2048", "--logits_all", "false"]
        command += ["--host", HOST, "--port", str(port)]
        with serving(command, port, "/v1/models", 300):
            yield f"cand@http://{HOST}:{port}/v1"


@contextmanager
def transformers(model: Path) -> Iterator[str]:
    """
    Serve *model* with `transformers serve` and yield the URL.
    """
    with transformers_serve(str(model)) as url:
        yield f"{model}@{url}"


SERVERS: dict[str, Callable[[Path], AbstractContextManager[str]]] = {
    "vLLM 0.32 (CPU build)": vllm,
    "llama-cpp-python's server (F32)": llama_cpp,
    "`transformers serve`": transformers,
}


def measure(model: Path, cases: int, chosen: Sequence[str]) -> list[Asked]:
    """
    Ask every server of *chosen*.
    """
    work = Path(tempfile.mkdtemp(prefix="harness-servers-"))
    here = work / "here"
    suite = ["tool-routing", "--tags", "demo", "--limit", str(cases), "--root", str(TREE)]
    _harness("run", *suite, "--checkpoint", str(model), "--out", str(here))
    known = _answers(here)
    found = []
    for name in chosen:
        out = work / f"stack-{len(found)}"
        report = work / f"stack-{len(found)}.json"
        with SERVERS[name](model) as address:
            asked = ["--checkpoint", f"openai:{address}", "--tokenizer", str(model)]
            more = ["--no-preflight", "--out", str(out), "--json", str(report)]
            _harness("stack", *suite, *asked, *more)
        cost = json.loads(report.read_text("utf-8"))["stack"]
        raw = _answers(out / "raw")
        apart = [case for case, text in known.items() if raw.get(case) != text]
        found.append(
            Asked(
                name=name,
                same=len(known) - len(apart),
                cases=len(known),
                raw_right=cost["raw_right"],
                chat_right=cost["chat_right"],
                lost=cost["lost"],
                differences=explained(model, known, raw, apart[:_SHOWN]) if apart else [],
            )
        )
        print(table(found), file=sys.stderr, flush=True)
    return found


def _harness(*words: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "harness", *words, "--quiet"], cwd=TREE, check=False
    )
    if done.returncode:
        raise SystemExit(f"harness {' '.join(words)} ended with {done.returncode}")


def _answers(run: Path) -> dict[str, str]:
    """
    Return what each case was answered with, without the token that ends an answer.
    """
    lines = (run / "transcripts.jsonl").read_text("utf-8").splitlines()
    rows = [json.loads(line) for line in lines]
    return {row["case"]: str(row.get("output")).removesuffix("<|im_end|>") for row in rows}


def explained(
    model: Path, known: dict[str, str], raw: dict[str, str], cases: Sequence[str]
) -> list[str]:
    """
    Return for each of *cases* the first token that differs, and by how much the one in process was
    ahead there: next to nothing where numerics decided.
    """
    from harness.backends.base import BackendOptions
    from harness.backends.registry import open_backend
    from harness.runs.runner import request
    from harness.suites.files import load_suite
    from harness.transcript import Key

    suite = load_suite(TREE / "suites" / "tool-routing")
    backend: Any = open_backend(str(model), BackendOptions(device="cpu"))
    lines = []
    for case in (case for case in suite.cases if case.id in cases):
        asked = request(suite, case, Key(case.id))
        ids = list(backend._encoding.prompts([asked], _generation())[0][0].ids)
        ours, theirs = (
            backend.tokenizer.encode(text + "<|im_end|>", add_special_tokens=False)
            for text in (known[case.id], raw.get(case.id, ""))
        )
        place = next((i for i, (a, b) in enumerate(zip(ours, theirs, strict=False)) if a != b), 0)
        logits = _logits(backend._model, [*ids, *ours[:place]])
        ahead = float(logits[ours[place]] - logits[theirs[place]])
        one, other = (backend.tokenizer.decode([each[place]]) for each in (ours, theirs))
        lines.append(
            f"{case.id}: token {place + 1} is {one!r} in process and {other!r} there; the logits "
            f"are {ahead:.4f} apart"
        )
    backend.close()
    return lines


def _generation() -> Any:
    from harness.backends.base import Generation

    return Generation()


def _logits(model: Any, ids: Sequence[int]) -> Any:
    import torch

    with torch.inference_mode():
        return model(torch.tensor([ids])).logits[0, -1]


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
        ]
        for each in found
    ]
    heads = ["server", "raw answers as in process", "right raw", "right in chat", "lost in chat"]
    lines = [f"- {each.name}: {line}" for each in found for line in each.differences]
    text = tabulate(rows, headers=heads, tablefmt="github") + "\n"
    return text + ("\nFirst tokens that differ:\n\n" + "\n".join(lines) + "\n" if lines else "")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--checkpoint", required=True, type=Path)
    parser.add_argument("--cases", type=int, default=120)
    parser.add_argument("--servers", nargs="+", default=list(SERVERS), choices=list(SERVERS))
    parser.add_argument("--write", type=Path)
    given = parser.parse_args()
    text = table(measure(given.checkpoint, given.cases, given.servers))
    print(text)
    if given.write:
        write(given.write, text, MARK)


if __name__ == "__main__":
    main()
