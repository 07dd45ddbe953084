"""Every error a person can cause, as one family.

A message is one line that says what was got, what is allowed and, where there is one, the place:
``sharpen.csv:2: row has 2 numbers, row 1 has 3``. The command line prints it behind ``convcli:``.
"""

import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Final

_LONGEST_WORD: Final = 64
_SHORTEST_PART: Final = 3


class ConvcliError(Exception):
    """The root: whatever a person can mend by changing what they asked for."""


class ArgumentError(ConvcliError, ValueError):
    """An option or an argument has a value that is not allowed."""


class KernelError(ConvcliError, ValueError):
    """A kernel's name, text or file cannot be used."""


class ImageError(ConvcliError):
    """A picture cannot be read, or is not one."""


class OutputError(ConvcliError):
    """A result cannot be written where it was asked for."""


class Halted(Exception):  # noqa: N818 - it tells of another's failure
    """A part of the work ended because another part failed; that one's error is the one to be told."""


def failure_message(name: str, error: Exception) -> str:
    """The message of a failure: behind the input's name (``-`` is a stream), unless it is about the output.

    A fault of the program's own is shown as it is.
    """
    match error:
        case OutputError():
            return str(error)
        case ConvcliError():
            said = str(error)
        case MemoryError():
            said = "not enough memory"
        case OSError():
            said = error.strerror or str(error)
        case _:
            said = one_line(repr(error))
    return f"{'standard input' if name == '-' else one_line(name)}: {said}"


@contextmanager
def reading(place: str) -> Iterator[None]:
    """Turn whatever goes wrong while a kernel file is read into a `KernelError` that starts with ``place``.

    Libraries raise errors of every kind on damaged files; a list of them would never be complete.
    """
    try:
        yield
    except KernelError as error:
        if str(error).startswith(place):
            raise
        raise KernelError(f"{place}: {error}") from error
    except MemoryError as error:
        raise KernelError(f"{place}: reading it takes more memory than there is") from error
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
_WORDS_OF_CODE: Final = re.compile(
    r"NoneType|object has no|to unpack|invalid literal|(index|range|arg\w*) out of range|subscriptable"
    r"|broadcast|codec can't|embedded null|reshape|truth value|positional argument|math domain"
)
_PLACE: Final = re.compile(r" ?<[^<>]* at 0x[0-9a-f]+>")  # of an object


def reason_of(error: BaseException, otherwise: str = "its parts do not fit together") -> str:
    """What a library says of a file, in one line; ``otherwise`` where Python speaks of the library's code."""
    said = one_line(_PLACE.sub("", str(error)).strip().split("\n", maxsplit=1)[0])
    if type(error).__module__ == "struct" or isinstance(error, EOFError):
        return "it ends too early"
    if not said or isinstance(error, _OF_CODE) or _WORDS_OF_CODE.search(said):
        return otherwise
    return said


def one_line(text: str) -> str:
    """``text`` with control characters and lone surrogates escaped, so that it stays one line."""
    return "".join(
        c if c.isprintable() else c.encode("unicode_escape", "surrogatepass").decode("ascii") for c in text
    )


def suggest(word: str, known: Iterable[str], count: int = 3) -> str:
    """`` (did you mean …?)`` with the known words that are a slip of the keyboard away, or nothing."""
    typed, ranked = word.casefold()[:_LONGEST_WORD], []
    for place, name in enumerate(dict.fromkeys(known)):
        slips = _slips(typed, name.casefold())
        if slips is not None:
            ranked.append((slips, place, name))
    near = [name for _, _, name in sorted(ranked)[:count]]
    return f" (did you mean {', '.join(near)}?)" if near else ""


def _slips(typed: str, name: str) -> int | None:
    """Slips between two words: one letter in four may be wrong, and one of the words may go on."""
    bare, other = typed.strip("-"), name.strip("-")
    if bare == other:
        return 0
    shorter = min(len(bare), len(other))
    if shorter >= _SHORTEST_PART and (bare.startswith(other) or other.startswith(bare)):
        return 1
    most = (shorter + 2) // 4
    if abs(len(typed) - len(name)) > most:
        return None
    found = edits(typed, name)
    return found if found <= most else None


def edits(one: str, other: str) -> int:
    """Letters that were left out, put in, replaced or swapped (optimal string alignment)."""
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
    """A text of at most ``limit`` characters."""
    return text if len(text) <= limit else text[: limit - 1] + "…"


def literal(value: object, limit: int = 60) -> str:
    """A Python value as it stands in a message: its repr on one line, cut to ``limit`` characters."""
    try:
        text = repr(value)
    except Exception:  # a class of somebody else's, or an integer of too many digits
        text = f"a value of type {type(value).__name__}"
    return cut(one_line(" ".join(text.split())), limit)


def quoted(value: object, limit: int = 60) -> str:
    """A value as it stands in a message: quoted, escaped, cut to ``limit`` characters."""
    return repr(cut(one_line(str(value)), limit))
