"""Documentation is tested: every command and script of README.md and docs/ runs and prints what is shown."""

from __future__ import annotations

import contextlib
import io
import os
import re
import subprocess
import sys
from pathlib import Path

import click
import pytest

from convcli.cli.main import cli
from tests.conftest import ROOT
from tools import lesson, reference

TEXTS = {str(page.relative_to(ROOT)): page.read_text("utf-8") for page in lesson.pages()}
OTHER_PROGRAMS = {
    "--scheduler-file",
    "--strict",
    "--hypothesis-profile",
    "--peers",
    "--runs",
    "--soak",
    "--blur",
    "--border",
    "--overwrite",
    "--all",
    "--angle",
    "--min-ampl",
    "--times",
    "--no-index",
    "--find-links",
    "--recipe",
}
"""Options of other programs, of tools and benchmarks, and words that convcli has suggestions for."""
UPDATE = "run python -m tools.lesson"


def blocks(kind: str, text: str) -> list[str]:
    return re.findall(rf"```{kind}\n(.*?)```", text, re.DOTALL)


def having(kind: str) -> list[str]:
    """The pages that have blocks of a kind."""
    return [name for name, text in TEXTS.items() if blocks(kind, text)]


@pytest.fixture
def folder(tmp_path, monkeypatch) -> Path:
    """A folder with the samples, and ``convcli`` on the PATH."""
    lesson.prepare(tmp_path)
    program = tmp_path / "bin" / "convcli"
    program.parent.mkdir()
    program.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m convcli "$@"\n')
    program.chmod(0o755)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PATH", f"{program.parent}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    return tmp_path


def test_the_first_two_commands_install_and_test():
    """.ci/run takes these two from README.md and runs them as they are on a bare machine."""
    install, test = blocks("sh", TEXTS["README.md"])[:2]
    assert install.startswith("python3 -m venv .venv && .venv/bin/python -m pip install")
    assert install.count("\n") == test.count("\n") == 1
    assert test.endswith(".venv/bin/python -m pytest\n")


@pytest.mark.parametrize("page", having("sh"))
def test_commands_run_and_print_what_is_shown(page, tmp_path):
    """The blocks of a page, one after the other; the text block directly below one is its output."""
    for block, printed in lesson.run_page(ROOT / page, tmp_path):
        assert block.expects(printed), f"{block.commands}{printed}{UPDATE}"


def test_no_command_overwrites_the_output_of_another():
    """All of a page's commands can be run in one folder, in any order: every output has a name of its own."""
    for name, text in {**TEXTS, "docs/learn.md": lesson.PAGE.read_text("utf-8")}.items():
        outputs = re.findall(r"-o ([^\s-][^\s:]*)(?=\s)", "".join(blocks("sh", text)))
        assert sorted(outputs) == sorted(set(outputs)), name


@pytest.mark.parametrize("page", having("console"))
def test_sessions_print_what_is_shown(page, folder):
    """Each command of a console block prints what follows it, times aside; … stands for anything."""
    times = re.compile(r" in [\d.]+ s \([\d.]+ images/s\)")
    for session in blocks("console", TEXTS[page]):
        for entry in session.split("$ ")[1:]:
            command, _, expected = entry.partition("\n")
            ran = subprocess.run(
                ["bash", "-c", f"{command} 2>&1"], capture_output=True, text=True, check=False
            )
            if expected != "…\n":
                assert times.sub("", ran.stdout) == times.sub("", expected), command


@pytest.mark.parametrize("page", having("python"))
def test_python_prints_its_comments(page, folder):
    """Each script prints exactly the comments below its prints."""
    for code in blocks("python", TEXTS[page]):
        printed = io.StringIO()
        with contextlib.redirect_stdout(printed):
            exec(compile(code, page, "exec"), {})
        comments = [line[2:] for line in code.splitlines() if line.startswith("# ")]
        assert printed.getvalue().splitlines() == comments


def option_names(context: click.Context) -> set[str]:
    """The options of a command and of all commands below it."""
    names = {name for option in context.command.params for name in (*option.opts, *option.secondary_opts)}
    return names.union({"--help"}, *(option_names(inner) for inner in reference.commands(context)))


@pytest.mark.parametrize("page", [*TEXTS, "docs/learn.md", "CHANGELOG.md"])
def test_named_options_exist(page):
    """Every ``--option`` in a code span is an option of convcli, or is known to be another program's."""
    spans = re.findall(r"`[^`\n]+`", (ROOT / page).read_text("utf-8"))
    named = set(re.findall(r"(?<![\w-])--[a-z][a-z-]*", " ".join(spans)))
    assert named <= option_names(click.Context(cli)) | OTHER_PROGRAMS


def test_kernel_files_are_valid(folder):
    """The YAML blocks of docs/kernel-files.md are kernels."""
    single, several = blocks("yaml", TEXTS["docs/kernel-files.md"])
    Path("soft-edge.yaml").write_text(single)
    assert "1/8 ×" in shell("convcli kernels show soft-edge.yaml")
    Path("many.yaml").write_text(several)
    assert "1/8 ×" in shell("convcli kernels show many.yaml:soft-edge")
    assert "l2 of 2 maps" in shell("convcli kernels show many.yaml:both")


def shell(command: str) -> str:
    return subprocess.run(["bash", "-ec", command], capture_output=True, text=True, check=True).stdout
