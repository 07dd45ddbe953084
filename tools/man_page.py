"""The man page, from click's own commands, docs/exit-codes.md and docs/kernel-files.md."""

from __future__ import annotations

import inspect
import re
from collections.abc import Sequence
from itertools import chain
from typing import Final

import click

from convcli import __version__
from convcli.cli.command import Command, documentation
from convcli.cli.main import cli
from convcli.cli.registry import COMMANDS
from convcli.formats.registry import formats, written_formats
from convcli.kernels.readers.registry import suffixes as kernel_suffixes
from tools.reference import commands
from tools.roff import bold, example, filled, italic, literal, prose
from tools.vocabulary import families, presets

ENVIRONMENT: Final = {
    "CONVCLI_KERNEL_PATH": "Folders of kernel files, separated by colons, searched after those of "
    "--kernel-path.",
    "CONVCLI_NATIVE": "0 turns the compiled extension off, so that NumPy does all the work; AVX-512, AVX2 or "
    "baseline makes the extension use that instruction set instead of the best one of this processor. Exact "
    "results do not depend on it.",
    "COLORTERM": "truecolor or 24bit: the terminal has 24-bit colors, used for images and by "
    "`convcli kernels show`.",
    "TERM": "The type of the terminal; a dumb one shows no images.",
    "TERM_PROGRAM": "The terminal program; iTerm2, WezTerm and Ghostty have image protocols of their own.",
    "LC_TERMINAL": "Identifies iTerm2, also through ssh.",
    "KONSOLE_VERSION": "If 220400 or more, the terminal shows images in sixel.",
    "KITTY_WINDOW_ID": "If set, the terminal is kitty.",
    "TMUX": "If set, images are drawn with half blocks, because tmux passes nothing else on.",
    "NO_COLOR": "If set, nothing is colored.",
}
_WORD: Final = re.compile(r"--?[\w-]+")


def page(exit_codes: str, kernel_files: str, changes: str) -> str:
    """The text of ``convcli.1``.

    Args:
        exit_codes: docs/exit-codes.md; its first table becomes EXIT STATUS.
        kernel_files: docs/kernel-files.md; its first YAML block is the example in FILES.
        changes: CHANGELOG.md; its first heading states the version and, if released, its date.
    """
    root = click.Context(cli, info_name="convcli", **cli.context_settings)
    title = _texts(cli)[0].rstrip(".")
    sections = {
        "NAME": [f"convcli \\- {prose(title[0].lower() + title[1:])}"],
        "SYNOPSIS": _synopsis(),
        "DESCRIPTION": _description(cli),
        "OPTIONS": _parameters(root),
        "COMMANDS": list(chain.from_iterable(map(_command, commands(root)))),
        "KERNELS": _kernels(),
        "FILES": _files(kernel_files),
        "ENVIRONMENT": [line for name, text in ENVIRONMENT.items() for line in _item(bold(name), text)],
        "EXIT STATUS": _exit_codes(exit_codes),
        "EXAMPLES": list(chain.from_iterable(map(_examples, commands(root))))[1:],
    }
    date = re.search(r"^## .*?(\d{4}-\d\d-\d\d|$)", changes, re.MULTILINE)
    head = [
        '.\\" Written by `python -m tools.generate`.',
        f'.TH CONVCLI 1 "{date[1] if date else ""}" "convcli {__version__}" "User Commands"',
        ".nh",
        ".ad l",
    ]
    body = [line for name, lines in sections.items() for line in (f".SH {name}", *lines)]
    return "\n".join([*head, *body]) + "\n"


def _synopsis() -> list[str]:
    name = bold("convcli")
    return [
        f"{name} {italic('COMMAND')} [{italic('OPTIONS')}] {italic('ARGUMENTS')}",
        ".br",
        f"{name} [{italic('COMMAND')}] {bold('--help')}",
        ".br",
        f"{name} {bold('--version')}",
    ]


def _command(context: click.Context) -> list[str]:
    usage = context.command.collect_usage_pieces(context)
    heading = f"{bold(context.command_path)} {' '.join(map(_metavar, usage))}"
    return [f".SS {heading}", *_description(context.command), *_parameters(context)]


