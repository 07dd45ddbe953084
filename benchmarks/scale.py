"""Images in pieces: ``python benchmarks/scale.py PART``, one of those below.

``engines`` filters 16,384² pixels of uint16 (Zarr, chunks of 1,024², box3) in one process, on a local Dask
cluster of two workers with the same pieces, and with dask-image on the same cluster; the processor time of
all processes is compared, in medians of interleaved runs. ``memory`` prints the largest memory of each
process for two sizes of images. ``reads`` counts the blocks that pieces read of a source, and the objects
that they write. ``requests`` times windows of a sharded array whose store waits 50 ms before each answer.
``terapixel`` runs some pieces of an image of 1,048,576² pixels that is made while it is
read, and writes to a target that only counts.
"""

from __future__ import annotations

import argparse
import json
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import numpy as np

from convcli.core.dtypes import Array
from convcli.files.input import Input
from convcli.formats import opening
from convcli.formats.header import Header
from convcli.formats.readers import Reader
from convcli.formats.registry import format_named
from convcli.geometry.padding import Pair
from convcli.jobs.opened import NO_LIMIT
from convcli.jobs.piece import PieceRunner
from convcli.jobs.sizing import Sizing, fetched
from convcli.kernels.library import load_kernel
from convcli.pipeline.naming import OutputSpec
from convcli.pipeline.planning.task import Task, prepare
from convcli.pipeline.settings import Settings

CHUNK, SHARD = 1024, 8192
TERAPIXEL = 2**20
WORKERS = 2

DASK_IMAGE = """
import sys
import dask.array as da
from dask_image.ndfilters import uniform_filter
from distributed import Client
with Client(sys.argv[3]):
    da.to_zarr(uniform_filter(da.from_zarr(sys.argv[1]), 3, mode="mirror"), sys.argv[2])
"""


def make(place: Path, rows: int, columns: int) -> None:
    """A Zarr array of noisy slopes, uint16, in chunks of 1,024²."""
    import zarr

    codec = zarr.codecs.BloscCodec(cname="lz4", shuffle="bitshuffle")
    shape = rows, columns
    array = zarr.create_array(place, shape=shape, chunks=(CHUNK, CHUNK), dtype="uint16", compressors=codec)
    random, slope = np.random.default_rng(0), np.add.outer(np.arange(CHUNK), np.arange(columns)) % 4000
    for top in range(0, rows, CHUNK):
        noise = random.integers(0, 256, (CHUNK, columns), np.uint16)
        array[top : top + CHUNK] = (slope + noise)[: min(CHUNK, rows - top)]


class Cluster:
    """A scheduler and workers as processes; a context."""

    def __init__(self, folder: Path) -> None:
        self.file = folder / "scheduler.json"
        self.processes: list[subprocess.Popen[bytes]] = []

    def __enter__(self) -> Cluster:
        file = ["--scheduler-file", str(self.file)]
        self._start("scheduler", "--host", "127.0.0.1", "--port", "0", "--no-dashboard", *file)
        for _ in range(WORKERS):
            self._start("worker", "--nthreads", "1", "--nworkers", "1", "--no-dashboard", *file)
        while not (self.file.exists() and self.file.read_text().rstrip().endswith("}")):
            time.sleep(0.1)
        self.address = json.loads(self.file.read_text())["address"]
        time.sleep(10)
        return self

    def _start(self, *words: str) -> None:
        quiet = subprocess.DEVNULL
        command = [sys.executable, "-m", "distributed.cli.dask_" + words[0], *words[1:]]
        self.processes.append(subprocess.Popen(command, stdout=quiet, stderr=quiet))

    def __exit__(self, *_: object) -> None:
        for process in self.processes:
            process.terminate()
        for process in self.processes:
            process.wait()

    def seconds(self) -> float:
        """The processor time of the scheduler, the workers and their nannies until now."""
        import psutil

        total = 0.0
        for process in self.processes:
            family = [psutil.Process(process.pid), *psutil.Process(process.pid).children(recursive=True)]
            total += sum(member.cpu_times().user + member.cpu_times().system for member in family)
        return total


