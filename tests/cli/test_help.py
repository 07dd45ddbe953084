"""Help pages, and the registry that help, man page and completion follow."""

from __future__ import annotations

import re
import sys
import types

import click
import pytest

from convcli.cli import arguments
from convcli.cli.command import HEADINGS, Command, Option
from convcli.cli.main import cli
from convcli.cli.registry import COMMANDS
from tools import man_page


def commands(group: click.Group = cli, path: str = "") -> dict[str, click.Command]:
    """Every command that is not a group, by the words that call it."""
    found = {}
    for name in group.list_commands(click.Context(group)):
        command = group.get_command(click.Context(group), name)
        if isinstance(command, click.Group):
            found |= commands(command, f"{path}{name} ")
        else:
            found[f"{path}{name}"] = command
    return found


LEAVES = commands()


def test_examples_keep_their_lines(run):
    """Help pages show examples as they are written, without control codes."""
    for command, example in [
        ((), "  convcli apply photo.png --kernel gaussian:2\n"),
        (("apply",), "  convcli apply *.png -k sobel-x -o edges/\n"),
        (("shape",), "  convcli shape 512x512 -k 3x3 --stride 2,1 --padding valid\n"),
        (("kernels",), "  convcli kernels show sobel-x\n"),
    ]:
        page = run(*command, "--help").text
        assert example in page
        assert "\\b" not in page
        assert "\b" not in page


@pytest.mark.parametrize("words", LEAVES)
def test_a_help_page_has_the_shape_of_all(words, run, monkeypatch):
    """A summary, examples of this command, then options under known headings, in at most 100 columns."""
    monkeypatch.setenv("COLUMNS", "200")
    page = run(*words.split(), "--help").text
    paragraphs = page.split("\n\n")
    assert paragraphs[0].startswith(f"Usage: convcli {words} ")
    assert paragraphs[1].strip().endswith(".") and "\n" not in paragraphs[1]
    assert COMMANDS.get(words, paragraphs[1].strip()) == paragraphs[1].strip()
    assert f"convcli {words}" in paragraphs[2]
    headings = re.findall(r"(?m)^(\w.*):$", page)
    assert headings == [heading for heading in HEADINGS if heading in headings] or headings == ["Options"]
    assert max(map(len, page.splitlines())) <= 100


def test_apply_begins_with_the_options_that_everyone_needs(run):
    """The first heading of the longest page has five options."""
    page = run("apply", "--help").text
    main_options = page.split("Main options:\n")[1].split("\n\n")[0]
    assert re.findall(r"--[a-z]+", main_options)[:5] == [
        "--kernel",
        "--output",
        "--stride",
        "--padding",
        "--map",
    ]


@pytest.mark.parametrize("words", LEAVES)
def test_every_option_has_a_heading_and_one_line_of_help(words):
    """With its default, the help fits beside the option's name where the page is 100 columns wide."""
    command = LEAVES[words]
    assert isinstance(command, Command)
    for parameter in command.params:
        if isinstance(parameter, click.Option):
            assert isinstance(parameter, Option) and parameter.help
            _, text = parameter.get_help_record(click.Context(command))
            assert len(text) <= 67 and not text.endswith("."), text


@pytest.mark.parametrize("words", LEAVES)
def test_every_option_is_read(words):
    """Each parameter is one of the callback's own, or a field of a value that is made of the rest."""
    command = LEAVES[words]
    module = sys.modules[command.callback.__module__]
    values = [*vars(arguments).values(), *vars(module).values()]
    fields = {
        name for kind in values if isinstance(kind, type) for name in getattr(kind, "__match_args__", ())
    }
    own = {*command.callback.__annotations__, "kernel_path", "weights_order"}  # which `KernelName` reads
    own.add("storage_options")  # which a callback of its own sets for the process
    assert {parameter.name for parameter in command.params} <= fields | own


def test_a_line_in_the_registry_adds_a_command(run, monkeypatch):
    """A dummy command is in the help page, the man page and the completion by its line alone."""

    @click.command(cls=Command)
    def dummy() -> None:
        """Do nothing.

        \b
          convcli dummy
        """

    module = types.ModuleType("convcli.cli.dummy")
    module.dummy = dummy
    monkeypatch.setitem(sys.modules, "convcli.cli.dummy", module)
    monkeypatch.setitem(COMMANDS, "dummy", "Do nothing at all.")
    assert re.search(r"dummy +Do nothing at all\.", run("--help").text)
    assert run("dummy").code == 0
    table = "| exit code | meaning |\n|---|---|\n| 0 | done |\n\n"
    page = man_page.page(table, "```yaml\nweights: [[1]]\n```", "## 1.0\n")
    assert ".SS \\fBconvcli dummy\\fR" in page and "Do nothing at all." in page
    monkeypatch.setenv("_CONVCLI_COMPLETE", "zsh_complete")
    monkeypatch.setenv("_CONVCLI_LINE", "convcli dum")
    assert run().text == "plain\tdummy\tDo nothing at all.\n"
