"""The entry point: the commands, and one place where every failure becomes one line and an exit code."""

from __future__ import annotations

import errno
import io
import os
import signal
import sys
from collections.abc import Sequence
from contextlib import suppress
from importlib import import_module
from types import FrameType
from typing import Any, Final

import click

from convcli import __version__
from convcli.cli.console import tell
from convcli.cli.registry import COMMANDS
from convcli.core import native_stderr
from convcli.core.errors import ConvcliError, one_line
from convcli.files import pending

STANDARD_STREAMS: Final = 2  # the number of the last one
_OF_WRITING: Final = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO, errno.EBADF)


class Commands(click.Group):
    """The commands of `convcli.cli`, each imported when it is used."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        command = getattr(import_module(f"convcli.cli.{cmd_name}"), cmd_name)
        assert isinstance(command, click.Command)
        return command

    def resolve_command(self, ctx: click.Context, args: list[str]) -> Any:
        if args and not args[0].startswith("-") and args[0] not in COMMANDS:
            from convcli.cli.suggestions import command_hint

            ctx.fail(f"no such command {one_line(args[0])!r}{command_hint(args[0], COMMANDS)}")
        return super().resolve_command(ctx, args)

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[Any]:
        from click.shell_completion import CompletionItem

        if incomplete.startswith("-"):
            return super().shell_complete(ctx, incomplete)
        found = [name for name in COMMANDS if name.startswith(incomplete)]
        return [CompletionItem(name, help=COMMANDS[name]) for name in found]

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))


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

    An image and a kernel go in, and the feature map comes out as an image, with a report of every shape.
    """


ENDING: Final = [getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)]
"""Signals that ask to end."""


class Stopped(BaseException):
    """A signal asked this process to end."""

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.number = number


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command.

    Returns:
        0 when all was done, 1 when something failed but results were written, 2 when nothing was, 128 + the
        signal's number when one ended it.
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
    except Stopped as stopped:
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
    """Signals that end it as exceptions, output that can show any name, no number of a closed stream free."""
    for number in ENDING:
        if signal.getsignal(number) != signal.SIG_IGN:  # as nohup asks for
            signal.signal(number, _stop)
    native_stderr.arm()
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")  # a terminal that cannot show × shows ?
    while None in (sys.stdin, sys.stdout, sys.stderr) and os.open(os.devnull, os.O_RDWR) < STANDARD_STREAMS:
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
            sys.stdout.flush()  # a full disk is met here, where it is reported
    return 0


def _stop(number: int, frame: FrameType | None) -> None:
    """End; while that cleans up, further signals do nothing.

    An exception in the middle of an import can get lost; so that one ends the process as it is.
    """
    if _is_importing(frame):
        native_stderr.end_process(128 + number)
    for other in ENDING:
        signal.signal(other, _nothing)  # one that came already and were ignored now would be a message
    raise Stopped(number)


def _is_importing(frame: FrameType | None) -> bool:
    while frame is not None and not frame.f_code.co_filename.startswith("<frozen importlib"):
        frame = frame.f_back
    return frame is not None


def _nothing(number: int, frame: FrameType | None) -> None:
    """What further signals do."""


def _report(error: Exception, words: Sequence[str]) -> int:
    """One line on standard error."""
    if isinstance(error, click.ClickException):
        from convcli.cli.usage_errors import usage_message

        message = usage_message(error, words)
    elif isinstance(error, MemoryError):
        message = "not enough memory"
    elif isinstance(error, ImportError):
        message = f"part of the program cannot be loaded: {error}"
    elif isinstance(error, OSError) and error.errno in _OF_WRITING and error.filename is None:
        message = f"standard output: {error.strerror}"
        _close_stdout()
    elif isinstance(error, OSError) and error.filename is None:
        message = error.strerror or str(error)
    else:
        message = str(error)
    with suppress(OSError):  # nobody reads
        tell(message)
    return 1 if pending.has_results() else 2


def _close_stdout() -> None:
    from convcli.files.stdout import silence_stdout

    silence_stdout()
