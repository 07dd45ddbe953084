"""The parts of the Dask engine that need no cluster."""

from __future__ import annotations

import pickle
import threading
import time

import pytest

from convcli.cluster import probe, worker
from convcli.cluster.base import Task
from convcli.cluster.crew import Crew
from convcli.cluster.pace import Pace
from convcli.cluster.versions import differences, installed
from convcli.cluster.worker import Session
from convcli.core.errors import ConvcliError
from convcli.storage import options
from tests.cluster import tasks

HERE = {"python": "3.11", "convcli": "1.0", "numpy": "2.4", "zarr": "missing"}


@pytest.mark.parametrize(
    ("there", "text"),
    [
        ({}, ""),
        ({"a": HERE}, ""),
        ({"a": {**HERE, "zarr": "3.1"}}, ""),
        ({"a": {**HERE, "numpy": "2.3"}, "b": HERE}, "numpy 2.3 on a (here 2.4)"),
        ({"a": {"python": "3.11", "convcli": "1.0"}}, "numpy missing on a (here 2.4)"),
        ({name: {**HERE, "numpy": "2.3"} for name in "abcdef"}, "numpy 2.3 on a, b, c and 3 more (here 2.4)"),
        (
            {"a": {**HERE, "numpy": "2.3", "python": "3.12"}, "b": {**HERE, "numpy": "2.5"}},
            "numpy 2.3 on a (here 2.4), numpy 2.5 on b (here 2.4), python 3.12 on a (here 3.11)",
        ),
    ],
)
def test_differences_of_versions(there, text):
    """One line, with few workers; what this process does not have makes no difference."""
    assert differences(HERE, there) == text


def test_versions_of_this_process():
    """Those that decide about the bytes of results."""
    found = installed()
    assert {"python", "convcli", "numpy", "imagecodecs", "zarr", "fsspec"} <= set(found)
    assert differences(found, {"here": found}) == ""


@pytest.mark.parametrize(
    ("times", "limit"),
    [([], None), ([9, 9], None), ([1, 1, 1], 60), ([20, 10, 30], 100), ([0] * 9 + [1000], 60)],
)
@pytest.mark.parametrize("waited", [0, 7])
def test_when_a_task_is_late(times, limit, waited):
    """After a multiple of the median, but not before some seconds, nor as long as little is known."""
    pace = Pace(60, 5)
    for seconds in times:
        pace.add(waited + seconds, seconds)
    assert pace.limit == (None if limit is None else waited + limit)


def seen(last, threads=1, limit=0, status="running"):
    """What a scheduler says of a worker."""
    return {"nthreads": threads, "memory_limit": limit, "last_seen": last, "status": status}


def test_which_workers_are_silent(monkeypatch):
    """Those whose last sign of life has not changed for a while, whatever the clock of the scheduler says."""
    now = 0.0
    monkeypatch.setattr(time, "monotonic", lambda: now)
    crew = Crew()
    for now in (0.0, 5.0, 10.0):
        crew.update({"a": seen(1e9 + now), "b": seen(7)})
    assert crew.silent(9) == {"b"}
    assert crew.silent(10) == set()
    crew.update({"a": seen(1e9)})
    assert crew.silent(5) == set()


def test_what_workers_have():
    """Threads, the window, and the memory of the smallest."""
    crew = Crew()
    assert (crew.threads, crew.window, crew.smallest) == (0, 4, None)
    crew.update({"a": seen(0, 4, 8000), "b": seen(0, 1, 3000), "c": seen(0, 2)})
    assert (crew.threads, crew.window, crew.smallest.memory) == (7, 28, 1600)
    crew.check_memory("piece 1", 1600)
    with pytest.raises(ConvcliError, match=r"about 1\.61 kB of memory; worker a has 1\.6 kB"):
        crew.check_memory("piece 1", 1601)


