"""``convcli completion``: the script of a shell, and the answers that the script asks for."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

import click
from click.shell_completion import CompletionItem, ShellComplete, add_completion_class, shell_complete
from click.shell_completion import split_arg_string as words_of

from convcli.cli.console import send
from convcli.cli.shells import SCRIPTS
from convcli.cli.vocabulary import FILLS, WORDS
from convcli.core.errors import ConvcliError, cut

VARIABLE: Final = "_CONVCLI_COMPLETE"
"""Set by the scripts, as click names and reads it: ``bash_complete``."""

FREE: Final = ("size", "layers")
"""Parameters whose text is neither a word of a list nor a file."""


@click.command()
@click.argument("shell", type=click.Choice(list(SCRIPTS)))
def completion(shell: str) -> None:
    """Print the script with which bash, zsh or fish completes commands, options, presets and files.

    Each shell loads it from a folder of its own; for zsh that is any folder of $fpath.

    \b
      convcli completion bash > ~/.local/share/bash-completion/completions/convcli
      convcli completion zsh > ~/.zfunc/_convcli
      convcli completion fish > ~/.config/fish/completions/convcli.fish
    """
    send(SCRIPTS[shell])


def answer(cli: click.Command, instruction: str) -> int:
    """Print what a script asks for; a line that is wrong has nothing to complete."""
    for shell in SCRIPTS:
        add_completion_class(Answers, shell)
    try:
        return shell_complete(cli, {}, "convcli", VARIABLE, instruction)
    except (click.ClickException, click.exceptions.Exit, ConvcliError):
        return 1


class Answers(ShellComplete):
    """What click knows of commands, options and choices, and the words of `convcli.cli.vocabulary`."""

    def source(self) -> str:
        return SCRIPTS[os.environ[VARIABLE].partition("_")[0]]

    def get_completion_args(self) -> tuple[list[str], str]:
        """The words before the cursor's, and that one as far as it is typed."""
        *words, last = words_of(os.environ.get("_CONVCLI_LINE", "") + "|")  # there is always a last one
        return words[1:], last[:-1]

    def get_completions(self, args: list[str], incomplete: str) -> list[CompletionItem]:
        """Whole words for the one at the cursor, ``--option=`` included."""
        option, equals, value = incomplete.partition("=")
        with _as_words(self.cli, args):
            if not (equals and option.startswith("--")):
                return super().get_completions(args, incomplete)
            found = super().get_completions([*args, option], value)
        for item in found:
            item.value = f"{option}={item.value}"
        return found

    def format_completion(self, item: CompletionItem) -> str:
        """One line of the answer. bash replaces only what stands behind the last ``:`` or ``=``."""
        _, incomplete = self.get_completion_args()
        part = os.environ.get("_CONVCLI_WORD", incomplete)
        kept = len(incomplete) - len(part) if incomplete.endswith(part) else 0
        sentence, _, _ = " ".join((item.help or "").split()).partition(". ")
        return f"{item.type}\t{item.value[kept:]}\t{cut(sentence, 70)}"


@contextmanager
def _as_words(command: click.Command, args: list[str]) -> Iterator[None]:
    """For the time being, parameters of the command that stands on the line take their values as words."""
    for word in args:
        if isinstance(command, click.Group):
            command = command.get_command(click.Context(command), word) or command
    real = [(each, each.type) for each in command.params if not getattr(each, "is_flag", False)]
    for parameter, type_ in real:
        parameter.type = Words(type_)
    try:
        yield
    finally:
        for parameter, type_ in real:
            parameter.type = type_


class Words(click.ParamType):  # type: ignore[type-arg]
    """A type that completes values and takes them as they are, because reading a kernel takes NumPy."""

    def __init__(self, real: click.ParamType) -> None:  # type: ignore[type-arg]
        self.real = real
        self.name = real.name

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        return value

    def shell_complete(
        self, ctx: click.Context, param: click.Parameter, incomplete: str
    ) -> list[CompletionItem]:
        """Words of a list; files where there is none, or where files have the same meaning."""
        if isinstance(self.real, click.Choice):
            return self.real.shell_complete(ctx, param, incomplete)
        name = max(param.opts, key=len).lstrip("-")
        found = [CompletionItem(word, help=help_) for word, help_ in self._words(name, param, incomplete)]
        if name == "kernel" or (self.real is click.STRING and name not in (*FREE, *WORDS)):
            found.append(CompletionItem(incomplete, type="file"))
        return found or self.real.shell_complete(ctx, param, incomplete)

    def _words(self, name: str, param: click.Parameter, incomplete: str) -> list[tuple[str, str]]:
        amount, colon, _ = incomplete.partition(":")
        words = WORDS.get(name)
        if words is None:  # all|N|A:B: what is in small letters is said as it stands
            said = (param.metavar or self.name).split("|")
            words = {word: "" for word in said if len(said) > 1 and word.islower()}
        elif name == "padding" and colon:
            words = {f"{amount}:{fill}": "" for fill in FILLS}
        found = [word for word in words if word.startswith(incomplete)]
        if found == [incomplete] and incomplete.endswith(":"):
            return []  # what follows is a number
        return [(word, words[word]) for word in found]
