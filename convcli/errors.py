"""Every error a person can cause, as one family.

A message is one line that says what was got, what is allowed and, where there is one, the place:
``sharpen.csv:2: row has 2 numbers, row 1 has 3``. The command line prints it behind ``convcli:``.
"""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager


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


def told(name: str, error: Exception) -> str:
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
    except KernelError:
        raise
    except MemoryError as error:
        raise KernelError(f"{place}: reading it takes more memory than there is") from error
    except OSError as error:
        raise KernelError(f"{place}: {error.strerror or one_line(cut(str(error)))}") from error
    except Exception as error:
        reason = cut(one_line(str(error).strip().split("\n", maxsplit=1)[0]))
        raise KernelError(f"{place}: damaged: {reason or type(error).__name__}") from error


def one_line(text: str) -> str:
    """``text`` with control characters and lone surrogates escaped, so that it stays one line."""
    return "".join(
        c if c.isprintable() else c.encode("unicode_escape", "surrogatepass").decode("ascii") for c in text
    )


def suggest(word: str, known: Iterable[str], count: int = 3) -> str:
    """`` (did you mean …?)`` with the nearest known words, or nothing."""
    from difflib import get_close_matches  # only a mistake pays for this import

    near = get_close_matches(word.casefold(), list(known), n=count, cutoff=0.6)
    return f" (did you mean {', '.join(near)}?)" if near else ""


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


def shown(value: object, limit: int = 60) -> str:
    """A value as it stands in a message: quoted, escaped, cut to ``limit`` characters."""
    return repr(cut(one_line(str(value)), limit))
