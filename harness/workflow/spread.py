"""
A checkpoint opened where the options say: in this process, in several, or on a cluster.
"""

from harness.backends.base import Backend, BackendOptions
from harness.backends.registry import open_backend
from harness.errors import UsageError
from harness.workflow.options import RunOptions


def open_spread(checkpoint: str, opening: BackendOptions, options: RunOptions) -> Backend:
    """
    Open *checkpoint* as often, and where, *options* say.

    Raises:
        UsageError: if they contradict each other.
        MissingDependencyError: if what starts processes elsewhere is not installed.
        HarnessError: as `harness.backends.registry.open_backend`.
    """
    if options.devices and options.device is not None:
        raise UsageError("--device and --devices say two things: name all devices in --devices")
    if options.on is not None:
        if options.devices:
            raise UsageError(f"--devices are of this machine; drop --devices, or --on {options.on}")
        if options.on != "ray":
            raise UsageError(f"--on {options.on}: the only cluster that is known is ray")
        from harness.backends.spread.on_ray import RayBackend

        return RayBackend.open(
            checkpoint, opening, workers=options.workers, address=options.address
        )
    if options.address is not None:
        raise UsageError("--address is that of a cluster; add --on ray")
    workers = max(options.workers, len(options.devices))
    if workers == 1 and not options.devices:
        return open_backend(checkpoint, opening)
    from harness.backends.spread.processes import ProcessesBackend

    return ProcessesBackend.open(checkpoint, opening, workers=workers, devices=options.devices)
