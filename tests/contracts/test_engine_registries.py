"""A new method or backend is one file and one line: both are added to a copy of the package."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys

import pytest

from convcli.engine.backends import registry as backends
from convcli.engine.methods import registry as methods
from tests.conftest import ROOT

METHOD = '''"""A method that multiplies for every tap, as the reference method does, and claims to be slow."""

from convcli.engine.methods.base import Method, Workload
from convcli.engine.methods.registry import method_named


class Dummy(Method):
    name = "dummy"

    def consider(self, problem, narrow):
        return "it takes kernels of one row only" if problem.rows.kernel > 1 else Workload(problem, narrow)

    def cost(self, work):
        return 1000.0

    def binder(self, work):
        return method_named("shift").binder(work)


METHOD = Dummy()
'''

BACKEND = '''"""The caller's thread alone."""

from convcli.engine.backends.base import Backend, TaskQueue
from convcli.engine.computers import computer_of


class Inline(Backend):
    name = "inline"

    def refuses(self, problem):
        return "it takes one batch entry only" if problem.batch > 1 else None

    def run(self, plan, source, consumers, holder=None):
        consumer = consumers()
        with computer_of(plan) as computer:
            for task in TaskQueue(plan, holder):
                computer.process(source, task, consumer)


BACKEND = Inline()
'''

PROBE = """
import json
from pathlib import Path
import numpy as np
import convcli
from tools import vocabulary

words = vocabulary.module()  # as python -m tools.generate does
Path(convcli.__file__).with_name("cli").joinpath("vocabulary.py").write_text(words)
from convcli.engine.filter import Filter
from convcli.engine.plan import Problem
from convcli.engine.planner import choose
from convcli.geometry.axes import Axis

def failure(call, *given, **options):
    try:
        call(*given, **options)
    except convcli.ArgumentError as error:
        return str(error)

x, row, square = np.arange(30).reshape(5, 6), [[1, 2, 3]], np.ones((3, 3))
problem = Problem((Axis(1, 1), Axis(5, 1), Axis(6, 3)), Filter.of(convcli.Kernel(row)), np.dtype(np.uint8))
many = Problem(problem.axes, problem.filter, problem.dtype, batch=2)
print(json.dumps({
    "same": convcli.conv(x, row, method="dummy").tolist() == convcli.conv(x, row).tolist(),
    "refused": failure(convcli.conv, x, square, method="dummy"),
    "unknown": failure(convcli.conv, x, row, method="dumy"),
    "plan": str(choose(problem, "dummy")),
    "completed": '"dummy"' in words,
    "batch": failure(convcli.conv, np.ones((2, 5, 6, 1)), row, channels="last"),
    "backend": failure(choose, problem, backend="x"),
    "many": failure(choose, many, backend="inline"),
}))
"""


@pytest.fixture(scope="module")
def answers(tmp_path_factory):
    """What a copy of the package says that has a method and a backend more, the backend as the default."""
    folder = tmp_path_factory.mktemp("extended")
    engine = folder / "convcli" / "engine"
    shutil.copytree(ROOT / "convcli", folder / "convcli", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copytree(ROOT / "kernels", folder / "convcli" / "kernels" / "shipped")
    for fan, name, module, line in (
        ("methods", "dummy", METHOD, '    "fft",\n    "dummy",\n'),
        ("backends", "inline", BACKEND, '("inline", "threads",)'),
    ):
        (engine / fan / f"{name}.py").write_text(module)
        registry = engine / fan / "registry.py"
        before = {"methods": '    "fft",\n', "backends": '("threads",)'}[fan]
        assert registry.read_text().count(before) == 1
        registry.write_text(registry.read_text().replace(before, line))
    environment = os.environ | {"PYTHONPATH": os.pathsep.join((str(folder), str(ROOT))), "COLUMNS": "99"}
    ran = subprocess.run(
        [sys.executable, "-c", PROBE],
        capture_output=True,
        text=True,
        check=False,
        cwd=folder,
        env=environment,
    )
    assert ran.returncode == 0, ran.stderr
    return json.loads(ran.stdout)


def test_a_method_is_one_file_and_one_line(answers):
    """It computes, it refuses with its reason, and plan, messages and completion list it."""
    assert answers["same"] is True
    assert answers["refused"] == "method dummy cannot be used here: it takes kernels of one row only"
    assert answers["unknown"].endswith("toeplitz, im2col, fft, dummy (did you mean dummy?)")
    assert "→ dummy      1000.04 ns" in answers["plan"]
    assert answers["completed"]


def test_a_backend_is_one_file_and_one_line(answers):
    """It computes as the default, plans name it, and it refuses with its reason."""
    assert answers["plan"].splitlines()[0].endswith("1 worker (inline)")
    assert (
        answers["batch"]
        == answers["many"]
        == "backend inline cannot be used here: it takes one batch entry only"
    )
    assert answers["backend"] == "backend 'x' is not one of inline, threads"


@pytest.mark.parametrize("registry", [methods, backends], ids=["methods", "backends"])
def test_members_have_the_names_that_they_are_registered_by(registry):
    """Every name has a module, and what it defines says the same name."""
    named = methods.method_named if registry is methods else backends.backend_named
    assert tuple(named(name).name for name in registry.NAMES) == registry.NAMES
