"""Click's commands, groups and options with help pages that have headings, and with hints for mistakes."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final, TypeVar

import click

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem

F = TypeVar("F", bound=Callable[..., Any])

MAIN: Final = "Main options"
WINDOW: Final = "Kernel and window"
INPUT: Final = "Input"
VALUES: Final = "Values and colors"
OUTPUT: Final = "Output"
DRAWING: Final = "Drawing"
COMPUTING: Final = "Computing"
PIECES: Final = "Pieces and clusters"
REPORTS: Final = "Reports"
OTHER: Final = "Other"
HEADINGS: Final = (MAIN, WINDOW, VALUES, INPUT, OUTPUT, DRAWING, COMPUTING, PIECES, REPORTS, OTHER)
"""Headings of a help page, in order."""

_FEW: Final = 8  # options that need no headings
_WIDEST: Final = 30  # characters of an option with its value, beside its help


class Option(click.Option):
    """An option with a heading, and with details that the man page adds to its help."""

    def __init__(self, *args: Any, heading: str = OTHER, details: str = "", **attributes: Any) -> None:
        super().__init__(*args, **attributes)
        self.heading = heading
        self.details = details

    def get_help_record(self, ctx: click.Context) -> tuple[str, str] | None:
        """The option's names and value, and its help with the default in parentheses."""
        record = super().get_help_record(ctx)
        if record is None:
            return None
        default = self.get_help_extra(ctx).get("default")
        notes = [f"default: {default}"] if default else ["required"] if self.required else []
        return record[0], " ".join([self.help or "", *(f"({note})" for note in notes)])


def option(*names: str, heading: str, **attributes: Any) -> Callable[[F], F]:
    """A decorator that gives a command an option under a heading."""
    return click.option(*names, cls=Option, heading=heading, **attributes)


def together(*options: Callable[[F], F]) -> Callable[[F], F]:
    """Several options as one decorator, in the order of the help page."""

    def decorate(function: F) -> F:
        for decorator in reversed(options):
            function = decorator(function)
        return function

    return decorate


class Command(click.Command):
    """A command whose help page shows its options by heading."""

    def grouped_options(self, ctx: click.Context) -> dict[str, list[click.Option]]:
        """The options of the help page under their headings; a few options need only one."""
        options = [parameter for parameter in self.get_params(ctx) if isinstance(parameter, click.Option)]
        if len(options) <= _FEW:
            return {"Options": options}
        groups: dict[str, list[click.Option]] = {heading: [] for heading in HEADINGS}
        for parameter in options:
            groups[parameter.heading if isinstance(parameter, Option) else OTHER].append(parameter)
        return {heading: group for heading, group in groups.items() if group}

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        groups = {
            heading: [_row(option.get_help_record(ctx)) for option in options]
            for heading, options in self.grouped_options(ctx).items()
        }
        widths = [len(names) for rows in groups.values() for names, _ in rows if len(names) <= _WIDEST]
        for heading, rows in groups.items():
            with formatter.section(heading):
                formatter.write_dl([(names.ljust(max(widths)), help_) for names, help_ in rows], _WIDEST)


class Group(click.Group):
    """A group that lists its commands in the order of definition, and answers unknown ones with a hint."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(self.commands)

    def summaries(self, ctx: click.Context) -> dict[str, str]:
        """Each command with its one-line summary."""
        return {name: command.get_short_help_str(100) for name, command in self.commands.items()}

    def resolve_command(self, ctx: click.Context, args: list[str]) -> Any:
        name, known = args[0], self.list_commands(ctx)
        if name not in known and not name.startswith("-"):
            from convcli.cli.suggestions import command_hint
            from convcli.core.errors import one_line

            ctx.fail(f"no such command {one_line(name)!r}{command_hint(name, known)}")
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl(list(self.summaries(ctx).items()))

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        from click.shell_completion import CompletionItem

        if incomplete.startswith("-"):
            return super().shell_complete(ctx, incomplete)
        summaries = self.summaries(ctx)
        names = [name for name in summaries if name.startswith(incomplete)]
        return [CompletionItem(name, help=summaries[name]) for name in names]


def _row(record: tuple[str, str] | None) -> tuple[str, str]:
    names, help_ = record or ("", "")
    return names, help_.removesuffix(".")


def documentation(option: click.Option, help_: str) -> str:
    """An option's help as sentences, with its details: what the man page and docs/options.md have."""
    details = f" {option.details}" if isinstance(option, Option) and option.details else ""
    return f"{help_.removesuffix('.')}.{details}"
