"""What functions for images accept: files, URLs, bytes and arrays of every library, as an input in memory."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

import numpy as np

from convcli.core.dtypes import Array, holds
from convcli.core.errors import (
    ArgumentError,
    ConvcliError,
    ImageError,
    cut,
    failure_message,
    literal,
    one_line,
)
from convcli.core.foreign import in_memory, library_of
from convcli.core.frozen import frozen
from convcli.core.numerals import axes_text
from convcli.core.rational import masked
from convcli.files.input import LARGEST_INPUT, STREAM, Input
from convcli.files.pixels import Pixels
from convcli.formats.header import MAX_IMAGE_CHANNELS

_TYPES: Final = ("uint8", "int8", "uint16", "int16", "uint32", "int32", "float16", "float32", "float64")
_NARROW: Final = (np.dtype(np.int32), np.dtype(np.uint32))
"""Types for the values of 64-bit integers, if they fit."""

_MOST_CHANNELS: Final = 4096
_ALLOWED: Final = (
    "(rows, columns), (rows, columns, channels) or (frames, rows, columns, channels), "
    f"with up to {_MOST_CHANNELS} channels"
)
_ROWS: Final = ("y", "row", "rows", "lat", "latitude", "northing", "height")
_COLUMNS: Final = ("x", "column", "columns", "col", "lon", "longitude", "easting", "width")
"""Names of dimensions that are rows and columns."""


@frozen(eq=False)
class Labels:
    """The dimensions of a labeled array.

    Attributes:
        array: the DataArray.
        rows, columns: names of its dimensions.
        channels: the name of the other dimension; None if there is none.
    """

    array: Any
    rows: str
    columns: str
    channels: str | None


@frozen(eq=False)
class Image:
    """An image as the pipeline reads it, without a file that is open.

    Attributes:
        source: the bytes of a file, a store, or pixels.
        labels: of a DataArray; None for every other image.
    """

    source: Input
    labels: Labels | None = None

    @property
    def name(self) -> str:
        """What it is called."""
        return self.source.name

    @property
    def title(self) -> str:
        """The last part of its name, on one line."""
        return one_line(os.path.basename(self.name) or self.name)  # noqa: PTH119 - also of URLs

    @property
    def files(self) -> tuple[str, ...]:
        """Its file, which results do not replace by accident."""
        return () if self.source.pixels is not None or not self.source.name else (self.source.name,)

    @contextmanager
    def errors(self) -> Iterator[None]:
        """A context in which errors about the image begin with its name."""
        try:
            yield
        except ImageError as error:
            raise ImageError(failure_message(self.name or "bytes", error)) from error


def is_lazy(image: Any) -> bool:
    """Whether an image is a Dask array, or a DataArray in chunks."""
    library = library_of(image)
    if library == "xarray":
        return getattr(image, "chunks", None) is not None and hasattr(image, "dims")
    return library == "dask" and hasattr(image, "chunks") and hasattr(image, "dask")


def as_image(image: Any, dims: Any = None) -> Image:
    """Any accepted image.

    A file is read now, so that later changes of it do not matter; an array is not copied if its type is one
    that pixels have.

    Args:
        image: a path or URL, ``"-"`` for standard input, the bytes of a file, an open binary file, a PIL
            image, a DataArray, or an array of any library.
        dims: names of a DataArray's dimensions of rows and columns.

    Raises:
        ArgumentError: another type of value, or an array that is not an image.
        ImageError: a file that cannot be read.
    """
    if isinstance(image, Image):
        return image
    if is_lazy(image):
        raise ArgumentError(
            "the image is an array in chunks, which apply filters with one kernel, lazily; "
            "use image.compute() for everything else"
        )
    if library_of(image) == "xarray":
        return _of_labeled(image, dims)
    if dims is not None:
        raise ArgumentError("dims names dimensions of a DataArray, but the image is not one; leave it out")
    if isinstance(image, (str, os.PathLike)):
        return _of_file(os.fspath(image))
    if isinstance(image, (bytes, bytearray, memoryview)):
        return Image(Input(data=bytes(image), name="bytes"))
    if hasattr(image, "read") and not hasattr(image, "__array__"):
        return _of_open_file(image)
    if library_of(image) == "PIL":
        return Image(Input(pixels=_of_pillow(image), name=_name_of_pillow(image)))
    if library_of(image) == "torch":
        _refuse_channels_first(image)
    return Image(Input(pixels=pixels_of(_array(image)), name="array"))


def _refuse_channels_first(tensor: Any) -> None:
    """Refuse a tensor that looks like PyTorch's (channels, rows, columns), whose channels would be rows."""
    shape = tuple(getattr(tensor, "shape", ()))
    if len(shape) not in (3, 4) or shape[-3] not in (1, 3, 4) or shape[-1] <= MAX_IMAGE_CHANNELS:
        return
    looks, order = (
        ("channels, rows, columns", "1, 2, 0")
        if len(shape) == 3
        else ("frames, channels, rows, columns", "0, 2, 3, 1")
    )
    raise ArgumentError(
        f"image is a tensor of shape {shape}, which looks like ({looks}); channels come last here: "
        f"use image.permute({order}), or image.numpy() if they do"
    )


