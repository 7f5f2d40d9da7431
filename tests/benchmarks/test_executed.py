"""
Executed suites: what a run costs per case, from a hundred cases to ten thousand; two steps of a
small model; a step of GRPO.
"""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from harness.backends.base import BackendOptions, Generation, Request
from harness.backends.registry import open_backend
from harness.checkpoints.locate import locate
from harness.checkpoints.reference import parse_reference
from harness.cli.main import main
from harness.runs.runner import request
from harness.scoring.agents import READ
from harness.scoring.executed import playing
from harness.suites.files import load_suite
from harness.transcript import Transcript
from harness.workflow.reinforcement import environment_factory, prompts, reward_function
from tests import agents
from tests.scoring.test_executed_mutations import world

from .controls import against, documents, product


def cases(count: int) -> list[dict[str, Any]]:
    return [{**agents.CASES[n % 2], "id": f"c{n}"} for n in range(count)]


@pytest.mark.parametrize("count", [100, 1_000, 10_000])
def test_cost_per_case_with_a_python_function(
    benchmark: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, count: int
):
    agents.write_suite(tmp_path, cases(count))
    monkeypatch.chdir(tmp_path)
    runs = iter(range(100))

    def run() -> None:
        command = ["run", "kb", "--checkpoint", "python:tests.agents:right", "--quiet"]
        assert 0 == main([*command, "--out", f"run-{next(runs)}"])

    against(benchmark, documents, run, rounds=3 if count < 10_000 else 1)
    benchmark.extra_info["ms_per_case"] = 1000 * benchmark.stats.stats.mean / count


@pytest.mark.model
def test_sixty_cases_of_two_steps_on_the_embedded_model(benchmark: Any):
    """
    The first steps of 60 cases of rag-kb, and the second ones after the second reader's searches.
    """
    of = world("rag-kb")
    cases = [case for case in of.suite.cases if len(of.right[case.id]) > 1][:60]
    waves: list[list[Request]] = [[], []]
    for case in cases:
        under_way = playing(case, of.environment, READ, max_steps=of.suite.max_steps)
        first = request(of.suite, case, under_way.key(0))
        under_way.take(Transcript(key=under_way.key(0), message=of.right[case.id][0]))
        waves[0].append(first)
        waves[1].append(replace(first, key=under_way.key(0), messages=under_way.messages))
    backend = open_backend("embedded:smollm2-135m", BackendOptions(device="cpu"))
    generation = Generation(max_new_tokens=96)

    def run() -> int:
        return sum(len(group) for wave in waves for group in backend.answer(wave, generation))

    many = against(benchmark, product, run)
    backend.close()

    assert 120 == many


@pytest.mark.model
@pytest.mark.filterwarnings("ignore")
def test_a_short_grpo_run_on_what_the_gate_measures(benchmark: Any, tmp_path: Path):
    from datasets import Dataset
    from transformers import AutoTokenizer
    from trl import GRPOConfig, GRPOTrainer
    from trl.chat_template_utils import qwen3_template

    folder = str(locate(parse_reference("embedded:smollm2-135m")).folder)
    tokenizer = AutoTokenizer.from_pretrained(folder)
    tokenizer.response_template = qwen3_template  # of Hermes calls, as the embedded model's are
    suite = load_suite(agents.write_suite(tmp_path))
    trainer = GRPOTrainer(
        model=folder,
        processing_class=tokenizer,
        reward_funcs=reward_function(suite, suite.cases),
        train_dataset=Dataset.from_list(prompts(suite.cases)),
        environment_factory=environment_factory(suite, suite.cases),
        args=GRPOConfig(
            output_dir=str(tmp_path / "grpo"),
            max_steps=1,
            per_device_train_batch_size=2,
            num_generations=2,
            max_completion_length=32,
            report_to=[],
            use_cpu=True,
            save_strategy="no",
        ),
    )

    against(benchmark, product, trainer.train)

    assert any("rewards/correct/mean" in entry for entry in trainer.state.log_history)
