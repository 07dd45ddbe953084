"""What is refused before any work: workers that differ, or have too little memory or other files."""

from __future__ import annotations

import shutil

import pytest

from convcli.cluster.addresses import Environment, SchedulerFile
from convcli.cluster.base import Task
from convcli.cluster.registry import engine_of
from convcli.cluster.versions import installed
from convcli.core.errors import ConvcliError
from convcli.core.frozen import replace
from tests.cluster import tasks
from tests.clusters import PATIENCE, Cluster

pytest.importorskip("distributed")

from convcli.cluster.dask import DaskEngine

NO_CONVCLI = (
    "import importlib.abc\n"
    "class Refuse(importlib.abc.MetaPathFinder):\n"
    "    def find_spec(self, name, path, target=None):\n"
    "        if name.startswith('convcli.cluster'):\n"
    "            raise ModuleNotFoundError(f'No module named {name!r}')\n"
    "sys.meta_path.insert(0, Refuse())\n"
)
"""Makes a process one without convcli."""


@pytest.fixture
def lone(tmp_path):
    """A scheduler without workers."""
    made = Cluster(tmp_path)
    made.start_scheduler()
    yield made
    made.end()


@pytest.fixture
def other_numpy(tmp_path):
    """A folder that makes NumPy seem to have another version."""
    facts = tmp_path / "other" / "numpy-1.99.0.dist-info"
    facts.mkdir(parents=True)
    (facts / "METADATA").write_text("Metadata-Version: 2.1\nName: numpy\nVersion: 1.99.0\n")
    return str(facts.parent)


def refused(made, pattern):
    with pytest.raises(ConvcliError, match=pattern) as caught:
        DaskEngine(made.network(), PATIENCE)
    assert "\n" not in str(caught.value)


def test_no_workers(lone):
    """After some seconds, with the command that starts one."""
    with pytest.raises(ConvcliError) as caught:
        DaskEngine(lone.network(), replace(PATIENCE, workers=0.5))
    assert f"has had no workers for 0.5 s; start some with: dask worker {lone.address}" in str(caught.value)


def test_versions_differ(lone, other_numpy):
    """The package, both versions and the worker are named; a worker that joins later is refused as well."""
    here = installed()["numpy"]
    lone.start_worker(nanny=False)
    with DaskEngine(lone.network(), PATIENCE) as engine:
        outcomes = engine.outcomes(tasks.where, (Task(n, "0.05") for n in range(10**6)))
        next(outcomes)
        lone.start_worker(nanny=False, PYTHONPATH=other_numpy)
        with pytest.raises(ConvcliError) as caught:
            list(outcomes)
        message = str(caught.value)
        assert message.startswith("versions differ: numpy 1.99.0 on tcp://127.0.0.1:")
        assert f"(here {here})" in message
    refused(lone, rf"^versions differ: numpy 1\.99\.0 on tcp://\S+ \(here {here}\); install the same")


OTHER_FUNCTIONS = "import convcli.cluster.functions as functions\nfunctions.results = lambda: 'other'\n"
"""Makes a process seem to run on another processor."""


def test_processors_differ(lone):
    """Work that needs powers and angles is refused, now and of workers that join later; other work is not."""
    lone.start_worker(nanny=False)
    with DaskEngine(lone.network(), PATIENCE) as engine:
        engine.check_functions()
        outcomes = engine.outcomes(tasks.where, (Task(n, "0.05") for n in range(10**6)))
        next(outcomes)
        lone.start_worker(nanny=False, before=OTHER_FUNCTIONS)
        with pytest.raises(
            ConvcliError, match=r"^worker tcp://\S+ computes powers and angles with other last"
        ):
            list(outcomes)
    with DaskEngine(lone.network(), PATIENCE) as engine:
        assert [o.facts for o in engine.outcomes(tasks.double, [Task(0, "4")])] == ["8"]
        with pytest.raises(ConvcliError, match=r"^workers tcp://\S+ and tcp://\S+ compute powers and angles"):
            engine.check_functions()


@pytest.mark.parametrize("part", ["scheduler", "worker"])
def test_convcli_is_missing_elsewhere(tmp_path, part):
    """On a worker or on the scheduler."""
    made = Cluster(tmp_path)
    try:
        made.start_scheduler(before=NO_CONVCLI if part == "scheduler" else "")
        made.start_worker(nanny=False, before=NO_CONVCLI if part == "worker" else "")
        if part == "worker":
            refused(
                made, r"^worker tcp://127\.0\.0\.1:\d+ has no convcli, or another version of it; .*No module"
            )
            return
        with (
            DaskEngine(made.network(), PATIENCE) as engine,
            pytest.raises(ConvcliError, match="the scheduler and all workers must have convcli installed"),
        ):
            list(engine.outcomes(tasks.double, [Task(0, "4")]))
    finally:
        made.end()


