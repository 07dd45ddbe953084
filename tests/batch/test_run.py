"""The order of a run, proved with a pool without processes that answers in the worst order."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Self

import pytest

from convcli.batch.batch import Batch, Limits
from convcli.batch.inputs import InputFile
from convcli.batch.manifest import Manifest
from convcli.batch.pool import TaskFailure, TaskResult, Work
from convcli.batch.resume import remaining_work
from convcli.batch.run import ImageDone, run
from convcli.kernels.library import load_kernel
from convcli.pipeline.naming import OutputSpec
from convcli.pipeline.settings import Settings
from tests.batch.conftest import made, noise, rows


class LastFirst:
    """A `WorkerPool` in this process: of the tasks that it has, the last is computed first."""

    lost: frozenset[int] = frozenset()

    def __init__(self, size: int, work: Work, repetition: Callable[[Any], Any], cache: int) -> None:
        self.size, self.work = size, work
        self.tasks: list[tuple[int, Any]] = []
        self.shrunk: list[int] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: object, *_: object) -> None:
        self.tasks.clear()

    @property
    def running(self) -> int:
        return len(self.tasks)

    def ready(self) -> bool:
        return len(self.tasks) < self.size

    def submit(self, number: int, task: Any) -> None:
        assert self.ready()
        self.tasks.append((number, task))

    def events(self, seconds: float) -> Iterator[TaskResult | TaskFailure]:
        number, task = self.tasks.pop()
        if number in self.lost:
            yield TaskFailure(number, "its worker process was killed by SIGKILL")
        else:
            yield TaskResult(number, self.work(task)())

    def shrink(self) -> None:
        assert not self.tasks
        self.shrunk.append(1)


@pytest.fixture
def work(tmp_path: Path) -> Batch:
    """Six images, of which the second is broken."""
    sources = [tmp_path / f"{index}.png" for index in range(6)]
    for index, source in enumerate(sources):
        source.write_bytes(b"no image" if index == 1 else noise(index))
    settings = Settings(load_kernel("box3"), output=OutputSpec(f"{tmp_path}/out/"))
    return Batch([InputFile(str(source)) for source in sources], [settings], Limits(3, 3, 2**30))


def completed(work: Batch, log: Path, pool: type[LastFirst], stop: bool = False) -> list[ImageDone]:
    """Run a batch; what it says of each image, in that order."""
    manifest = Manifest(str(log))
    return list(run(work, manifest, remaining_work(work), stop, pool))


def names(done: list[ImageDone]) -> list[str]:
    return [Path(image.source.path).stem for image in done]


def test_rows_are_in_the_order_of_the_inputs(work, tmp_path):
    """Whatever order the images are done in; failures too."""
    done = completed(work, tmp_path / "log.jsonl", LastFirst)
    assert names(done) == ["2", "3", "4", "5", "1", "0"]
    assert [bool(image.error) for image in done] == [name == "1" for name in names(done)]
    assert [Path(row["input"]["name"]).stem for row in rows(tmp_path / "log.jsonl")] == list("012345")
    assert len(made(tmp_path / "out")) == 5


def test_after_a_failure_nothing_new_is_started(work, tmp_path):
    """Running images finish and their rows are written, even those after rows that never come."""
    work.sources[2:3] = []
    (tmp_path / "3.png").write_bytes(b"no image")
    done = completed(work, tmp_path / "log.jsonl", LastFirst, stop=True)
    assert names(done) == ["3", "1", "0"]
    assert [Path(row["input"]["name"]).stem for row in rows(tmp_path / "log.jsonl")] == ["0", "1", "3"]


def test_a_lost_task_is_a_failed_image(work, tmp_path):
    """The message names the image and says what happened to the worker; the other images are done."""

    class Losing(LastFirst):
        lost = frozenset({4})

    done = {Path(image.source.path).stem: image for image in completed(work, tmp_path / "log.jsonl", Losing)}
    assert done["4"].error == f"{tmp_path}/4.png: its worker process was killed by SIGKILL"
    assert rows(tmp_path / "log.jsonl")[4]["batch"]["error"] == done["4"].error
    assert sum(not image.error for image in done.values()) == 4
