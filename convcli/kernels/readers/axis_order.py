"""The order of the four axes of a layer's weights, which shapes alone do not always tell."""

from __future__ import annotations

from collections.abc import Container, Sequence
from typing import Final

from convcli.core.errors import KernelError
from convcli.core.frozen import frozen
from convcli.core.numerals import counted

ORDERS: Final = {"hwio": "rows, columns, in, out", "oihw": "out, in, rows, columns"}
"""As Keras stores weights, and as PyTorch does."""
_WIDEST: Final = 31  # rows or columns of a typical window


@frozen
class WeightsOrder:
    """What is known of the order of weights in files that do not state it.

    Attributes:
        requested: a key of `ORDERS`, or None.
        inputs: numbers of channels that the image can be filtered with; empty without an image.
    """

    requested: str | None = None
    inputs: tuple[int, ...] = ()


UNKNOWN: Final = WeightsOrder()


class AmbiguousOrderError(KernelError):
    """Weights whose axes may be in either order; the message says how to choose one."""


def split_order(member: str | None, names: Container[str]) -> tuple[str | None, str | None]:
    """``NAME:oihw`` or ``NAME@oihw`` as the name and the order of the axes; None for what is not given."""
    if member is None or member in names:
        return member, None
    if member in ORDERS:
        return None, member
    for separator in (":", "@"):
        name, found, order = member.rpartition(separator)
        if found and order in ORDERS:
            return name or None, order
    return member, None


def order_of(
    shape: Sequence[int], known: WeightsOrder, default: str, place: str, maps: int | None = None
) -> tuple[str, tuple[str, ...]]:
    """The order of the axes of weights, and a note if it is neither requested nor the default's.

    Args:
        default: the order of the format, for shapes that tell nothing.
        place: the weights in messages.
        maps: the number of biases, if there are any.

    Raises:
        AmbiguousOrderError: both orders give a typical window, and the image does not decide.
    """
    if known.requested or len(shape) != 4 or set(shape) == {1}:
        return known.requested or default, ()
    windows = {"hwio": shape[:2], "oihw": shape[2:]}
    fitting = [order for order in ORDERS if _like_a_window(windows[order])]
    if not fitting:
        return default, ()
    if len(fitting) == 2 and maps is not None and shape[0] != shape[3]:
        fitting = [order for order in ORDERS if {"hwio": shape[3], "oihw": shape[0]}[order] == maps]
    why = "the only order whose rows and columns look like a window"
    if len(fitting) == 2 and known.inputs:
        inputs = {"hwio": shape[2], "oihw": shape[1]}
        fitting = [order for order in ORDERS if inputs[order] in (1, *known.inputs)]
        why = f"the only order that fits {counted(known.inputs[0], 'channel')}"
    if len(fitting) == 1:
        chosen = fitting[0]
        is_plain = chosen == default and not known.inputs
        return chosen, () if is_plain else (_note(shape, chosen, why, place),)
    raise AmbiguousOrderError(
        f"{place}: weights of shape {tuple(shape)} can be ({ORDERS['hwio']}) or ({ORDERS['oihw']}); "
        f"use {place}:hwio or {place}:oihw, or --weights-order"
    )


def _note(shape: Sequence[int], chosen: str, why: str, place: str) -> str:
    other = next(order for order in ORDERS if order != chosen)
    return (
        f"weights of shape {tuple(shape)} are read as ({ORDERS[chosen]}), {why}; "
        f"{place}:{other} reads them as ({ORDERS[other]})"
    )


def _like_a_window(sizes: Sequence[int]) -> bool:
    """Whether two axes look like the rows and columns of a kernel: a square, or one odd row or column."""
    least, most = min(sizes), max(sizes)
    return most <= _WIDEST and (least == most or (least == 1 and most % 2 == 1))
