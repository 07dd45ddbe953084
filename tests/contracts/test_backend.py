"""The contract of every backend (`engine.backends.base`), tested with two that exist only here.

One computes strips in random order, within the bound of the hand-over; the other computes them in processes.
"""

from __future__ import annotations

from itertools import product
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import convcli
import convcli.arrays.preparing
from convcli.core.errors import ArgumentError
from convcli.core.frozen import replace
from convcli.core.threads import Threads
from convcli.engine import backends, cutting, planner
from convcli.engine.backends import registry
from convcli.engine.backends.base import tasks
from convcli.engine.consumer import HANDOVER_WINDOW
from convcli.engine.filter import Filter
from convcli.engine.methods.registry import NAMES as METHODS
from convcli.engine.plan import Plan, Problem
from convcli.engine.planner import choose
from convcli.engine.run import run
from convcli.engine.source import ArraySource
from convcli.geometry.axes import Axis
from convcli.pipeline import job
from convcli.pipeline.mapping import Mapping
from convcli.pipeline.maps.canvas import MOST_WAITING
from convcli.pipeline.naming import OutputSpec
from convcli.pipeline.settings import Settings
from tests.contracts import test_method as contract
from tests.contracts.test_method import (  # noqa: F401 - they are run by the other backend
    test_boxes_of_every_size,
    test_exact_results_have_no_negative_zero,
    test_floats_stay_within_the_stated_bound,
    test_infinities_and_nan_stay_in_their_windows,
    test_large_dense_integers_are_exact,
    test_layers_by_every_method,
    test_the_cut_does_not_show,
    test_the_cut_of_a_layer_does_not_show,
)

BACKENDS = ("threads", "shuffled", "processes")
RANDOM = np.random.default_rng(5)
BYTES = RANDOM.integers(0, 256, (70, 90), np.uint8)
FLOATS = RANDOM.normal(size=(70, 90)).astype(np.float32)
FILM = RANDOM.integers(0, 256, (3, 40, 50, 2), np.uint8)
HOLED = np.where(RANDOM.random((70, 90)) < 0.01, np.nan, FLOATS)
DENSE = RANDOM.normal(size=(7, 5))

CASES = {
    "exact": (BYTES, "sobel-x", {"padding": "same:reflect"}),
    "rounded": (FLOATS, DENSE, {"padding": "same:edge"}),
    "stride and dilation": (BYTES, DENSE, {"stride": (2, 3), "dilation": (2, 1), "fill": 7, "padding": 3}),
    "far apart": (BYTES, "box3", {"dilation": 30, "padding": "same:wrap"}),
    "NaN": (HOLED, DENSE, {"padding": "same"}),
    "combined": (BYTES, "sobel", {"padding": "same", "dtype": np.uint8}),
    "batch": (FILM, RANDOM.integers(-9, 9, (3, 3, 2, 4)), {"channels": "last", "padding": "same"}),
    "groups": (FILM, RANDOM.normal(size=(3, 3, 1, 4)), {"channels": "last", "groups": 2, "bias": 1}),
    "volume": (FILM[..., 0], RANDOM.integers(-9, 9, (2, 3, 3)), {"padding": "same"}),
    "empty": (FILM[:0], RANDOM.normal(size=(3, 3, 2, 4)), {"channels": "last"}),
}


@pytest.fixture(scope="module", autouse=True)
def registered():
    """The test's backends beside the package's; the one in random order is the default."""
    with pytest.MonkeyPatch.context() as patch:
        folder = Path(__file__).with_name("backends")
        patch.setattr(backends, "__path__", [*backends.__path__, str(folder)])
        patch.setattr(registry, "NAMES", ("shuffled", "processes", "threads"))
        yield


@pytest.fixture
def default(monkeypatch):
    """Makes a backend the default."""
    return lambda name: monkeypatch.setattr(registry, "NAMES", (name, *registry.NAMES))


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("kernel", contract.KERNELS)
@settings(max_examples=2, deadline=None)
@given(data=st.data())
def test_exact_against_the_plain_loop(method, kernel, data):
    """As for the package's own backend, with fewer examples."""
    contract.test_exact_against_the_plain_loop.hypothesis.inner_test(method, kernel, data)


@pytest.mark.parametrize("case", CASES)
def test_every_back_end_gives_the_same_bytes(case, default, monkeypatch):
    """Whatever computes the strips, and in whatever order, by the method the planner takes."""
    x, weights, options = CASES[case]
    outcomes = set()
    for name, threads in (("threads", 1), ("threads", 3), ("shuffled", 1), ("processes", 2)):
        default(name)
        monkeypatch.setattr(convcli.arrays.preparing, "choose", lambda *given, **_: _cut(choose(*given)))
        outcomes.add(convcli.conv(x, weights, threads=threads, **options).tobytes())
    assert len(outcomes) == 1