def _of_file(name: str | bytes) -> Image:
    name = os.fsdecode(name)
    try:
        source = Input.open(name)
        if source.store is None and name != STREAM:
            with source:
                source = Input(data=source.read())
    except ConvcliError as error:
        raise ImageError(failure_message(name, error)) from error
    source.name = name
    return Image(source)


def _of_open_file(file: Any) -> Image:
    data = file.read(LARGEST_INPUT + 1)
    if isinstance(data, str):
        raise ArgumentError("the image is a file opened as text; open it in binary mode: open(NAME, 'rb')")
    if not isinstance(data, (bytes, bytearray)):
        raise ArgumentError(f"the image's read() returned {literal(type(data).__name__)}, not bytes")
    if len(data) > LARGEST_INPUT:
        raise ImageError(f"larger than {LARGEST_INPUT // 2**30} GiB")
    name = getattr(file, "name", None)
    return Image(Input(data=bytes(data), name=name if isinstance(name, str) else "bytes"))


def _array(image: Any) -> Array:
    if reason := masked(image):
        raise ArgumentError(f"image {reason}")
    try:
        values = in_memory(image)
        if values.ndim:
            return values
        raise TypeError("not an array")
    except MemoryError:
        raise
    except Exception as error:  # any error that a foreign class raises
        raise ArgumentError(
            f"image is of type {cut(type(image).__name__, 60)} and cannot be converted to an array; "
            "allowed: a path, URL, bytes, binary file, PIL image or array"
        ) from error


def pixels_of(values: Array, bands: bool = False) -> Pixels:
    """The pixels of an array, with a view of its values where their type is one that pixels have.

    Raises:
        ArgumentError: a shape or a type that images do not have.
    """
    axes = values.ndim
    if axes not in (2, 3, 4) or not values.size or (axes > 2 and values.shape[-1] > _MOST_CHANNELS):
        raise ArgumentError(f"image has shape {values.shape}; allowed: {_ALLOWED}")
    bands = bands or (axes > 2 and values.shape[-1] > MAX_IMAGE_CHANNELS)
    typed, notes = _pixel_type(values)
    typed = typed[..., None] if axes == 2 else typed
    typed = typed if axes == 4 else typed[None]
    return Pixels(np.require(typed, requirements=["C", "A"]), bands, notes)


def _pixel_type(values: Array) -> tuple[Array, tuple[str, ...]]:
    """Values of a type that pixels have, and a note if it is another one."""
    native = values.dtype.newbyteorder("=")
    if native.kind == "b":
        return np.where(values, np.uint8(255), np.uint8(0)), ()
    if native.name in _TYPES:
        return values.astype(native, copy=False), ()
    if native.kind in "iu":
        low, high = int(values.min()), int(values.max())
        narrow = next((dtype for dtype in _NARROW if holds(dtype, low, high)), None)
        if narrow is not None:
            note = f"its {native.name} values, {low} to {high}, are read as {narrow}"
            return values.astype(narrow), (note,)
        raise ArgumentError(
            f"image has {native.name} values from {low} to {high}; allowed: those of int32 or uint32; "
            "convert it to float64, which is exact up to 2⁵³"
        )
    raise ArgumentError(
        f"image has type {cut(str(values.dtype), 60)}; allowed: bool, integers, float16, float32 or float64"
    )


