"""``convcli completion``: the script of a shell, and the answers to what the script asks."""

from __future__ import annotations

import os
from typing import Final

import click
from click.shell_completion import CompletionItem, ShellComplete, add_completion_class, shell_complete
from click.shell_completion import split_arg_string as words_of

from convcli.cli.command import Command
from convcli.cli.console import send
from convcli.cli.shells import SCRIPTS
from convcli.cli.types import Choice
from convcli.core.errors import ConvcliError, cut

VARIABLE: Final = "_CONVCLI_COMPLETE"
"""Set by the scripts, as click names and reads it: ``bash_complete``."""


@click.command(cls=Command)
@click.argument("shell", type=Choice(SCRIPTS), metavar="bash|zsh|fish")
def completion(shell: str) -> None:
    """Print the completion script for bash, zsh or fish.

    \b
      convcli completion bash > ~/.local/share/bash-completion/completions/convcli
      convcli completion zsh > ~/.zfunc/_convcli
      convcli completion fish > ~/.config/fish/completions/convcli.fish

    It completes commands, options, their values and files. Save it where your shell loads completions from;
    for zsh, that is any folder in $fpath.
    """
    send(SCRIPTS[shell])


def answer(cli: click.Command, instruction: str) -> int:
    """Print what a script asks for and return the exit code; a wrong line has no completions."""
    for shell in SCRIPTS:
        add_completion_class(Answers, shell)
    try:
        return shell_complete(cli, {}, "convcli", VARIABLE, instruction)
    except (click.ClickException, click.exceptions.Exit, ConvcliError):
        return 1


class Answers(ShellComplete):
    """The words that complete a line, as click and the option types know them.

    Values stay text while click parses the line, because `Value` honors ``resilient_parsing``.
    """

    def source(self) -> str:
        return SCRIPTS[os.environ[VARIABLE].partition("_")[0]]

    def get_completion_args(self) -> tuple[list[str], str]:
        """The words before the cursor's, and that one as far as it is typed."""
        *words, last = words_of(os.environ.get("_CONVCLI_LINE", "") + "|")  # so that there is a last one
        return words[1:], last[:-1]

    def get_completions(self, args: list[str], incomplete: str) -> list[CompletionItem]:
        """Whole words for the one at the cursor, ``--option=`` included."""
        option, equals, value = incomplete.partition("=")
        if not (equals and option.startswith("--")):
            return super().get_completions(args, incomplete)
        items = super().get_completions([*args, option], value)
        for item in items:
            item.value = f"{option}={item.value}"
        return items

    def format_completion(self, item: CompletionItem) -> str:
        """One line of the answer; bash replaces only what follows the last ``:`` or ``=``."""
        _, incomplete = self.get_completion_args()
        part = os.environ.get("_CONVCLI_WORD", incomplete)
        start = len(incomplete) - len(part) if incomplete.endswith(part) else 0
        sentence, _, _ = " ".join((item.help or "").split()).partition(". ")
        return f"{item.type}\t{item.value[start:]}\t{cut(sentence, 70)}"
