"""Usage errors in this program's words: what is wrong with a command line, and what to use instead."""

from __future__ import annotations

from collections.abc import Sequence

import click

from convcli.cli.suggestions import option_hint


def usage_message(error: click.ClickException, words: Sequence[str]) -> str:
    """One line for an error that click found.

    Args:
        words: the command line, which has an unknown option as it was typed.
    """
    match error:
        case click.NoSuchOption():
            return _unknown_option(error, words)
        case click.MissingParameter(param=click.Parameter() as parameter, ctx=click.Context() as context):
            name = _name(parameter, context)
            return f"missing {parameter.param_type_name} {name} (see {context.command_path} --help)"
        case click.BadParameter(param=click.Option() as option, ctx=context):
            return f"{_name(option, context)}: {_sentence(error.message)}"
        case click.BadOptionUsage(option_name=name):
            needs = "needs a value" if error.message.endswith("requires an argument.") else "takes no value"
            return f"option {name} {needs}"
        case click.UsageError() if error.message.startswith("Got unexpected extra argument"):
            return f"unexpected argument{_sentence(error.message).partition('argument')[2]}"
        case click.UsageError():
            return _sentence(error.message)
    return _sentence(error.format_message())


def _sentence(message: str) -> str:
    return " ".join(message.split()).removesuffix(".")


def _name(parameter: click.Parameter, ctx: click.Context | None) -> str:
    if isinstance(parameter, click.Option):
        return "/".join(sorted(parameter.opts, key=len))
    return parameter.make_metavar(ctx or click.Context(click.Command(None)))


def _unknown_option(error: click.NoSuchOption, words: Sequence[str]) -> str:
    """An unknown option as it was typed (``-blur`` is not ``-b``), and what to use instead."""
    name, command = error.option_name, error.ctx.command if error.ctx else None
    if not name.startswith("--"):
        name = next((word for word in words if word.startswith(name) and not word.startswith("--")), name)
    parameters = command.params if command else []
    known = [option for parameter in parameters for option in parameter.opts]
    hint = option_hint(name.partition("=")[0], known, (command.name if command else None) or "")
    return f"no such option: {name}{hint}"
