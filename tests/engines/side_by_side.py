"""
The same cases by every engine, side by side: the table in docs/engines.md.

    python -m tests.engines.side_by_side --checkpoint DIR [--cases 120] [--write docs/engines.md]

Each engine runs in a process of its own, one after the other, and answers one case before the clock
starts. DIR is a fine-tuned checkpoint of the embedded model's family, such as that of the demo.
"""

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tabulate import tabulate

from tests.benchmarks.ways import write
from tests.engines.gguf_export import embedded_gguf, export

TREE = Path(__file__).parent.parent.parent
MARK = "side by side"
ENGINE, PADDED = "our engine", "padded transformers"
ENGINES = {
    ENGINE: "{model}",
    PADDED: "{model}",
    "continuous batching": "continuous:{model}",
    "llama.cpp Q8_0": "llamacpp:{Q8_0}",
    "llama.cpp Q4_1": "llamacpp:{Q4_1}",
    "vLLM (CPU build)": "vllm:{model}",
}
"""Engine -> the checkpoint that names it."""
SETTINGS = {"max_new_tokens": 64}


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """
    One engine on all cases.
    """

    name: str
    seconds: float
    outputs: dict[str, str]
    megabytes: int
    """The most memory its process had."""
    accuracy: float


def answer(engine: str, reference: str, cases: int) -> dict[str, Any]:
    """
    Answer the first *cases* of the demo in this process.
    """
    from harness.backends.base import BackendOptions, Generation
    from harness.backends.registry import open_backend
    from harness.runs.runner import request
    from harness.suites.files import load_suite
    from harness.transcript import Key

    suite = load_suite(TREE / "suites" / "tool-routing")
    chosen = [case for case in suite.cases if "demo" in case.tags]
    step = max(1, len(chosen) // cases)
    asked = [request(suite, case, Key(case.id)) for case in chosen[::step][:cases]]
    quantised = reference.startswith("llamacpp:")
    options = BackendOptions(device="cpu", dtype=None if quantised else "float32")
    backend: Any = open_backend(reference, options)
    generation = Generation(**SETTINGS)

    def answered(requests: Sequence[Any]) -> Any:
        if engine == PADDED:
            prompts, _ = backend._encoding.prompts(requests, generation)
            return backend._in_plain_batches(prompts, generation)
        return backend.answer(requests, generation)

    list(answered(asked[:1]))
    began = time.perf_counter()
    outputs = {t.key.case: t.output for group in answered(asked) for t in group}
    seconds = time.perf_counter() - began
    backend.close()
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
    return {"seconds": seconds, "outputs": outputs, "megabytes": memory}


def measure(model: Path, cases: int, chosen: Sequence[str]) -> list[Measured]:
    """
    Run each engine of *chosen*, one after the other.
    """
    work = Path(tempfile.mkdtemp(prefix="harness-engines-"))
    like = embedded_gguf(work)
    files = {}
    for kind in ("Q8_0", "Q4_1"):
        folder = work / kind
        folder.mkdir()
        files[kind] = export(model, like, folder / "model.gguf", kind)
    found = []
    for name in chosen:
        reference = ENGINES[name].format(model=model, **files)
        out = work / f"{len(found)}.json"
        words = ["--one", name, "--reference", reference, "--cases", str(cases), "--out", str(out)]
        command = [sys.executable, "-m", "tests.engines.side_by_side", *words]
        subprocess.run(command, cwd=TREE, check=True)
        told = json.loads(out.read_text("utf-8"))
        accuracy = judged(told["outputs"], work / f"{len(found)}")
        found.append(Measured(name=name, accuracy=accuracy, **told))
        print(table(found), file=sys.stderr, flush=True)
    return found


def judged(outputs: dict[str, str], work: Path) -> float:
    """
    Return the accuracy of *outputs* as the harness judges stored answers.
    """
    answers = work.with_suffix(".jsonl")
    rows = [json.dumps({"case": case, "output": text}) + "\n" for case, text in outputs.items()]
    answers.write_text("".join(rows), "utf-8")
    command = [sys.executable, "-m", "harness", "run", "tool-routing", "--out", str(work)]
    command += ["--checkpoint", f"replay:{answers}", "--dialect", "hermes", "--quiet"]
    command += ["--root", str(TREE), *(word for case in outputs for word in ("--case", case))]
    subprocess.run(command, cwd=TREE, check=True, stdout=subprocess.DEVNULL)
    run = json.loads((work / "run.json").read_text("utf-8"))
    return float(run["metrics"]["accuracy"]["value"])


def table(found: Sequence[Measured]) -> str:
    """
    Spell what was measured as Markdown.
    """
    known = found[0].outputs
    rows = [
        [
            each.name,
            f"{sum(each.outputs.get(c) == text for c, text in known.items())} of {len(known)}",
            f"{each.accuracy:.1%}",
            f"{len(each.outputs) / each.seconds:.2f}",
            f"{each.megabytes:,} MB",
        ]
        for each in found
    ]
    heads = ["engine", "equal answers", "accuracy", "cases/s", "memory"]
    return tabulate(rows, headers=heads, tablefmt="github", disable_numparse=True) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--checkpoint", type=Path)
    parser.add_argument("--cases", type=int, default=120)
    parser.add_argument("--engines", nargs="+", default=list(ENGINES), choices=list(ENGINES))
    parser.add_argument("--write", type=Path)
    parser.add_argument("--one", choices=list(ENGINES), help="answer with it in this process")
    parser.add_argument("--reference")
    parser.add_argument("--out", type=Path)
    given = parser.parse_args()
    if given.one:
        told = answer(given.one, given.reference, given.cases)
        given.out.write_text(json.dumps(told), "utf-8")
        return
    text = table(measure(given.checkpoint, given.cases, given.engines))
    print(text)
    if given.write:
        write(given.write, text, MARK)


if __name__ == "__main__":
    main()
