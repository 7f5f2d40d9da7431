"""
The demo's candidate, for tests of real engines.
"""

import os
from pathlib import Path

import pytest

from .candidate import VARIABLE


@pytest.fixture(scope="session")
def candidate() -> Path:
    """
    The folder of a trained checkpoint; ``tox -e engines`` trains it.
    """
    folder = os.environ.get(VARIABLE)
    if folder is None:
        pytest.skip(f"{VARIABLE} does not name a checkpoint")
    return Path(folder)
