"""
What a serving stack costs: a suite asked raw and through the chat API of one server, and compared
answer by answer: ``harness stack``.
"""

import shlex
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from datetime import date
from pathlib import Path
from typing import Any

from harness.backends.base import Finding, Generation, Stability, Templated
from harness.backends.registry import open_backend
from harness.backends.served.backend import sampling
from harness.backends.served.preflight import cures
from harness.checkpoints.chat_template import chat_template, conversation, render
from harness.checkpoints.reference import Reference, parse_reference
from harness.comparison.stack import PARTS, Asked, Part, Rendering, StackCost, stack_cost
from harness.dialects.registry import spoken_by
from harness.errors import BackendError, UsageError
from harness.gating.decision import Compared
from harness.provenance import date_today
from harness.runs.runner import request
from harness.runs.store import StoredRun, read_transcripts_by_key
from harness.scoring.tool_names import shown_suite
from harness.suites.files import load_suite
from harness.suites.suite import Suite
from harness.transcript import Key
from harness.workflow.compare import compare
from harness.workflow.options import Progress, RunOptions
from harness.workflow.preflight import findings, stability
from harness.workflow.project import Project, open_project
from harness.workflow.run import RunPlan, run_opened

RAW, CHAT = "raw", "chat"
"""The folders of the two runs."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Stacked:
    """
    The two runs of one server's model, and what its stack costs.
    """

    folder: Path
    compared: Compared
    """The raw run as the old one, that through chat as the new one."""
    cost: StackCost


def measure_stack(
    suite: str,
    checkpoint: str,
    *,
    project: Project | None = None,
    out: Path | None = None,
    options: RunOptions | None = None,
    progress: Progress | None = None,
    today: date | None = None,
) -> Stacked:
    """
    Run *checkpoint*, ``openai:MODEL@URL``, on a suite through chat, and before that by raw
    completions of the same server with the tokenizer of *options*.

    The runs are the folders raw and chat in *out*, by default a fresh folder of *project*. What the
    preflight of the chat API finds broken is part of what is measured, and stops nothing.

    Raises:
        UsageError: for another checkpoint, or without a tokenizer.
        HarnessError: as `workflow.run`.
    """
    reference = parse_reference(checkpoint)
    project, progress = project or open_project(), progress or Progress()
    options = options or RunOptions()
    if reference.scheme != "openai":
        raise UsageError(
            f"{reference} has no serving stack to measure: write --checkpoint openai:MODEL@URL"
        )
    if options.tokenizer is None:
        raise UsageError("name the checkpoint whose tokenizer writes raw prompts: --tokenizer REF")
    whole = load_suite(project.suite(suite), today=today or date_today())
    if whole.environment is not None:
        raise UsageError(
            f"suite {whole.name} is executed: what a case is asked depends on what was answered "
            "before, raw or in chat; measure the stack with a suite without environment"
        )
    folder = out or project.fresh_folder(whole.name, f"stack-{checkpoint}")
    asking = _Asking(
        suite=whole, project=project, folder=folder, options=options, progress=progress
    )
    try:
        raw, tokenizer = asking.raw(Reference(scheme="completions", target=reference.target))
        chat, found = asking.chat(reference)
    except (KeyboardInterrupt, BackendError):
        if (folder / RAW).is_dir():
            progress.notify(
                f"{folder}: unfinished; the same command with "
                f"--out {shlex.quote(str(folder))} --resume continues it"
            )
        raise
    compared = compare(raw, chat)
    cost = _cost(
        compared,
        shown_suite(raw.suite(), options.tool_names),
        tokenizer,
        broken=[f"{each.what}: {each.finding}" for each in found],
        stable=stability(found),
    )
    return Stacked(folder=folder, compared=compared, cost=cost)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Asking:
    """
    How both runs are made.
    """

    suite: Suite
    project: Project
    folder: Path
    options: RunOptions
    progress: Progress

    def raw(self, reference: Reference) -> tuple[StoredRun, Any]:
        """
        Return the run by raw completions, and the tokenizer that wrote its prompts.
        """
        opening = self.options.backend_options(self.suite, progress=self.progress)
        with closing(open_backend(str(reference), opening)) as backend:
            assert isinstance(backend, Templated)
            return run_opened(self._plan(RAW, self.options), backend, self.progress), (
                backend.tokenizer
            )

    def chat(self, reference: Reference) -> tuple[StoredRun, tuple[Finding, ...]]:
        """
        Return the run through the chat API, and what its preflight found.
        """
        # The dialect is that of the raw text: the messages of a server have their own.
        options = replace(self.options, dialect=None, preflight=False)
        opening = options.backend_options(self.suite, progress=self.progress)
        with closing(open_backend(str(reference), replace(opening, traced=True))) as backend:
            plan = self._plan(CHAT, options)
            shown = shown_suite(self.suite.with_cases(plan.cases), options.tool_names)
            found = findings(backend, shown) if self.options.preflight else ()
            for each in found:
                self.progress.notify(f"preflight: {each.what}: {each.finding}")
            return run_opened(plan, backend, self.progress), found

    def _plan(self, name: str, options: RunOptions) -> RunPlan:
        return RunPlan.of(self.suite, options, project=self.project, out=self.folder / name)


def _cost(
    compared: Compared,
    shown: Suite,
    tokenizer: Any,
    *,
    broken: Sequence[str],
    stable: Stability | None,
) -> StackCost:
    raw, chat = compared.old, compared.new
    server = chat.record.backend.extra.get("server")
    kind = str(server.get("kind")) if isinstance(server, Mapping) else ""
    asked = {case.id: case for case in shown.cases}
    template = chat_template(tokenizer)

    def prompt(key: Key) -> list[int]:
        wanted = request(shown, asked[key.case], key)
        rows = conversation(wanted.messages, template)
        return render(tokenizer, rows, [tool.schema for tool in wanted.tools])

    def decode(ids: Sequence[int]) -> str:
        return str(
            tokenizer.decode(ids, skip_special_tokens=False, clean_up_tokenization_spaces=False)
        )

    advice = cures(kind)
    known: dict[Part, str] = {part: advice[part] for part in PARTS}
    refused = server.get("refused") if isinstance(server, Mapping) else ()
    if unsaid := [name for name in sampling(Generation(), None) if name in (refused or ())]:
        known["sampling"] += f"; it refuses {', '.join(unsaid)}"
    return stack_cost(
        raw.suite().cases,
        Asked(results=raw.record.cases, answers=read_transcripts_by_key(raw.folder)),
        Asked(results=chat.record.cases, answers=read_transcripts_by_key(chat.folder)),
        dialect=spoken_by(raw.record.checkpoint),
        rendering=Rendering(prompt=prompt, decode=decode),
        cures=known,
        tool_names=raw.record.backend.tool_names,
        stability=stable,
        findings=broken,
    )
