"""The settings of a run, as one frozen value."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from convcli.core.frozen import frozen
from convcli.formats.header import Coding
from convcli.geometry.padding import Padding
from convcli.kernels.kernel import Kernel
from convcli.layers.stages import ConvolutionStage, Stage
from convcli.pipeline.ignore import Ignore
from convcli.pipeline.mapping import Mapping
from convcli.pipeline.naming import OutputSpec
from convcli.pipeline.nodata import Nodata
from convcli.pipeline.normalization import Normalization

if TYPE_CHECKING:
    from convcli.networks.maps import NodeMaps

GRAY: Final = "gray"
"""The color map that leaves pixels as they are."""

WHEEL: Final = "wheel"
"""The color map of directions and magnitudes, which are two lanes of a map."""

PHOTOGRAPH: Final = Padding.parse("same:reflect")
"""The padding of images: they keep their size, without dark edges."""


@frozen(eq=False)
class Settings:
    """What to do with every image of a run, for one kernel; the names are those of the command line.

    Attributes:
        stride, dilation: one integer for all axes, or one for each.
        flip: whether the kernel is rotated by 180°.
        transposed: whether the transpose of the convolution is computed, whose padding removes pixels.
        output_padding: of a transposed one, like ``stride``; None for none, or as the padding's name says.
        channels: ``each``, ``gray`` or ``sum``; None lets the kernel decide.
        force: whether existing files may be replaced.
        double: whether sums that are not exact are computed in float64.
        steady: whether rounded sums are computed in a way that gives parts of an image the same bytes.
        threads: None for one per CPU.
        max_pixels, max_memory: limits in pixels and bytes; None for those of the readers, and for no limit.
        frames: those of an animation or a file of pages.
        axes, level: the part of an array in chunks, and the level of a pyramid, that are read.
        hdu: number or name of the image of a FITS file that is read; empty for the first.
        ignore: pixels that are left out; None for none.
        nodata: which value stands for pixels without data.
        stack: whether all maps go to one file, as pages of a TIFF or channels of an array.
        colormap: colors of maps of one channel.
        then: stages after the kernel.
        notes: sentences that go into every report.
        network: whose feature maps take the place of the image; the kernel then leaves them as they are.
    """

    kernel: Kernel
    stride: tuple[int, ...] = (1, 1)
    padding: Padding = PHOTOGRAPH
    dilation: tuple[int, ...] = (1, 1)
    flip: bool = False
    transposed: bool = False
    output_padding: tuple[int, ...] | None = None
    channels: str | None = None
    groups: int = 1
    mapping: Mapping = Mapping()
    output: OutputSpec = OutputSpec()
    force: bool = False
    double: bool = False
    method: str = "auto"
    steady: bool = False
    threads: int | None = None
    max_pixels: int | None = None
    max_memory: int | None = None
    alpha: str | None = None
    ignore: Ignore | None = None
    nodata: Nodata = Nodata()
    linear: bool = False
    normalize: Normalization | None = None
    depth: str | None = None
    strip: bool = False
    frames: slice = slice(None)
    axes: str = ""
    level: int = 0
    hdu: str = ""
    stack: bool = False
    colormap: str = "gray"
    then: tuple[Stage, ...] = ()
    coding: Coding = Coding()
    notes: tuple[str, ...] = ()
    network: NodeMaps | None = None

    @property
    def rotates(self) -> bool:
        """Whether windows are multiplied with the kernel rotated by 180°, as transposed convolution does."""
        return self.flip != self.transposed

    @property
    def name(self) -> str:
        """What results are named after: the kernel, and the stages after it."""
        return ".".join([self.kernel.name, *(stage.name for stage in self.then)])

    @property
    def maps(self) -> int:
        """The number of feature maps."""
        maps = 1 if self.kernel.combine else self.kernel.maps
        for stage in self.then:
            maps = stage.maps_after(maps) if isinstance(stage, ConvolutionStage) else maps
        return maps
