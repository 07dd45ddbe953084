"""Documentation is a test: every command and script of the README runs and prints what it says."""

from __future__ import annotations

import contextlib
import io
import itertools
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import ROOT, SAMPLES

README = (ROOT / "README.md").read_text()
BLOCKS = re.findall(r"```(\w+)\n(.*?)```", README, re.DOTALL)
SHELL = [line for kind, text in BLOCKS if kind == "sh" for line in text.splitlines()]
INSTALL, TEST = SHELL[0], SHELL[1]
PAGES = [ROOT / "docs" / "kernels.md", ROOT / "docs" / "kernel-files.md"]
ON_PAGES = {page.stem: re.findall(r"```sh\n(.*?)```", page.read_text(), re.DOTALL) for page in PAGES}


@pytest.fixture
def folder(tmp_path, monkeypatch) -> Path:
    """A folder with the samples, and ``convcli`` on the PATH."""
    shutil.copytree(SAMPLES, tmp_path / "samples", ignore=shutil.ignore_patterns("*.*.png", "__pycache__"))
    program = tmp_path / "bin" / "convcli"
    program.parent.mkdir()
    program.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m convcli "$@"\n')
    program.chmod(0o755)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PATH", f"{program.parent}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    return tmp_path


def shell(command: str) -> str:
    ran = subprocess.run(["bash", "-ec", command], capture_output=True, text=True, check=False)
    assert ran.returncode == 0, f"{command}\n{ran.stderr}"
    return ran.stdout


def test_the_first_two_commands_install_and_test():
    """One command from a bare clone to a feature map, one for the tests; .ci/run runs both as they stand."""
    assert INSTALL.startswith("python3 -m venv .venv && .venv/bin/python -m pip install")
    assert TEST.endswith(".venv/bin/python -m pytest")


@pytest.mark.parametrize("command", SHELL[2:])
def test_each_command_runs(command, folder):
    """Each command by itself, in a folder with the samples."""
    shell(command)


def test_no_command_meets_what_another_made():
    """All of them can be run in one folder, in any order: every output has a name of its own."""
    pages = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
    blocks = [
        block for page in pages for block in re.findall(r"```sh\n(.*?)```", page.read_text(), re.DOTALL)
    ]
    names = re.findall(r"-o ([^\s-][^\s:]*)(?=\s)", "".join(blocks))
    assert len(names) > 20
    assert sorted(names) == sorted(set(names))


@pytest.mark.parametrize("page", ON_PAGES)
def test_the_commands_of_a_page_run(page, folder):
    """One after the other, in a folder with the samples."""
    for block in ON_PAGES[page]:
        shell(block)


def screens() -> list[tuple[str, str]]:
    """Each text block with the command above it."""
    pairs = itertools.pairwise(BLOCKS)
    return [(above.splitlines()[-1], text) for (_, above), (kind, text) in pairs if kind == "text"]


@pytest.mark.parametrize(("command", "screen"), screens())
def test_the_screens_are_what_the_commands_print(command, screen, folder):
    """The text blocks are the output, as it is."""
    assert screen in shell(command.split("&& .venv/bin/")[-1])


def test_the_session_is_what_happens(folder):
    """Each command of the console block prints what stands below it, times aside; … stands for anything."""
    times = re.compile(r" in [\d.]+ s, [\d.]+ a second")
    (session,) = [text for kind, text in BLOCKS if kind == "console"]
    for entry in session.split("$ ")[1:]:
        command, _, expected = entry.partition("\n")
        ran = subprocess.run(["bash", "-c", f"{command} 2>&1"], capture_output=True, text=True, check=False)
        if expected != "…\n":
            assert times.sub("", ran.stdout) == times.sub("", expected), command


def test_the_kernel_files_are_valid(folder):
    """The YAML blocks of docs/kernel-files.md are kernels."""
    page = (ROOT / "docs" / "kernel-files.md").read_text()
    single, several = re.findall(r"```yaml\n(.*?)```", page, re.DOTALL)
    Path("soft-edge.yaml").write_text(single)
    assert "1/8 ×" in shell("convcli kernels show soft-edge.yaml")
    Path("many.yaml").write_text(several)
    assert "1/8 ×" in shell("convcli kernels show many.yaml:soft-edge")
    assert "l2 of 2 maps" in shell("convcli kernels show many.yaml:both")


@pytest.mark.parametrize("code", [text for kind, text in BLOCKS if kind == "python"])
def test_the_python_prints_its_comments(code, folder):
    """Both walk-throughs print exactly the comments behind their prints."""
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        exec(compile(code, "README.md", "exec"), {})
    comments = [line[2:] for line in code.splitlines() if line.startswith("# ")]
    assert printed.getvalue().splitlines() == comments
