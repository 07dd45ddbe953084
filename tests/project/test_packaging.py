"""Generated and packaged files: packages, man page, completion scripts, vocabulary, reference pages."""

from __future__ import annotations

import re
import shutil
import subprocess
import tomllib

import click
import pytest

from convcli.cli.main import cli
from convcli.cli.shells import SCRIPTS
from convcli.kernels import library
from convcli.native import loader
from tests.conftest import ROOT
from tools.generate import SHARE, made

PAGE = SHARE / "man" / "man1" / "convcli.1"
MADE = dict(made())


@pytest.mark.parametrize("path", MADE, ids=lambda path: path.name)
def test_generated_files_are_current(path):
    """Each file matches the current commands, options, presets and formats."""
    assert path.read_text("utf-8") == MADE[path], "run python -m tools.generate"


def test_every_package_is_packaged():
    """An editable install hides a package that pyproject.toml leaves out."""
    listed = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]["packages"]
    folders = {path.parent for path in (ROOT / "convcli").rglob("*.py")}
    expected = {".".join(folder.relative_to(ROOT).parts) for folder in folders}
    assert set(listed) - {"convcli.kernels.shipped", "convcli.visualize.explore.assets"} == expected


def test_every_generated_file_of_the_folder_is_packaged():
    """A wheel installs them where the system looks for them."""
    folders = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]["data-files"]
    packaged = {ROOT / name: ROOT / folder for folder, names in folders.items() for name in names}
    assert packaged == {path: path.parent for path in MADE if SHARE in path.parents}


def options(command: click.Command, path: str = "convcli") -> dict[str, set[str]]:
    """The option names of every command, by its path such as ``convcli kernels list``."""
    names = {path: {name for option in command.params for name in (*option.opts, *option.secondary_opts)}}
    if isinstance(command, click.Group):
        context = click.Context(command)
        for name in command.list_commands(context):
            names |= options(command.get_command(context, name), f"{path} {name}")
    return names


def test_the_page_has_every_command_and_option():
    """Each command has a heading, with its options below it, in the text that a reader sees."""
    shown = re.sub(r"\\f[BIR]|\\&", "", PAGE.read_text()).replace("\\-", "-")
    parts = {part.split("\n")[0].split(" [")[0]: part for part in re.split(r"\n\.S[SH] ", shown)}
    for path, names in options(cli).items():
        part = parts["OPTIONS" if path == "convcli" else path]
        for name in names:
            assert not name.startswith("-") or re.search(rf"(?m)^(.* )?{name}\b", part), f"{path} {name}"


def test_the_page_has_exit_codes_and_environment():
    """The codes of docs/exit-codes.md, and every variable that the package reads."""
    text = PAGE.read_text()
    assert re.findall(r"\\fB([\d, ]+)\\fR\n", text) == ["0", "1", "2", "130, 143, 129"]
    code = "".join(path.read_text() for path in (ROOT / "convcli").rglob("*.py"))
    read = set(re.findall(r"""(?:environ(?:\.get)?|getenv)[\[(]"([A-Z]\w+)"(?!\] = )""", code))
    read = read - {"PYTHONPATH", "PYTHONWARNINGS"} | {
        library.PATH_VARIABLE,
        loader.SWITCH,
    }  # Python's own; those with names
    assert read == set(re.findall(r"\\fB(\w+)\\fR", text.split(".SH ENVIRONMENT")[1].split(".SH")[0]))


@pytest.mark.parametrize(
    "command", [["groff", "-ww", "-man", "-Tutf8", "-z"], ["mandoc", "-Tlint"]], ids=lambda words: words[0]
)
def test_the_page_is_sound(command):
    """Linters report nothing but the missing date of an unreleased version."""
    if not shutil.which(command[0]):
        pytest.skip(f"{command[0]} is not installed")
    ran = subprocess.run([*command, PAGE], capture_output=True, text=True, check=False)
    warnings = (ran.stdout + ran.stderr).splitlines()
    assert [line for line in warnings if "missing date" not in line] == []


@pytest.mark.parametrize("shell", SCRIPTS)
def test_the_scripts_are_sound(shell):
    """Each shell parses its script without errors."""
    if not shutil.which(shell):
        pytest.skip(f"{shell} is not installed")
    script = next(path for path, text in MADE.items() if text == SCRIPTS[shell])
    ran = subprocess.run([shell, "-n", script], capture_output=True, text=True, check=False)
    assert (ran.returncode, ran.stdout + ran.stderr) == (0, "")
