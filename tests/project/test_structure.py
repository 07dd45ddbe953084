"""The structure of the code: import order, independent modules, start-up imports, lint and types."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import ROOT

PACKAGE = ROOT / "convcli"


def packages() -> list[str]:
    """The packages in import order, from docs/architecture.md."""
    page = (ROOT / "docs" / "architecture.md").read_text()
    block = page.split("## Packages")[1].split("```text\n")[1].split("```")[0]
    return [line.split()[0] for line in block.splitlines()]


def modules() -> dict[str, Path]:
    """Every module by its name after ``convcli.``, without ``__init__`` and ``__main__`` of the root."""
    paths = {}
    for path in sorted(PACKAGE.rglob("*.py")):
        name = ".".join(path.relative_to(PACKAGE).with_suffix("").parts).removesuffix(".__init__")
        if name not in ("__init__", "__main__"):
            paths[name] = path
    return paths


MODULES = modules()


def imported(path: Path) -> set[str]:
    """The modules of convcli that a file imports, at the top or inside a function."""
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
    """Every import of every module follows the order of docs/architecture.md, which lists every package."""
    order = {package: position for position, package in enumerate(packages())}
    assert {name.split(".")[0] for name in MODULES} == set(order)
    wrong = [
        f"{name} imports {other}"
        for name, others in GRAPH.items()
        for other in others
        if order[other.split(".")[0]] > order[name.split(".")[0]]
    ]
    assert not wrong


def test_there_are_no_import_cycles():
    """Neither inside a package nor by imports inside functions."""
    remaining = dict(GRAPH)
    while free := [name for name, others in remaining.items() if not others & set(remaining)]:
        for name in free:
            del remaining[name]
    assert not remaining, {name: sorted(others & set(remaining)) for name, others in remaining.items()}


def alternatives() -> dict[str, set[str]]:
    """The modules among which a user or a file chooses, as their registries list them."""
    from convcli.cli.registry import COMMANDS
    from convcli.engine.backends.registry import NAMES as BACKENDS
    from convcli.engine.methods.registry import NAMES as METHODS
    from convcli.formats.registry import TABLE as FORMATS
    from convcli.kernels.families.registry import FAMILIES
    from convcli.kernels.readers.registry import READERS
    from convcli.networks.reading import READERS as NETWORKS

    return {
        "commands": {f"cli.{name}" for name in COMMANDS},
        "methods": {f"engine.methods.{name}" for name in METHODS},
        "backends": {f"engine.backends.{name}" for name in BACKENDS},
        "formats": {entry.path.partition(":")[0].removeprefix("convcli.") for entry in FORMATS},
        "kernel readers": {f"kernels.readers.{reader.name}" for reader in READERS},
        "network readers": {f"networks.{name}.reader" for name in NETWORKS.values()},
        "families": {family.make.__module__.removeprefix("convcli.") for family in FAMILIES.values()},
    }


def test_alternatives_do_not_import_each_other():
    """Methods, backends, formats, readers and commands are independent: shared code has its own modules."""
    for members in alternatives().values():
        assert members <= set(MODULES)
        assert not [f"{name} imports {other}" for name in members for other in GRAPH[name] & members]


def test_only_cli_imports_click():
    """No other package depends on click."""
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
    """Heavy libraries are imported only by what needs them."""
    probe = f"{code}\nimport sys; print([m for m in {HEAVY} if m in sys.modules])"
    ran = subprocess.run([sys.executable, "-c", probe], capture_output=True, text=True, check=True, cwd=ROOT)
    assert ran.stdout.splitlines()[-1] == str(allowed)


FOR_URLS = ["fsspec", "s3fs", "aiohttp", "botocore", "asyncio"]
OF_CLUSTERS = ["zarr", "distributed", "dask", "xarray", "msgpack"]


def test_one_local_image_imports_nothing_for_urls_or_clusters(tmp_path):
    """Nor does one that is read from standard input; what URLs need beside a library is one small module."""
    for output in (tmp_path / "a.png", "-"):
        call = f"main(['apply', 'samples/scene.png', '-k', 'box3', '-q', '-o', {str(output)!r}])"
        names = [*FOR_URLS, *OF_CLUSTERS]
        probe = f"from convcli.cli.main import main; code = {call}; import sys\n"
        probe += "ours = [m for m in sys.modules if m.startswith('convcli.storage.')]\n"
        probe += f"print(code, [m for m in {names} if m in sys.modules], ours, file=sys.stderr)"
        ran = subprocess.run([sys.executable, "-c", probe], capture_output=True, check=True, cwd=ROOT)
        assert ran.stderr.decode() == "0 [] ['convcli.storage.urls']\n"


@pytest.mark.parametrize(
    "command",
    [["ruff", "check", "."], ["ruff", "format", "--check", "."], ["mypy"]],
    ids=" ".join,
)
def test_lint_and_types(command):
    """Ruff check, ruff format and mypy --strict report nothing."""
    ran = subprocess.run(
        [sys.executable, "-m", *command], capture_output=True, text=True, check=False, cwd=ROOT
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr


def test_the_samples_are_what_the_script_draws():
    """samples/draw.py reproduces the committed images; fonts differ a little between Pillow versions."""
    from samples import draw
    from tests.conftest import SAMPLES, decoded

    for function in (draw.scene, draw.color, draw.transparent, draw.depth16):
        drawn, committed = function().astype(int), decoded(SAMPLES / f"{function.__name__}.png").astype(int)
        assert drawn.shape == committed.shape
        assert (abs(drawn - committed) > 2).mean() < 0.02


def test_tests_mirror_the_packages():
    """Every folder of tests/ is named after a package, apart from those below."""
    folders = {path.name for path in (ROOT / "tests").iterdir() if (path / "__init__.py").exists()}
    assert folders - {"contracts", "platforms", "project"} <= set(packages())
