"""
The text of a gate.toml to start from: every key as a comment, made from what a policy may hold.
"""

import json
import textwrap
import tomllib
from collections.abc import Iterator, Mapping
from typing import Any

from harness.gating.policy import DEFAULT_TEXT, example_limit, policy_schema
from harness.scoring.metrics import METRICS, Mean, Metric, Percentile

_HEAD = """\
# The policy of `harness gate`: every key there is. Lines that begin with #KEY are settings to
# uncomment; the values shown are the defaults, or examples where the default is none.
"""


def policy_template(settings: Mapping[str, str]) -> str:
    """
    Return a gate.toml in which *settings*, values of keys outside tables, are set and every other
    key is a comment.
    """
    built_in = tomllib.loads(DEFAULT_TEXT)
    properties: Mapping[str, Mapping[str, Any]] = policy_schema()["properties"]
    # TOML has keys outside tables first.
    ordered = sorted(properties, key=lambda key: properties[key].get("type") == "object")
    parts = [_HEAD]
    for key in ordered:
        schema = properties[key]
        default = json.dumps(built_in[key]) if key in built_in else "none"
        table = schema.get("type") == "object"
        known = "" if table and key in built_in else f" Default: {default}."
        lines = list(_prose(f"{schema['title']}{known}"))
        if key == "limits":
            lines += _limits(built_in[key])
        elif table:
            lines += _tables(key, schema["examples"][0])
        elif key in settings:
            lines.append(f"{key} = {json.dumps(settings[key])}")
        else:
            shown = built_in[key] if key in built_in else schema["examples"][0]
            lines.append(f"#{key} = {json.dumps(shown)}")
        parts.append("".join(f"{line}\n" for line in lines))
    return "\n".join(parts)


def _prose(text: str) -> Iterator[str]:
    yield from textwrap.wrap(text, 100, initial_indent="# ", subsequent_indent="# ")


def _limits(built_in: Mapping[str, str]) -> Iterator[str]:
    """
    Yield the built-in limits, and then an example for each metric that has none.
    """
    may_have = {
        name: metric
        for name, metric in METRICS.items()
        if not (isinstance(metric, Percentile | Mean) and metric.limit_instead)
    }
    yield "#[limits]"
    yield from (_limit(may_have[name], limit) for name, limit in built_in.items())
    yield "# Not limited by default:"
    for name, metric in may_have.items():
        if name not in built_in:
            yield _limit(metric, example_limit(metric))


def _limit(metric: Metric, limit: str) -> str:
    setting = f'#{metric.name} = "{limit}"'
    return f"{setting:<34}# {metric.meaning}"


def _tables(key: str, example: Mapping[str, Mapping[str, Any]]) -> Iterator[str]:
    for name, settings in example.items():
        yield f"#[{key}.{name}]"
        within = {each: value for each, value in settings.items() if isinstance(value, Mapping)}
        for setting, value in settings.items():
            if setting not in within:
                yield f"#{setting} = {json.dumps(value)}"
        yield from _tables(f"{key}.{name}", within)
