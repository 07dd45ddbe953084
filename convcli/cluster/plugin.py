"""The plugin by which Dask sets up every worker of an engine, also those that join later."""

from __future__ import annotations

from typing import Any

from distributed.diagnostics.plugin import WorkerPlugin

from convcli.cluster.worker import Session, begin, end


class SessionPlugin(WorkerPlugin):  # type: ignore[misc]
    """Begins and ends a session in a worker process."""

    def __init__(self, session: Session) -> None:
        self.session = session
        self.name = f"convcli-{session.name}"

    def __repr__(self) -> str:
        return f"<{self.name}>"

    def setup(self, worker: Any) -> None:
        begin(self.session, worker.address)

    def teardown(self, worker: Any) -> None:
        end(self.session.name)