@pytest.mark.parametrize(
    ("workers", "message"),
    [
        ({}, "the scheduler at x has had no workers for 5 s; start some with: dask worker x"),
        (
            {"a": seen(0, status="paused")},
            "all workers of x have been paused for 5 s, because they use 80%",
        ),
        ({"a": seen(0, status="paused"), "b": seen(0)}, None),
    ],
)
def test_when_nothing_can_run(monkeypatch, workers, message):
    """After a while without workers, or with none that begin tasks, there is an error."""
    monkeypatch.setattr(time, "monotonic", lambda: 0.0)
    crew = Crew()
    crew.update({"a": seen(0)})
    monkeypatch.setattr(time, "monotonic", lambda: 1.0)
    crew.update(workers)
    monkeypatch.setattr(time, "monotonic", lambda: 6.0)
    crew.update(workers)
    crew.check_presence(5, "x")
    monkeypatch.setattr(time, "monotonic", lambda: 7.0)
    if message is None:
        crew.check_presence(5, "x")
        return
    with pytest.raises(ConvcliError, match=message):
        crew.check_presence(5, "x")


def test_a_probe_is_read_and_answered(tmp_path):
    """In both directions; what was written is deleted."""
    written = probe.begin(str(tmp_path / "new"))
    assert probe.fault(written) == ""
    assert probe.answer(written, 3) == ""
    assert probe.answer_fault(written, 3) == ""
    assert "writes to another" in probe.answer_fault(written, 3)
    probe.end(written)
    assert not list((tmp_path / "new").iterdir())
    assert "use a shared disk or a URL" in probe.fault(written)
    assert "use a shared disk or a URL" in probe.answer(written, 0)


def test_a_probe_of_another_run_is_no_answer(tmp_path):
    """The contents are compared as well."""
    written = probe.begin(str(tmp_path))
    (tmp_path / written.name).write_text("other")
    assert "use a shared disk or a URL" in probe.fault(written)


def test_a_folder_that_cannot_be_written(tmp_path):
    """The reason is told."""
    (tmp_path / "file").write_text("")
    with pytest.raises(ConvcliError, match="file"):
        probe.begin(str(tmp_path / "file"))


@pytest.fixture
def session():
    """A session with secret options, begun in this process."""
    made = Session("test", installed(), '{"secret": "hunter2-hunter2"}')
    worker.begin(made, "tcp://here")
    yield made
    worker.end("test")
    worker._OPTIONS.enter("")
    worker._OPTIONS.leave()


def test_secrets_are_not_shown(session):
    """Dask logs the arguments of functions that fail."""
    assert "hunter2" not in repr(session)
    assert pickle.loads(pickle.dumps(session)) == session


def test_tasks_use_the_options_of_their_session(session):
    """And wait for tasks that need others."""
    begun, go = threading.Event(), threading.Event()

    def other():
        worker._OPTIONS.enter("")
        begun.set()
        go.wait()
        worker._OPTIONS.leave()

    thread = threading.Thread(target=other)
    thread.start()
    begun.wait()
    replies = []
    waits = threading.Thread(
        target=lambda: replies.append(worker.run_task("4", "", "test", worker.reference(tasks.double)))
    )
    waits.start()
    assert options.text_for_workers() == ""
    go.set()
    waits.join()
    thread.join()
    assert options.text_for_workers() == session.storage
    assert (replies[0].facts, replies[0].failure, replies[0].refusal) == ("8", "", "")


def test_an_unknown_session_is_refused():
    """A worker that was not set up runs nothing."""
    assert "was not set up" in worker.run_task("4", "", "unknown", worker.reference(tasks.double)).refusal


def test_payloads_are_small_when_pickled():
    """Besides the payload, a task is a few names."""
    pytest.importorskip("distributed")
    from functools import partial

    from distributed.protocol.pickle import dumps

    call = partial(worker.run_task, session="12345678", work=worker.reference(tasks.double))
    task = Task(7, "x" * 1000, "piece 7")
    assert len(dumps((call, task.payload, task.name))) < 1300
