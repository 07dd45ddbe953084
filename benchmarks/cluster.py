"""What a Dask cluster costs: ``python benchmarks/cluster.py tasks [COUNT]`` or ``allocator``, on Linux.

``tasks`` runs tasks that do next to nothing on two workers of one thread, with windows of several sizes, and
prints the processor time of the scheduler, the workers and the client for each task, and their memory.
``allocator`` prints the processor time of sums of shifted arrays on a worker as Dask starts it, and on one
that keeps freed memory.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from convcli.cluster import crew
from convcli.cluster.addresses import SchedulerFile
from convcli.cluster.base import Task
from convcli.cluster.dask import DaskEngine
from convcli.core.errors import one_line
from convcli.core.processes import keep_memory

WINDOWS = (2, 4, 8, 50)
KEPT = (None, 32, 96, 256)
TICKS = os.sysconf("SC_CLK_TCK")


def shifted_sums(rows: int, times: int) -> float:
    """Seconds of processor time of separable sums of three, on new arrays of ``rows`` by 4,096 pixels."""
    import numpy as np

    source = np.random.default_rng(0).integers(0, 65535, (rows + 2, 4098), dtype=np.uint16)
    begun = time.process_time()
    for _ in range(times):
        wide = source.astype(np.uint32)
        sums = wide[:-2] + wide[1:-1] + wide[2:]
        sums = sums[:, :-2] + sums[:, 1:-1] + sums[:, 2:]
        _ = ((sums * np.uint32(7282)) >> np.uint32(16)).astype(np.uint16)
    return time.process_time() - begun


@contextmanager
def processes(workers: int) -> Iterator[tuple[str, list[int]]]:
    """A scheduler and workers: the scheduler's file, and the numbers of the processes."""
    started = []
    with tempfile.TemporaryDirectory() as folder:
        file = f"{folder}/scheduler.json"
        shared = ["--scheduler-file", file, "--host", "127.0.0.1"]
        options = {"scheduler": ["--port", "0", "--dashboard-address", "127.0.0.1:0"]}
        options["worker"] = ["--nthreads", "1", "--no-nanny", "--local-directory", folder]
        try:
            for part in ("scheduler", *["worker"] * workers):
                words = [sys.executable, "-m", f"distributed.cli.dask_{part}", *shared, *options[part]]
                environment = {**os.environ, "MALLOC_TRIM_THRESHOLD_": "65536"}  # as nannies set it
                started.append(subprocess.Popen(words, stderr=subprocess.DEVNULL, env=environment))
                while not Path(file).exists() or not Path(file).read_text().endswith("}"):
                    time.sleep(0.1)
            yield file, [process.pid for process in started]
        finally:
            for process in started:
                process.kill()
                process.wait()


def seconds(pid: int) -> float:
    """Processor time of a process."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


def resident(pid: int) -> int:
    """Memory of a process, in MB."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) // 1000 for line in lines if line.startswith("VmRSS"))


def tasks(count: int) -> None:
    """Print what tasks cost."""
    with processes(2) as (file, (scheduler, *workers)), DaskEngine(SchedulerFile(file)) as engine:
        while engine.workers < 2:
            time.sleep(0.1)
        parts = {"scheduler": [scheduler], "workers": workers, "client": [os.getpid()]}
        for window in WINDOWS:
            crew.TASKS_EACH = window  # type: ignore[misc]
            before = {name: sum(map(seconds, pids)) for name, pids in parts.items()}
            for _ in engine.outcomes(one_line, (Task(number, str(number)) for number in range(count))):
                pass
            cells = [
                f"{name} {(sum(map(seconds, pids)) - before[name]) / count * 1000:.2f} ms, "
                f"{max(map(resident, pids))} MB"
                for name, pids in parts.items()
            ]
            print(f"{window:3} tasks a thread: {'; '.join(cells)}", flush=True)


def allocator() -> None:
    """Print what keeping freed memory gains."""
    from distributed import Client

    for rows, times in ((256, 32), (1024, 8)):
        for kept in KEPT:
            with processes(1) as (file, _), Client(scheduler_file=file, set_as_default=False) as client:
                client.wait_for_workers(1)
                if kept:
                    client.run(keep_memory, kept * 2**20)
                took = [client.submit(shifted_sums, rows, times, pure=False).result() for _ in range(5)]
                print(f"{rows} rows, {kept or 0:3} MB kept: {statistics.median(took):.2f} s", flush=True)


if __name__ == "__main__":
    if sys.argv[1:2] == ["tasks"]:
        tasks(int(sys.argv[2]) if len(sys.argv) > 2 else 5000)
    elif sys.argv[1:] == ["allocator"]:
        allocator()
    else:
        sys.exit(__doc__)
