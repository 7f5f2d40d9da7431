"""
Values that are made when they are looked at.
"""

from harness.lazy import Lazily


def test_a_value_is_made_when_it_is_looked_at_and_its_sources_are_loaded_once():
    asked: list[str] = []

    def sources() -> dict[str, int]:
        asked.append("sources")
        return {"a": 1, "b": 2}

    def make(source: int) -> int:
        asked.append(f"made {source}")
        return source * 10

    lazily = Lazily(sources, make)
    assert [] == asked

    assert "b" in lazily
    assert ["a", "b"] == list(lazily)
    assert ["sources"] == asked
    assert 20 == lazily["b"]
    assert ["sources", "made 2"] == asked
    assert {"a": 10, "b": 20} == dict(lazily)
    assert lazily.get("c") is None
