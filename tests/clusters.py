"""Clusters for tests: a scheduler and workers as processes of their own, on loopback, with free ports.

They end with the test run, whatever happens to it.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

from convcli.cluster.addresses import Network
from convcli.cluster.base import Engine
from convcli.cluster.patience import Patience
from tests.conftest import ROOT

_LAUNCHER = """
import os, sys
from convcli.core.processes import end_with
end_with(int(sys.argv.pop(1)))
before = sys.argv.pop(1)
exec(before)
from distributed.cli import dask_scheduler, dask_worker
part = sys.argv.pop(1)
{"scheduler": dask_scheduler, "worker": dask_worker}[part].main()
"""
PATIENCE = Patience(answer=20, handover=2, workers=20, silence=3, late=3, factor=5, check=0.5)
"""What hangs is found within seconds; hurried machines are given time."""


@dataclass(eq=False)
class Cluster:
    """A scheduler and its workers.

    Attributes:
        processes: all that were started; those of workers are nannies if they have one.
    """

    folder: Path
    scheduler: subprocess.Popen[bytes] | None = None
    address: str = ""
    processes: list[subprocess.Popen[bytes]] = field(default_factory=list)

    def start_scheduler(self, *options: str, before: str = "", port: int = 0, **environment: str) -> None:
        """Start the scheduler, and wait until it listens."""
        file = self.folder / "scheduler.json"
        file.unlink(missing_ok=True)
        words = ["--port", str(port), "--dashboard-address", "127.0.0.1:0", "--scheduler-file", str(file)]
        if not {"--host", "--protocol"} & set(options):
            words += ["--host", "127.0.0.1"]
        self.scheduler = self._start("scheduler", before, [*words, *options], environment)
        wait_until(lambda: bool(file.exists() and file.read_text().endswith("}")), "scheduler")
        self.address = json.loads(file.read_text())["address"]

    def start_worker(
        self,
        *options: str,
        nanny: bool = True,
        before: str = "",
        prefix: tuple[str, ...] = (),
        **environment: str,
    ) -> subprocess.Popen[bytes]:
        """Start a worker with one thread, with a nanny that restarts it or without one.

        Args:
            before: Python code that the process runs first.
            prefix: a command that runs the worker.
        """
        words = [self.address, "--nthreads", "1", "--no-dashboard", "--local-directory", str(self.folder)]
        if not {"--host", "--protocol"} & set(options):
            words += ["--host", "127.0.0.1"]
        words += ["--nanny" if nanny else "--no-nanny", *options]
        return self._start("worker", before, words, environment, prefix)

    def _start(
        self,
        part: str,
        before: str,
        options: list[str],
        environment: dict[str, str],
        prefix: tuple[str, ...] = (),
    ) -> subprocess.Popen[bytes]:
        log = (self.folder / f"{len(self.processes)}-{part}.log").open("wb")
        paths = [environment.pop("PYTHONPATH", ""), str(ROOT), os.environ.get("PYTHONPATH", "")]
        environment["PYTHONPATH"] = os.pathsep.join(filter(None, paths))
        process = subprocess.Popen(
            [*prefix, sys.executable, "-c", _LAUNCHER, str(os.getpid()), before, part, *options],
            stdout=log,
            stderr=log,
            stdin=subprocess.DEVNULL,
            start_new_session=True,
            cwd=self.folder,
            env={**os.environ, **environment, "AWS_EC2_METADATA_DISABLED": "true"},
        )
        log.close()
        self.processes.append(process)
        return process

    def wait_for(self, engine: Engine, workers: int) -> None:
        """Wait until an engine sees so many workers."""
        wait_until(lambda: engine.workers >= workers, f"{workers} workers")

    def network(self) -> Network:
        """The address of the scheduler, parsed."""
        return Network(self.address)

    def end(self) -> None:
        """Kill everything."""
        for process in self.processes:
            kill_host(process)


def wait_until(condition: Callable[[], bool], what: str, seconds: float = 60) -> None:
    """Wait for a condition that must come true."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, f"no {what} after {seconds} s"
        time.sleep(0.05)


def kill_host(process: subprocess.Popen[bytes]) -> None:
    """Kill a process and all that it has started, as if their machine lost power."""
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


@contextmanager
def cluster(folder: Path, workers: int = 2, *, nanny: bool = True, **environment: str) -> Iterator[Cluster]:
    """A cluster that may be damaged; its scheduler has these variables in its environment."""
    made = Cluster(folder)
    try:
        made.start_scheduler(**environment)
        for _ in range(workers):
            made.start_worker(nanny=nanny)
        yield made
    finally:
        made.end()
