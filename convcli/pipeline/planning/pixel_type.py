"""How values of a feature map become pixels: the mapping and the number type of the result."""

from __future__ import annotations

from fractions import Fraction
from typing import Final

import numpy as np

from convcli.core.dtypes import DType
from convcli.core.errors import ArgumentError
from convcli.core.frozen import frozen, replace
from convcli.engine.computers import Computation
from convcli.engine.filter import OTHER, ValueKind
from convcli.formats.header import Header
from convcli.pipeline.mapping import Mapping
from convcli.pipeline.planning.convolution import Convolution
from convcli.pipeline.settings import GRAY, WHEEL, Settings

FLOATS: Final = ("half", "float")
"""The words of --depth for floats."""


@frozen(eq=False)
class PixelType:
    """The mapping to pixels, and their number type."""

    mapping: Mapping
    dtype: DType


def pixel_type(header: Header, convolution: Convolution, settings: Settings) -> PixelType:
    """The pixels of a result, from --map, --depth and --colormap.

    Raises:
        ArgumentError: these options cannot be combined, or do not fit the image.
    """
    is_data = header.dtype.kind == "f" or bool(header.metadata.signal)
    keeps_floats = is_data and settings.depth in (None, *FLOATS)
    kind = convolution.plan.kind
    if settings.normalize is not None and kind.name == "pixels":
        kind = OTHER  # averages of normalized values are no pixels
    mapping = _mapping(kind, keeps_floats, settings)
    depth = _depth(convolution, settings)
    exact = header.metadata.signal and header.dtype.kind != "f"
    source = np.dtype(np.float64) if exact else header.dtype
    is_unmapped = settings.mapping.kind == "auto" and mapping.kind == "raw"
    if depth is None and source == np.float16 and kind.name == "pixels" and is_unmapped:
        depth = "half"  # averages stay in its range
    return PixelType(mapping, _dtype(mapping, source, convolution.plan, depth))


def _mapping(kind: ValueKind, keeps_floats: bool, settings: Settings) -> Mapping:
    if settings.colormap == GRAY:
        return settings.mapping.resolved(kind, keeps_floats)
    requested = _colorable(settings.mapping, settings.colormap)
    resolved = requested.resolved(kind, False)
    is_clipped_float = keeps_floats and requested.kind == "auto" and resolved.kind == "clip"
    return Mapping("stretch") if is_clipped_float else resolved


def _colorable(requested: Mapping, colormap: str) -> Mapping:
    """The mapping for a color map; the middle color of ``diverging`` is 0."""
    if colormap == "diverging":
        if requested.kind in ("auto", "signed"):
            return replace(requested, kind="signed")
        raise ArgumentError(
            f"--colormap diverging needs a mapping centered on 0, not --map {requested.kind}; "
            "use auto, signed or signed:LIMIT"
        )
    if colormap == WHEEL and requested.kind == "auto":
        return Mapping("stretch", low=Fraction(0))  # no gradient is black
    if colormap == WHEEL and requested.kind in ("signed", "raw"):
        raise ArgumentError(
            f"--map {requested.kind} cannot be combined with --colormap wheel, whose brightness is a "
            "magnitude; use auto, clip or stretch"
        )
    if requested.kind == "raw":
        raise ArgumentError(
            "--map raw keeps values, which cannot be colored; use clip, abs, signed or stretch"
        )
    return requested


def _depth(convolution: Convolution, settings: Settings) -> str | None:
    """--depth, or 8 for a color map, which colors a single channel."""
    if settings.colormap == GRAY:
        return settings.depth
    if settings.stack:
        raise ArgumentError(
            "--stack holds values and cannot be combined with --colormap; use --sheet, or leave out --stack"
        )
    colors = convolution.plan.lanes - convolution.color_handling.extra_lanes
    if colors > 1:
        raise ArgumentError(
            f"--colormap {settings.colormap} colors one channel, the feature map has {colors}; "
            "use --channels gray or sum"
        )
    if settings.depth in ("16", *FLOATS):
        raise ArgumentError(
            f"--colormap {settings.colormap} writes 8 bits and cannot be combined "
            f"with --depth {settings.depth}"
        )
    return "8"


def _dtype(mapping: Mapping, source: DType, plan: Computation, depth: str | None) -> DType:
    """The type of --depth, floats for ``raw``, 16 bits for the mapped values of floats, or the input's."""
    if mapping.kind == "raw" and depth in ("8", "16"):
        raise ArgumentError(
            f"--map raw writes floats and cannot be combined with --depth {depth}; "
            "use clip, signed or stretch"
        )
    if depth == "half":
        return np.dtype(np.float16)
    if mapping.kind == "raw" or depth in FLOATS:
        double = plan.problem.double or source == np.float64
        return np.dtype(np.float64 if double else np.float32)
    if depth is not None:
        return np.dtype(np.uint8 if depth == "8" else np.uint16)
    if source.kind != "f":
        return source
    if mapping.kind not in ("signed", "stretch"):
        raise ArgumentError(
            f"--map {mapping.kind} needs an image of integers, this one holds {source}; "
            "use raw, signed or stretch"
        )
    return np.dtype(np.uint16)
