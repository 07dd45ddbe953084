"""The order of the four axes of a layer's weights, which shapes alone do not always tell."""

from __future__ import annotations

from collections.abc import Container, Sequence
from typing import Final

ORDERS: Final = {"hwio": "rows, columns, in, out", "oihw": "out, in, rows, columns"}
"""As Keras stores weights, and as PyTorch does."""
_WIDEST: Final = 31  # rows or columns of a typical window


def split_order(member: str | None, names: Container[str]) -> tuple[str | None, str | None]:
    """``NAME:oihw`` as the name and the order of the axes; each is None if it is not given."""
    if member is None or member in names:
        return member, None
    name, _, order = member.rpartition(":")
    return (name or None, order) if order in ORDERS else (member, None)


def order_notes(shape: Sequence[int], out_first: bool, place: str) -> tuple[str, ...]:
    """A note on weights of four axes whose window may as well be the other two, or nothing.

    Args:
        out_first: whether they are read as (out, in, rows, columns), not as (rows, columns, in, out).
    """
    if len(shape) != 4:
        return ()
    if not _like_a_window(shape[:2] if out_first else shape[2:]):
        return ()
    taken, alternative = ("oihw", "hwio") if out_first else ("hwio", "oihw")
    return (
        f"weights of shape {tuple(shape)} are read as ({ORDERS[taken]}); "
        f"{place}:{alternative} reads them as ({ORDERS[alternative]})",
    )


def _like_a_window(sizes: Sequence[int]) -> bool:
    """Whether two axes look like the rows and columns of a kernel: a square, or one odd row or column."""
    least, most = min(sizes), max(sizes)
    return most <= _WIDEST and (least == most or (least == 1 and most % 2 == 1))
