"""
Values that are made when they are looked at.
"""

from harness.lazy import Lazily, MadeOf


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


def test_an_item_is_made_when_it_is_looked_at():
    made: list[int] = []

    def make(source: int) -> int:
        made.append(source)
        return source * 10

    items = MadeOf([1, 2, 3], make)

    assert 3 == len(items)
    assert 2 == len(items[1:])
    assert [] == made
    assert 30 == items[1:][-1]
    assert [3] == made
    assert [10, 20, 30] == list(items)
