"""
What a gate allows, as a value, and how it is read from the text of gate.toml.

A limit says how much worse a metric may get: in percentage points for rates ("-3pp"), as a share of
the old value for lengths, times and margins ("+10%"). The sign is that of getting worse, written
out so that a policy reads naturally. A rate may also have a budget: a bound that the candidate must
stay within whatever the baseline did ("+0pp, <=2%"). A slice, the cases with one tag, may have
limits of its own.
"""

import json
import math
import re
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from difflib import get_close_matches
from functools import cache
from importlib import resources
from typing import TYPE_CHECKING, Any, Literal

from harness.errors import PolicyError
from harness.scoring.metrics import METRICS, RATES, Mean, Metric, Percentile, Rate

if TYPE_CHECKING:
    import jsonschema

ERROR_SHARE = 0.02
"""A run with a larger share of broken answers is at best inconclusive."""

OnInconclusive = Literal["warn", "block"]
Kind = Literal["release", "export"]
"""What is gated: a new checkpoint, or one that ships another way, quantised or on another engine,
against what it was made of."""
Tier = Literal["required", "advisory"]
"""Whether a suite decides about a release, or is only judged and shown."""

DEFAULT_TEXT = """\
kind = "release"                  # "export": as it ships, against what it was made of
alpha = 0.05
on_inconclusive = "warn"          # "warn" exits 0, "block" exits 3
recheck = false                   # true: load the model again before a flip blocks
accepted_budget = "3pp"           # how many cases `baseline accept` may take as they are
[limits]
accuracy = "-3pp"                 # a non-inferiority margin
second_call_rate = "+0pp"
call_after_result_rate = "+0pp"
unsupported_rate = "+0pp"          # this and the next: of executed suites
collateral_rate = "+0pp"
output_tokens_p50 = "+10%"
latency_ms_p50 = "+10%"           # gated only where measured comparably
"""
"""The policy used if there is no gate.toml."""

EXPORT_TEXT = """\
[limits]
accuracy = "-1pp"
second_call_rate = "+0pp"
call_after_result_rate = "+0pp"
unsupported_rate = "+0pp"
collateral_rate = "+0pp"
"""
"""The limits of an export: it is to be the checkpoint that was accepted, so less may be lost than
by a new one, and its lengths and times are those of another engine."""

_LEAST_ALPHA = 1e-12
"""Far smaller values are lost in rounding."""

