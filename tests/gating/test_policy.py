import json
from importlib import resources
from pathlib import Path

import pytest

from harness.errors import PolicyError
from harness.gating.policy import DEFAULT_TEXT, Limit, default_policy, read_policy
from harness.scoring.metrics import METRICS


def test_the_built_in_policy():
    policy = default_policy()

    assert 0.05 == policy.alpha
    assert "warn" == policy.on_inconclusive
    assert {
        "accuracy": 0.03,
        "second_call_rate": 0.0,
        "call_after_result_rate": 0.0,
        "unsupported_rate": 0.0,
        "collateral_rate": 0.0,
        "output_tokens_p50": 0.10,
        "latency_ms_p50": 0.10,
    } == {name: limit.margin for name, limit in policy.limits.items()}


def test_the_guide_shows_the_built_in_policy():
    guide = Path(__file__).parents[2] / "docs" / "gate.md"

    assert DEFAULT_TEXT in guide.read_text("utf-8")


def test_what_a_file_leaves_out_is_built_in():
    policy = read_policy('on_inconclusive = "block"', "gate.toml")

    assert "block" == policy.on_inconclusive
    assert default_policy().alpha == policy.alpha
    assert default_policy().limits == policy.limits
    assert "gate.toml" == policy.source


def test_limits_are_taken_whole():
    policy = read_policy('[limits]\naccuracy = "-1.5pp"', "gate.toml")

    assert {"accuracy": Limit(margin=0.015, text="-1.5pp")} == policy.limits


def test_a_limit_may_have_a_budget_beside_its_margin():
    policy = read_policy('[limits]\nsecond_call_rate = "+0pp, <=2%"\naccuracy = "-3pp,>=85%"', "x")

    assert Limit(margin=0.0, budget=0.02, text="+0pp, <=2%") == policy.limits["second_call_rate"]
    assert Limit(margin=0.03, budget=0.85, text="-3pp,>=85%") == policy.limits["accuracy"]


def test_slices_have_limits_of_their_own():
    text = '[slices.plain]\naccuracy = "-5pp"\n[slices."multi turn"]\nno_call_rate = "+4pp"'

    policy = read_policy(text, "gate.toml")

    assert {
        "plain": {"accuracy": Limit(margin=0.05, text="-5pp")},
        "multi turn": {"no_call_rate": Limit(margin=0.04, text="+4pp")},
    } == policy.slices
    assert default_policy().limits == policy.limits


def test_a_byte_order_mark_is_passed_over():
    assert 0.01 == read_policy("\ufeffalpha = 0.01\n", "gate.toml").alpha


def test_the_smallest_alpha_is_taken():
    assert 1e-12 == read_policy("alpha = 1e-12", "gate.toml").alpha


def test_an_anchor_is_a_name():
    assert "v1.0" == read_policy('anchor = "v1.0"', "x").anchor
    assert default_policy().anchor is None
    assert {} == default_policy().slices


@pytest.mark.parametrize("spelled", ["0pp", "+0pp", "-0pp"])
def test_nothing_needs_no_sign(spelled: str):
    assert 0.0 == read_policy(f'[limits]\naccuracy = "{spelled}"', "x").limits["accuracy"].margin


