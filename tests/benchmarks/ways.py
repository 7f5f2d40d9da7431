"""
The ways to answer a suite, measured against each other in one run: the table in docs/speed.md.

    python tests/benchmarks/ways.py --checkpoint DIR [--write docs/speed.md]
    python tests/benchmarks/ways.py --checkpoint DIR --device cuda --dtype bfloat16

Each round goes through all ways in turn, so that whatever else the machine does meets all of them;
a figure is the median over rounds of the ratio within a round. Every answer of every way is held
against the plain loop's, or the engine's where the loop was not asked for it. vLLM takes part on a
GPU where it is installed. In half precision there are no drafts, and answers may differ.
"""

import argparse
import re
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from importlib.util import find_spec
from pathlib import Path
from statistics import median
from typing import Any

from tabulate import tabulate

from harness.backends.base import BackendOptions, Generation
from harness.backends.continuous import answer_together
from harness.backends.engine.agreement import agreement
from harness.backends.engine.decoding import Prompt, decode
from harness.backends.engine.engine import Engine
from harness.backends.engine.prefixes import groups, together
from harness.backends.transformers import DTYPES, PADDED_ROWS, ROWS, TransformersBackend
from harness.backends.vllm import VllmBackend
from harness.checkpoints.reference import Reference, parse_reference
from harness.runs.runner import request
from harness.suites.files import load_suite
from harness.transcript import Key
from harness.workflow.project import bundled_suites

Answers = dict[Key, list[int]]

LOOP, PADDED, CONTINUOUS = "the guide's loop", "left-padded batches of 30", "continuous batching"
VLLM = "vLLM"
ENGINE, DRAFTED = "the engine", "the engine, own answers as drafts"
CEILING = "large matrix product"