def _cut(plan: Plan) -> Plan:
    """The plan with strips of a few rows, and as many workers as backends may use."""
    return replace(plan, height=-(-5 // _grain(plan)) * _grain(plan), threads=3)


def _grain(plan: Plan) -> int:
    from convcli.engine.methods.base import Workload
    from convcli.engine.methods.registry import method_named

    return method_named(plan.method).grain(Workload(plan.problem, plan.arithmetic))[0]


@pytest.mark.parametrize("name", BACKENDS)
@pytest.mark.parametrize("suffix", [".png", ".tif"])
def test_a_file_is_written_whatever_the_order(name, suffix, default, tmp_path, monkeypatch):
    """A canvas keeps a bounded number of pieces and then blocks; the bounded hand-over keeps it going."""
    monkeypatch.setattr(cutting, "STRIP_BYTES", (2**14, 2**15))
    monkeypatch.setattr(planner, "_remembered", planner._decided)
    image = tmp_path / "in.npy"
    np.save(image, RANDOM.integers(0, 256, (1200, 900), np.uint8))
    written = []
    for number, entry in enumerate(("threads", name)):
        default(entry)
        output = OutputSpec(str(tmp_path / f"{number}{suffix}"))
        kernel, mapping = convcli.load_kernel("sobel-x"), Mapping.parse("stretch")
        job.apply(str(image), Settings(kernel, mapping=mapping, output=output, threads=2))
        written.append((tmp_path / f"{number}{suffix}").read_bytes())
    assert written[0] == written[1]


def test_the_window_of_the_hand_over_is_smaller_than_what_a_canvas_keeps():
    """Otherwise a backend with one thread could wait for itself."""
    assert HANDOVER_WINDOW < MOST_WAITING


class Recorder:
    """A consumer that notes what it takes, and fails at one of them if asked."""

    def __init__(self, fails_at: int | None = None) -> None:
        self.taken: list[object] = []
        self.fails_at = fails_at

    def destination(self, task):
        return None

    def take(self, task, sums):
        if len(self.taken) == self.fails_at:
            raise ZeroDivisionError("the consumer fails")
        self.taken.append(task)


class FailingSource(ArraySource):
    """Fails to read the rows of the second batch entry."""

    def rows(self, batch, first, last):
        if batch == 1:
            raise ZeroDivisionError("the source fails")
        return super().rows(batch, first, last)


class Counts:
    """A holder that counts, and notes the order in which entries were first held."""

    def __init__(self) -> None:
        self.held, self.order = {}, []

    def hold(self, batch):
        self.held[batch] = self.held.get(batch, 0) + 1
        self.order.append(batch)

    def release(self, batch):
        self.held[batch] -= 1


def _planned(name: str) -> tuple[Plan, np.ndarray]:
    """A plan of 60 strips, and its array."""
    axes = tuple(Axis(size, kernel) for size, kernel in ((2, 1), (50, 3), (40, 3)))
    problem = Problem(axes, Filter.of(convcli.Kernel(DENSE[:3, :3])), np.dtype(np.float32), batch=3)
    plan = replace(choose(problem, "shift", 2, backend=name), height=5, threads=2)
    return plan, RANDOM.normal(size=(3, 2, 50, 40, 1, 1)).astype(np.float32)


@pytest.mark.parametrize("name", BACKENDS)
def test_each_strip_is_handed_over_once(name):
    """To one consumer each; a single consumer gets them within the window, in the plan's order."""
    plan, array = _planned(name)
    made: list[Recorder] = []

    def consumer() -> Recorder:
        made.append(Recorder())
        return made[-1]

    run(plan, ArraySource(array), consumer)
    wanted = list(tasks(plan))
    taken = [task for recorder in made for task in recorder.taken]
    assert len(wanted) == len(taken) == 60
    assert set(wanted) == set(taken)
    if len(made) == 1:
        left = list(wanted)
        for task in taken:
            assert left.index(task) <= HANDOVER_WINDOW
            left.remove(task)


@pytest.mark.parametrize(("name", "fails"), [*product(BACKENDS, ("consumer", "source"))])
def test_the_first_failure_ends_the_run_and_is_raised(name, fails):
    """Of a consumer or of the source; what was begun has ended when it is raised, and holds are released."""
    plan, array = _planned(name)
    recorder, counts = Recorder(fails_at=7 if fails == "consumer" else None), Counts()
    source = FailingSource(array) if fails == "source" else ArraySource(array)
    with pytest.raises(ZeroDivisionError, match=f"the {fails} fails"):
        run(plan, source, lambda: recorder, counts)
    assert len(recorder.taken) < 60
    if name == "threads":
        assert not any(counts.held.values())


@pytest.mark.parametrize("name", ["threads", "shuffled"])
def test_entries_are_held_in_order_and_released(name):
    """Readers that keep decoded frames need to know which are still in use."""
    plan, array = _planned(name)
    counts = Counts()
    run(plan, ArraySource(array), Recorder, counts)
    assert counts.order == sorted(counts.order)
    assert counts.held == {0: 0, 1: 0, 2: 0}


def test_a_plan_names_its_backend():
    """A plan names a backend other than the default; an unknown or refusing one is an error that says why."""
    plan, _ = _planned("shuffled")
    assert plan.summary.endswith("2 workers (shuffled)")
    assert replace(plan, backend="threads").summary.endswith("2 threads")
    with pytest.raises(ArgumentError, match=r"shuffled, processes, threads \(did you mean threads"):
        choose(plan.problem, backend="thread")
    with pytest.raises(ArgumentError, match="shuffled cannot be used here: more than 1000 batch"):
        choose(replace(plan.problem, batch=1001), backend="shuffled")


def test_no_thread_is_left_of_a_failed_run(monkeypatch):
    """Threads are waited for before the failure is raised."""
    left, leave = [], Threads.__exit__

    def note(self, *given):
        leave(self, *given)
        left.append(len(self))

    monkeypatch.setattr(Threads, "__exit__", note)
    plan, array = _planned("threads")
    with pytest.raises(ZeroDivisionError):
        run(plan, FailingSource(array), Recorder)
    assert left == [0]