def _texts(command: click.Command, verbatim: bool = False) -> list[str]:
    """The paragraphs of a help text, or those that click prints verbatim."""
    paragraphs = inspect.cleandoc(command.help or "").split("\n\n")
    return [text.removeprefix("\b\n") for text in paragraphs if text.startswith("\b") == verbatim]


def _is_example(block: str) -> bool:
    return "convcli " in block


def _description(command: click.Command) -> list[str]:
    """The help text without its examples, which have a section of their own."""
    lines = [line for text in _texts(command) for line in (".PP", prose(text))][1:]
    others = [block for block in _texts(command, verbatim=True) if not _is_example(block)]
    return lines + [line for block in others for line in example(inspect.cleandoc(block).splitlines())]


def _parameters(context: click.Context) -> list[str]:
    """A paragraph for each option, with its details, under the headings of the help page."""
    command = context.command
    if not isinstance(command, Command):
        return _options(context, command.get_params(context))
    groups = command.grouped_options(context).items()
    sections = {heading: _options(context, options) for heading, options in groups}
    return [
        line
        for heading, lines in sections.items()
        if lines
        for line in (".PP", italic(f"{heading}:"), *lines)
    ]


def _options(context: click.Context, parameters: Sequence[click.Parameter]) -> list[str]:
    """A paragraph for each option; --help is explained once, for the program."""
    lines: list[str] = []
    for parameter in parameters:
        if not isinstance(parameter, click.Option) or (parameter.name == "help" and context.parent):
            continue
        if record := parameter.get_help_record(context):
            lines += _item(_term(record[0]), documentation(parameter, record[1]))
    return lines


def _term(text: str) -> str:
    """``-k, --kernel KERNEL`` with its names in bold and its value in italics."""
    names, _, value = text.rpartition(" ")
    if not names or _WORD.fullmatch(value):
        names, value = text, ""
    shown = _WORD.sub(lambda match: bold(match[0]), names)
    return f"{shown} {_metavar(value)}" if value else shown


def _metavar(text: str) -> str:
    """A value with its placeholders (in capitals) in italics."""
    words = re.split(r"([A-Z][A-Z0-9]*(?![a-z]))", text)
    return "".join(italic(word) if place % 2 else literal(word) for place, word in enumerate(words))


def _item(term: str, text: str) -> list[str]:
    return [".TP", term, prose(text)]


def _kernels() -> list[str]:
    names = ", ".join(bold(kernel.name) for kernel in presets())
    lines = [
        prose("Presets; case, - and _ do not matter in names:"),
        ".PP",
        filled(f"{names}."),
        ".PP",
    ]
    lines.append(prose("With parameters:"))
    for family in families().values():
        usage = literal(family.usage).replace("[,", "\\:[,")  # where a line may break
        lines += _item(usage, f"{family.description[0].upper()}{family.description[1:]}.")
    return lines


def _files(kernel_files: str) -> list[str]:
    block = re.findall(r"```yaml\n(.*?)```", kernel_files, re.DOTALL)[0]
    both = written_formats()
    only = [entry for entry in formats() if entry not in both]
    named = {"read and written": both, "read": only}
    suffixes = ", ".join(f"`*{suffix}`" for suffix in kernel_suffixes())
    lines = _item(italic("FILE"), f"A kernel file ({suffixes}), such as:")
    lines += [".RS", *example(block.splitlines()), ".RE"]
    for kind, entries in named.items():
        for entry in entries:
            lines += _item(
                literal(", ".join(f"*{suffix}" for suffix in entry.suffixes)), f"{entry.name}, {kind}."
            )
    return lines


def _exit_codes(page: str) -> list[str]:
    table = page.split("| exit code | meaning |\n|---|---|\n")[1].split("\n\n", maxsplit=1)[0]
    rows = [[cell.strip() for cell in row.strip("|").split("|")] for row in table.splitlines()]
    return [line for code, text in rows for line in _item(bold(code), f"{text[0].upper()}{text[1:]}.")]


def _examples(context: click.Context) -> list[str]:
    """A command's summary, and the examples of its help."""
    command = context.command
    blocks = [block for block in _texts(command, verbatim=True) if _is_example(block)]
    if not blocks:
        return []
    about = COMMANDS.get(context.info_name or "", _texts(command)[0])
    lines = [line for block in blocks for line in inspect.cleandoc(block).splitlines()]
    return [".PP", prose(about), *example(lines)]
