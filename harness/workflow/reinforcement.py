"""
An executed suite as what TRL's GRPO trains in: ``environment_factory`` and a reward function.

What the gate measures is what is rewarded: a rollout is judged as a run's answers are, by running
its calls again, and is worth 1 if the case is correct and 0 if not.
"""

import inspect
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from harness.environments.base import Environment, Episode
from harness.environments.loop import CUT
from harness.environments.opening import open_environment
from harness.errors import UsageError
from harness.messages import Tool, to_chat
from harness.scoring.agents import judge_answers
from harness.suites.suite import Case, Suite
from harness.transcript import Key, Transcript

_TYPES: Mapping[str, type] = {
    "string": str,
    "integer": int,
    "number": float,
    "boolean": bool,
    "array": list,
    "object": dict,
}


def prompts(cases: Iterable[Case]) -> list[dict[str, Any]]:
    """
    Return the rows of a data set for GRPOTrainer: ``prompt``, the conversation, and ``case``, the
    id.
    """
    return [{"prompt": to_chat(case.turns[0].messages), "case": case.id} for case in cases]


def environment_factory(
    suite: Suite, cases: Sequence[Case], *, allowed: str | None = None
) -> Callable[[], Any]:
    """
    Return what GRPOTrainer takes as ``environment_factory``: a class whose methods are the tools of
    the suite, for the rows of `prompts`. *allowed* names the code that may be run.

    Raises:
        UsageError: if the suite is not executed, or has a tool whose name no method can have.
    """
    world = _world(suite, allowed)
    by_id = {case.id: case for case in cases}

    class SuiteEnvironment:
        def __init__(self) -> None:
            self._episode: Episode | None = None

        def reset(self, **row: Any) -> None:
            self._episode = world.begin(by_id[row["case"]])

    for tool in suite.tools:
        if not tool.name.isidentifier() or tool.name in ("reset", "get_reward"):
            raise UsageError(f"no method can be called {tool.name!r}, as a tool of the suite is")
        setattr(SuiteEnvironment, tool.name, _method(tool))
    return SuiteEnvironment


def _method(tool: Tool) -> Callable[..., str]:
    """
    Return a typed method that calls *tool*, documented as transformers declares tools.
    """
    declared = tool.parameters.get("properties", {})
    required = tool.parameters.get("required", ())

    def method(self: Any, **arguments: Any) -> str:
        given = {name: value for name, value in arguments.items() if value is not None}
        text: str = self._episode.call(tool.name, given).text
        return text[:CUT]

    names = sorted(declared, key=lambda name: name not in required)
    types = {name: _type(declared[name], name in required) for name in names}
    method.__name__ = tool.name
    method.__annotations__ = {**types, "return": str}
    method.__signature__ = inspect.Signature(  # type: ignore[attr-defined]
        [
            inspect.Parameter("self", inspect.Parameter.POSITIONAL_OR_KEYWORD),
            *(
                inspect.Parameter(
                    name,
                    inspect.Parameter.POSITIONAL_OR_KEYWORD,
                    annotation=types[name],
                    default=inspect.Parameter.empty if name in required else None,
                )
                for name in names
            ),
        ],
        return_annotation=str,
    )
    told = "".join(f"\n    {name}: {declared[name].get('description') or name}" for name in names)
    method.__doc__ = (
        f"{tool.description or tool.name}\n\nArgs:{told}"
        if names
        else (tool.description or tool.name)
    )
    return method


def _type(schema: Mapping[str, Any], required: bool) -> Any:
    kind = schema.get("type")
    known = _TYPES.get(kind, str) if isinstance(kind, str) else str
    return known if required else known | None


def reward_function(
    suite: Suite, cases: Sequence[Case], *, allowed: str | None = None
) -> Callable[..., list[float]]:
    """
    Return what GRPOTrainer takes among ``reward_funcs``: 1 for a rollout that is correct, else 0.

    Raises:
        UsageError: as `environment_factory`.
    """
    world = _world(suite, allowed)
    by_id = {case.id: case for case in cases}

    def correct(completions: Sequence[Any], case: Sequence[str], **_: Any) -> list[float]:
        return [
            float(_judged(suite, by_id[identity], world, completion))
            for completion, identity in zip(completions, case, strict=True)
        ]

    return correct


def _judged(suite: Suite, case: Case, world: Environment, completion: Any) -> bool:
    said = (
        [{"role": "assistant", "content": completion}]
        if isinstance(completion, str)
        else [message for message in completion if message["role"] == "assistant"]
    )
    answers = [
        Transcript(key=Key(case.id, 0, 0, step), message=_message(message))
        for step, message in enumerate(said)
    ]
    return judge_answers(suite, case, world, answers).status == "correct"


def _message(message: Mapping[str, Any]) -> dict[str, Any]:
    kept = {key: message[key] for key in ("role", "content", "tool_calls") if message.get(key)}
    return kept if len(kept) > 1 else {**kept, "content": ""}


def _world(suite: Suite, allowed: str | None) -> Environment:
    world = open_environment(suite, allowed)
    if world is None:
        raise UsageError(f"suite {suite.name} is not executed: it names no environment")
    return world