def seconds(command: list[str], cluster: Cluster) -> tuple[float, float]:
    """The processor time that a command takes, that of the cluster included, and how long it takes."""
    before, there = resource.getrusage(resource.RUSAGE_CHILDREN), cluster.seconds()
    start = time.perf_counter()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    wall, after = time.perf_counter() - start, resource.getrusage(resource.RUSAGE_CHILDREN)
    own = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return own + cluster.seconds() - there, wall


def engines(folder: Path, runs: int) -> None:
    """Processor time of the same image in one process, on a cluster, and by dask-image on it."""
    source = folder / "in.zarr"
    make(source, 16 * CHUNK, 16 * CHUNK)
    program = [sys.executable, "-m", "convcli", "apply", str(source), "-k", "box3", "-q", "-o"]
    times: dict[str, list[tuple[float, float]]] = {}
    with Cluster(folder) as cluster:
        ways: dict[str, Callable[[str], list[str]]] = {
            "one process": lambda target: [*program, target, "--threads", "1"],
            "cluster": lambda target: [*program, target, "--cluster", cluster.address],
            "dask-image": lambda target: [
                *(sys.executable, "-c", DASK_IMAGE, str(source), target, cluster.address)
            ],
        }
        for run in range(runs + 1):
            for number, (name, command) in enumerate(ways.items()):
                target = folder / f"{number}-{run}.zarr"
                measured = seconds(command(str(target)), cluster)
                shutil.rmtree(target)
                if run:  # the first one imports modules on the workers
                    times.setdefault(name, []).append(measured)
    for name, several in times.items():
        cpu, wall = (statistics.median(each) for each in zip(*several, strict=True))
        print(f"{name:<12} {cpu:6.2f} s of processor time, {wall:6.2f} s")
    alone, cluster_time, other = (
        statistics.median(cpu for cpu, _ in times[name]) for name in ("one process", "cluster", "dask-image")
    )
    print(
        f"cluster / one process {cluster_time / alone:.2f}, cluster / dask-image {cluster_time / other:.2f}"
    )


def largest(process: int, until: Callable[[], bool]) -> dict[str, int]:
    """The largest resident memory of a process and each of its descendants, in bytes, by what they do."""
    import psutil

    most: dict[str, int] = {}
    while not until():
        try:
            family = [psutil.Process(process), *psutil.Process(process).children(recursive=True)]
        except psutil.Error:
            break
        for member in family:
            try:
                line, size = " ".join(member.cmdline()), member.memory_info().rss
            except psutil.Error:
                continue
            role = "client, with its scheduler" if member.pid == process else f"process {member.pid}"
            if "resource_tracker" not in line and "forkserver" not in line:
                most[role] = max(most.get(role, 0), size)
        time.sleep(0.1)
    return most


def memory(folder: Path) -> None:
    """The largest memory of each process for 16,384² pixels and for four times as many rows."""
    for rows in (16 * CHUNK, 64 * CHUNK):
        source, target = folder / f"{rows}.zarr", folder / f"{rows}-out.zarr"
        make(source, rows, 16 * CHUNK)
        command = [
            sys.executable,
            "-m",
            "convcli",
            "apply",
            str(source),
            "-k",
            "box3",
            "-q",
            "-o",
            str(target),
        ]
        with subprocess.Popen([*command, "--cluster", f"local:{WORKERS}"]) as process:
            found = largest(process.pid, lambda process=process: process.poll() is not None)
        print(f"{rows}×{16 * CHUNK}")
        for role, size in sorted(found.items(), key=lambda item: -item[1]):
            print(f"  {role:<28} {size / 2**20:6.0f} MiB")


