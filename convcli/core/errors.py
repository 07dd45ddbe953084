"""The errors that users can cause, as one family, and the parts of their messages.

A message is one line: the place if there is one, what is wrong, and what is allowed:
``sharpen.csv:2: row has 2 numbers, row 1 has 3``. The command line prints it after ``convcli:``.
"""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Final

from convcli.core.patterns import pattern
from convcli.core.redaction import public_name, public_text

_LONGEST_WORD: Final = 64
_SHORTEST_PART: Final = 3


class ConvcliError(Exception):
    """The base class: something that the user can fix by changing the input or the options."""


class ArgumentError(ConvcliError, ValueError):
    """An option or an argument has a value, type or shape that is not allowed."""


class KernelError(ConvcliError, ValueError):
    """A kernel's name, text or file cannot be used."""


class ImageError(ConvcliError):
    """A file cannot be read as an image."""


class OutputError(ConvcliError):
    """A result cannot be written to its destination."""


class StorageError(ConvcliError):
    """Something could not be done at a place, which is named first.

    Attributes:
        place: a path or a URL.
        reason: what could not be done, and why; for messages that name the place themselves.
    """

    def __init__(self, place: str, reason: str) -> None:
        super().__init__(f"{shown(place)}: {reason}")
        self.place, self.reason = place, reason

    def __reduce__(self) -> tuple[type, tuple[str, str]]:
        return type(self), (self.place, self.reason)


class MissingError(StorageError):
    """There is nothing at a place."""


class Halted(Exception):  # noqa: N818 - the failure is another's
    """A part of the work ended because another part failed, whose error is the one to report."""


def failure_message(name: str, error: Exception) -> str:
    """The message of a failure, with the input's name first (``-`` is standard input).

    Errors about the output name it themselves. Bugs are shown as their repr.
    """
    match error:
        case OutputError():
            return str(error)
        case StorageError() if error.place != name:
            return str(error)
        case StorageError():
            reason = error.reason
        case ConvcliError():
            reason = str(error)
        case MemoryError():
            reason = "not enough memory"
        case OSError():
            reason = error.strerror or str(error)
        case _:
            reason = one_line(repr(error))
    return f"{'standard input' if name == '-' else shown(name)}: {reason}"


@contextmanager
def reading(place: str) -> Iterator[None]:
    """Turn any error while a kernel file is read into a `KernelError` that starts with ``place``.

    Libraries raise all kinds of errors for damaged files; no list of them would be complete.
    """
    try:
        yield
    except KernelError as error:
        if str(error).startswith(place):
            raise
        raise KernelError(f"{place}: {error}") from error
    except MemoryError as error:
        raise KernelError(f"{place}: not enough memory to read it") from error
    except OSError as error:
        raise KernelError(f"{place}: {error.strerror or one_line(cut(str(error)))}") from error
    except Exception as error:
        raise KernelError(f"{place}: damaged: {cut(reason_of(error))}") from error


_OF_CODE: Final = (
    AttributeError,
    LookupError,
    TypeError,
    AssertionError,
    NameError,
    ArithmeticError,
    RecursionError,
    StopIteration,
)
_WORDS_OF_CODE: Final = pattern(
    r"NoneType|object has no|to unpack|invalid literal|(index|range|arg\w*) out of range|subscriptable"
    r"|broadcast|codec can't|embedded null|reshape|truth value|positional argument|math domain"
)
_PLACE: Final = pattern(r" ?<[^<>]* at 0x[0-9a-f]+>")  # of an object


def reason_of(error: BaseException, otherwise: str = "its contents are inconsistent") -> str:
    """A library's message about a file, in one line; ``otherwise`` if the message is about its own code."""
    message = one_line(_PLACE.sub("", str(error)).strip().split("\n", maxsplit=1)[0])
    if type(error).__module__ == "struct" or isinstance(error, EOFError):
        return "it is truncated"
    if not message or isinstance(error, _OF_CODE) or _WORDS_OF_CODE.search(message):
        return otherwise
    return message


def one_line(text: str) -> str:
    """``text`` on one line, for people to read.

    Control characters and lone surrogates are escaped, and URLs are without what may be secret.
    """
    text = public_text(text)
    return text if text.isprintable() else "".join(map(_escaped, text))


def _escaped(character: str) -> str:
    if character.isprintable():
        return character
    return character.encode("unicode_escape", "surrogatepass").decode("ascii")


def shown(name: str) -> str:
    """The name of a file or a URL on one line, without what may be secret."""
    return one_line(public_name(name))


def suggest(word: str, known: Iterable[str], count: int = 3) -> str:
    """`` (did you mean …?)`` with up to ``count`` known words that are a typo away, or nothing."""
    typed, ranked = word.casefold()[:_LONGEST_WORD], []
    for place, name in enumerate(dict.fromkeys(known)):
        slips = _slips(typed, name.casefold())
        if slips is not None:
            ranked.append((slips, place, name))
    near = [name for _, _, name in sorted(ranked)[:count]]
    return f" (did you mean {', '.join(near)}?)" if near else ""


def _slips(typed: str, name: str) -> int | None:
    """The number of typos between two words, or None if they are too far apart.

    One letter in four may be wrong, or one word may be the beginning of the other.
    """
    bare, other = typed.strip("-"), name.strip("-")
    if bare == other:
        return 0
    shorter = min(len(bare), len(other))
    if shorter >= _SHORTEST_PART and (bare.startswith(other) or other.startswith(bare)):
        return 1
    most = (shorter + 2) // 4
    if abs(len(typed) - len(name)) > most:
        return None
    typos = edits(typed, name)
    return typos if typos <= most else None


def edits(one: str, other: str) -> int:
    """The number of letters omitted, inserted, replaced or swapped (optimal string alignment distance)."""
    before, last = [0] * (len(other) + 1), list(range(len(other) + 1))
    for row, letter in enumerate(one, 1):
        here = [row]
        for column, wanted in enumerate(other, 1):
            cost = min(last[column] + 1, here[-1] + 1, last[column - 1] + (letter != wanted))
            if row > 1 < column and letter == other[column - 2] and one[row - 2] == wanted:
                cost = min(cost, before[column - 2] + 1)
            here.append(cost)
        before, last = last, here
    return last[-1]


def cut(text: str, limit: int = 200) -> str:
    """``text`` cut to at most ``limit`` characters, with an ellipsis."""
    return text if len(text) <= limit else text[: limit - 1] + "…"


def literal(value: object, limit: int = 60) -> str:
    """A Python value for a message: its repr on one line, cut to ``limit`` characters."""
    try:
        text = repr(value)
    except Exception:  # a foreign class, or an integer of too many digits
        text = f"a value of type {type(value).__name__}"
    return cut(one_line(" ".join(text.split())), limit)


def quoted(value: object, limit: int = 60) -> str:
    """A value for a message: quoted, escaped, cut to ``limit`` characters."""
    return repr(cut(one_line(str(value)), limit))
