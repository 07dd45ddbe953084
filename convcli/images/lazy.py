"""Feature maps of arrays in chunks, which Dask computes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from convcli.core.errors import ArgumentError
from convcli.core.foreign import library_of
from convcli.dask import conv
from convcli.images.inputs import labels_of
from convcli.images.keywords import filter_options, kernel_of

_TAKEN: Final = (
    *("stride", "padding", "dilation", "flip", "groups", "layer", "transposed", "output_padding", "bias"),
    *("method", "steady", "precision", "threads", "kernel_path", "weights_order"),
)
"""Options that `convcli.dask.conv` has too."""
_COLORS: Final = 3


class LazyResult:
    """The feature maps of an array in chunks, as `convcli.dask.conv` computes them.

    Attributes:
        maps: a Dask array, or a DataArray with coordinates, of (rows, columns), or (rows, columns, channels)
            with the maps of each channel, which has the dimensions of the image in their order.
    """

    def __init__(self, maps: Any, name: str) -> None:
        self.maps, self._name = maps, name

    def compute(self) -> Any:
        """The values in memory, by Dask: a NumPy array, or a DataArray."""
        return self.maps.compute()

    @property
    def pixels(self) -> Any:
        """Not available: mappings need the range of all values.

        Raises:
            ArgumentError: always; the message says what to do.
        """
        raise ArgumentError(
            "an array in chunks has no pixels, which need the range of all values; "
            "use apply(image.compute(), …), or convcli.regions for an image in a file"
        )

    def __repr__(self) -> str:
        sizes = " × ".join(map(str, self.maps.shape))
        return f"<{type(self).__name__} of {self._name}: {sizes}, not computed yet>"

    def _repr_html_(self) -> str:
        html: str = self.maps._repr_html_()
        return html


def lazy_result(image: Any, kernel: Any, dims: Any, options: Mapping[str, Any]) -> LazyResult:
    """The maps of an array in chunks.

    Raises:
        ArgumentError: an option that only images in memory take, or another number of axes than 2 or 3.
    """
    for name in options:
        if name not in _TAKEN:
            raise ArgumentError(
                f"{name} cannot be used with an array in chunks; use apply(image.compute(), …)"
            )
    known, filtering = kernel_of(kernel, options), filter_options(options)
    padding = filtering.padding
    if "padding" not in filtering.explicit:
        padding = "same" if filtering.transposed else padding
    window = {
        "stride": filtering.stride,
        "dilation": filtering.dilation,
        "padding": padding,
        "groups": filtering.groups,
    }
    if filtering.layer:  # the layer's own come first, unless they are given
        window = {name: value for name, value in window.items() if name in filtering.explicit}
    common: dict[str, Any] = {
        **window,
        "layer": filtering.layer,
        "bias": None if filtering.bias is None else float(filtering.bias),
        "flip": filtering.flip,
        "transposed": filtering.transposed,
        "output_padding": filtering.output_padding,
        "method": filtering.method,
        "threads": filtering.threads,
        "dtype": "float64" if filtering.precision == "double" else None,
    }
    if library_of(image) == "xarray":
        labels = labels_of(image, dims)
        axes = (labels.rows, labels.columns)
        return LazyResult(conv(image, known, dims=axes, channels=labels.channels, **common), known.name)
    if image.ndim not in (2, _COLORS):
        raise ArgumentError(
            f"image has {image.ndim} axes; allowed in chunks: (rows, columns) or (rows, columns, channels)"
        )
    channels = "last" if image.ndim == _COLORS else None
    return LazyResult(conv(image, known, channels=channels, **common), known.name)
