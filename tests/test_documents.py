import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness import documents
from harness.documents import Document, read_document, replace_yaml_text, write_yaml


@pytest.fixture
def read(tmp_path):
    """Read some text as a file of YAML."""

    def read_text(text: str) -> Document:
        file = tmp_path / "some.yaml"
        file.write_text(text, "utf-8")
        return read_document(file)

    return read_text


def complaint(document: Document) -> tuple[int | None, str]:
    [problem] = document.problems
    return problem.line, problem.message


TEXTS = st.text(
    st.characters(exclude_categories=["Cs", "Cc"], exclude_characters="\ufeff\ufffe\uffff")
)
AMBIGUOUS = st.sampled_from(
    "no yes on off y n true null ~ 1 1.0 1e3 0o17 017 0x1f 1_000 12:30 2027-01-31 .inf .nan << = "
    "- ? : # & * ! % @ ` [ { | >".split()
)
VALUES = st.dictionaries(
    TEXTS.filter(bool) | AMBIGUOUS,
    st.none() | st.booleans() | st.integers() | TEXTS | AMBIGUOUS | st.lists(AMBIGUOUS),
    min_size=1,
)


@given(value=VALUES)
def test_what_is_written_as_yaml_is_read_as_it_was(tmp_path_factory, value):
    file = tmp_path_factory.mktemp("yaml") / "some.yaml"
    file.write_bytes(write_yaml(value).encode())

    assert (value, ()) == ((found := read_document(file)).value, found.problems)


@given(value=VALUES)
def test_what_is_written_as_yaml_is_the_same_to_readers_of_yaml_1_1(value):
    yaml = pytest.importorskip("yaml")

    assert value == yaml.safe_load(write_yaml(value))


def test_keys_keep_their_order_in_yaml():
    assert "b: 1\na: 2\n" == write_yaml({"b": 1, "a": 2})


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("version: 1.0.0 # ours\n", "version: 1.2.3 # ours\n"),
        (
            "# v\n'version':   '1.0.0'\r\nx: [ 1,\n   2]\n",
            "# v\n'version':   '1.2.3'\r\nx: [ 1,\n   2]\n",
        ),
        ('{"version": "1.0.0", "x": 12:30}', '{"version": "1.2.3", "x": 12:30}'),
    ],
)
def test_a_text_is_replaced_and_nothing_else_is_touched(old, new):
    assert new == replace_yaml_text(old, "version", "1.2.3")


# Aliases.


def test_an_alias_is_the_value_it_names(read):
    document = read("a: &a {x: [1]}\nb: *a\n")

    assert {"a": {"x": [1]}, "b": {"x": [1]}} == document.value
    assert document.value["a"] is not document.value["b"]


def test_an_anchor_may_be_used_again(read):
    assert {"a": 1, "b": 2, "c": 2} == read("a: &x 1\nb: &x 2\nc: *x\n").value


BOMBS = {
    "lists": "a0: &a0 [x]\n"
    + "".join(f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]\n" for n in range(1, 10)),
    "objects": "a0: &a0 {x: 1}\n"
    + "".join(
        f"a{n}: &a{n} {{{', '.join(f'k{k}: *a{n - 1}' for k in range(9))}}}\n" for n in range(1, 10)
    ),
    "long text": f"a: &a {'x' * 100_000}\nb: [{', '.join(['*a'] * 10_000)}]\n",
    "many scalars": f"a: &a [{', '.join('1' * 10_000)}]\nb: [{', '.join(['*a'] * 10_000)}]\n",
}


@pytest.mark.parametrize("text", BOMBS.values(), ids=BOMBS.keys())
def test_an_alias_bomb_is_refused_in_bounded_time_and_memory(tmp_path, text):
    file = tmp_path / "bomb.yaml"
    file.write_text(text, "utf-8")
    script = (
        "import resource, sys; from pathlib import Path\n"
        "from harness.documents import read_document\n"
        "resource.setrlimit(resource.RLIMIT_AS, (2**30, 2**30))\n"
        "print(*read_document(Path(sys.argv[1])).problems)\n"
    )
    command = [sys.executable, "-c", script, str(file)]

    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)

    assert "" == done.stderr
    place, _, message = done.stdout.removeprefix(f"{file}:").partition(": ")
    assert int(place) <= text.count("\n")
    assert "aliases repeat more than 4,194,304 characters; write fewer aliases\n" == message


def test_an_alias_inside_what_it_names_is_refused(read):
    assert (1, "nested more than 64 levels deep; make it flatter") == complaint(read("a: &a [*a]"))


# What cannot be read.


@pytest.mark.parametrize(
    ("text", "line", "message"),
    [
        ("a: 1\nb: 'x\n", 3, "not valid YAML: found unexpected end of stream"),
        ("a: 1\nb: *x\n", 2, "not valid YAML: found undefined alias 'x'"),
        ("a: 1\n---\nb: 1\n", 2, "not valid YAML: but found another document"),
        ("a: 1\n\nb: \x07\n", 3, "not valid YAML: unacceptable character #x0007"),
        ("a: 1\n? [b]\n: 2\n", 2, "a key must be text"),
        ("a: !foo 1\n", 1, "tag !foo is not supported here"),
        ("", 1, "the file is empty"),
        ("# nothing\n", 1, "the file is empty"),
    ],
)
def test_yaml_that_cannot_be_read_is_refused_with_its_line(read, text, line, message):
    assert (line, message) == complaint(read(text))


def test_every_key_given_twice_is_a_problem(read):
    document = read("a: 1\nb:\n  c: 1\n  c: 2\na: 3\n")

    assert [(4, "duplicate key 'c'; keep one"), (5, "duplicate key 'a'; keep one")] == [
        (problem.line, problem.message) for problem in document.problems
    ]


def test_a_yaml_directive_changes_nothing(read):
    assert {"a": "no", "b": "12:30"} == read("%YAML 1.1\n---\na: no\nb: 12:30\n").value


NEAR_JSON = st.recursive(
    st.sampled_from(
        [
            *["null", "true", "0", "-1.5", "1e5", "1e400", "NaN", "Infinity", "9" * 5000],
            *['""', '"x"', '"ä"', '"\\ud800"', '"\\ud83d\\ude00"', '"a\\nb"', "[", "}", "'x'"],
        ]
    ),
    lambda inner: (
        st.lists(inner, max_size=3).map(lambda parts: f"[{', '.join(parts)}]")
        | st.lists(st.tuples(st.sampled_from(["a", "b", "\\ud800"]), inner), max_size=3).map(
            lambda pairs: "{\n" + ",\n ".join(f'"{key}": {part}' for key, part in pairs) + "}\n"
        )
        | inner.map(lambda part: "[" * 62 + part + "]" * 62)
    ),
    max_leaves=8,
)


@given(NEAR_JSON)
def test_json_read_at_once_is_json_read_closely(text: str):
    at_once = documents._read_json(text, "x.json")
    closely = documents._read_closely(text, "x.json", 1)

    assert repr(closely.value) == repr(at_once.value)
    assert closely.problems == at_once.problems
    for steps in closely.places.known:
        assert closely.places.find(steps) == at_once.places.find(steps)