def _of_pillow(image: Any) -> Pixels:
    """The pixels of a PIL image; palettes and other color spaces as RGB."""
    from PIL import Image as Pillow

    if not isinstance(image, Pillow.Image):
        raise ArgumentError(f"image is of type {cut(type(image).__name__, 60)}; pass a PIL.Image.Image")
    try:
        if image.mode == "La":
            image = image.convert("LA")
        elif image.mode in ("P", "PA", "RGBa"):
            has_alpha = image.mode != "P" or "transparency" in image.info
            image = image.convert("RGBA" if has_alpha else "RGB")
        elif image.mode not in ("1", "L", "LA", "RGB", "RGBA", "F", "I") and image.mode[:2] != "I;":
            image = image.convert("RGB")
        return pixels_of(np.asarray(image))
    except OSError as error:  # a file that is decoded only now
        raise ImageError(f"the PIL image cannot be decoded: {error}") from error


def _name_of_pillow(image: Any) -> str:
    name = getattr(image, "filename", "")
    return os.fsdecode(name) if isinstance(name, (str, bytes)) and name else "PIL image"


def _of_labeled(array: Any, dims: Any) -> Image:
    labels = labels_of(array, dims)
    order = [dim for dim in (labels.rows, labels.columns, labels.channels) if dim is not None]
    values = _array(array.transpose(*order).data)
    name = f"DataArray {array.name}" if isinstance(array.name, str) else "DataArray"
    bands = labels.channels is not None
    return Image(Input(pixels=pixels_of(values, bands), name=name), labels)


def labels_of(array: Any, dims: Any) -> Labels:
    """What the dimensions of a DataArray are.

    Raises:
        ArgumentError: it is not one, or its rows and columns cannot be told.
    """
    import xarray as xr

    if not isinstance(array, xr.DataArray):
        raise ArgumentError(
            f"image is of type {cut(type(array).__name__, 60)} of xarray; pass a DataArray, such as ds[NAME]"
        )
    names = list(array.dims)
    if len(names) < 2:
        raise ArgumentError(f"the image has {axes_text(len(names))}; allowed: rows and columns, and channels")
    rows, columns = _named_dimensions(names) if dims is None else _chosen_dimensions(names, dims)
    others = [name for name in names if name not in (rows, columns)]
    if len(others) > 1:
        raise ArgumentError(
            f"the image has the dimensions {', '.join(map(literal, names))}; one of them, beside "
            "rows and columns, may be that of channels; select along the others with isel, "
            "or use convcli.dask.conv, which filters everything along them alike"
        )
    return Labels(array, rows, columns, others[0] if others else None)


def _named_dimensions(names: list[Any]) -> tuple[Any, Any]:
    """The dimensions of rows and columns, by their names, or the only two."""
    rows = [name for name in names if str(name).casefold() in _ROWS]
    columns = [name for name in names if str(name).casefold() in _COLUMNS]
    if len(rows) == len(columns) == 1:
        return rows[0], columns[0]
    if len(names) == 2:
        return names[0], names[1]
    raise ArgumentError(
        f"the image has the dimensions {', '.join(map(literal, names))}; "
        "name those of rows and columns: dims=('y', 'x')"
    )


def _chosen_dimensions(names: list[Any], dims: Any) -> tuple[Any, Any]:
    chosen = list(dims) if not isinstance(dims, str) else [dims]
    if len(chosen) != 2 or len(set(chosen)) != 2 or not set(chosen) <= set(names):
        raise ArgumentError(
            f"dims {literal(dims)} must name two of {', '.join(map(literal, names))}: rows and columns"
        )
    return chosen[0], chosen[1]


def png_bytes(pixels: Array) -> bytes:
    """A PNG file of (rows, columns[, channels]) of uint8."""
    from convcli.formats.header import Metadata
    from convcli.formats.registry import format_named

    shaped = pixels if pixels.ndim == 3 else pixels[..., None]
    return format_named("png").encode(np.ascontiguousarray(shaped), Metadata())
