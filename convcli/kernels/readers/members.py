"""Which of a file's named kernels is meant."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from convcli.core.errors import KernelError, one_line, quoted, suggest

_MOST_LISTED: Final = 8


def choose(names: Sequence[str], member: str | None, place: str, what: str = "kernel") -> str:
    """The name that ``member`` means; the only one if it is None.

    Args:
        what: the noun for messages.

    Raises:
        KernelError: no such name, or several to choose from.
    """
    if member in names:
        assert member is not None
        return member
    if member is not None:
        near = suggest(member, names) or f"; it contains {_listed(names) or f'no {what} at all'}"
        raise KernelError(f"{place} contains no {what} {quoted(member)}{near}")
    if len(names) == 1:
        return names[0]
    if not names:
        raise KernelError(f"{place} contains no {what}")
    raise KernelError(f"{place} contains {len(names)} {what}s; choose one with FILE:NAME: {_listed(names)}")


def _listed(names: Sequence[str]) -> str:
    listed = ", ".join(one_line(name) for name in names[:_MOST_LISTED])
    left_out = len(names) - _MOST_LISTED
    return f"{listed} and {left_out} more" if left_out > 0 else listed
