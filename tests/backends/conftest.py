"""
What tests of backends share: what one check has confirmed about a model, the next does not know.
"""

import pytest

from harness.backends.engine import memory


@pytest.fixture(autouse=True)
def remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    """
    Nothing is remembered: tests break models, and the engine, that were in order before.
    """
    monkeypatch.setattr(memory, "kept", lambda file: None)
