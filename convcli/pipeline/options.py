"""What is asked for, as frozen values with defaults: the options of a command line, or keyword arguments."""

from __future__ import annotations

from typing import TYPE_CHECKING

from convcli.core.frozen import frozen

if TYPE_CHECKING:
    from convcli.core.rational import Number
    from convcli.layers.loaded import LoadedStage
    from convcli.pipeline import mapping, normalization
    from convcli.pipeline.ignore import Ignore
    from convcli.pipeline.nodata import Nodata


@frozen(eq=False)
class FilterOptions:
    """The options that say how images are filtered; with a kernel they become `Settings`.

    Attributes:
        explicit: names of the options that were given; others have their defaults.
        padding: text, which is read in this project's words or, with ``like``, in a library's.
    """

    explicit: frozenset[str] = frozenset()
    like: str | None = None
    stride: tuple[int, ...] = (1, 1)
    padding: str = "same:reflect"
    dilation: tuple[int, ...] = (1, 1)
    flip: bool = False
    transposed: bool = False
    output_padding: tuple[int, ...] | None = None
    layer: bool = False
    activation: str = "layer"
    combine: str | None = None
    scale: str | Number = "none"
    bias: Number | None = None
    channels: str | None = None
    groups: int = 1
    mapping: mapping.Mapping | None = None
    alpha: str | None = None
    ignore: Ignore | None = None
    nodata: Nodata | None = None
    linear: bool = False
    normalize: normalization.Normalization | None = None
    depth: str | None = None
    stack: bool = False
    colormap: str = "gray"
    then: tuple[LoadedStage, ...] = ()
    quality: int | None = None
    png: str = "fast"
    strip: bool = False
    frames: slice = slice(None)
    axes: str | None = None
    level: int = 0
    hdu: str | None = None
    force: bool = False
    precision: str = "single"
    method: str = "auto"
    steady: bool = False
    threads: int | None = None
    max_pixels: int | None = None
    max_memory: int | None = None


@frozen
class NetworkOptions:
    """A network in place of kernels, and the node whose maps are wanted; None for its output."""

    model: str | None = None
    until: str | None = None