class Counting(Reader):
    """A reader that counts the blocks that another one decodes."""

    def __init__(self, reader: Reader) -> None:
        self.reader, self.blocks = reader, Counter[tuple[int, int, int]]()

    @property
    def block(self) -> Pair | None:
        return self.reader.block

    def rows(self, frame: int, first: int, last: int) -> Array:
        return self.reader.rows(frame, first, last)

    def window(self, frame: int, rows: Pair, columns: Pair) -> Array:
        assert self.block
        for row in range(rows[0] // self.block[0], (rows[1] - 1) // self.block[0] + 1):
            for column in range(columns[0] // self.block[1], (columns[1] - 1) // self.block[1] + 1):
                self.blocks[frame, row, column] += 1
        return self.reader.window(frame, rows, columns)


class Made(Reader):
    """An image that is made while it is read: a tile, changed by its place."""

    def __init__(self) -> None:
        self.tile = np.random.default_rng(0).integers(0, 256, (CHUNK, CHUNK), np.uint8)

    @property
    def block(self) -> Pair:
        return CHUNK, CHUNK

    def rows(self, frame: int, first: int, last: int) -> Array:
        return self.window(frame, (first, last), (0, TERAPIXEL))

    def window(self, frame: int, rows: Pair, columns: Pair) -> Array:
        pixels = np.empty((rows[1] - rows[0], columns[1] - columns[0], 1), np.uint8)
        for top in range(rows[0] // CHUNK * CHUNK, rows[1], CHUNK):
            for left in range(columns[0] // CHUNK * CHUNK, columns[1], CHUNK):
                high = max(top, rows[0]), min(top + CHUNK, rows[1])
                wide = max(left, columns[0]), min(left + CHUNK, columns[1])
                part = self.tile[high[0] - top : high[1] - top, wide[0] - left : wide[1] - left]
                into = pixels[
                    high[0] - rows[0] : high[1] - rows[0], wide[0] - columns[0] : wide[1] - columns[0], 0
                ]
                np.bitwise_xor(part, np.uint8(self.key(top, left)), out=into)
        return pixels

    @staticmethod
    def key(top: int, left: int) -> int:
        return (top // CHUNK * 31 + left // CHUNK * 17) & 255

    def pixel(self, row: int, column: int) -> int:
        """One pixel, by other arithmetic than `window`."""
        return int(self.tile[row % CHUNK, column % CHUNK]) ^ self.key(
            row // CHUNK * CHUNK, column // CHUNK * CHUNK
        )


class Sink:
    """A target that counts what is written, and checks some pixels of a box filter."""

    shard = (1, SHARD, SHARD)

    def __init__(self, source: Made) -> None:
        self.source, self.shards, self.bytes, self.checked = source, Counter[tuple[int, int]](), 0, 0
        self.random = np.random.default_rng(1)

    def write(self, frames: Pair, rows: Pair, columns: Pair, pixels: Array) -> int:
        for left in range(*columns, SHARD):
            self.shards[rows[0] // SHARD, left // SHARD] += 1
        for _ in range(16):
            row, column = self.random.integers(rows[0], rows[1]), self.random.integers(columns[0], columns[1])
            total = sum(
                self.source.pixel(_mirrored(int(row) + down), _mirrored(int(column) + right))
                for down in (-1, 0, 1)
                for right in (-1, 0, 1)
            )
            assert pixels[0, row - rows[0], column - columns[0], 0] == round(total / 9)
            self.checked += 1
        self.bytes += pixels.nbytes
        return pixels.nbytes


def _mirrored(place: int) -> int:
    return TERAPIXEL - 1 - abs(TERAPIXEL - 1 - abs(place))


def _task(reader: Reader, header: Header, source: Input) -> Task:
    opened = opening.Opened(format_named("zarr"), header, source, header, [], reader)
    settings = Settings(
        load_kernel("box3"), output=OutputSpec("out.zarr"), max_pixels=NO_LIMIT, steady=True, threads=1
    )
    return prepare("made.zarr", [opened], settings)[0][0]


def terapixel(share: float) -> None:
    """Run a share of the pieces of 1,048,576² pixels, at random places."""
    reader = Made()
    header = Header("zarr", TERAPIXEL, TERAPIXEL, 1, np.dtype(np.uint8))
    task = _task(reader, header, Input(data=b""))
    counting, sink = Counting(reader), Sink(reader)
    sizing = Sizing(task.plan, header, task.layout, 1, reader.block, True, sink.shard, 1, 1)
    grid = sizing.grid(100, None, None)
    size, needed = f"{grid.piece[1]}×{grid.piece[2]}", sizing.memory(grid.piece[2]) / 2**20
    print(f"{grid.count} pieces of {size}, {grid.shards} shards, {task.plan.method}")
    print(f"reads {fetched(grid, sizing):.3f} times the source; about {needed:.0f} MiB")
    runner = PieceRunner(task, counting, grid, [sink], 1)
    chosen = np.random.default_rng(2).choice(
        grid.count, max(int(grid.count * share + 0.999), 1), replace=False
    )
    pixels = 0
    for number in chosen.tolist():
        start = time.process_time()
        runner.map(number, [task.mapping])
        _, rows, columns = grid.box(number).shape
        pixels += rows * columns
        taken = time.process_time() - start
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**10
        print(
            f"piece {number}: {taken:.1f} s, {taken / rows / columns * 1e9:.1f} ns a pixel, {peak:.0f} MiB",
            flush=True,
        )
    print(f"{len(chosen)} pieces, {pixels / TERAPIXEL**2:.2%} of the pixels, {sink.checked} pixels checked")
    print(f"largest number of writes of a shard: {max(sink.shards.values())}")
    print(f"blocks read: {sum(counting.blocks.values()) * CHUNK**2 / pixels:.3f} times the pixels")


def reads(folder: Path) -> None:
    """How often blocks of a source are decoded, and objects of a target written."""
    source = folder / "in.zarr"
    make(source, 16 * CHUNK, 16 * CHUNK)
    with Input.open(str(source)) as opened:
        run = opening.open_input(opened, NO_LIMIT)[0]
        counting = Counting(run.reader())
        task = _task(counting, run.header, opened)
        sizing = Sizing(task.plan, run.header, task.layout, 1, counting.block, True, (1, CHUNK, CHUNK), 1, 1)
        grid = sizing.grid(WORKERS, None, None)
        written = Counter[tuple[int, int]]()

        class Target:
            shard = (1, CHUNK, CHUNK)

            def write(self, frames: Pair, rows: Pair, columns: Pair, pixels: Array) -> int:
                for top in range(*rows, CHUNK):
                    for left in range(*columns, CHUNK):
                        written[top, left] += 1
                return pixels.nbytes

        runner = PieceRunner(task, counting, grid, [Target()], 1)
        for number in range(grid.count):
            runner.map(number, [task.mapping])
    blocks = sum(counting.blocks.values())
    print(f"{grid.count} pieces of {grid.piece[1]}×{grid.piece[2]}")
    share = blocks / len(counting.blocks)
    print(f"{blocks} blocks decoded of {len(counting.blocks)}: {share:.3f} times the source")
    print(f"{len(written)} objects, each written {max(written.values())} time(s)")


def requests(delay: float, runs: int) -> None:
    """How long windows of a sharded array take whose store answers after a while, and how many requests."""
    import zarr

    from convcli.storage.stores import Store

    place, side = "memory://benchmark/shards.zarr", 8 * CHUNK // 4
    array = zarr.create_array(place, shape=(side, side), chunks=(256, 256), shards=(2048, 2048), dtype="u2")
    array[...] = np.random.default_rng(1).integers(0, 4000, (side, side))
    plain, asked = Store.part, Counter[str]()

    def part(self: Store, path: str, start: int, stop: int) -> bytes:
        asked["requests"] += 1
        time.sleep(delay)
        return plain(self, path, start, stop)

    Store.part = part  # type: ignore[method-assign]
    for name, rows, columns in (
        ("a row of 8 chunks", (0, 256), (0, side)),
        ("4 rows of 4 chunks", (0, 1024), (0, 1024)),
    ):
        times = []
        for _ in range(runs):
            with Input.open(place) as opened:
                reader = opening.open_input(opened, NO_LIMIT)[0].reader()
                asked.clear()
                start = time.perf_counter()
                reader.window(0, rows, columns)
                times.append(time.perf_counter() - start)
        print(f"{name}: {statistics.median(times) * 1000:.0f} ms, {asked['requests']} parts and an index")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("part", choices=["engines", "memory", "reads", "requests", "terapixel"])
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--share", type=float, default=0.01, help="of the pieces of the terapixel")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        if arguments.part == "terapixel":
            terapixel(arguments.share)
        elif arguments.part == "requests":
            requests(0.05, arguments.runs)
        elif arguments.part == "engines":
            engines(folder, arguments.runs)
        else:
            {"memory": memory, "reads": reads}[arguments.part](folder)


if __name__ == "__main__":
    main()
