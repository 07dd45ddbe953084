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


def rooms() -> list[str]:
    """The ordered list of docs/architecture.md."""
    page = (ROOT / "docs" / "architecture.md").read_text()
    block = page.split("## Rooms")[1].split("```text\n")[1].split("```")[0]
    return [line.split()[0] for line in block.splitlines()]


def room_of(module: str) -> str:
    """The room that a module such as ``convcli.images.tiff`` belongs to."""
    name = module.removeprefix("convcli.")
    if name.startswith("images.") and name not in rooms():
        return "images.png"
    return "cli" if name.startswith("cli") else name


def test_a_room_imports_only_from_rooms_above_it():
    """The order of docs/architecture.md, for every import of every file."""
    order = {room: place for place, room in enumerate(rooms())}
    found = set()
    for path in sorted(PACKAGE.rglob("*.py")):
        module = ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")
        if module in ("convcli", "convcli.__main__", "convcli.methods"):
            continue
        here = room_of(module)
        found.add(here)
        assert here in order, f"{module} has no place in docs/architecture.md"
        for name in imported(path):
            there = room_of(name)
            assert there == here or order[there] < order[here], f"{module} imports {name}"
    assert found == set(order)


def imported(path: Path) -> set[str]:
    """The package's own modules that a file imports, at the top or inside a function."""
    names = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and node.module and node.module.startswith("convcli"):
            for alias in node.names:
                inner = f"{node.module}.{alias.name}"
                is_module = (ROOT / Path(*inner.split("."))).with_suffix(".py").exists() or (
                    ROOT / Path(*inner.split("."))
                ).is_dir()
                names.add(inner if is_module else node.module)
    return names - {"convcli"}


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

    for function in (draw.scene, draw.colour, draw.transparent, draw.depth16):
        drawn, kept = function().astype(int), decoded(SAMPLES / f"{function.__name__}.png").astype(int)
        assert drawn.shape == kept.shape
        assert (abs(drawn - kept) > 2).mean() < 0.02  # fonts differ a little between Pillow's versions
