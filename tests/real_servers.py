"""
Real servers of models on this machine, started for a test and stopped after it.
"""

import contextlib
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from http.client import HTTPException
from pathlib import Path
from urllib.error import URLError
from urllib.request import ProxyHandler, build_opener

HOST = "127.0.0.1"
_LINES = 20
# Of a server's log, where it does not come up.


@contextlib.contextmanager
def transformers_serve(*options: str, seconds: float = 180) -> Iterator[str]:
    """
    Run ``transformers serve`` in float32 on the CPU and yield its URL.

    It loads a model when it is first asked for it, unless *options* begin with one.
    """
    port = free_port()
    command = [sys.executable, "-m", "transformers.cli.transformers", "serve", *options]
    command += ["--host", HOST, "--port", str(port), "--device", "cpu", "--dtype", "float32"]
    with serving(command, port, "/health", seconds):
        yield f"http://{HOST}:{port}/v1"


@contextlib.contextmanager
def serving(command: Sequence[str], port: int, ready: str, seconds: float) -> Iterator[Path]:
    """
    Run *command* until the block ends, which begins once the path *ready* is answered; yield its
    log.

    Raises:
        RuntimeError: with the end of the log, if it ends or is not ready within *seconds*.
    """
    with tempfile.TemporaryDirectory(prefix="harness-server-") as folder:
        log = Path(folder) / "log"
        with log.open("wb") as out:
            process = subprocess.Popen(
                command, stdout=out, stderr=subprocess.STDOUT, start_new_session=True
            )
        try:
            _wait(process, f"http://{HOST}:{port}{ready}", log, seconds)
            yield log
        finally:
            _stop(process)


def free_port() -> int:
    """
    Return a port of the loopback that nothing listens on.
    """
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        return int(probe.getsockname()[1])


def _wait(process: "subprocess.Popen[bytes]", url: str, log: Path, seconds: float) -> None:
    # A proxy of the environment would be asked for this machine.
    opener = build_opener(ProxyHandler({}))
    ends = time.monotonic() + seconds
    while time.monotonic() < ends and process.poll() is None:
        with contextlib.suppress(URLError, HTTPException, OSError), opener.open(url, timeout=5):
            return
        time.sleep(0.2)
    lines = log.read_text("utf-8", "replace").splitlines()[-_LINES:]
    raise RuntimeError("\n".join([f"{process.args} is not ready:", *lines]))


def _stop(process: "subprocess.Popen[bytes]") -> None:
    """
    End the server and what it has started, first by asking.
    """
    for sign in (signal.SIGTERM, signal.SIGKILL):
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, sign)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(20)
            return
