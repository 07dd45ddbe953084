"""Smaller versions of the images of a TIFF: the overviews of a COG, the pyramid of an OME-TIFF."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from fractions import Fraction
from typing import Any

from convcli.core.errors import ImageError
from convcli.core.frozen import replace
from convcli.formats.calibration import Sampling
from convcli.formats.header import Metadata
from convcli.formats.tiff.pages import Plane, is_auxiliary, is_reduced


def at_level(pages: Sequence[Any], level: int) -> list[Plane]:
    """A smaller version of every image.

    Args:
        pages: of the chain of a file.
        level: 1 for the largest of them.

    Raises:
        ImageError: an image has none at this level.
    """
    planes = []
    for page, versions in _pyramids(pages):
        if level > len(versions):
            raise ImageError(_missing(level, [page, *versions]))
        planes.append(Plane(versions[level - 1], whole=page))
    return planes


def _missing(level: int, versions: Sequence[Any]) -> str:
    """That a level does not exist, and those that do."""
    if len(versions) == 1:
        return f"this tiff has no smaller versions (--level {level})"
    there = ", ".join(
        f"{number} ({page.imagewidth}×{page.imagelength})" for number, page in enumerate(versions)
    )
    return f"this tiff has no level {level}; allowed: {there}"


def _pyramids(pages: Sequence[Any]) -> list[tuple[Any, list[Any]]]:
    """Each image with its smaller versions, the largest first.

    They are pages of its own (SubIFDs), or follow it in the chain.
    """
    found: list[tuple[Any, list[Any]]] = []
    for page in pages:
        if not found or not is_auxiliary(page):
            found.append((page, list(_own_pages(page))))
        elif is_reduced(page):
            found[-1][1].append(page)
    return [(page, sorted(filter(_Fits(page), versions), key=_width)) for page, versions in found]


def _own_pages(page: Any) -> Iterator[Any]:
    if page.subifds:
        yield from page.pages


def _width(page: Any) -> int:
    return -int(page.imagewidth)


class _Fits:
    """Whether a page is a smaller version of another one, rather than a thumbnail of another kind."""

    def __init__(self, whole: Any) -> None:
        self.whole = whole

    def __call__(self, page: Any) -> bool:
        whole = self.whole
        is_smaller = page.imagewidth < whole.imagewidth and page.imagelength <= whole.imagelength
        return bool(
            is_smaller and page.samplesperpixel == whole.samplesperpixel and page.dtype == whole.dtype
        )


def of_level(metadata: Metadata, plane: Plane) -> Metadata:
    """The metadata of a smaller version, given that of the whole image: its pixels are larger."""
    if plane.whole is None:
        return metadata
    sizes = [
        (plane.whole.imagelength, plane.page.imagelength),
        (plane.whole.imagewidth, plane.page.imagewidth),
    ]
    down, across = (_sampling(Fraction(int(whole), int(own))) for whole, own in sizes)
    resolution = metadata.resolution
    return replace(
        metadata,
        resolution=resolution and (resolution[0] / across.step, resolution[1] / down.step),
        axes=metadata.axes and metadata.axes.sampled(down, across),
        ground=metadata.ground and metadata.ground.sampled(down, across),
    )


def _sampling(step: Fraction) -> Sampling:
    """Pixels that are ``step`` pixels wide, whose first begins where the first of the image does."""
    return Sampling(step, (step - 1) / 2)
