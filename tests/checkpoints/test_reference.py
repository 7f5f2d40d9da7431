"""
References: one list of schemes, one parser.
"""

from collections.abc import Callable

import pytest

from harness.checkpoints.reference import SCHEMES, WRAPPERS, Reference, parse_reference
from harness.errors import UsageError


@pytest.mark.parametrize(
    ("text", "scheme", "target"),
    [
        ("hf:org/name@main", "hf", "org/name@main"),
        ("org/name", "hf", "org/name"),
        ("./folder", "hf", "./folder"),
        ("gguf:a/b.gguf", "gguf", "a/b.gguf"),
        ("embedded:smollm2-135m", "embedded", "smollm2-135m"),
        ("replay:out:1.jsonl", "replay", "out:1.jsonl"),
        ("python:a.b:c", "python", "a.b:c"),
        ("C:/models/x", "hf", "C:/models/x"),
        ("vllm:org/name", "vllm", "org/name"),
        ("continuous:gguf:a.gguf", "continuous", "gguf:a.gguf"),
    ],
)
def test_a_reference_is_split_at_a_known_scheme(text: str, scheme: str, target: str):
    reference = parse_reference(text)

    assert Reference(scheme=scheme, target=target) == reference
    assert reference == parse_reference(str(reference))


@pytest.mark.parametrize("text", ["", "hf:", "replay:", "vllm:", "continuous:hf:"])
def test_a_reference_to_nothing_is_refused(text: str):
    with pytest.raises(UsageError, match="names nothing"):
        parse_reference(text)


@pytest.mark.parametrize(
    ("text", "inner"),
    [
        ("vllm:org/name@v2", "hf:org/name@v2"),
        ("vllm:hf:org/name", "hf:org/name"),
        ("continuous:./folder", "hf:./folder"),
        ("continuous:embedded:smollm2-135m", "embedded:smollm2-135m"),
    ],
)
def test_a_scheme_that_says_how_to_run_wraps_a_reference(text: str, inner: str):
    assert inner == str(parse_reference(text).inner)


def test_a_scheme_that_names_files_wraps_none():
    assert {None} == {
        parse_reference(f"{scheme}:x").inner for scheme in SCHEMES.names() if scheme not in WRAPPERS
    }


@pytest.mark.parametrize("text", ["vllm:continuous:org/name", "continuous:vllm:org/name"])
def test_two_ways_to_run_one_checkpoint_are_refused(text: str):
    with pytest.raises(UsageError, match=r"drop \w+: or \w+:"):
        parse_reference(text)


def test_every_wrapper_is_a_scheme():
    assert set(SCHEMES.names()) >= WRAPPERS


@pytest.mark.parametrize("url", ["http://localhost:8000/v1", "https://host/v1", "vllm:http://h/v1"])
def test_a_url_names_the_schemes_that_are_served(url: str):
    with pytest.raises(
        UsageError,
        match=r"is a URL.*openai:MODEL@URL.*completions:, continuous:, embedded:, gguf:, hf:",
    ) as caught:
        parse_reference(url)

    assert all(f"{scheme}:" in str(caught.value) for scheme in SCHEMES.names())
    assert "not served" not in str(caught.value)
    assert "no server" not in str(caught.value)


def test_an_installed_backend_brings_its_scheme(installed: Callable[..., None]):
    assert "hf" == parse_reference("toy:x").scheme

    installed("harness.backends", toy="builtins:repr", http="builtins:repr")

    assert Reference(scheme="toy", target="x") == parse_reference("toy:x")
    assert Reference(scheme="http", target="//host") == parse_reference("http://host")


class Fast:
    wraps = True


def test_an_installed_backend_may_wrap_a_reference(installed: Callable[..., None]):
    installed("harness.backends", fast=f"{__name__}:Fast", toy="builtins:repr")

    assert Reference(scheme="hf", target="org/name") == parse_reference("fast:org/name").inner
    assert parse_reference("toy:org/name").inner is None
    with pytest.raises(UsageError, match="drop vllm: or fast:"):
        parse_reference("vllm:fast:org/name")
