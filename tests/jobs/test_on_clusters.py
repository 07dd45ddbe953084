"""Jobs on Dask clusters of real processes, some of which die, hang or see other files."""

from __future__ import annotations

import os
import signal
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest

from tests.clusters import PATIENCE, cluster, kill_host, wait_until
from tests.jobs.runs import (
    IMAGE,
    MOST_REDONE,
    PIECES,
    WORDS,
    Client,
    big_source,
    expected,
    is_clean,
    noted,
)
from tests.jobs.sources import SOURCES, read, zarr_array
from tests.jobs.test_faults import failure, one_line, resumed

pytest.importorskip("distributed")
pytest.importorskip("zarr")


@pytest.fixture(scope="module")
def pair(tmp_path_factory, request):
    """Two workers, which are restarted if they die, and which find the S3 server of the tests."""
    with suppress(pytest.skip.Exception):
        request.getfixturevalue("s3_server")
    with cluster(tmp_path_factory.mktemp("cluster")) as made:
        yield made


@pytest.fixture
def target(tmp_path):
    """Where results go."""
    return tmp_path / "out.zarr"


def is_right(code, err, target):
    """Whether a run succeeded, and left nothing but its result."""
    assert (code, err) == (0, "")
    assert np.array_equal(read(target), expected())
    return is_clean(target.parent)


JOBS = {
    "one pass": ("-k", "gaussian5", "--padding", "same:wrap"),
    "two passes": ("-k", "sobel-x", "--map", "stretch"),
    "several maps": ("-k", "kirsch", "--stack", "--map", "raw"),
}


@pytest.mark.parametrize("job", JOBS)
@pytest.mark.parametrize("kind", ["zarr v2", "zarr v3 sharded", "tiled tiff"])
def test_results_of_a_cluster(run, pair, tmp_path, kind, job):
    """The same bytes as from one process."""
    pixels = np.ascontiguousarray(IMAGE[:90, :110])
    name, write = SOURCES[kind]
    source, whole = write(tmp_path / name, pixels), tmp_path / "whole.npy"
    np.save(tmp_path / "in.npy", pixels)
    assert run("apply", tmp_path / "in.npy", "-o", whole, "-q", *JOBS[job]).code == 0
    words = (*JOBS[job], "--chunk", "32", "--piece", "64", "--cluster", pair.address)
    ran = run("apply", source, "-o", tmp_path / "out.zarr", "-q", *words)
    assert (ran.code, ran.err) == (0, "")
    made = read(tmp_path / "out.zarr")
    assert np.array_equal(made, np.load(whole).reshape(made.shape))
    assert is_clean(tmp_path)


def test_from_s3_to_s3(run, pair, tmp_path, s3):
    """Source, target and journal are objects."""
    for path in (tmp_path / zarr_array(tmp_path / "in.zarr", IMAGE[:90, :110])).rglob("*"):
        if path.is_file():
            s3.put(str(path.relative_to(tmp_path)), path.read_bytes())
    words = ("-k", "sobel-x", "-q", "--piece", "64")
    assert run("apply", tmp_path / "in.zarr", "-o", tmp_path / "out.zarr", *words).code == 0
    for place, options in ((f"{s3.url}/a.zarr", ()), (f"{s3.url}/b.zarr", ("--cluster", pair.address))):
        ran = run("apply", f"{s3.url}/in.zarr", "-o", place, *words, *options)
        assert (ran.code, ran.err) == (0, "")
        name = place.rpartition("/")[2]
        keys = [key for key in s3.listed() if key.startswith(name)]
        files = [path for path in (tmp_path / "out.zarr").rglob("*") if path.is_file()]
        assert sorted(keys) == sorted(f"{name}/{path.relative_to(tmp_path / 'out.zarr')}" for path in files)
        for path in files:
            if path.name != "zarr.json":
                assert s3.get(f"{name}/{path.relative_to(tmp_path / 'out.zarr')}") == path.read_bytes()


def test_a_client_that_is_killed(run, pair, tmp_path, target):
    """What was on its way is made again, and nothing else."""
    source = big_source(tmp_path)
    with Client("apply", source, "-o", target, "-q", *WORDS, "--cluster", pair.address) as client:
        client.stop_within(target, 10)
    window = 2 * 8
    assert resumed(run, source, target, "--cluster", pair.address) <= MOST_REDONE + window


def test_an_interrupt(run, pair, tmp_path, target):
    """The client gives up its lock, takes its tasks back, and leaves the journal alone."""
    source = big_source(tmp_path)
    with Client("apply", source, "-o", target, "-q", *WORDS, "--cluster", pair.address) as client:
        wait_until(lambda: client.ended or len(noted(target)) >= 10, "pieces")
        client.send(signal.SIGINT)
        assert client.end() == (130, "")
    left = [path.name for path in Path(f"{target}.convcli").iterdir() if not path.name.startswith("map.")]
    assert sorted(left) == ["job.json", "stamps.bin"]
    assert resumed(run, source, target) <= 2 * 8


def test_a_worker_that_is_killed(pair, tmp_path, target):
    """The others do its pieces, and it comes back."""
    psutil = pytest.importorskip("psutil")
    with Client(
        "apply", big_source(tmp_path), "-o", target, "-q", *WORDS, "--cluster", pair.address
    ) as client:
        wait_until(lambda: client.ended or len(noted(target)) >= 10, "pieces")
        nanny = psutil.Process(pair.processes[1].pid)
        for worker in nanny.children(recursive=True):
            with suppress(psutil.NoSuchProcess):
                worker.kill()
        assert is_right(*client.end(), target)


