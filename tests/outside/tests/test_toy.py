"""
The toy members keep the contracts of their families.
"""

from pathlib import Path

import pytest

from harness.testing import (
    BackendContract,
    DialectContract,
    DialectSample,
    EnvironmentContract,
    EnvironmentSample,
    ImporterContract,
    ImporterSample,
    RendererContract,
)


class TestDialect(DialectContract):
    samples = (DialectSample.read(Path(__file__).with_name("toy.yaml")),)


class TestBackend(BackendContract):
    @pytest.fixture
    def reference(self) -> str:
        return "toy:model"


class TestImporter(ImporterContract):
    samples = (
        ImporterSample(
            name="toyformat",
            files={"rows": ("rows.txt", "What is a pear? => look\nHello. => greet\n")},
            json_lines=False,
            unreadable="no arrow\n=> no question\n",
        ),
    )


class TestRenderer(RendererContract):
    samples = ("toy",)


class TestEnvironment(EnvironmentContract):
    samples = (
        EnvironmentSample(
            name="toy",
            settings={"holds": 1},
            tools=[{"name": "put", "parameters": {"type": "object", "properties": {"x": {}}}}],
            calls=[("put", {"x": "a spoon"}), ("put", {"x": "a fork"})],
            reads=[],
            flawed=[{}],
        ),
    )
