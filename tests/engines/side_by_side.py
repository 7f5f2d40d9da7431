"""
The same cases by every engine, side by side: the table in docs/engines.md.

    python -m tests.engines.side_by_side --checkpoint DIR [--cases 120] [--write docs/engines.md]

Each engine runs in a process of its own, one after the other, and answers one case before the clock
starts. DIR is a checkpoint that was trained from an embedded model, such as that of the demo.
With ``--work DIR`` what an engine has already answered there is not asked again.
"""

import argparse
import json
import re
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
from tests.engines.gguf_export import embedded_gguf, export, tensors

TREE = Path(__file__).parent.parent.parent
SMOLLM2 = "smollm2-135m"
BASES = {SMOLLM2: "hermes", "gemma3-270m": "functiongemma"}
"""Embedded model -> the dialect of what is trained from it."""
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
    cpu_seconds: float
    """Of all its threads: what it costs, however busy the machine is."""
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
    began, worked = time.perf_counter(), time.process_time()
    outputs = {t.key.case: t.output for group in answered(asked) for t in group}
    seconds, cpu_seconds = time.perf_counter() - began, time.process_time() - worked
    backend.close()
    # Not ru_maxrss, which is never below what the process had that started this one.
    (memory,) = re.findall(r"VmHWM:\s+(\d+) kB", Path("/proc/self/status").read_text("utf-8"))
    return {
        "seconds": seconds,
        "cpu_seconds": cpu_seconds,
        "outputs": outputs,
        "megabytes": int(memory) // 1024,
    }


def measure(
    model: Path, base: str, cases: int, chosen: Sequence[str], work: Path
) -> list[Measured]:
    """
    Run each engine of *chosen*, one after the other; *work* is where answers are kept.
    """
    files = quantised(model, base, work)
    found = []
    for name in chosen:
        reference = ENGINES[name].format(model=model, **files)
        out = work / f"{list(ENGINES).index(name)}.json"
        if not out.is_file():
            words = ["--one", name, "--reference", reference, "--cases", str(cases)]
            command = [sys.executable, "-m", "tests.engines.side_by_side", *words]
            subprocess.run([*command, "--out", str(out)], cwd=TREE, check=True)
        told = json.loads(out.read_text("utf-8"))
        accuracy = judged(told["outputs"], BASES[base], out.with_suffix(""))
        found.append(Measured(name=name, accuracy=accuracy, **told))
        print(table(found), file=sys.stderr, flush=True)
    return found


def quantised(model: Path, base: str, work: Path) -> dict[str, Path]:
    """
    Return the files of *model*, made from *base*, in *work*, by their kind; those that are missing
    are written.
    """
    files = {}
    for kind in ("Q8_0", "Q4_1"):
        files[kind] = work / kind / "model.gguf"
        if not files[kind].is_file():
            files[kind].parent.mkdir(parents=True, exist_ok=True)
            unfinished = work / kind / "unfinished.gguf"
            export(model, embedded_gguf(work, base), unfinished, kind).rename(files[kind])
    return files


def judged(outputs: dict[str, str], dialect: str, work: Path) -> float:
    """
    Return the accuracy of *outputs* as the harness judges stored answers.
    """
    answers = work.with_suffix(".jsonl")
    rows = [json.dumps({"case": case, "output": text}) + "\n" for case, text in outputs.items()]
    answers.write_text("".join(rows), "utf-8")
    if (work / "run.json").is_file():
        return _accuracy(work)
    command = [sys.executable, "-m", "harness", "run", "tool-routing", "--out", str(work)]
    command += ["--checkpoint", f"replay:{answers}", "--dialect", dialect, "--quiet"]
    command += ["--root", str(TREE), *(word for case in outputs for word in ("--case", case))]
    subprocess.run(command, cwd=TREE, check=True, stdout=subprocess.DEVNULL)
    return _accuracy(work)


