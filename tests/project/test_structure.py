"""The house itself: import order, what start-up imports, lint, types, and pages that are current."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import ROOT

PACKAGE = ROOT / "convcli"


FANS = ("engine.methods", "engine.backends", "kernels.readers", "kernels.readers.models", "cli")
"""Packages whose members never import each other: what they share is in the modules named below."""
SHARED = ("base", "registry", "rates", "floats", "nodes", "isolated", "models", "rows")


def packages() -> list[str]:
    """The ordered list of docs/architecture.md."""
    page = (ROOT / "docs" / "architecture.md").read_text()
    block = page.split("## Packages")[1].split("```text\n")[1].split("```")[0]
    return [line.split()[0] for line in block.splitlines()]


def modules() -> dict[str, Path]:
    """Every module of the package by its name behind ``convcli.``; the root's own modules excepted."""
    found = {}
    for path in sorted(PACKAGE.rglob("*.py")):
        name = ".".join(path.relative_to(PACKAGE).with_suffix("").parts).removesuffix(".__init__")
        if name not in ("__init__", "__main__"):
            found[name] = path
    return found


MODULES = modules()


def imported(path: Path) -> set[str]:
    """The package's own modules that a file imports, at the top or inside a function."""
    names = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and node.module and node.module.startswith("convcli."):
            module = node.module.removeprefix("convcli.")
            inner = {f"{module}.{alias.name}" for alias in node.names} & set(MODULES)
            names |= inner or {module}
        elif isinstance(node, ast.ImportFrom) and node.module == "convcli":
            names |= {alias.name for alias in node.names} & set(MODULES)
    return names


GRAPH = {name: imported(path) for name, path in MODULES.items()}


def test_a_package_imports_only_from_packages_before_it():
    """The order of docs/architecture.md, for every import of every module; each package is in the list."""
    order = {package: place for place, package in enumerate(packages())}
    assert {name.split(".")[0] for name in MODULES} == set(order)
    wrong = [
        f"{name} imports {other}"
        for name, others in GRAPH.items()
        for other in others
        if order[other.split(".")[0]] > order[name.split(".")[0]]
    ]
    assert not wrong


def test_no_module_imports_itself_by_way_of_others():
    """No circles, also not inside a package, also not by imports inside functions."""
    left = dict(GRAPH)
    while ready := [name for name, others in left.items() if not others & set(left)]:
        for name in ready:
            del left[name]
    assert not left, {name: sorted(others & set(left)) for name, others in left.items()}


def test_members_of_a_fan_do_not_import_each_other():
    """A method, reader or command stands alone: what several need is in a module that is no member."""
    commands = set(click_commands())
    wrong = []
    for name, others in GRAPH.items():
        fan, _, leaf = name.rpartition(".")
        for other in others:
            same, _, sibling = other.rpartition(".")
            if (
                fan in FANS
                and same == fan
                and is_member(fan, leaf, commands)
                and is_member(fan, sibling, commands)
            ):
                wrong.append(f"{name} imports {other}")
    assert not wrong


def is_member(fan: str, leaf: str, commands: set[str]) -> bool:
    """Whether a module is one of those that are chosen from, rather than what they share."""
    return leaf in commands if fan == "cli" else leaf not in SHARED


def click_commands() -> list[str]:
    """The names of the commands."""
    from convcli.cli.main import cli

    return list(cli.list_commands(None))


def test_click_only_in_the_command_line():
    """Nothing outside ``cli/`` knows click."""
    for path in PACKAGE.rglob("*.py"):
        if "cli" not in path.relative_to(PACKAGE).parts:
            assert not re.search(r"^\s*(import|from) click", path.read_text(), re.MULTILINE), path


HEAVY = ["numpy", "PIL", "imageio", "imagecodecs", "tifffile", "yaml"]
LINE = "convcli apply a.png -k box3 --padding same --bias 1 --map "
COMPLETES = f"import os; os.environ.update(_CONVCLI_COMPLETE='zsh_complete', _CONVCLI_LINE={LINE!r});"


@pytest.mark.parametrize(
    ("code", "allowed"),
    [
        ("import convcli", []),
        ("from convcli.cli.main import main; main(['--version'])", []),
        ("from convcli.cli.main import main; main(['--help'])", []),
        ("from convcli.cli.main import main; main(['apply', '--help'])", []),
        ("from convcli.cli.main import main; main(['aply'])", []),
        (f"{COMPLETES} from convcli.cli.main import main; main()", []),
        ("import convcli; convcli.conv", ["numpy"]),
        ("import convcli; convcli.load_kernel('box3')", ["numpy"]),
    ],
)
def test_what_start_up_imports(code, allowed):
    """Nothing heavy before it is needed."""
    probe = f"{code}\nimport sys; print([m for m in {HEAVY} if m in sys.modules])"
    ran = subprocess.run([sys.executable, "-c", probe], capture_output=True, text=True, check=True, cwd=ROOT)
    assert ran.stdout.splitlines()[-1] == str(allowed)


@pytest.mark.parametrize(
    "command",
    [["ruff", "check", "."], ["ruff", "format", "--check", "."], ["mypy"]],
    ids=" ".join,
)
def test_lint_and_types(command):
    """Lint, format and mypy --strict find nothing."""
    ran = subprocess.run(
        [sys.executable, "-m", *command], capture_output=True, text=True, check=False, cwd=ROOT
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr


def test_the_samples_are_what_the_script_draws():
    """Running samples/draw.py again gives the committed pixels."""
    from samples import draw
    from tests.conftest import SAMPLES, decoded

    for function in (draw.scene, draw.color, draw.transparent, draw.depth16):
        drawn, kept = function().astype(int), decoded(SAMPLES / f"{function.__name__}.png").astype(int)
        assert drawn.shape == kept.shape
        assert (abs(drawn - kept) > 2).mean() < 0.02  # fonts differ a little between Pillow's versions
