"""
Every kind of environment that comes with the harness, held to the contract.
"""

from harness.suites.environment import ENVIRONMENTS
from harness.testing import EnvironmentContract, EnvironmentSample
from tests.environments import test_documents as documents
from tests.environments import test_tables as tables


def tool(name: str, /, **properties: str) -> dict[str, object]:
    declared = {key: {"type": kind} for key, kind in properties.items()}
    return {"name": name, "parameters": {"type": "object", "properties": declared}}


class Light:
    """
    A lamp in the shape of TRL's environments.
    """

    def reset(self, **case: object) -> None:
        self.state = {"lamps": [{"id": 1, "on": False}]}

    def switch(self, on: bool) -> str:
        self.state["lamps"][0]["on"] = on
        return f"on: {on}"

    def look(self) -> dict[str, object]:
        return self.state["lamps"][0]

    def fail(self) -> str:
        raise RuntimeError("the bulb is broken")


TARGET = f"{Light.__module__}:{Light.__name__}"


class TestEnvironments(EnvironmentContract):
    samples = (
        EnvironmentSample(
            name="documents",
            settings={"tool": "search", "corpus": documents.CORPUS},
            tools=[tool("search", query="string")],
            calls=[("search", {"query": "leave"}), ("search", {"query": ""}), ("search", {})],
            reads=[("search", {"query": "25"})],
            flawed=[
                {"tool": "find", "corpus": documents.CORPUS},
                {"tool": "search", "corpus": [documents.CORPUS[0]] * 2},
            ],
        ),
        EnvironmentSample(
            name="tables",
            settings={
                "state": tables.STATE,
                "operations": {
                    name: tables.OPERATIONS[name] for name in ("find", "wifi", "send", "get")
                },
            },
            tools=[
                tool("find", name="string"),
                tool("wifi", on="boolean"),
                tool("get", name="string"),
                tool("send", to="integer", text="string"),
            ],
            calls=[
                ("send", {"to": 1, "text": "x"}),
                ("wifi", {"on": True}),
                ("send", {"to": 1, "text": "x"}),
                ("send", {"to": 7}),
                ("find", {"name": "A"}),
            ],
            reads=[("find", {"name": "A"}), ("get", {"name": "none"})],
            flawed=[{"state": tables.STATE, "operations": {}}],
        ),
        EnvironmentSample(
            name="python",
            settings={"target": TARGET},
            tools=[tool("switch", on="boolean"), tool("look"), tool("fail")],
            calls=[("switch", {"on": True}), ("look", {}), ("fail", {}), ("switch", {})],
            reads=[("look", {}), ("fail", {})],
            allowed=TARGET,
        ),
    )


def test_no_kind_is_left_out():
    assert set(ENVIRONMENTS.built_in) == {sample.name for sample in TestEnvironments.samples}
