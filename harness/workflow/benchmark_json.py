"""
Times of two checkpoints <-> pytest-benchmark's JSON.

The format is what ``pytest --benchmark-json`` writes (pytest-benchmark 5, docs, "Hooks" and
"Comparing past runs"), so its ``compare`` command and what others built on that format read it: one
benchmark per checkpoint, in seconds, over all its answers. What pairs the answers is in each
benchmark's ``extra_info``, and what was measured is under a key of its own, ``toolcall_harness``.
"""

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from harness.errors import StoreError, boundary
from harness.gating.alternation import Alternation, Load, LoadedSide, Side, TimedAnswer, TimedCase
from harness.runs.record import SuiteReference

OWN, FORMAT = "toolcall_harness", 1

_OBJECTS = ("suite", "backend", "generation", "hardware", "left_out")
_SIDES: tuple[Side, Side] = ("old", "new")


def spell_benchmark(measured: Alternation) -> str:
    """
    Spell *measured* as pytest-benchmark does.
    """
    from pytest_benchmark import __version__
    from pytest_benchmark.plugin import pytest_benchmark_generate_machine_info
    from pytest_benchmark.utils import get_commit_info

    data = {
        "machine_info": pytest_benchmark_generate_machine_info(),
        "commit_info": get_commit_info(),
        "benchmarks": [_benchmark(measured, side) for side in _SIDES],
        "datetime": measured.measured,
        "version": __version__,
        OWN: {
            "format": FORMAT,
            "suite": asdict(measured.suite),
            "backend": dict(measured.backend),
            "generation": dict(measured.generation),
            "hardware": dict(measured.hardware),
            "left_out": dict(measured.left_out),
            "old_backend": dict(measured.old_backend),
            "became": list(measured.became),
            "load": None if measured.load is None else _spelled_load(measured.load),
        },
    }
    return json.dumps(data, indent=2, allow_nan=False) + "\n"


def read_benchmark(path: Path) -> Alternation:
    """
    Read what `spell_benchmark` wrote.

    Raises:
        StoreError: if *path* cannot be read or holds something else.
    """
    wanted = f"{path}: no times that `harness latency --benchmark-json` wrote"
    with boundary(StoreError, wanted):
        data = json.loads(path.read_text("utf-8-sig"))
        return _measured(data, data[OWN])


def _measured(data: Mapping[str, Any], own: Mapping[str, Any]) -> Alternation:
    if own["format"] != FORMAT:
        raise ValueError(f"format {own['format']} is not {FORMAT}")
    sides = {
        side: next(each for each in data["benchmarks"] if each["params"]["side"] == side)
        for side in _SIDES
    }
    answers = {side: _answers(sides[side]["extra_info"]["answers"]) for side in _SIDES}
    often = {side: {case: len(a) for case, a in answers[side].items()} for side in _SIDES}
    if not often["old"] or often["old"] != often["new"]:
        raise ValueError("the two checkpoints did not answer the same cases equally often")
    if not all(isinstance(own[name], dict) for name in _OBJECTS):
        raise TypeError(f"{', '.join(_OBJECTS)} have to be objects")
    checkpoints = {side: dict(sides[side]["extra_info"]["checkpoint"]) for side in _SIDES}
    if not all(isinstance(each.get("reference"), str) for each in checkpoints.values()):
        raise ValueError("a checkpoint has no reference")
    return Alternation(
        suite=SuiteReference(**own["suite"]),
        old=checkpoints["old"],
        new=checkpoints["new"],
        backend=own["backend"],
        generation=own["generation"],
        hardware=own["hardware"],
        cases=tuple(
            TimedCase(id=case, old=tuple(old), new=tuple(answers["new"][case]))
            for case, old in answers["old"].items()
        ),
        left_out=own["left_out"],
        measured=data["datetime"],
        # Files of earlier versions have none of these.
        old_backend=dict(own.get("old_backend") or {}),
        became=tuple(map(str, own.get("became") or ())),
        load=None if own.get("load") is None else _load(own["load"]),
    )


def _spelled_load(load: Load) -> dict[str, Any]:
    return {
        "concurrency": load.concurrency,
        "cases": [
            {"id": case.id} | {side: _rows(getattr(case, side)) for side in _SIDES}
            for case in load.cases
        ],
        **{
            side: {
                "answers": _rows(getattr(load, side).answers),
                "failed": getattr(load, side).failed,
                "seconds": getattr(load, side).seconds,
            }
            for side in _SIDES
        },
    }


def _load(given: Mapping[str, Any]) -> Load:
    sides = {
        side: LoadedSide(
            answers=tuple(map(_answer, given[side]["answers"])),
            failed=int(given[side]["failed"]),
            seconds=_time(given[side]["seconds"]),
        )
        for side in _SIDES
    }
    return Load(
        concurrency=int(given["concurrency"]),
        old=sides["old"],
        new=sides["new"],
        cases=tuple(
            TimedCase(
                id=str(case["id"]),
                old=tuple(map(_answer, case["old"])),
                new=tuple(map(_answer, case["new"])),
            )
            for case in given["cases"]
        ),
    )


def _benchmark(measured: Alternation, side: Side) -> dict[str, Any]:
    from pytest_benchmark.stats import Stats

    checkpoint: Mapping[str, Any] = getattr(measured, side)
    answers = [(case.id, answer) for case in measured.cases for answer in getattr(case, side)]
    stats = Stats()
    for _, answer in answers:
        stats.update(answer.latency_ms / 1000)
    name = f"latency[{side}]"
    return {
        "group": f"{measured.suite.name} {measured.suite.version}",
        "name": name,
        "fullname": f"harness latency {measured.suite.name}::{name}",
        "params": {"side": side},
        "param": side,
        "extra_info": {
            "checkpoint": dict(checkpoint),
            "answers": [{"case": case} | _row(answer) for case, answer in answers],
        },
        "options": {},
        "stats": {**stats.as_dict(), "data": stats.data, "iterations": 1},
    }


def _rows(answers: Sequence[TimedAnswer]) -> list[dict[str, Any]]:
    return [_row(answer) for answer in answers]


def _row(answer: TimedAnswer) -> dict[str, Any]:
    return {
        "latency_ms": answer.latency_ms,
        "ttft_ms": answer.ttft_ms,
        "output_tokens": answer.output_tokens,
    }


def _answers(rows: list[dict[str, Any]]) -> dict[str, list[TimedAnswer]]:
    found: dict[str, list[TimedAnswer]] = {}
    for row in rows:
        found.setdefault(row["case"], []).append(_answer(row))
    return found


def _answer(row: Mapping[str, Any]) -> TimedAnswer:
    ttft, tokens = row["ttft_ms"], row["output_tokens"]
    return TimedAnswer(
        latency_ms=_time(row["latency_ms"]),
        ttft_ms=None if ttft is None else _time(ttft),
        output_tokens=None if tokens is None else int(tokens),
    )


def _time(value: Any) -> float:
    time = float(value)
    if not (math.isfinite(time) and time > 0):
        raise ValueError(f"{value!r} is not a time")
    return time