def _accuracy(work: Path) -> float:
    run = json.loads((work / "run.json").read_text("utf-8"))
    return float(run["metrics"]["accuracy"]["value"])


def codes(model: Path, work: Path) -> str:
    """
    Return in words what a file in 4 bits keeps of the fine-tuning: a code is the number of a
    weight's step within its block of 32.
    """
    import gguf
    import numpy as np

    base, tuned = (
        {each.name: each for each in gguf.GGUFReader(file).tensors}
        for file in (embedded_gguf(work), quantised(model, SMOLLM2, work)["Q4_1"])
    )
    total = moved = 0
    moves = []
    wanted = gguf.GGMLQuantizationType.Q4_1
    for name, was in base.items():
        now = tuned[name]
        if was.tensor_type != wanted or now.tensor_type != wanted:
            continue
        # A block: scale and least value (two bytes each), then two codes a byte.
        blocks = [np.asarray(each.data).reshape(-1, 20) for each in (was, now)]
        one, other = (each[:, 4:] for each in blocks)
        total += 2 * one.size
        moved += int(((one & 15) != (other & 15)).sum() + ((one >> 4) != (other >> 4)).sum())
        scale = np.abs(blocks[0][:, :2].copy().view(np.float16).astype(np.float32))
        moves.append((name, scale))
    half, most = _moved_by(model, embedded_gguf(work), dict(moves))
    return (
        f"Of {total:,} codes of the Q4_1 file {moved:,} are not those of the embedded model's own "
        f"file: fine-tuning moved half of the weights by less than {half:.4f} of a step, and none "
        f"by more than {most:.2f}.\n"
    )


def _moved_by(model: Path, like: Path, scales: dict[str, Any]) -> tuple[float, float]:
    """
    Return how far fine-tuning moved a weight, in steps of its block: the median, and the most.
    """
    import numpy as np

    from harness.checkpoints.embedded import embedded_model

    some, most = [], 0.0
    base = dict(tensors(embedded_model(SMOLLM2), like))
    for name, now in tensors(model, like):
        if name in scales:
            # A block of one value has no steps.
            stepped = scales[name][:, 0] > 0
            moved = np.abs(now - base[name]).reshape(-1, 32)[stepped] / scales[name][stepped]
            some.append(moved.ravel()[::16])
            most = max(most, float(moved.max()))
    return float(np.median(np.concatenate(some))), most


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
            f"{each.cpu_seconds / len(each.outputs):.2f}",
            f"{each.megabytes:,} MB",
        ]
        for each in found
    ]
    heads = ["engine", "equal answers", "accuracy", "cases/s", "CPU s a case", "memory"]
    return tabulate(rows, headers=heads, tablefmt="github", disable_numparse=True) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--checkpoint", type=Path)
    parser.add_argument("--base", default=SMOLLM2, choices=list(BASES), help="what it was made of")
    parser.add_argument("--cases", type=int, default=120)
    parser.add_argument("--engines", nargs="+", default=list(ENGINES), choices=list(ENGINES))
    parser.add_argument("--work", type=Path, help="where answers are kept")
    parser.add_argument("--write", type=Path)
    parser.add_argument("--one", choices=list(ENGINES), help="answer with it in this process")
    parser.add_argument("--reference")
    parser.add_argument("--out", type=Path)
    given = parser.parse_args()
    if given.one:
        told = answer(given.one, given.reference, given.cases)
        given.out.write_text(json.dumps(told), "utf-8")
        return
    work = given.work or Path(tempfile.mkdtemp(prefix="harness-engines-"))
    text = table(measure(given.checkpoint, given.base, given.cases, given.engines, work.absolute()))
    print(text)
    if given.write and given.base == SMOLLM2:
        # Its own file is in 4 bits, so an export can be held against it code by code.
        text += "\n" + codes(given.checkpoint, work.absolute())
    if given.write:
        write(given.write, text, f"side by side: {given.base}")


if __name__ == "__main__":
    main()
