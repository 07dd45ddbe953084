"""What `apply` returns: feature maps, their pixels and reports, made when they are first asked for."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any, Final, overload

import numpy as np

from convcli.core import markup
from convcli.core.dtypes import Array
from convcli.core.errors import ArgumentError, ConvcliError, one_line
from convcli.core.frozen import replace
from convcli.core.numerals import axis_text, counted
from convcli.files.ledger import OutputLedger
from convcli.formats.header import Coding
from convcli.images.inputs import Image, png_bytes
from convcli.images.planned import PlannedMaps, planned_maps
from convcli.kernels.describe import map_name
from convcli.kernels.kernel import Kernel
from convcli.pipeline import job
from convcli.pipeline.mapping import Mapping
from convcli.pipeline.naming import OutputSpec
from convcli.pipeline.reports.json_form import report_dict
from convcli.pipeline.reports.report import Report
from convcli.pipeline.settings import GRAY, Settings
from convcli.visualize.display import Scale, display_range, to_display

if TYPE_CHECKING:
    import xarray as xr

PREVIEW: Final = 320
"""Longest side of a map in a notebook, in pixels."""
_SHOWN: Final = 12  # maps in a notebook
_SMALL: Final = 16  # rows or columns of maps that are enlarged


class Result:
    """The feature maps of an image for one kernel, one chain, or a node of a network.

    The image was read and everything was checked when `convcli.apply` returned. Values, pixels and reports
    are computed when they are first asked for, and kept.
    """

    def __init__(self, image: Image, settings: Settings) -> None:
        self._image, self._settings = image, settings
        with image.errors():
            self._planned = planned_maps(image, settings)

    @property
    def kernel(self) -> Kernel:
        """The kernel, with scale, bias and combination as they were chosen."""
        return self._settings.kernel

    @property
    def name(self) -> str:
        """The kernel's name, followed by those of the stages."""
        return self._settings.name

    @property
    def axes(self) -> tuple[str, ...]:
        """What the axes of `maps` are: ``("map", "row", "column")``.

        ``"frame"`` comes after ``"map"`` if several frames were filtered, and ``"channel"`` is last if maps
        have several channels. Those of `pixels` are the same, apart from the channels of a color map.
        """
        return self._raw.axes

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape of `maps`."""
        return self._raw.shape

    @cached_property
    def maps(self) -> Array:
        """The values of the feature maps before they become pixels, with the axes that `axes` names.

        They are those that ``--map raw`` writes: float32, or float64 for images of float64 and with
        ``precision="double"``. Integer pixels and rational weights give the exact value, rounded once.
        """
        if self._raw is self._planned:
            return self.pixels
        with self._image.errors():
            return self._raw.arranged(self._raw.computed()[0])

    @cached_property
    def _raw(self) -> PlannedMaps:
        """The maps without a mapping."""
        settings = self._settings
        if settings.mapping.kind == "raw":
            return self._planned
        plain = replace(settings, mapping=Mapping("raw"), depth=None, colormap=GRAY)
        return planned_maps(self._image, plain)

    @property
    def pixels(self) -> Array:
        """The pixels that ``apply`` writes, with the axes of `maps`; a color map adds one of RGB."""
        return self._made[0]

    @property
    def reports(self) -> list[dict[str, Any]]:
        """A report for each map, as ``--report json`` has it; docs/report.md describes the keys."""
        return [report_dict(report) for report in self._made[1]]

    @property
    def report(self) -> dict[str, Any]:
        """The report of the only map.

        Raises:
            ArgumentError: there are several; `reports` has all of them.
        """
        if len(self.reports) != 1:
            raise ArgumentError(f"there are {len(self.reports)} feature maps; use .reports, a list")
        return self.reports[0]

    @cached_property
    def _made(self) -> tuple[Array, list[Report]]:
        """The pixels and the reports."""
        start = time.perf_counter()
        with self._image.errors():
            pixels, facts = self._planned.computed()
        seconds = (time.perf_counter() - start) / len(facts)
        return self._planned.arranged(pixels), self._planned.reports(facts, seconds)

    def save(
        self,
        path: str | os.PathLike[str],
        *,
        force: bool = False,
        format: str | None = None,
        stack: bool = False,
        strip: bool = False,
        quality: int | None = None,
        png: str = "fast",
    ) -> list[str]:
        """Write what ``convcli apply -o`` writes, with the metadata of the image.

        Args:
            path: a file, a URL, a folder with ``/`` at the end, or a template with ``{index}``.
            force: replace files that exist.
            format: of the result, such as ``"tiff"``; None for the suffix's.
            stack: write all maps to one file.
            strip: leave out the metadata.
            quality: of a lossy format, 1 to 100.
            png: ``"fast"`` or ``"small"``.

        Returns:
            The names of the files.

        Raises:
            ConvcliError: they cannot be written; nothing is left half-written.
        """
        if png not in ("fast", "small"):
            raise ArgumentError(f"png {png!r} is not one of fast, small")
        settings = replace(
            self._settings,
            output=OutputSpec(os.fspath(path), format),
            force=force,
            stack=stack or self._settings.stack,
            strip=strip,
            coding=Coding(quality, png == "small"),
        )
        with self._image.errors():
            reports = job.apply(self._image.source, settings, ledger=OutputLedger(self._image.files))
        return list(dict.fromkeys(report.target.name for report in reports))

    def to_xarray(self) -> xr.DataArray:
        """The values as a DataArray, with dimensions named as `axes` has them.

        For an image that is a DataArray, the dimensions have its names, and its coordinates are those of the
        windows' centers, interpolated where they lie between pixels. A single map has no dimension ``map``.

        Raises:
            ArgumentError: several frames were filtered, whose coordinates are not known.
        """
        from convcli.images.labeled import labeled_maps

        names = [map_name(self.kernel, index)[0] for index in range(len(self.maps))]
        return labeled_maps(self.maps, self.axes, self._image, self._planned.geometry, names)

    def __repr__(self) -> str:
        sizes = " × ".join(map(str, self.shape))
        return f"<{type(self).__name__} of {one_line(self.name)} on {self._image.title}: {sizes}>"

    def _repr_html_(self) -> str:
        """The maps with their facts; pixels that cannot be shown are described only."""
        try:
            pictures = "".join(markup.captioned(*part) for part in self._parts())
        except ConvcliError as error:
            pictures = markup.block(str(error))
        hidden = len(self.pixels) - _SHOWN
        more = f"<p>… and {counted(hidden, 'more map')}</p>" if hidden > 0 else ""
        return f"<div>{pictures}{more}</div>"

    def _parts(self) -> Iterator[tuple[str, list[str]]]:
        """The image and the lines of text of each map."""
        for index, (pixels, report) in enumerate(zip(self._first_frames(), self._made[1], strict=True)):
            if index == _SHOWN:
                return
            name = "".join(map_name(self.kernel, index)) if not self._settings.then else self.name
            low, high = axis_text(report.low), axis_text(report.high)
            size = " × ".join(map(str, self.shape[1:]))
            lines = [name, f"{size} · {low} … {high}", f"map {report.mapping}"]
            data, shown = self._preview(pixels)
            width = PREVIEW if max(shown) <= _SMALL * 4 else None
            yield markup.image(data, "png", f"{self.name}, map {index}", width and self._width(shown)), lines

    @staticmethod
    def _width(shown: tuple[int, int]) -> int:
        """Pixels of the page across, at a whole number for each pixel of the map."""
        return max(PREVIEW // max(shown), 1) * shown[1]

    def _first_frames(self) -> Iterator[Array]:
        """(rows, columns, channels) of each map."""
        pixels = self.pixels
        axes = self._planned.axes
        if "channel" not in axes:
            pixels = pixels[..., None]
        return iter(pixels[:, 0] if "frame" in axes else pixels)

    def _preview(self, pixels: Array) -> tuple[bytes, tuple[int, int]]:
        """A small PNG of a map, and its rows and columns."""
        has_bands = self._planned.task.layout.bands
        if pixels.dtype.kind == "f":
            pixels = np.nan_to_num(pixels, posinf=np.nan, neginf=np.nan) if pixels.size else pixels
        range_ = display_range(pixels) if pixels.dtype.itemsize > 2 else None
        shown = to_display(pixels, has_bands, range_)
        reduced = Scale.of(max(shown.shape[:2]), PREVIEW).reduced(shown)
        return png_bytes(reduced), (reduced.shape[0], reduced.shape[1])

    def _repr_png_(self) -> bytes | None:
        """The first map as an image; None if it has too many channels for one."""
        try:
            return self._preview(next(self._first_frames()))[0]
        except ArgumentError:
            return None

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> dict[str, Any]:
        """All forms in which a notebook can show the result."""
        forms = {"text/plain": repr(self), "text/html": self._repr_html_(), "image/png": self._repr_png_()}
        return {kind: form for kind, form in forms.items() if form is not None}


class Results(Sequence[Result]):
    """The results of several kernels for one image, in their order."""

    def __init__(self, results: Sequence[Result]) -> None:
        self._results = tuple(results)

    @overload
    def __getitem__(self, index: int) -> Result: ...
    @overload
    def __getitem__(self, index: slice) -> Results: ...
    def __getitem__(self, index: int | slice) -> Result | Results:
        if isinstance(index, slice):
            return Results(self._results[index])
        return self._results[index]

    def __len__(self) -> int:
        return len(self._results)

    @property
    def maps(self) -> list[Array]:
        """The values of each result, as `Result.maps` has them."""
        return [result.maps for result in self]

    @property
    def pixels(self) -> list[Array]:
        """The pixels of each result."""
        return [result.pixels for result in self]

    @property
    def reports(self) -> list[dict[str, Any]]:
        """The reports of all maps."""
        return [report for result in self for report in result.reports]

    def save(self, path: str | os.PathLike[str], **options: Any) -> list[str]:
        """Write every result; ``path`` is a folder with ``/`` at the end, or a template with ``{kernel}``.

        Args:
            options: as for `Result.save`.

        Raises:
            ConvcliError: the files cannot be written, or are one for several kernels.
        """
        spec = OutputSpec(os.fspath(path))
        if len(self) > 1 and spec.is_one_kernel:
            raise ArgumentError(
                f"the maps of {len(self)} kernels cannot all be written to {one_line(os.fspath(path))}; "
                "use FOLDER/ or {kernel}"
            )
        return [name for result in self for name in result.save(path, **options)]

    def __repr__(self) -> str:
        return f"<{type(self).__name__}: {', '.join(one_line(result.name) for result in self)}>"

    def _repr_html_(self) -> str:
        return "".join(result._repr_html_() for result in self)

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> dict[str, Any]:
        """All forms in which a notebook can show the results."""
        return {"text/plain": repr(self), "text/html": self._repr_html_()}
