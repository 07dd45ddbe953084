"""What every engine promises: all outcomes, failures in one line, a window, and an end."""

from __future__ import annotations

import shutil

import pytest

from convcli.cluster.base import Engine, Task
from convcli.cluster.in_process import InProcessEngine
from convcli.cluster.registry import engine_of
from convcli.core.errors import ArgumentError, ConvcliError
from tests.cluster import tasks


@pytest.fixture(params=["in process", "Dask"])
def any_engine(request: pytest.FixtureRequest) -> Engine:
    """Each engine."""
    return InProcessEngine() if request.param == "in process" else request.getfixturevalue("engine")


@pytest.mark.parametrize("count", [0, 1, 7, 100])
def test_every_task_has_one_outcome(any_engine, count):
    """In any order, with what the task returned."""
    outcomes = list(any_engine.outcomes(tasks.double, (Task(n, str(n)) for n in range(count))))
    assert sorted((o.number, o.facts) for o in outcomes) == [(n, str(2 * n)) for n in range(count)]
    assert not any(outcome.failure for outcome in outcomes)
    assert all(outcome.seconds >= 0 and outcome.runs >= 1 for outcome in outcomes)


@pytest.mark.parametrize(
    ("payload", "failure"),
    [
        ("user", "piece 3: row 3 has 2 numbers"),
        ("memory", "piece 3: not enough memory"),
        ("disk", "piece 3: No space left on device"),
        ("bug", "piece 3: KeyError('two\\nlines')"),
    ],
)
def test_failures_are_one_line(any_engine, payload, failure):
    """What a task raises is told with its name; other tasks go on."""
    given = [Task(3, payload, "piece 3"), Task(4, "fine", "piece 4")]
    outcomes = {outcome.number: outcome for outcome in any_engine.outcomes(tasks.fail, given)}
    assert (outcomes[3].failure, outcomes[3].facts) == (failure, "")
    assert (outcomes[4].failure, outcomes[4].facts) == ("", "fine")


def test_only_a_window_of_tasks_is_taken(any_engine):
    """The rest are not made before earlier ones have ended."""
    taken = 0

    def given():
        nonlocal taken
        for number in range(40):
            taken += 1
            yield Task(number, str(number))

    for done, _ in enumerate(any_engine.outcomes(tasks.double, given())):
        assert taken - done <= any_engine.window + 1


def test_an_iterator_can_be_closed_early(any_engine):
    """After that the engine does other work."""
    outcomes = any_engine.outcomes(tasks.double, (Task(n, str(n)) for n in range(10**9)))
    next(outcomes)
    outcomes.close()
    assert [o.facts for o in any_engine.outcomes(tasks.double, [Task(0, "4")])] == ["8"]


def test_an_engine_says_what_it_has(any_engine):
    """Workers, a window that is at least as large, and memory for each task."""
    assert any_engine.name
    assert 1 <= any_engine.workers <= any_engine.window
    assert any_engine.memory is None or any_engine.memory > 0
    assert any_engine.dashboard == "" or any_engine.dashboard.startswith("http")


def test_a_shared_folder_passes_and_is_left_clean(any_engine, tmp_path):
    """Workers read and write the files of this process."""
    any_engine.check_place(str(tmp_path))
    assert [path.name for path in tmp_path.iterdir() if "-" in path.name.removeprefix("probe-")] == []


def test_folders_may_be_deleted_when_their_work_is_done(any_engine, tmp_path):
    """An engine goes on with work in others."""
    for name in ("first", "second"):
        any_engine.check_place(str(tmp_path / name))
        assert [o.facts for o in any_engine.outcomes(tasks.double, [Task(0, "4")])] == ["8"]
        shutil.rmtree(tmp_path / name, ignore_errors=True)


def test_without_an_address_tasks_run_here():
    """None is the engine of this process; other texts are addresses."""
    assert isinstance(engine_of(None), InProcessEngine)
    with pytest.raises(ArgumentError, match=r"unknown cluster '4' .*did you mean local:4"):
        engine_of("4")
    with pytest.raises(ArgumentError, match=r"unknown cluster 'a:8786' .*did you mean tcp://a:8786"):
        engine_of("a:8786")
    with pytest.raises(ArgumentError, match=r"unknown cluster 'nowhere' .*env\)$"):
        engine_of("nowhere")


def test_work_must_be_found_by_name(engine):
    """A function inside a function is refused before anything is sent."""
    with pytest.raises(ConvcliError, match="not a function of an importable module"):
        list(engine.outcomes(lambda payload: payload, [Task(0, "")]))
