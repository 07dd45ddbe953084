"""The wheel: all of the tree is in it, and it works without the checkout, installed and as a zip file."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import sysconfig
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.conftest import ROOT, SAMPLES, build_wheel

EXTENSION = "convcli/native/_native.abi3.so"


def tree() -> set[str]:
    """The names in a wheel that the files of the checkout should have."""
    folders = {"convcli": "convcli", "kernels": "convcli/kernels/shipped", "share": "convcli.data/data/share"}
    return {
        f"{target}/{path.relative_to(ROOT / folder)}"
        for folder, target in folders.items()
        for path in (ROOT / folder).rglob("*")
        if path.is_file() and path.suffix not in (".pyc", ".so", ".c", ".h", ".inc")
    }


def test_every_file_of_the_tree_is_in_the_wheel(wheel):
    """Packages, data files and what share/ holds, and nothing else but the wheel's own metadata."""
    with zipfile.ZipFile(wheel) as file:
        names = {re.sub(r"^convcli-[^/]*\.data/", "convcli.data/", name) for name in file.namelist()}
    extension = {EXTENSION} if EXTENSION in names else set()
    assert {name for name in names if ".dist-info/" not in name} == tree() | extension


def named(wheel: Path) -> tuple[str, str, str]:
    """The tags of Python, ABI and platform in the name of a wheel, which its metadata states too."""
    tags = wheel.stem.split("-")[2:]
    with zipfile.ZipFile(wheel) as file:
        (stated,) = [name for name in file.namelist() if name.endswith(".dist-info/WHEEL")]
        text = file.read(stated).decode()
    assert f"Tag: {'-'.join(tags)}\n" in text
    assert f"Root-Is-Purelib: {'true' if tags[2] == 'any' else 'false'}\n" in text
    return tuple(tags)


def has_compiler() -> bool:
    """Whether the C compiler that builds the wheel can be run."""
    name = (os.environ.get("CC") or sysconfig.get_config_var("CC")).split()[0]
    found = shutil.which(name)
    return (
        found is not None
        and subprocess.run([found, "--version"], stdout=subprocess.DEVNULL, check=False).returncode == 0
    )


def test_the_wheel_is_named_after_the_extension(wheel):
    """Where there is a compiler, it is for one platform and all versions of Python."""
    with zipfile.ZipFile(wheel) as file:
        assert (EXTENSION in file.namelist()) == has_compiler()
    assert named(wheel)[:2] == (("cp311", "abi3") if has_compiler() else ("py3", "none"))


def test_a_wheel_without_a_compiler_has_no_platform(tmp_path):
    """Building succeeds without one, and what is built is for every platform."""
    build_wheel(tmp_path, CC="false")
    (wheel,) = tmp_path.glob("*.whl")
    assert named(wheel) == ("py3", "none", "any")
    with zipfile.ZipFile(wheel) as file:
        assert not [name for name in file.namelist() if name.endswith((".so", ".pyd"))]


def test_the_source_distribution_has_the_sources(wheel):
    """All that wheels are built from, and no compiled file."""
    (sources,) = wheel.parent.glob("*.tar.gz")
    with tarfile.open(sources) as file:
        names = {name.partition("/")[2] for name in file.getnames()}
    native = {f"convcli/native/{path.name}" for path in (ROOT / "convcli" / "native").glob("*.[chip]*")}
    assert native <= names and {"setup.py", "pyproject.toml", "LICENSE", "CHANGELOG.md"} <= names
    assert not [name for name in names if name.endswith((".so", ".o", ".pyc"))]


@pytest.fixture(scope="module")
def installed(wheel, tmp_path_factory) -> Path:
    """A folder into which the wheel alone is installed."""
    prefix = tmp_path_factory.mktemp("installed")
    apart = ["--ignore-installed", "--prefix", prefix]  # else pip would uninstall what is installed here
    words = ["install", "-q", "--no-deps", "--no-index", "--no-compile", *apart, wheel]
    subprocess.run([sys.executable, "-m", "pip", *map(str, words)], check=True)
    return prefix


@pytest.fixture
def convcli(installed, tmp_path) -> Callable[..., str]:
    """Run the installed program in an empty folder; what it prints."""
    packages = next(installed.rglob("convcli/__init__.py")).parent.parent
    environment = {**os.environ, "PYTHONPATH": str(packages)}
    (tmp_path / "empty").mkdir()

    def run(*words: object, code: str = "from convcli.__main__ import entry; entry()") -> str:
        ran = subprocess.run(
            [sys.executable, "-c", code, *map(str, words)],
            capture_output=True,
            text=True,
            cwd=tmp_path / "empty",
            env=environment,
            check=False,
        )
        assert ran.returncode == 0, ran.stderr
        return ran.stdout

    where = Path(run(code="import convcli; print(convcli.__file__)").strip())
    assert where.is_relative_to(packages), "the checkout is never imported"
    return run


@pytest.mark.parametrize(
    ("words", "outputs"),
    [
        (["apply", "a.png", "-k", "sobel-x", "-o", "out.png"], ["out.png"]),
        (["batch", "a.png", "out/", "-k", "box3", "-q", "-j", 1], ["out/a.box3.png"]),
        (["explore", "a.png", "-k", "box3", "-o", "page.html"], ["page.html"]),
        (["kernels", "preview", "a.png", "-k", "box3", "-k", "sharpen", "-o", "sheet.png"], ["sheet.png"]),
    ],
    ids=lambda words: words[0],
)
def test_an_installed_wheel_works_in_an_empty_folder(convcli, tmp_path, words, outputs):
    """Commands that read packaged data (presets, fonts, the page's parts) and start other processes."""
    shutil.copy(SAMPLES / "scene.png", tmp_path / "empty" / "a.png")
    convcli(*words)
    assert all((tmp_path / "empty" / output).stat().st_size > 100 for output in outputs)


def test_an_installed_wheel_has_the_program_and_its_manual(installed):
    """The entry point, the man page and the completions are where a system looks for them."""
    assert os.access(installed / "bin" / "convcli", os.X_OK)
    shared = {path.relative_to(ROOT) for path in (ROOT / "share").rglob("*") if path.is_file()}
    assert all((installed / path).is_file() for path in shared)


@pytest.mark.parametrize(
    ("code", "printed"),
    [
        ("import convcli; print(convcli.__file__, convcli.load_kernel('sobel-x').shape)", "(3, 3)"),
        ("import sys; from convcli.cli.main import main; sys.exit(main(['kernels', 'list']))", "gaussian5"),
    ],
    ids=["load_kernel", "kernels list"],
)
def test_presets_are_found_in_a_zipped_wheel(wheel, tmp_path, code, printed):
    """The presets travel inside the package, and are read from a zip file on sys.path."""
    environment = {"PYTHONPATH": str(wheel), "HOME": str(tmp_path)}
    ran = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=False,
        cwd=tmp_path,
        env=environment,
    )
    assert ran.returncode == 0, ran.stderr
    assert printed in ran.stdout and (str(wheel) in ran.stdout or "list" in code)
