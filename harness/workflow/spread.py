"""
A checkpoint opened where the options say: in this process, in several, or on a cluster.
"""

from harness.backends.base import Backend, BackendOptions
from harness.backends.registry import open_backend
from harness.errors import UsageError
from harness.workflow.options import RunOptions


def open_spread(checkpoint: str, opening: BackendOptions, options: RunOptions) -> Backend:
    """
    Open *checkpoint* in as many processes as *options* say.

    Raises:
        UsageError: if they contradict each other.
        HarnessError: as `harness.backends.registry.open_backend`.
    """
    if options.devices and options.device is not None:
        raise UsageError("--device and --devices say two things: name all devices in --devices")
    workers = max(options.workers, len(options.devices))
    if workers == 1 and not options.devices:
        return open_backend(checkpoint, opening)
    from harness.backends.spread.processes import ProcessesBackend

    return ProcessesBackend.open(checkpoint, opening, workers=workers, devices=options.devices)
