"""Convolution of labeled arrays of xarray: axes by name, and coordinates of the result."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Hashable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

from convcli.arrays.arguments import as_array, input_array, narrowed
from convcli.arrays.computing import computed
from convcli.arrays.layers import known_kernel, plain_kernel
from convcli.arrays.preparing import Prepared, Request
from convcli.chunked.positions import Positions
from convcli.chunked.roles import Roles
from convcli.core.dtypes import Array
from convcli.core.errors import ArgumentError, literal
from convcli.core.numerals import axes_text
from convcli.core.system import processors
from convcli.kernels.kernel import with_numbers

if TYPE_CHECKING:
    import xarray as xr

Asked = Callable[[Any, str | None, int], Request]
"""From the weights, the argument ``channels`` of `conv` and a number of threads to the request of a call."""

_OF_VALUES: Final = {
    "actual_range",
    "flag_masks",
    "flag_meanings",
    "flag_values",
    "valid_max",
    "valid_min",
    "valid_range",
}
"""Attributes that say something of the values, which a result does not keep."""

_OF_PLACES: Final = "GeoTransform"
"""The attribute of a coordinate that repeats where pixels lie, and would be wrong where they moved."""


def convolved(
    x: xr.DataArray, weights: Any, dims: Any, channels: Any, threads: int | None, asked: Asked
) -> xr.DataArray:
    """The result of a call for a labeled array: lazy if the array is, else in memory.

    Args:
        dims: names of the dimensions that are filtered, in the order of the kernel's axes; None for all.
        channels: the name of the dimension of channels; None for none.

    Raises:
        ArgumentError: dimensions that the array does not have, or another argument that is not allowed.
    """
    weights = plain_kernel(weights) if channels is None else weights
    roles = _roles(x, weights, dims, channels)
    is_lazy = x.chunks is not None
    request = asked(weights, roles.channels, threads or (1 if is_lazy else processors()))
    prepared = request.prepared(roles.taken(x.shape), x.dtype)
    *_, lanes = prepared.layout.shape
    if roles.channel is None and prepared.plan.outcome.maps * lanes > 1:
        raise ArgumentError(
            f"weights have {prepared.plan.outcome.maps} maps; "
            "name the dimension of channels, which they take the place of: channels='band'"
        )
    data = _lazy(x.data, request, prepared, roles) if is_lazy else _in_memory(x, request, roles)
    moves = {
        x.dims[number]: Positions.of(axis)
        for number, axis in zip(
            roles.spatial, prepared.plan.problem.axes[3 - len(roles.spatial) :], strict=True
        )
    }
    replaced = () if roles.channel is None or lanes > 1 else (x.dims[roles.channel],)
    return labeled(x, data, moves, replaced)


def _lazy(x: Any, request: Request, prepared: Prepared, roles: Roles) -> Any:
    from convcli.chunked.graph import check_array, chunked

    check_array(x)
    return chunked(x, request, prepared, roles)


def _in_memory(x: xr.DataArray, request: Request, roles: Roles) -> Array:
    values = narrowed(input_array(x.data))
    taken = roles.arranged(values)
    prepared = request.prepared(taken.shape, taken.dtype)
    result = request.finished(computed(prepared, prepared.layout.applied(taken)))
    return roles.restored(result, values.shape)


def _roles(x: xr.DataArray, weights: Any, dims: Any, channels: Any) -> Roles:
    """What the dimensions of an array are."""
    count = _filtered_axes(weights, channels)
    others = [dim for dim in x.dims if dim != channels]
    if channels is not None and channels not in x.dims:
        raise ArgumentError(f"channels {literal(channels)} is not a dimension of x; it has {_names(x.dims)}")
    names = _dimensions(others if dims is None else dims)
    if dims is None and len(names) != count:
        advice = ""
        if len(names) > count:
            advice = f"; name those to filter, in the order of the weights' axes: dims={names[-count:]}"
        raise ArgumentError(
            f"x has the dimensions {_names(x.dims)}, but weights have {axes_text(count)}{advice}"
        )
    if len(names) != count or len(set(names)) != count or not set(names) <= set(others):
        raise ArgumentError(
            f"dims {literal(dims)} must name {count} of {_names(others)}, one for each axis of the weights"
        )
    spatial = tuple(x.dims.index(name) for name in names)
    batch = tuple(x.dims.index(dim) for dim in others if dim not in names)
    if channels is None:
        return Roles(batch, spatial)
    channel = x.dims.index(channels)
    return Roles(batch, spatial, channel, first=channel < min(spatial))


def _dimensions(dims: Any) -> tuple[Hashable, ...]:
    if isinstance(dims, Sequence) and not isinstance(dims, str):
        return tuple(dims)
    return (dims,)


def _filtered_axes(weights: Any, channels: Any) -> int:
    """How many dimensions weights filter."""
    if (known := known_kernel(weights)) is not None:
        return len(known.window)
    axes = as_array("weights", with_numbers(weights)).ndim
    return axes - 2 if channels is not None and axes > 2 else axes


def _names(dims: Sequence[Hashable]) -> str:
    return ", ".join(map(literal, dims))


def labeled(
    x: xr.DataArray, data: Any, moves: Mapping[Hashable, Positions], replaced: Sequence[Hashable]
) -> xr.DataArray:
    """A result with the labels of ``x``, as far as they are true of it.

    Args:
        moves: where the result lies along the dimensions that are filtered.
        replaced: dimensions of channels that maps have taken the place of.
    """
    import xarray as xr

    coords = x.coords.to_dataset().drop_dims(replaced, errors="ignore")
    lost = {dim for dim, move in moves.items() if move.pixels is None}
    dropped = [name for name, coord in coords.variables.items() if lost & set(coord.dims)]
    slices = {dim: move.pixels for dim, move in moves.items() if dim not in lost}
    kept = coords.drop_vars(dropped).isel(slices, missing_dims="ignore")
    for name in list(dropped):
        variable = coords.variables[name]
        values = _interpolated(variable, moves)
        if values is not None:
            kept = kept.assign_coords({name: (variable.dims, values, variable.attrs)})
            dropped.remove(name)
    if dropped:
        warnings.warn(
            f"coordinates were dropped, since the result lies between their values: {_names(dropped)}",
            stacklevel=5,
        )
    if not all(move.is_still for move in moves.values()):
        for name in kept.coords:
            kept[name].attrs.pop(_OF_PLACES, None)
    keeps = xr.get_options()["keep_attrs"] is not False
    attrs = {name: value for name, value in x.attrs.items() if keeps and name not in _OF_VALUES}
    return xr.DataArray(data, coords=kept.coords, dims=x.dims, name=x.name, attrs=attrs)


def _interpolated(variable: xr.Variable, moves: Mapping[Hashable, Positions]) -> Array | None:
    """A coordinate of one dimension at the positions of the result; None if it cannot be found out."""
    if len(variable.dims) != 1 or variable.dims[0] not in moves or variable.chunks is not None:
        return None
    return moves[variable.dims[0]].interpolated(variable.values)
