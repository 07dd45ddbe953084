"""The stages of a chain, ready to be computed: convolutions, pools and activations."""

from __future__ import annotations

from convcli.core.frozen import frozen
from convcli.core.numerals import number_text
from convcli.core.rational import Number
from convcli.geometry.axes import Geometry, geometry
from convcli.geometry.padding import Padding
from convcli.kernels.kernel import Kernel

Sizes = tuple[int, ...]
"""(rows, columns)."""


@frozen(eq=False)
class ConvolutionStage:
    """A kernel that filters the feature maps of the stage before.

    Attributes:
        kernel: with one input channel it filters every channel on its own; with several it sums them.
        flip: whether the kernel is rotated by 180°.
        transposed: whether the transpose of the convolution is computed, whose padding removes pixels.
        output_padding: of a transposed one, (rows, columns); None for none, or as the padding's name says.
    """

    kind = "convolution"

    kernel: Kernel
    padding: Padding
    stride: Sizes = (1, 1)
    dilation: Sizes = (1, 1)
    groups: int = 1
    flip: bool = False
    transposed: bool = False
    output_padding: Sizes | None = None

    @property
    def rotates(self) -> bool:
        """Whether windows are multiplied with the kernel rotated by 180°, as transposed convolution does."""
        return self.flip != self.transposed

    def geometry(self, sizes: Sizes) -> Geometry:
        """The axes of the stage over maps of these sizes.

        Raises:
            ArgumentError: the kernel is larger than the padded maps, or nothing is left of the result.
        """
        window = self.stride, self.padding, self.dilation
        return geometry(sizes, self.kernel.size, *window, False, self.transposed, self.output_padding)

    @property
    def name(self) -> str:
        """What the stage is called in file names and reports."""
        return self.kernel.name

    @property
    def own_maps(self) -> int:
        """The number of maps that the kernel makes."""
        return 1 if self.kernel.combine else self.kernel.maps

    @property
    def filters_each(self) -> bool:
        """Whether the kernel filters every map on its own; otherwise it sums over all of them."""
        return self.kernel.tensor_shape[-2] * self.groups == 1

    def maps_after(self, maps: int) -> int:
        """The number of maps after the stage, if there are ``maps`` before it."""
        return maps * self.own_maps if self.filters_each else self.own_maps


@frozen
class PoolStage:
    """The largest value, or the average, of each window.

    Attributes:
        function: ``maxpool`` or ``avgpool``.
        padding: numbers, which an average counts as zeros as PyTorch does, or ``same``, which it leaves out
            as Keras does. A maximum never sees it.
        ceiling: whether a last window that is cut off counts.
        dilation: spacing between the values of a window; of a maximum only.
    """

    kind = "pool"

    function: str
    window: Sizes
    stride: Sizes
    padding: Padding = Padding()
    ceiling: bool = False
    dilation: Sizes = (1, 1)

    @property
    def name(self) -> str:
        """What the stage is called in file names and reports."""
        return f"{self.function}{'x'.join(map(str, self.window))}"


@frozen
class ActivationStage:
    """A function of each value on its own.

    Attributes:
        function: a name of `activations.ACTIVATIONS`.
        arguments: its parameters, exact if they are rational.
    """

    kind = "activation"

    function: str
    arguments: tuple[Number, ...] = ()

    @property
    def name(self) -> str:
        """What the stage is called in file names and reports."""
        numbers = ",".join(map(number_text, self.arguments))
        return f"{self.function}:{numbers}" if numbers else self.function


Stage = ConvolutionStage | PoolStage | ActivationStage