@dataclass
class Bench:
    """
    One checkpoint, its prompts and what each way took for them.
    """

    backend: TransformersBackend
    prompts: list[Prompt]
    generation: Generation
    seconds: dict[str, list[float]] = field(default_factory=dict)
    """Way -> seconds a case, one for each round."""
    same: dict[str, tuple[int, int]] = field(default_factory=dict)
    """Way -> answers that are the loop's, and answers."""
    flops: list[float] = field(default_factory=list)
    near_ties: int = 0
    known: Answers = field(default_factory=dict)
    drafts: Answers = field(default_factory=dict)
    served: VllmBackend | None = None

    @classmethod
    def open(
        cls, checkpoint: str, cases: int, device: str = "cpu", dtype: str = "float32"
    ) -> "Bench":
        (path,) = [path for path in bundled_suites() if path.name == "tool-routing"]
        suite = load_suite(path)
        backend = TransformersBackend.open(
            parse_reference(checkpoint), BackendOptions(device=device, dtype=dtype)
        )
        step = max(1, len(suite.cases) // cases)
        asked = [request(suite, c, Key(c.id)) for c in suite.cases[::step][:cases]]
        generation = Generation(max_new_tokens=64)
        prompts, _ = backend._encoding.prompts(asked, generation)
        return cls(backend=backend, prompts=prompts, generation=generation)

    def round(self, number: int, ways: Sequence[str], loop: int, continuous: int) -> None:
        """
        Go through *ways* once. *loop* and *continuous* are how many cases the slow ones get.
        """
        spread = self.prompts[number::3] or self.prompts
        plans: dict[str, tuple[Callable[[list[Prompt]], Answers], list[Prompt]]] = {
            LOOP: (self.loop, spread[:loop]),
            PADDED: (self.padded, self.prompts[:30]),
            CONTINUOUS: (self.continuous, spread[:continuous]),
            ENGINE: (self.engine, self.prompts),
            DRAFTED: (self.drafted, self.prompts),
            VLLM: (self.vllm, self.prompts),
        }
        for way in ways:
            answer, asked = plans[way]
            began = time.perf_counter()
            found = answer(asked)
            took = time.perf_counter() - began
            self.seconds.setdefault(way, []).append(took / len(asked))
            same, of = self.same.get(way, (0, 0))
            for key, ids in found.items():
                # What was answered first is what the others are held against: the loop goes first.
                same += self.known.setdefault(key, ids) == ids
            self.same[way] = (same, of + len(found))
            if way == ENGINE:
                self.drafts = found
        self.flops.append(ceiling(self.backend._model))

    def loop(self, prompts: Sequence[Prompt]) -> Answers:
        return {p.key: list(self._decode([p])[0].ids) for p in prompts}

    def padded(self, prompts: Sequence[Prompt]) -> Answers:
        answers = self._decode(prompts)
        return {p.key: list(a.ids) for p, a in zip(prompts, answers, strict=True)}

    def _decode(self, prompts: Sequence[Prompt]) -> Any:
        return decode(self.backend._model, prompts, self.generation, self.backend._stops)

    def continuous(self, prompts: Sequence[Prompt]) -> Answers:
        answers = answer_together(
            self.backend._model, prompts, self.generation, self.backend._stops, PADDED_ROWS
        )
        return {p.key: list(a.ids) for p, a in zip(prompts, answers, strict=True)}

    def engine(self, prompts: Sequence[Prompt]) -> Answers:
        found: Answers = {}
        for alike in together(groups(prompts), self.generation.max_new_tokens):
            engine = Engine(
                self.backend._model,
                alike,
                stops=self.backend._stops,
                max_new_tokens=self.generation.max_new_tokens,
            )
            engine.near_tie = self.near_tie
            for done in engine.run(ROWS):
                for row in done:
                    self.near_ties += row.near_tie
                    found[row.prompt.key] = (
                        list(self._decode([row.prompt])[0].ids) if row.near_tie else row.ids
                    )
        return found

    def vllm(self, prompts: Sequence[Prompt]) -> Answers:
        assert self.served is not None
        answers = self.served._generate(prompts, self.generation)
        return {p.key: list(a.ids) for p, a in zip(prompts, answers, strict=True)}

    def drafted(self, prompts: Sequence[Prompt]) -> Answers:
        return self.engine([replace(p, draft=self.drafts[p.key]) for p in prompts])

    near_tie = 0.0

    @property
    def exact(self) -> bool:
        return str(self.backend._model.dtype) == "torch.float32"

    def check(self) -> None:
        """
        What a run does once before its first answer.
        """
        (group,) = groups(self.prompts)
        most = self.generation.max_new_tokens
        reach = max(len(prompt.ids) for prompt in group.prompts) + most
        engine = Engine(
            self.backend._model, [group], stops=self.backend._stops, max_new_tokens=most
        )
        found = agreement(self.backend._model, engine, group.prompts, reach)
        assert found.max_difference is not None
        self.near_tie = found.near_tie if self.exact else 0.0

    def draft_work(self) -> float:
        """
        Floating-point operations of the products with weights in the drafted way, a case.
        """
        import torch

        model = self.backend._model
        head = model.get_output_embeddings()
        inner = sum(
            module.weight.numel()
            for module in model.modules()
            if isinstance(module, torch.nn.Linear) and module is not head
        )
        (group,) = groups(self.prompts)
        logits = sum(len(self.drafts[p.key]) for p in self.prompts)
        own = sum(len(p.ids) - group.prefix - 1 for p in self.prompts) + logits
        return 2 * (inner * (group.prefix + own) + head.weight.numel() * logits) / len(self.prompts)

    def ratios(self) -> dict[str, float]:
        """
        Return how many times longer each way takes for a case than 10 GFLOP of the large product.
        """
        return {
            way: median(took * flops / 1e10 for took, flops in zip(all_, self.flops, strict=True))
            for way, all_ in self.seconds.items()
        }

    def table(self) -> str:
        """
        Spell what was measured as Markdown.
        """
        loop = self.seconds[LOOP]
        rows = [
            [
                way,
                f"{1 / median(took):.2f}",
                f"{median(a / b for a, b in zip(loop, took, strict=True)):.1f}",
                "{} of {}".format(*self.same[way]),
            ]
            for way, took in self.seconds.items()
        ]
        rows += [[way, "not measured"] for way in (VLLM,) if way not in self.seconds]
        text = tabulate(
            rows, headers=["way", "cases/s", "times the loop", "same tokens"], tablefmt="github"
        )
        share = ""
        if DRAFTED in self.seconds:
            shares = [
                self.draft_work() / took / flops
                for took, flops in zip(self.seconds[DRAFTED], self.flops, strict=True)
            ]
            share = (
                f"; the drafted way reaches {median(shares):.0%} of it with its products with "
                "weights alone"
            )
        return (
            f"{text}\n\n{CEILING}, measured in the same rounds: "
            f"{median(self.flops) / 1e9:.0f} GFLOP/s{share}. "
            f"Answers with a near-tie, decided again one at a time: {self.near_ties}.\n"
        )


def ceiling(model: Any, size: int = 2048) -> float:
    """
    Floating-point operations a second of a large matrix product here and now, where *model* is and
    in its precision.
    """
    import torch

    left, right = torch.randn(2, size, size, device=model.device, dtype=model.dtype)

    def seconds(times: int) -> float:
        began = time.perf_counter()
        for _ in range(times):
            out = torch.mm(left, right)
        out[0, 0].item()  # waits for a GPU
        return time.perf_counter() - began

    seconds(1)
    return 8 * 2 * size**3 / seconds(8)


def measure(
    checkpoint: str,
    cases: int = 120,
    rounds: int = 3,
    loop: int = 4,
    continuous: int = 15,
    device: str = "cpu",
    dtype: str = "float32",
) -> Bench:
    """
    Measure all ways.
    """
    bench = Bench.open(checkpoint, cases, device, dtype)
    bench.check()
    ways = [LOOP, PADDED, CONTINUOUS, ENGINE, *[DRAFTED] * bench.exact]
    if device == "cuda" and find_spec("vllm") is not None:
        reference = Reference(scheme="vllm", target=checkpoint)
        bench.served = VllmBackend.open(reference, BackendOptions(dtype=dtype))
        bench.vllm(bench.prompts[:8])
        ways.append(VLLM)
    # Once without counting: first calls allocate and load.
    bench.loop(bench.prompts[:1])
    bench.engine(bench.prompts[:8])
    for number in range(rounds):
        bench.round(number, ways, loop, continuous)
        print(bench.table(), file=sys.stderr, flush=True)
    return bench


def write(path: Path, text: str, mark: str = "measured") -> None:
    """
    Put *text* in *path* between *mark* and the end that follows it.
    """
    old = path.read_text("utf-8")
    begin, end = f"<!-- {mark} -->", "<!-- end -->"
    assert begin in old
    new = re.sub(f"{begin}.*?{end}", lambda _: f"{begin}\n{text}{end}", old, flags=re.DOTALL)
    path.write_text(new, "utf-8")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--checkpoint", required=True)
    parser.add_argument("--cases", type=int, default=120)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--loop", type=int, default=4, help="cases of a round for the loop")
    parser.add_argument("--device", default="cpu", choices=("cpu", "cuda"))
    parser.add_argument("--dtype", default="float32", choices=DTYPES)
    parser.add_argument("--write", type=Path)
    given = vars(parser.parse_args())
    page = given.pop("write")
    text = measure(**given).table()
    print(text)
    if page:
        write(page, text)


if __name__ == "__main__":
    main()