def test_all_workers_are_replaced(tmp_path, target):
    """The client waits for new ones, and they go on."""
    folder = tmp_path / "cluster"
    folder.mkdir()
    source = big_source(tmp_path)
    with (
        cluster(folder, nanny=False) as made,
        Client("apply", source, "-o", target, "-q", *WORDS, "--cluster", made.address) as client,
    ):
        wait_until(lambda: client.ended or len(noted(target)) >= 10, "pieces")
        for process in made.processes[1:]:
            kill_host(process)
        made.start_worker(nanny=False)
        assert is_right(*client.end(), target)


def test_a_scheduler_that_is_killed(run, tmp_path, target):
    """The client ends with one line; the rest is made without a cluster."""
    folder = tmp_path / "cluster"
    folder.mkdir()
    source = big_source(tmp_path)
    with cluster(folder, 1, nanny=False) as made:
        with Client("apply", source, "-o", target, "-q", *WORDS, "--cluster", made.address) as client:
            wait_until(lambda: client.ended or len(noted(target)) >= 10, "pieces")
            kill_host(made.scheduler)
            code, err = client.end()
        assert code == 1
        assert one_line(err).endswith("is gone; what is finished is kept: go on with --resume")
    assert resumed(run, source, target) <= MOST_REDONE


DEADLY = """
import os
from convcli.jobs.piece import PieceRunner
def map(self, number, mappings, whole=PieceRunner.map):
    if number == 7:
        os._exit(1)
    return whole(self, number, mappings)
PieceRunner.map = map
"""


def test_a_piece_that_kills_its_workers(run, tmp_path, target):
    """One line names it and the likely reason; all others are done."""
    folder = tmp_path / "cluster"
    folder.mkdir()
    source = big_source(tmp_path)
    with cluster(folder, 0, DASK_DISTRIBUTED__SCHEDULER__ALLOWED_FAILURES="1") as made:
        (folder / "deadly.py").write_text(DEADLY)
        for _ in range(2):
            made.start_worker("--preload", str(folder / "deadly.py"))
        words = (*WORDS, "-q", "--cluster", made.address)
        message = failure(run, "apply", source, "-o", target, *words, code=1)
    assert "piece 7 (frame 0, rows 448 to 511, columns 0 to 63)" in message
    assert "2 workers died while they ran it" in message
    assert "memory" in message
    assert message.endswith("1 piece left, --resume continues with them")
    assert len(noted(target)) == PIECES - 1
    assert resumed(run, source, target) == 0


def test_a_worker_that_hangs(run, tmp_path, target):
    """Its pieces are made by others, and it is not waited for."""
    from convcli.cluster.dask import DaskEngine
    from convcli.jobs.driver import run_job
    from convcli.jobs.planning import JobOptions, plan_job
    from convcli.kernels.library import load_kernel
    from convcli.pipeline.naming import OutputSpec
    from convcli.pipeline.settings import Settings

    folder = tmp_path / "cluster"
    folder.mkdir()
    settings = Settings(load_kernel("box3"), output=OutputSpec(str(target)))
    options = JobOptions(piece=(64, 64), chunk=(64, 64))

    class Stopping:
        """Progress that stops a worker."""

        def begin(self, job, engine):
            return None

        def show(self, phase, done, total):
            if done == 10:
                made.processes[1].send_signal(signal.SIGSTOP)

    with cluster(folder, nanny=False) as made, DaskEngine(made.network(), PATIENCE) as engine:
        made.wait_for(engine, 2)
        with plan_job(big_source(tmp_path), settings, options) as planned:
            (report,) = run_job(planned, lambda: engine, False, False, Stopping())
        assert made.processes[1].poll() is None
    assert report.name == "box3"
    assert np.array_equal(read(target), expected())


def test_a_worker_with_too_little_memory(run, tmp_path, target):
    """It is refused before anything is written, with both numbers."""
    folder = tmp_path / "cluster"
    folder.mkdir()
    source = big_source(tmp_path)
    with cluster(folder, 0) as made:
        made.start_worker("--memory-limit", "100MiB", nanny=False)
        message = failure(run, "apply", source, "-o", target, *WORDS, "-q", "--cluster", made.address)
    assert "a piece of 64×64 pixels needs about 1" in message
    assert "a worker may take 83.8 MB" in message
    assert not target.exists()
    assert is_clean(tmp_path)


ELSEWHERE = """
import ctypes, subprocess
assert ctypes.CDLL(None).unshare(0x00020000) == 0
subprocess.run(["mount", "--make-rprivate", "/"], check=True)
subprocess.run(["mount", "-t", "tmpfs", "none", {place!r}], check=True)
"""


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root, for a mount of its own")
def test_a_disk_that_is_not_shared(run, tmp_path):
    """A worker with another disk at the same path is found out before a piece is run."""
    folder, shared = tmp_path / "cluster", tmp_path / "data"
    folder.mkdir()
    shared.mkdir()
    source, target = big_source(tmp_path), shared / "out.zarr"
    with cluster(folder, 0) as made:
        process = made.start_worker(nanny=False, before=ELSEWHERE.format(place=str(shared)))
        ran = run("apply", source, "-o", target, *WORDS, "-q", "--cluster", made.address)
        if process.poll() is not None:
            pytest.skip("needs the right to mount")
    assert ran.code == 2
    assert "worker tcp://127.0.0.1" in one_line(ran.err)
    assert "use a shared disk or a URL" in ran.err
    assert not list(shared.glob("**/c/*"))
