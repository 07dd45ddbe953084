"""What dies or hangs, with real processes: the rest of the work is done, or one line says why not."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
import threading
import time

import pytest

from convcli.cluster.addresses import Local, Network
from convcli.cluster.base import Task
from convcli.cluster.registry import engine_on
from convcli.core.errors import ConvcliError
from convcli.core.frozen import replace
from tests.cluster import tasks
from tests.clusters import PATIENCE, cluster, kill_host, wait_until
from tests.conftest import ROOT

pytest.importorskip("distributed")

from convcli.cluster.dask import DaskEngine


def numbered(count, payload="", special=None):
    """Tasks, of which number 5 has a special payload."""
    return [Task(n, special if n == 5 and special else payload, f"piece {n}") for n in range(count)]


def later(seconds, action, *arguments):
    """Do something while tasks run."""
    timer = threading.Timer(seconds, action, arguments)
    timer.daemon = True
    timer.start()


def logged(tmp_path, count, seconds):
    """Tasks that leave a line in a file when they begin."""
    file = str(tmp_path / "log")
    return [
        Task(n, json.dumps({"file": file, "number": n, "seconds": seconds}), f"piece {n}")
        for n in range(count)
    ]


def test_a_worker_that_dies_costs_nothing(engine, tmp_path):
    """Its task is run again by another, or by the same one after its restart."""
    outcomes = list(engine.outcomes(tasks.die_once, numbered(20, "", str(tmp_path / "died"))))
    assert sorted(outcome.number for outcome in outcomes) == list(range(20))
    assert {outcome.number for outcome in outcomes if outcome.facts == "again"} == {5}


def test_a_task_that_kills_its_workers_fails_alone(engine):
    """One line names it and the likely reason; the tasks that were beside it succeed."""
    outcomes = {o.number: o for o in engine.outcomes(tasks.die, numbered(20, "live", "die"))}
    assert sorted(outcomes) == list(range(20))
    failed = {number for number, outcome in outcomes.items() if outcome.failure}
    assert failed == {5}
    assert outcomes[5].failure.startswith("piece 5: 4 workers died while they ran it")
    assert "probably it takes too much memory" in outcomes[5].failure
    assert "\n" not in outcomes[5].failure


def test_a_host_that_dies(tmp_path):
    """A worker is killed together with its nanny: the others do its tasks."""
    with cluster(tmp_path) as made, DaskEngine(made.network(), PATIENCE) as engine:
        made.wait_for(engine, 2)
        work = logged(tmp_path, 12, 0.3)
        later(1, kill_host, made.processes[1])
        outcomes = list(engine.outcomes(tasks.log, work))
        assert sorted(outcome.number for outcome in outcomes) == list(range(12))
        assert not any(outcome.failure for outcome in outcomes)
        starts = len((tmp_path / "log").read_text().splitlines())
        assert starts <= 12 + engine.window


def test_a_scheduler_that_dies(tmp_path):
    """The client neither hangs nor shows a trace, and a new scheduler at the same address is another one."""
    with cluster(tmp_path) as made:
        with DaskEngine(made.network(), PATIENCE) as engine:
            later(1, kill_host, made.scheduler)
            with pytest.raises(ConvcliError) as caught:
                list(engine.outcomes(tasks.log, logged(tmp_path, 1000, 0.1)))
            begun = time.monotonic()
        assert time.monotonic() - begun < 10
        assert str(caught.value) == (
            f"the scheduler at {made.address} is gone; what is finished is kept: go on with --resume"
        )


def test_a_scheduler_that_restarts(tmp_path):
    """It knows nothing of earlier tasks, so the run ends as if it were gone; a new engine works."""
    with cluster(tmp_path, 1, nanny=False) as made:
        port = int(made.address.rpartition(":")[2])
        with DaskEngine(made.network(), PATIENCE) as engine:
            outcomes = engine.outcomes(tasks.double, (Task(n, str(n)) for n in range(10**6)))
            next(outcomes)
            kill_host(made.scheduler)
            made.start_scheduler(port=port)
            made.start_worker(nanny=False)
            wait_until(lambda: engine.connection.client.status == "running", "connection")
            with pytest.raises(ConvcliError, match="is gone; what is finished is kept"):
                list(outcomes)
        with DaskEngine(made.network(), PATIENCE) as engine:
            assert [o.facts for o in engine.outcomes(tasks.double, [Task(0, "4")])] == ["8"]


@pytest.mark.parametrize("work", [tasks.stop_once, tasks.sleep_once], ids=["worker", "task"])
def test_what_hangs_is_done_elsewhere(tmp_path, work):
    """A worker without a sign of life, a task that takes far longer than others; closing does not wait."""
    with cluster(tmp_path) as made:
        with DaskEngine(made.network(), PATIENCE) as engine:
            made.wait_for(engine, 2)
            outcomes = {o.number: o for o in engine.outcomes(work, numbered(20, "", str(tmp_path / "hung")))}
            assert sorted(outcomes) == list(range(20))
            assert outcomes[5].facts == "again"
            assert outcomes[5].runs >= 2
            begun = time.monotonic()
        assert time.monotonic() - begun < 10


def test_a_local_worker_that_hangs(tmp_path):
    """It is ended with its engine."""
    with DaskEngine(Local(2), PATIENCE) as engine:
        outcomes = list(engine.outcomes(tasks.stop_once, numbered(20, "", str(tmp_path / "hung"))))
        assert sorted(outcome.number for outcome in outcomes) == list(range(20))
        stopped = [pid for pid, state in children() if state.startswith("T")]
        assert len(stopped) == 1
    wait_until(lambda: not [pid for pid, _ in children() if pid in stopped], "end of the worker", 10)


def children():
    """The numbers and states of the processes that this one has started."""
    ran = subprocess.run(["ps", "-eo", "ppid=,pid=,stat="], capture_output=True, text=True, check=True)
    rows = [line.split() for line in ran.stdout.splitlines()]
    return [(pid, state) for parent, pid, state in rows if parent == str(os.getpid()) and "Z" not in state]


def test_a_worker_that_hangs_from_the_start(tmp_path):
    """It is named."""
    with cluster(tmp_path, 1, nanny=False) as made:
        with DaskEngine(made.network(), PATIENCE):
            os.kill(made.processes[1].pid, signal.SIGSTOP)
        with pytest.raises(ConvcliError, match=r"^worker tcp://\S+ has not answered for 1 s: end it"):
            DaskEngine(made.network(), replace(PATIENCE, answer=1))


def test_a_scheduler_that_hangs(tmp_path):
    """After a while it counts as gone."""
    patience = replace(PATIENCE, answer=3)
    with cluster(tmp_path, 1, nanny=False) as made, DaskEngine(made.network(), patience) as engine:
        outcomes = engine.outcomes(tasks.double, (Task(n, str(n)) for n in range(10**6)))
        next(outcomes)
        os.kill(made.scheduler.pid, signal.SIGSTOP)
        with pytest.raises(ConvcliError, match="has not answered for 3 s; what is finished is kept"):
            list(outcomes)


def test_a_client_of_the_caller(pair):
    """It is used, and stays open; an asynchronous one is refused."""
    from distributed import Client

    with Client(pair.address, set_as_default=False) as client:
        with engine_on(client) as engine:
            assert [o.facts for o in engine.outcomes(tasks.double, [Task(0, "4")])] == ["8"]
        assert client.status == "running"

    async def asynchronous():
        async with Client(pair.address, set_as_default=False, asynchronous=True) as client:
            engine_on(client)

    with pytest.raises(ConvcliError, match="leave out asynchronous=True"):
        asyncio.run(asynchronous())


def test_workers_that_join_later_are_used(tmp_path):
    """The window grows with them."""
    with cluster(tmp_path, 1, nanny=False) as made, DaskEngine(made.network(), PATIENCE) as engine:
        seen = set()
        for outcome in engine.outcomes(tasks.where, (Task(n, "0.05") for n in range(10**6))):
            seen.add(outcome.facts)
            if len(seen) == 1 and len(made.processes) == 2:
                made.start_worker(nanny=False)
            if len(seen) == 2:
                break
        made.wait_for(engine, 2)


def test_a_client_that_dies(tmp_path):
    """The scheduler drops its tasks."""
    code = (
        "import sys\n"
        "from convcli.cluster.registry import engine_of\n"
        "from convcli.cluster.base import Task\n"
        "from tests.cluster import tasks\n"
        "with engine_of(sys.argv[1]) as engine:\n"
        "    for _ in engine.outcomes(tasks.where, (Task(n, '0.1') for n in range(10**6))):\n"
        "        print('going', flush=True)\n"
    )
    with cluster(tmp_path, nanny=False) as made, DaskEngine(made.network(), PATIENCE) as engine:
        command = [sys.executable, "-c", code, made.address]
        with subprocess.Popen(command, stdout=subprocess.PIPE, cwd=ROOT) as client:
            assert client.stdout.readline()
            assert waiting(engine)
            client.kill()
        wait_until(lambda: not waiting(engine), "end of the tasks")


def waiting(engine):
    """The keys of all tasks that workers have or run."""

    async def processing():
        return await engine.connection.client.scheduler.processing(workers=None)

    return [key for keys in engine.connection.call(processing).values() for key in keys]


def test_an_interrupt_leaves_nothing_running(tmp_path, engine):
    """As for other commands: nothing is printed, and the exit code is 130."""
    code = (
        "import sys\n"
        "from convcli.cli import signals\n"
        "from convcli.cluster.registry import engine_of\n"
        "from convcli.cluster.base import Task\n"
        "from tests.cluster import tasks\n"
        "signals.handle()\n"
        "signals.watch()\n"
        "try:\n"
        "    with engine_of(sys.argv[1]) as engine:\n"
        "        for _ in engine.outcomes(tasks.where, (Task(n, '0.1') for n in range(10**6))):\n"
        "            print('going', flush=True)\n"
        "except signals.Stopped as stopped:\n"
        "    sys.exit(128 + stopped.number)\n"
    )
    for address in (engine.connection.address, "local:2"):
        command = [sys.executable, "-c", code, address]
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
        with subprocess.Popen(command, **pipes, cwd=ROOT, start_new_session=True) as client:
            assert client.stdout.readline(), client.stderr.read()
            os.killpg(client.pid, signal.SIGINT)
            assert client.wait(20) == 130
            assert client.stderr.read() == b""
            wait_until(lambda: not processes_of(client.pid), "end of the workers")
    wait_until(lambda: not waiting(engine), "end of the tasks")


def processes_of(group):
    """The processes of a group."""
    ran = subprocess.run(["ps", "-eo", "pgid=,pid=,stat="], capture_output=True, text=True, check=True)
    rows = [line.split() for line in ran.stdout.splitlines()]
    return [pid for pgid, pid, state in rows if pgid == str(group) and "Z" not in state]


def test_nobody_listens():
    """The address is told."""
    with pytest.raises(ConvcliError, match=r"cannot reach the scheduler at tcp://127\.0\.0\.1:1: "):
        DaskEngine(Network("tcp://127.0.0.1:1"), replace(PATIENCE, connect=0.5))