_LIMIT = re.compile(
    r"(?P<sign>[+-]?)(?P<size>\d+(\.\d+)?)\s*(?P<unit>pp|%)"
    r"(\s*,\s*(?P<side><=|>=)\s*(?P<budget>\d+(\.\d+)?)\s*%)?"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Limit:
    """
    How much worse one metric may get.
    """

    margin: float
    """A share: 0.03 is 3 points of a rate, 0.10 a tenth more tokens or milliseconds."""
    budget: float | None = None
    """The highest rate allowed at all (the lowest, for a metric that is better when higher)."""
    text: str
    """As written in the policy."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SuitePolicy:
    """
    What a policy says of one suite.
    """

    tier: Tier
    limits: Mapping[str, Limit] | None
    slices: Mapping[str, Mapping[str, Limit]] | None
    """Instead of the policy's own; None where the policy's hold."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """
    The rules that a candidate must meet.
    """

    alpha: float
    """
    The chance of calling an equal model worse that each rate with a margin may take, all rates with
    a zero margin together, and all slices together; all lengths together take a fifth of it.
    """
    on_inconclusive: OnInconclusive
    limits: Mapping[str, Limit]
    kind: Kind = "release"
    slices: Mapping[str, Mapping[str, Limit]]
    """Tag -> rate -> how much worse it may get among the cases with that tag."""
    anchor: str | None
    """The name of a pinned baseline that every candidate is compared with besides the last
    release."""
    recheck: bool = False
    """Whether checkpoints are opened to answer cases that would block again
    (`harness.workflow.recheck`)."""
    accepted_budget: float = 0.03
    """The largest share of the cases that may be accepted changes (`harness.runs.accepted`)."""
    suites: Mapping[str, SuitePolicy] = field(default_factory=dict)
    """What holds for one suite only. All of them belong to a release."""
    source: str
    """The file or name of the policy, for reports."""

    def tier(self, suite: str) -> Tier:
        """
        Return whether *suite* decides.
        """
        found = self.suites.get(suite)
        return "required" if found is None else found.tier

    def of_export(self) -> "Policy":
        """
        Return the policy for an export: this one if it is one, else this one with the limits of
        exports, and without the slices and the anchor of releases.
        """
        if self.kind == "export":
            return self
        return replace(
            self,
            kind="export",
            limits=_export_limits(),
            slices={},
            anchor=None,
            suites={
                name: replace(each, limits=None, slices=None) for name, each in self.suites.items()
            },
            source=f"{self.source}, for an export",
        )

    def of_suite(self, suite: str) -> "Policy":
        """
        Return the policy for *suite* alone: with its own limits, if it has any.
        """
        found = self.suites.get(suite)
        if found is None:
            return self
        return replace(
            self,
            limits=self.limits if found.limits is None else found.limits,
            slices=self.slices if found.slices is None else found.slices,
        )


@cache
def default_policy() -> Policy:
    """
    Return the policy that is used if there is no gate.toml.
    """
    return read_policy(DEFAULT_TEXT, "the built-in policy")


def read_policy(text: str, source: str) -> Policy:
    """
    Read the text of a gate.toml. *source* names the file in errors.

    What the file leaves out is as in the built-in policy; a ``[limits]`` table replaces the
    built-in one as a whole, so that no metric is gated that the file does not name.

    Raises:
        PolicyError: if it is not valid TOML, or has an unknown key or metric, or an invalid limit.
    """
    try:
        # Some editors begin a file with a byte order mark, which TOML does not allow.
        data = tomllib.loads(text.removeprefix("\ufeff"))
    except (ValueError, RecursionError) as exc:
        raise PolicyError(f"{source}: not valid TOML: {exc}") from exc
    schema = policy_schema()
    _check_names(data, schema["properties"], "key", source)
    limits = data.get("limits")
    if isinstance(limits, Mapping) and (misplaced := sorted({*limits} & {*schema["properties"]})):
        raise PolicyError(f"{source}: {misplaced[0]} belongs above [limits], not below it")
    _check_metrics(data, source)
    suites = data.get("suites")
    for name, of_suite in suites.items() if isinstance(suites, Mapping) else ():
        if isinstance(of_suite, Mapping):
            where = f"{source}: [{_table('suites', name)}]"
            _check_names(of_suite, _suite_keys(schema), "key", where)
            _check_metrics(of_suite, source, "suites", name)
    if (error := _error(schema, data)) is not None:
        where = ".".join(str(part) for part in error.absolute_path) or "the file"
        raise PolicyError(f"{source}: {where}: {_expected(error)}")
    built_in = tomllib.loads(DEFAULT_TEXT)
    if data.get("kind") == "export":
        built_in |= tomllib.loads(EXPORT_TEXT)
    data = {**built_in, **data}
    if not 0 < data["alpha"] <= 0.5:
        # NaN, which TOML has and no schema keyword refuses.
        raise PolicyError(f"{source}: alpha: {data['alpha']} is not above 0 and at most 0.5")
    if data["alpha"] < _LEAST_ALPHA:
        raise PolicyError(
            f"{source}: alpha: {data['alpha']} is below {_LEAST_ALPHA}, which no number of cases "
            "can show; 0.05 is usual"
        )
    return Policy(
        alpha=float(data["alpha"]),
        on_inconclusive=data["on_inconclusive"],
        limits=_limits(data["limits"], source),
        kind=data["kind"],
        slices=_slices(data.get("slices", {}), source),
        anchor=data.get("anchor"),
        recheck=data["recheck"],
        accepted_budget=_share(data["accepted_budget"], f"{source}: accepted_budget"),
        suites={
            name: SuitePolicy(
                tier=of_suite.get("tier", "required"),
                limits=_limits(of_suite["limits"], source, "suites", name)
                if "limits" in of_suite
                else None,
                slices=_slices(of_suite["slices"], source, "suites", name)
                if "slices" in of_suite
                else None,
            )
            for name, of_suite in data.get("suites", {}).items()
        },
        source=source,
    )


def _export_limits() -> dict[str, Limit]:
    return _limits(tomllib.loads(EXPORT_TEXT)["limits"], "the limits of exports")


def _limits(given: Mapping[str, str], source: str, *within: str) -> dict[str, Limit]:
    where = f"{source}: {_table(*within, 'limits')}"
    return {name: _limit(name, spelled, f"{where}.{name}") for name, spelled in given.items()}


def _slices(
    given: Mapping[str, Mapping[str, str]], source: str, *within: str
) -> dict[str, dict[str, Limit]]:
    return {
        tag: {
            name: _slice_limit(name, spelled, f"{source}: {_table(*within, 'slices', tag)}.{name}")
            for name, spelled in of_tag.items()
        }
        for tag, of_tag in given.items()
    }


def _check_metrics(data: Mapping[str, Any], source: str, *within: str) -> None:
    """
    Refuse names that are not those of metrics in the limits and slices of *data*.
    """
    tables: list[tuple[tuple[str, ...], Any]] = [(("limits",), data.get("limits"))]
    if isinstance(slices := data.get("slices"), Mapping):
        tables += [(("slices", tag), of_tag) for tag, of_tag in slices.items()]
    for path, table in tables:
        if isinstance(table, Mapping):
            _check_names(table, METRICS, "metric", f"{source}: [{_table(*within, *path)}]")


def _suite_keys(schema: Mapping[str, Any]) -> Iterable[str]:
    keys: Mapping[str, Any] = schema["properties"]["suites"]["additionalProperties"]["properties"]
    return keys


def _check_names(given: Iterable[str], known: Iterable[str], what: str, where: str) -> None:
    known = list(known)
    for name in given:
        if name not in known:
            near = get_close_matches(name, known, n=1)
            hint = f"did you mean {near[0]!r}?" if near else f"known: {', '.join(known)}"
            raise PolicyError(f"{where}: unknown {what} {name!r}; {hint}")


def _error(
    schema: Mapping[str, Any], data: Mapping[str, Any]
) -> "jsonschema.ValidationError | None":
    """
    Return the most telling error, of jsonschema, which takes a tenth of a second to import and is
    asked only if the policy is not surely sound.
    """
    import jsonschema_rs

    try:
        if jsonschema_rs.is_valid(dict(schema), data):
            return None
    except (TypeError, ValueError):
        pass  # a date of TOML, or an infinity, which JSON has not
    import jsonschema

    errors = jsonschema.Draft202012Validator(schema).iter_errors(data)
    found: jsonschema.ValidationError | None = jsonschema.exceptions.best_match(errors)
    return found


def _expected(error: "jsonschema.ValidationError") -> str:
    wanted = error.schema.get("description") if isinstance(error.schema, Mapping) else None
    return f"{error.instance!r} is not {wanted}" if wanted else error.message[:200]


def _limit(name: str, spelled: str, where: str) -> Limit:
    metric = METRICS[name]
    found = _LIMIT.fullmatch(spelled.strip())
    if not found or (found["unit"] == "pp") != isinstance(metric, Rate):
        raise PolicyError(f"{where}: {spelled!r} is not a limit; {_example(metric)}")
    size = float(found["size"]) / 100
    if not math.isfinite(size):
        raise PolicyError(f"{where}: the limit is too large; choose a smaller one")
    worse = "-" if metric.higher_is_better else "+"
    if size and found["sign"] != worse:
        raise PolicyError(
            f"{where}: {spelled!r} has the wrong sign: the metric is better when "
            f"{'higher' if metric.higher_is_better else 'lower'}, so a limit begins with "
            f"{worse!r}"
        )
    if (isinstance(metric, Rate) or metric.kind == "margin") and size >= 1:
        raise PolicyError(f"{where}: {spelled!r} allows everything; {_example(metric)}")
    if isinstance(metric, Mean) or (metric.executed and isinstance(metric, Percentile)):
        raise PolicyError(
            f"{where}: {metric.title} is shown and not gated; limit {metric.limit_instead} instead"
        )
    if isinstance(metric, Percentile) and metric.limit_instead:
        raise PolicyError(
            f"{where}: a high quantile of so few times is mostly chance; limit "
            f"{metric.limit_instead} instead"
        )
    return Limit(margin=size, budget=_budget(found, metric, spelled, where), text=spelled)


def _share(spelled: str, where: str) -> float:
    found = re.fullmatch(r"(\d+(?:\.\d+)?)\s*pp", spelled.strip())
    if not found or float(found[1]) > 100:
        raise PolicyError(f'{where}: {spelled!r} is not a share of the cases, such as "3pp"')
    return float(found[1]) / 100


def allowed_change(spelled: str) -> float | None:
    """
    Return how far a limit written in a policy lets a metric move, as a signed share; None if it is
    not a limit.
    """
    found = _LIMIT.fullmatch(spelled.strip())
    return found and float(f"{found['sign']}{found['size']}") / 100


def _slice_limit(name: str, spelled: str, where: str) -> Limit:
    limit = _limit(name, spelled, where)
    if name not in RATES or not limit.margin or limit.budget is not None:
        raise PolicyError(
            f'{where}: {spelled!r}: a slice takes a margin for a rate, such as "-5pp", no zero '
            "margin and no budget; single cases that may never fail are `must_pass` in the suite"
        )
    return limit


def _table(*path: str) -> str:
    """
    Return the name of a table, or of a key in it, as TOML writes it.
    """
    return ".".join(
        part if re.fullmatch(r"[A-Za-z0-9_-]+", part) else json.dumps(part) for part in path
    )


def _budget(found: re.Match[str], metric: Metric, spelled: str, where: str) -> float | None:
    if found["budget"] is None:
        return None
    side = ">=" if metric.higher_is_better else "<="
    budget = float(found["budget"]) / 100
    if not isinstance(metric, Rate) or found["side"] != side or budget > 1:
        raise PolicyError(
            f"{where}: {spelled!r}: a budget is only for rates, here {side!r} and at most 100%"
        )
    return budget


def example_limit(metric: Metric) -> str:
    """
    Return a limit as it may be written for *metric*.
    """
    sign = "-" if metric.higher_is_better else "+"
    return f"{sign}3pp" if isinstance(metric, Rate) else f"{sign}10%"


def _example(metric: Metric) -> str:
    example = example_limit(metric)
    if isinstance(metric, Rate):
        none = f"{example[0]}0pp"
        return f'a rate takes a margin in percentage points, such as "{example}" or "{none}"'
    return f'lengths, times and margins take a share of the old value, such as "{example}"'


@cache
def policy_schema() -> dict[str, Any]:
    """
    Return the JSON Schema of a gate.toml.
    """
    text = (resources.files("harness") / "schemas" / "policy.json").read_text("utf-8")
    schema: dict[str, Any] = json.loads(text)
    return schema
