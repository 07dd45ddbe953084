"""Feature maps as arrays of xarray, with the coordinates of the image where it had some."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from typing import TYPE_CHECKING

import numpy as np

from convcli.chunked.labels import labeled
from convcli.chunked.positions import Positions
from convcli.core.dtypes import Array
from convcli.core.errors import ArgumentError
from convcli.geometry.axes import Geometry
from convcli.images.inputs import Image, Labels

if TYPE_CHECKING:
    import xarray as xr


def labeled_maps(
    maps: Array, axes: tuple[str, ...], image: Image, geometry: Geometry, names: Sequence[str]
) -> xr.DataArray:
    """The maps as a DataArray.

    Args:
        axes: names of the axes of ``maps``.
        names: of the maps.
    """
    import xarray as xr

    if image.labels is None:
        coords = {"map": list(names)} if len(names) > 1 else {}
        values = maps if len(names) > 1 else maps[0]
        return xr.DataArray(values, dims=axes if len(names) > 1 else axes[1:], coords=coords)
    if "frame" in axes:
        raise ArgumentError("several frames have no coordinates; choose one with frames=N")
    made = [_one(values, image.labels, geometry) for values in maps]
    if len(made) == 1:
        return made[0]
    joined: xr.DataArray = xr.concat(made, xr.IndexVariable("map", list(names)))
    return joined


def _one(values: Array, labels: Labels, geometry: Geometry) -> xr.DataArray:
    """One map, (rows, columns[, channels]), with the dimensions of the image in their order."""
    rows, columns = geometry.axes[-2:]
    moves: dict[Hashable, Positions] = {
        labels.rows: Positions.of(rows),
        labels.columns: Positions.of(columns),
    }
    order = [labels.rows, labels.columns]
    replaced: tuple[str, ...] = ()
    array = labels.array
    if labels.channels is not None:
        order.append(labels.channels)
        values = values if values.ndim == 3 else values[..., None]
        if values.shape[2] != array.sizes[labels.channels]:
            replaced = (labels.channels,)
    places = [order.index(dim) for dim in array.dims]
    return labeled(array, np.transpose(values, places), moves, replaced)