def test_too_little_memory(lone):
    """Both numbers are told, and nothing is sent."""
    lone.start_worker("--memory-limit", "1GB", "--nthreads", "2", nanny=False)
    with DaskEngine(lone.network(), PATIENCE) as engine:
        assert engine.memory == 400_000_000
        assert engine.workers == 2
        with pytest.raises(ConvcliError) as caught:
            list(engine.outcomes(tasks.double, [Task(0, "4", "piece 0", 400_000_001)]))
        assert "piece 0 needs about 401 MB of memory; worker tcp://127.0.0.1:" in str(caught.value)
        assert "has 400 MB for a task (its limit is 1 GB, for 2 threads)" in str(caught.value)
        assert [o.facts for o in engine.outcomes(tasks.double, [Task(0, "4", "", 400_000_000)])] == ["8"]


def test_a_relative_path_names_another_folder_elsewhere(lone, monkeypatch, tmp_path):
    """Workers have folders of their own: a file that this process writes is not there."""
    lone.start_worker(nanny=False)
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    with DaskEngine(lone.network(), PATIENCE) as engine:
        with pytest.raises(ConvcliError) as caught:
            engine.check_place("results")
        assert str(caught.value).endswith(
            "cannot read results of the machine that runs convcli: use a shared disk or a URL"
        )
        engine.check_place(str(tmp_path / "shared"))
        assert len(list((tmp_path / "shared").iterdir())) == 1
    assert not list((tmp_path / "shared").iterdir())
    assert not list((tmp_path / "here" / "results").iterdir())


def test_a_worker_that_joins_later_must_see_the_folder(lone, tmp_path):
    """It refuses its first task."""
    lone.start_worker(nanny=False)
    with DaskEngine(lone.network(), PATIENCE) as engine:
        engine.check_place(str(tmp_path / "shared"))
        outcomes = engine.outcomes(tasks.where, (Task(n, "0.05") for n in range(10**6)))
        next(outcomes)
        elsewhere = (
            "from convcli.cluster import probe\n"
            "known = probe.open_folder\n"
            "probe.open_folder = lambda place: known(place + '-other')\n"
        )
        lone.start_worker(nanny=False, before=elsewhere)
        with pytest.raises(ConvcliError, match=r"cannot read .*: use a shared disk or a URL"):
            list(outcomes)


def test_a_worker_that_joins_later_need_not_see_deleted_folders(lone, tmp_path):
    """What was deleted before a call is of no importance to it."""
    lone.start_worker(nanny=False)
    with DaskEngine(lone.network(), PATIENCE) as engine:
        engine.check_place(str(tmp_path / "shared"))
        assert [o.facts for o in engine.outcomes(tasks.double, [Task(0, "4")])] == ["8"]
        shutil.rmtree(tmp_path / "shared")
        lone.start_worker(nanny=False)
        lone.wait_for(engine, 2)
        given = (Task(n, "0.01") for n in range(40))
        assert len({outcome.facts for outcome in engine.outcomes(tasks.where, given)}) == 2


def test_a_scheduler_file(pair):
    """Its address is used."""
    file = pair.folder / "scheduler.json"
    with DaskEngine(SchedulerFile(str(file)), PATIENCE) as engine:
        assert engine.name == f"Dask at {pair.address}"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (None, "No such file or directory"),
        ("[]", "is not a file that dask"),
        ("{", "is not a file that dask"),
    ],
)
def test_a_wrong_scheduler_file(tmp_path, text, message):
    """One line names it."""
    file = tmp_path / "scheduler.json"
    if text is not None:
        file.write_text(text)
    with pytest.raises(ConvcliError, match=message) as caught:
        DaskEngine(SchedulerFile(str(file)), PATIENCE)
    assert str(caught.value).startswith(f"{file}: ")


def test_the_environment(pair):
    """Dask's own settings say where the scheduler is."""
    import dask

    with dask.config.set(scheduler_address=pair.address), DaskEngine(Environment(), PATIENCE) as engine:
        assert engine.name == f"Dask at {pair.address}"
    file = str(pair.folder / "scheduler.json")
    with dask.config.set(scheduler_file=file), DaskEngine(Environment(), PATIENCE) as engine:
        assert engine.name == f"Dask at {pair.address}"
    with pytest.raises(ConvcliError, match="cluster env: set DASK_SCHEDULER_ADDRESS"):
        engine_of("env")


def test_nothing_is_printed(pair, capfd):
    """Neither Dask nor the libraries below it log anything, also when the engine closes."""
    for address in (pair.address, "local:1"):
        with engine_of(address) as engine:
            assert len(list(engine.outcomes(tasks.double, (Task(n, str(n)) for n in range(20))))) == 20
    captured = capfd.readouterr()
    assert captured.out + captured.err == ""
