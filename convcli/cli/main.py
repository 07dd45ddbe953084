"""The entry point: runs a command, and turns every failure into one line and an exit code."""

from __future__ import annotations

import errno
import os
import signal
import sys
from collections.abc import Sequence
from contextlib import suppress
from importlib import import_module
from typing import Final

import click

from convcli import __version__
from convcli.cli import signals
from convcli.cli.command import Group
from convcli.cli.console import tell
from convcli.cli.encodings import accept_any_text
from convcli.cli.registry import COMMANDS
from convcli.core import native_stderr
from convcli.core.errors import ConvcliError
from convcli.files import pending

_LAST_STREAM: Final = 2  # the number of standard error
_WRITE_ERRORS: Final = tuple(
    getattr(errno, name) for name in ("ENOSPC", "EDQUOT", "EFBIG", "EIO", "EBADF") if hasattr(errno, name)
)


class Commands(Group):
    """The commands of the registry, each imported when it is used."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        command = getattr(import_module(f"convcli.cli.{cmd_name}"), cmd_name)
        assert isinstance(command, click.Command)
        return command

    def summaries(self, ctx: click.Context) -> dict[str, str]:
        return COMMANDS


@click.group(
    cls=Commands,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog="'convcli COMMAND --help' shows the options of a command.",
)
@click.version_option(__version__, prog_name="convcli", message="%(prog)s %(version)s")
@click.option("--debug", is_flag=True, help="Show the traceback of an error.")
def cli(debug: bool) -> None:
    """Convolution on the command line.

    \b
      convcli apply photo.png --kernel gaussian:2
      convcli kernels list
      convcli shape 512x512 --kernel 3x3 --stride 2,1

    Apply kernels to images, write the feature maps as images, and report every shape.
    """


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command.

    Returns:
        The exit code: 0 for success, 1 if something failed but results were written, 2 if none were, and 128
        plus the number of the signal that ended the program.
    """
    if "_CONVCLI_COMPLETE" in os.environ:
        from convcli.cli.completion import answer

        return answer(cli, os.environ["_CONVCLI_COMPLETE"])
    words = list(sys.argv[1:] if arguments is None else arguments)
    debug = "--debug" in words
    _prepare_process()
    pending.begin()
    try:
        return _invoke([word for word in words if word != "--debug"] or ["--help"])
    except signals.Stopped as stopped:
        return 128 + stopped.number
    except KeyboardInterrupt:
        return 128 + signal.SIGINT
    except BrokenPipeError:
        _close_stdout()
        return 0
    except (click.ClickException, ConvcliError, OSError, MemoryError, ImportError) as error:
        if debug:
            raise
        return _report(error, words)


def _prepare_process() -> None:
    """Handle signals, let output show any name, and reserve the numbers of closed standard streams."""
    signals.handle()
    native_stderr.arm()
    for stream in (sys.stdout, sys.stderr):
        accept_any_text(stream)
    while None in (sys.stdin, sys.stdout, sys.stderr) and os.open(os.devnull, os.O_RDWR) < _LAST_STREAM:
        pass


def _invoke(words: list[str]) -> int:
    color = False if os.environ.get("NO_COLOR") else None
    try:
        with cli.make_context("convcli", words, color=color) as context:
            cli.invoke(context)
    except click.exceptions.Exit as exit_:
        return exit_.exit_code
    finally:
        if sys.stdout is not None:
            sys.stdout.flush()  # so that a full disk is reported here
    return 0


def _report(error: Exception, words: Sequence[str]) -> int:
    """Print a failure as one line on standard error; return the exit code."""
    if isinstance(error, click.ClickException):
        from convcli.cli.usage_errors import usage_message

        message = usage_message(error, words)
    elif isinstance(error, MemoryError):
        message = "not enough memory"
    elif isinstance(error, ImportError):
        message = f"part of convcli cannot be loaded: {error}"
    elif isinstance(error, OSError) and error.errno in _WRITE_ERRORS and error.filename is None:
        message = f"standard output: {error.strerror}"
        _close_stdout()
    elif isinstance(error, OSError) and error.filename is None:
        message = error.strerror or str(error)
    else:
        message = str(error)
    with suppress(OSError):  # nobody reads it
        tell(message)
    return 1 if pending.has_results() else 2


def _close_stdout() -> None:
    from convcli.files.stdout import silence_stdout

    silence_stdout()
