"""`figure` and `sheet`: feature maps drawn with their kernels, axes and ranges."""

from __future__ import annotations

import os
from functools import cached_property
from typing import Any, Literal, Unpack

from convcli.core.dtypes import Array
from convcli.core.errors import ArgumentError, one_line
from convcli.files.ledger import OutputLedger
from convcli.files.outputs import write
from convcli.images.calls import all_settings, network_settings
from convcli.images.inputs import Image, as_image, png_bytes
from convcli.images.keywords import KernelLike, Options, with_options
from convcli.visualize.figure import figure as drawn_figure
from convcli.visualize.map_set import compute_maps
from convcli.visualize.raster import raster
from convcli.visualize.scene import Scene
from convcli.visualize.scene_file import scene_file
from convcli.visualize.sheet import map_sheet
from convcli.visualize.svg import svg


class Drawing:
    """A page of drawn feature maps."""

    def __init__(self, scene: Scene, image: Image, kind: str) -> None:
        self._scene, self._image, self._kind = scene, image, kind

    @property
    def size(self) -> tuple[int, int]:
        """Rows and columns in pixels."""
        return self._scene.height, self._scene.width

    @cached_property
    def pixels(self) -> Array:
        """The page, (rows, columns, 3) of uint8."""
        return raster(self._scene)

    @cached_property
    def svg(self) -> str:
        """The page as an SVG document."""
        return svg(self._scene)

    def save(self, path: str | os.PathLike[str], *, force: bool = False, format: str | None = None) -> str:
        """Write the page as an image or as SVG.

        Args:
            path: a file or a URL; the suffix says the format.
            force: replace a file that exists.
            format: as for `Result.save`, or ``"svg"``.

        Returns:
            The name of the file.

        Raises:
            OutputError: it cannot be written.
        """
        target = scene_file(self._image.name or "image", self._kind, os.fspath(path), format)
        if target.path is None:
            raise ArgumentError("- is standard output; give the name of a file")
        OutputLedger(self._image.files).claim(target.path, force, make_folder=True)
        write(target.path, target.encoded(self._scene), force)
        return str(target.path)

    def __repr__(self) -> str:
        rows, columns = self.size
        return f"<{type(self).__name__}, {columns} × {rows} pixels: {one_line(self._scene.title)}>"

    def _repr_png_(self) -> bytes:
        return png_bytes(self.pixels)

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> dict[str, Any]:
        """All forms in which a notebook can show the page."""
        return {"text/plain": repr(self), "image/png": self._repr_png_()}


@with_options
def figure(
    image: Any,
    kernel: KernelLike | None = None,
    *,
    model: str | os.PathLike[str] | None = None,
    until: str | None = None,
    tile: int = 256,
    range: Literal["each", "common"] = "each",
    dims: Any = None,
    **options: Unpack[Options],
) -> Drawing:
    """Return the input, each kernel and its feature map side by side, as ``apply --figure`` draws them.

    Of a chain (``then``), every stage is shown.

    Args:
        image: as for `apply`.
        kernel: as for `apply`; a list shows several.
        model: as for `apply`.
        until: as for `apply`.
        tile: longer side of a map, in pixels.
        range: ``"each"`` map has its own range of values, or all have a ``"common"`` one.
        dims: as for `apply`.
        options: as for `apply`.

    Raises:
        ConvcliError: as for `apply`, or there are too many maps.
    """
    return _drawing("figure", image, kernel, (model, until), (tile, range), dims, dict(options))


@with_options
def sheet(
    image: Any,
    kernel: KernelLike | None = None,
    *,
    model: str | os.PathLike[str] | None = None,
    until: str | None = None,
    tile: int = 256,
    range: Literal["each", "common"] = "each",
    dims: Any = None,
    **options: Unpack[Options],
) -> Drawing:
    """Return all feature maps on one labeled page, as ``apply --sheet`` draws them.

    Args:
        image: as for `apply`.
        kernel: as for `apply`; a list shows several.
        model: as for `apply`.
        until: as for `apply`.
        tile: longer side of a map, in pixels.
        range: as for `figure`.
        dims: as for `apply`.
        options: as for `apply`.

    Raises:
        ConvcliError: as for `apply`.
    """
    return _drawing("sheet", image, kernel, (model, until), (tile, range), dims, dict(options))


def _drawing(
    kind: str,
    image: Any,
    kernel: Any,
    network: tuple[str | os.PathLike[str] | None, str | None],
    look: tuple[int, str],
    dims: Any,
    options: dict[str, Any],
) -> Drawing:
    tile, range_ = look
    if not isinstance(tile, int) or not 16 <= tile <= 8192:
        raise ArgumentError(f"tile {tile!r} is not a whole number from 16 to 8192")
    if range_ not in ("each", "common"):
        raise ArgumentError(f"range {range_!r} is not one of each, common")
    taken, (model, until) = as_image(image, dims), network
    if model is None:
        settings = all_settings(taken, kernel, options)
    else:
        settings = [network_settings(model, until, kernel, options)]
    shares = range_ == "common"
    with taken.errors():
        map_set = compute_maps(taken.source, settings, shares, stages=kind == "figure")
    scene = drawn_figure(map_set, tile) if kind == "figure" else map_sheet(map_set, tile, shares)
    return Drawing(scene, taken, kind)
