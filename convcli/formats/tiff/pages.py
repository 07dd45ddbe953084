"""Which images a TIFF holds: pages, and the planes of a stack that share one page."""

from __future__ import annotations

import math
import struct
from collections.abc import Iterator
from typing import Any, Final

from convcli.core.errors import ImageError
from convcli.core.frozen import frozen
from convcli.formats.tiff.color import MASK, photometric
from convcli.formats.tiff.tables import Tables

_REDUCED, _TRANSPARENCY = 1, 4  # bits of tag 254, subfile type
_STK_PLANES: Final = 33629  # a MetaMorph tag with one value for each plane
_MOST_PLANES: Final = 2**24


@frozen(eq=False)
class Plane:
    """One image.

    Attributes:
        shift: bytes by which its pixels lie after the offsets that the page states.
        whole: the page of which this one is a smaller version, if it is one.
    """

    page: Any
    shift: int = 0
    whole: Any = None


def pages_of(file: Any, tables: Tables) -> list[Any]:
    """The pages of an open file.

    Raises:
        ImageError: it has no page, or ends before its last one.
    """
    pages = list(file.pages)
    tables.apply(pages)
    if not pages:
        raise ImageError("damaged tiff: it has no page")
    _check_chain(file, [page.offset for page in pages])
    return pages


def planes(file: Any, pages: list[Any]) -> tuple[list[Plane], tuple[str, ...]]:
    """The images of a file, with notes on pages that are not images and planes that are missing."""
    images = [page for page in pages if not is_auxiliary(page)] or pages[:1]
    left = len(pages) - len(images)
    notes = (
        [f"{left} of {len(pages)} pages are left out: smaller versions or masks of others"] if left else []
    )
    if len(images) > 1:
        return [Plane(page) for page in images], tuple(notes)
    stack, note = _stacked(file, images[0])
    return stack, (*notes, *note)


def is_auxiliary(page: Any) -> bool:
    """Whether a page is a smaller version or a mask of another one."""
    return bool(page.subfiletype & (_REDUCED | _TRANSPARENCY)) or photometric(page) == MASK


def is_reduced(page: Any) -> bool:
    """Whether a page is a smaller version of another one, and not of its mask."""
    return bool(
        page.subfiletype & _REDUCED and not page.subfiletype & _TRANSPARENCY and photometric(page) != MASK
    )


def _stacked(file: Any, page: Any) -> tuple[list[Plane], tuple[str, ...]]:
    """The consecutive planes after a single page, as some writers store stacks above 4 GB."""
    count = min(max((count for _, count in _counts(page)), default=1), _MOST_PLANES)
    if count <= 1:
        return [Plane(page)], ()
    first, size = (page.dataoffsets or (0,))[0], page.nbytes
    lies_inside = first < page.offset < first + count * size
    there = (file.filehandle.size - first) // max(size, 1) if page.is_final and first else 1
    if there < count or lies_inside:
        writer = next(name for name, stated in _counts(page) if stated == count)
        return [Plane(page)], (f"{writer} announces {count} planes; the file holds 1",)
    return [Plane(page, index * size) for index in range(count)], ()


def _counts(page: Any) -> Iterator[tuple[str, int]]:
    """How many planes a page states, and where it states them."""
    from tifffile.tifffile import imagej_description_metadata, shaped_description_metadata

    try:
        if _STK_PLANES in page.tags:
            yield "its MetaMorph tag", page.tags[_STK_PLANES].count
        if page.is_imagej:
            yield (
                "its ImageJ description",
                _imagej_planes(imagej_description_metadata(page.imagej_description)),
            )
        if page.is_shaped:
            shape = shaped_description_metadata(page.shaped_description)["shape"]
            yield "its description", math.prod(shape) // max(math.prod(page.shape), 1)
    except Exception:  # a description that only looks like one, in ways that tifffile does not foresee
        return


def _imagej_planes(fields: dict[str, Any]) -> int:
    """Planes of an ImageJ stack: all that it counts, or the product of its axes."""
    axes = (int(fields.get(name, 1)) for name in ("channels", "slices", "frames"))
    return max(int(fields.get("images", 1)), math.prod(axes))


def _check_chain(file: Any, offsets: list[int]) -> None:
    """Refuse a file whose last page names another one, which tifffile could not read and leaves out."""
    form, handle = file.tiff, file.filehandle

    def number(kind: str, size: int, place: int) -> int:
        if place + size > handle.size:
            raise ImageError("damaged tiff: it ends within its last page")
        return int(struct.unpack(kind, handle.read_array("u1", size, place).tobytes())[0])

    last = offsets[-1]
    count = number(form.tagnoformat, form.tagnosize, last)
    place = last + form.tagnosize + count * form.tagsize
    if number(form.offsetformat, form.offsetsize, place) not in (0, *offsets):
        raise ImageError("damaged tiff: it ends before its last page")
