"""Workers of batches with URLs inherit nothing of the libraries that talk to stores."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable

import pytest

from convcli.batch.pool import TaskResult
from convcli.batch.processes import NewProcessPool
from convcli.storage.options import options_for, set_options


def look(task: str) -> Callable[[], dict[str, object]]:
    """What a worker finds when its first task comes."""
    facts = {
        "pid": os.getpid(),
        "libraries": [name for name in ("fsspec", "s3fs", "aiohttp") if name in sys.modules],
        "options": options_for("memory://a"),
        "task": task,
    }
    return lambda: facts


def again(task: str) -> str:
    return task


def test_a_new_process_inherits_no_connection_and_gets_the_options():
    """Although this process has used a store, and the options are in no argument or environment."""
    fsspec = pytest.importorskip("fsspec")
    fsspec.filesystem("memory").pipe_file("/x/a", b"x")
    set_options('{"some": "option"}')
    try:
        with NewProcessPool(1, look, again, 2**20) as pool:
            assert pool.ready()
            pool.submit(7, "hello")
            events = [event for _ in range(200) if pool.running for event in pool.events(0.5)]
    finally:
        set_options(None)
    (done,) = events
    assert isinstance(done, TaskResult) and done.number == 7
    assert done.value["pid"] != os.getpid()
    assert (done.value["libraries"], done.value["task"]) == ([], "hello")
    assert done.value["options"] == {"some": "option"}