@pytest.mark.parametrize("name", [name for name in METRICS if METRICS[name].unit == "rate"])
def test_every_rate_may_be_limited(name: str):
    sign = "-" if METRICS[name].higher_is_better else "+"

    assert 0.02 == read_policy(f'[limits]\n{name} = "{sign}2pp"', "x").limits[name].margin


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("alpha 0.05", "gate.toml: not valid TOML"),
        ("alpah = 0.05", "gate.toml: unknown key 'alpah'; did you mean 'alpha'?"),
        ("nonsense = 1", "gate.toml: unknown key 'nonsense'; known: kind, alpha"),
        ("alpha = 0", "gate.toml: alpha: 0 is not a number above 0"),
        ("alpha = 0.6", "gate.toml: alpha: 0.6 is not"),
        (
            "alpha = 1e-300",
            "gate.toml: alpha: 1e-300 is below 1e-12, which no number of cases can show",
        ),
        ("alpha = nan", "gate.toml: alpha: nan is not above 0 and at most 0.5"),
        ("alpha = true", "gate.toml: alpha: True is not"),
        ('on_inconclusive = "fail"', "gate.toml: on_inconclusive: 'fail' is not"),
        ("limits = 3", "gate.toml: limits: 3 is not a table"),
        ("[limits]", "gate.toml: limits: {} is not a table of at least one"),
        ('[limits]\nacuracy = "-3pp"', "unknown metric 'acuracy'; did you mean 'accuracy'?"),
        ('[limits]\naccuracy = "-3pp"\nalpha = 0.1', "alpha belongs above [limits]"),
        ("[limits]\naccuracy = 0.9", "gate.toml: limits.accuracy: 0.9 is not a limit"),
        ('[limits]\naccuracy = "90%"', "limits.accuracy: '90%' is not a limit; a rate takes"),
        ('[limits]\naccuracy = "-3"', "limits.accuracy: '-3' is not a limit"),
        ('[limits]\naccuracy = "-3ppp"', "limits.accuracy: '-3ppp' is not a limit"),
        ('[limits]\naccuracy = "3pp"', "has the wrong sign: the metric is better when higher"),
        ('[limits]\naccuracy = "+3pp"', "begins with '-'"),
        ('[limits]\nsecond_call_rate = "-1pp"', "begins with '+'"),
        ('[limits]\naccuracy = "-100pp"', "allows everything"),
        ('[limits]\noutput_tokens_p50 = "+3pp"', 'such as "+10%"'),
        (
            f'[limits]\noutput_tokens_p50 = "+{"9" * 400}%"',
            "limits.output_tokens_p50: the limit is too large",
        ),
        (f'[limits]\naccuracy = "-{"9" * 400}pp"', "limits.accuracy: the limit is too large"),
        ('[limits]\nlatency_ms_p95 = "+10%"', "limit latency_ms_p50 instead"),
        ('[limits]\nsecond_call_rate = "+0pp, >=2%"', "here '<='"),
        ('[limits]\naccuracy = "-3pp, <=85%"', "here '>='"),
        ('[limits]\naccuracy = "-3pp, >=850%"', "at most 100%"),
        ('[limits]\noutput_tokens_p50 = "+10%, <=20%"', "a budget is only for rates"),
        ('kind = "ship"', 'gate.toml: kind: \'ship\' is not "release" or "export"'),
        ("anchor = 3", "gate.toml: anchor: 3 is not the name of a baseline"),
        ('anchor = "../v1"', "gate.toml: anchor: '../v1' is not the name"),
        ('[limits]\naccuracy = "-3pp"\nanchor = "v1"', "anchor belongs above [limits]"),
        ("slices = 3", "gate.toml: slices: 3 is not tables of tags"),
        ('[slices]\naccuracy = "-5pp"', "slices.accuracy: '-5pp' is not a table"),
        ("[slices.plain]", "slices.plain: {} is not a table of at least one rate"),
        ('[slices.plain]\nacuracy = "-5pp"', "[slices.plain]: unknown metric 'acuracy'"),
        ('[slices.plain]\naccuracy = "5pp"', "slices.plain.accuracy: '5pp' has the wrong sign"),
        ('[slices.plain]\naccuracy = "-0pp"', "slices.plain.accuracy: '-0pp': a slice takes a"),
        ('[slices.plain]\naccuracy = "-5pp, >=80%"', "no zero margin and no budget"),
        ('[slices."a b"]\noutput_tokens_p50 = "+9%"', 'slices."a b".output_tokens_p50: '),
    ],
)
def test_what_means_nothing_is_refused(text: str, message: str):
    with pytest.raises(PolicyError) as caught:
        read_policy(text, "gate.toml")

    assert message in str(caught.value)
    assert str(caught.value).startswith("gate.toml: ")


@pytest.mark.parametrize("spelled", ["3%", "-3pp", "many", "101pp"])
def test_a_budget_of_accepted_cases_that_is_no_share_is_an_error(spelled: str):
    with pytest.raises(PolicyError, match=r"accepted_budget: '.*' is not a share of the cases"):
        read_policy(f'accepted_budget = "{spelled}"', "gate.toml")


def test_a_budget_of_accepted_cases_is_a_share_of_them():
    assert 0.015 == read_policy('accepted_budget = "1.5pp"', "x").accepted_budget
    assert 0.03 == default_policy().accepted_budget


def test_the_schema_ships_with_the_package():
    schema = json.loads((resources.files("harness") / "schemas" / "policy.json").read_text("utf-8"))

    keys = {
        *("kind", "alpha", "on_inconclusive", "recheck", "accepted_budget"),
        *("anchor", "limits", "slices", "suites"),
    }
    assert keys == set(schema["properties"])


def test_every_key_is_in_the_guide():
    schema = json.loads((resources.files("harness") / "schemas" / "policy.json").read_text("utf-8"))
    guide = (Path(__file__).parents[2] / "docs" / "gate.md").read_text("utf-8")

    for key in schema["properties"]:
        assert f"| `{key}` |" in guide or f"| `[{key}" in guide, key
