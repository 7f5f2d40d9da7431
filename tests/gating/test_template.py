"""
The gate.toml to start from holds every key there is, and means the built-in policy.
"""

import re
import tomllib
from typing import Any

import pytest

from harness.gating.policy import default_policy, policy_schema, read_policy
from harness.gating.template import policy_template
from harness.scoring.metrics import METRICS

KEYS = policy_schema()["properties"]


def uncommented(text: str) -> dict[str, Any]:
    return tomllib.loads(re.sub(r"^#(?=[\w\[])", "", text, flags=re.MULTILINE))


def test_every_key_is_a_comment_and_the_policy_is_the_built_in_one():
    text = policy_template({})

    assert {} == tomllib.loads(text)
    assert default_policy().limits == read_policy(text, "x").limits
    assert KEYS.keys() == uncommented(text).keys()


def test_what_the_comments_set_is_a_policy():
    text = re.sub(r"^#(?=[\w\[])", "", policy_template({}), flags=re.MULTILINE)

    policy = read_policy(text, "gate.toml")

    assert default_policy().alpha == policy.alpha
    assert default_policy().on_inconclusive == policy.on_inconclusive
    built_in = default_policy().limits
    assert built_in == {name: policy.limits[name] for name in built_in}


def test_every_metric_that_may_have_a_limit_has_one():
    refused = {name for name, metric in METRICS.items() if getattr(metric, "limit_instead", None)}

    assert METRICS.keys() - refused == uncommented(policy_template({}))["limits"].keys()


def test_a_setting_is_no_comment_and_its_default_is_still_said():
    text = policy_template({"on_inconclusive": "block"})

    assert {"on_inconclusive": "block"} == tomllib.loads(text)
    assert 'Default: "warn"' in text


@pytest.mark.parametrize("key", KEYS)
def test_every_key_says_what_it_decides(key: str):
    assert KEYS[key]["title"].endswith(".")
    assert f"# {KEYS[key]['title'].split(':')[0][:40]}" in policy_template({})
