"""From the address of a cluster to the engine that runs tasks on it."""

from __future__ import annotations

from convcli.cluster.addresses import parse
from convcli.cluster.base import Engine
from convcli.cluster.in_process import InProcessEngine
from convcli.core.errors import ConvcliError

_MISSING = "a cluster needs the package distributed; install it with: pip install 'convcli[cluster]'"


def engine_of(address: str | None) -> Engine:
    """The engine at an address, connected; without an address, the one that runs tasks in this process.

    Raises:
        ArgumentError: the address has no known form.
        ConvcliError: distributed is not installed, the scheduler cannot be reached, there are no workers, or
            they do not fit to this process.
    """
    if address is None:
        return InProcessEngine()
    parsed = parse(address)
    try:
        import distributed  # noqa: F401
    except ImportError as error:
        raise ConvcliError(_MISSING) from error
    from convcli.cluster.dask import DaskEngine

    return DaskEngine(parsed)
