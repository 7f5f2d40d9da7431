"""
Calls and texts for the properties all dialects share, as hypothesis makes them.
"""

from typing import Any

from hypothesis import strategies as st

from harness.messages import ToolCall
from harness.testing.texts import FRAGMENTS, NASTY

words = st.from_regex(r"[A-Za-z_][A-Za-z0-9_.-]{0,12}", fullmatch=True)
names = words | st.sampled_from(["get.it", "f", "null", "true", "größe", "東京", "a-b"])
strings = (
    st.text(alphabet=st.characters(exclude_categories=["Cs"]))
    | st.lists(st.sampled_from(NASTY), max_size=4).map("".join)
).filter(lambda text: "<escape>" not in text)
scalars = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.sampled_from([2**53 + 1, -(10**40), 0])
    | st.floats(allow_nan=False, allow_infinity=False)
    | strings
)
values = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(names, inner, max_size=3),
    max_leaves=8,
)
arguments: st.SearchStrategy[dict[str, Any]] = st.dictionaries(names, values, max_size=4)
calls = st.lists(st.builds(ToolCall, name=names, arguments=arguments), min_size=1, max_size=3)

answers = st.text() | st.lists(st.sampled_from(FRAGMENTS) | st.text(max_size=3), max_size=14).map(
    "".join
)

json_like = st.recursive(
    scalars | st.floats() | st.sampled_from(["{}", "", '{"a": 1', "f", "{'a': 1}"]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["name", "arguments", "function", "type", "text"]), inner, max_size=4
        )
    ),
    max_leaves=12,
)
