"""Executes a plan; what is computed, and how, was decided before."""

from __future__ import annotations

from collections.abc import Callable

from convcli.engine.backends.registry import backend_named
from convcli.engine.computers import Computation
from convcli.engine.consumer import Consumer
from convcli.engine.source import BatchHolder, Source


def run(
    plan: Computation, source: Source, consumers: Callable[[], Consumer], holder: BatchHolder | None = None
) -> None:
    """Compute every strip of ``source`` with the plan's backend and hand it to a consumer.

    Args:
        source: values of the problem's type.
        consumers: makes one consumer for each worker; each is used by one thread at a time.
        holder: keeps the batch entries of ``source`` that are being read, unless it keeps all.

    Raises:
        Exception: the first that the source or a consumer raised.
    """
    backend_named(plan.backend).run(plan, source, consumers, holder)
