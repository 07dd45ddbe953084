"""The feature maps of a node as an image: what ``--model`` and ``--until`` mean for the pipeline.

The maps take the place of an image's pixels: one float channel for each map. Whatever is done with the
channels of an image, from mapping to sheets and reports, is done with them.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from fractions import Fraction
from functools import cached_property
from math import prod
from pathlib import Path
from typing import Final

import numpy as np

from convcli.core.dtypes import Array, span
from convcli.core.errors import one_line, quoted, suggest
from convcli.core.frozen import frozen, replace
from convcli.core.numerals import counted
from convcli.formats.header import Header, Metadata
from convcli.formats.opening import Opened
from convcli.formats.readers import SequentialReader
from convcli.geometry.axes import LARGEST
from convcli.networks.fields import Field, receptive_fields
from convcli.networks.graph import Network, NetworkError, Node, Sizes
from convcli.networks.reading import read_network
from convcli.networks.report import parameter_count
from convcli.networks.runtime import Runner

_LISTED: Final = 8  # nodes that a message names
_NEAR: Final = 3  # nodes that a name may have meant


@frozen
class MapFacts:
    """What a report says about the network that made feature maps.

    Attributes:
        model: the file.
        node, operator, details: of the node, as in the table of the network.
        image: (rows, columns).
        input: the sizes of the network's input.
        layout: the order of its axes.
        values: how pixels become values of the input, in words.
        field: of the maps' values.
        parameters, multiply_adds: of all nodes up to this one; None where shapes are unknown.
        runtime: what computed it.
    """

    model: str
    node: str
    operator: str
    details: str
    image: tuple[int, int]
    input: Sizes
    layout: str
    values: str
    field: Field
    parameters: int
    multiply_adds: int | None
    runtime: str

    @property
    def operation(self) -> str:
        """The operator with its window."""
        return " ".join(filter(None, (self.operator, self.details)))


@frozen
class InputValues:
    """How pixels become values of a network's input: (value / white − mean) / deviation.

    Attributes:
        text: as ``--normalize`` takes it; empty for the default, 0 to 1.
        means, deviations: one, or one for each channel, where white is 1.
    """

    text: str = ""
    means: tuple[Fraction, ...] = (Fraction(0),)
    deviations: tuple[Fraction, ...] = (Fraction(1),)

    def of(self, pixels: Array) -> Array:
        """The values of pixels (rows, columns, channels) as floats.

        Raises:
            NetworkError: there are numbers for another count of channels.
        """
        dtype = pixels.dtype if pixels.dtype.kind == "f" else np.dtype(np.float32)
        white = 1 if pixels.dtype.kind == "f" else span(pixels.dtype)[1]
        given = max(len(self.means), len(self.deviations))
        if given not in (1, pixels.shape[2]):
            raise NetworkError(
                f"--normalize {self.text} has numbers for {given} channels; this image has {pixels.shape[2]}"
            )
        means, deviations = (
            np.array([float(number) for number in numbers], dtype)
            for numbers in (self.means, self.deviations)
        )
        values: Array = (pixels.astype(dtype) / dtype.type(white) - means) / deviations
        return values

    def __str__(self) -> str:
        return f"normalized by {self.text}" if self.text else "normalized to 0..1 (the default)"


DEFAULT_VALUES: Final = InputValues()
"""From 0 to 1, which most networks are trained with if they have no normalization of their own."""


class NodeMaps:
    """The feature maps of one node of a network, for images of any size that the network takes.

    Args:
        path: an ONNX file.
        until: the name of a node or of one of its outputs; None for the network's only output.
        threads: None for one per CPU.
        values: how pixels become values of the input.

    Raises:
        NetworkError: the file cannot be used, or has no such node.
    """

    def __init__(
        self,
        path: Path,
        until: str | None = None,
        threads: int | None = None,
        values: InputValues = DEFAULT_VALUES,
    ) -> None:
        self.path, self.place, self.values = path, one_line(str(path)), values
        if path.suffix.casefold() != ".onnx":
            raise NetworkError(
                f"{self.place}: only .onnx networks are run; in Keras, write one with "
                "model.export(FILE, format='onnx')"
            )
        network = read_network(path)
        self.layout = network.layout
        self.node, self.tensor = _chosen(network, until)
        axes = map_axes(network, self.tensor)
        if axes is None:
            raise NetworkError(f"{self.place}: {_no_maps(network, self.node, self.tensor, until)}")
        self.axes = axes
        self.maps = _map_count(network, self.tensor, axes)
        self.is_positive = network.is_positive(self.tensor)
        self.runner = Runner(path, self.tensor, threads)
        self.weight_bytes = 8 * parameter_count(network.before(self.tensor))
        self.networks: dict[tuple[int, int, int], Network] = {}
        self.known_facts: dict[Network, MapFacts] = {}

    @property
    def name(self) -> str:
        """The name of the node."""
        return self.node.name

    @cached_property
    def digest(self) -> str:
        """The SHA-256 of the file, and what is computed of it."""
        values = self.values.text or "0..1"
        return f"{hashlib.sha256(self.path.read_bytes()).hexdigest()} {self.tensor!r} {values}"

    def network(self, header: Header) -> Network:
        """The network for images of one size."""
        size = header.rows, header.columns, header.channels - header.alpha
        if size not in self.networks:
            self.networks[size] = network = read_network(self.path, size)
            batch = (network.sizes[network.input] or (1,))[0]
            if batch != 1:
                raise NetworkError(
                    f"{self.place}: takes {batch} images at once; save it for one, or with a dynamic batch"
                )
        return self.networks[size]

    def over(self, image: Opened) -> Opened:
        """An image whose pixels are the feature maps of another, (rows, columns, maps) of float32.

        Its ``original`` is that image's header. Nothing is computed before pixels are read, unless the size
        of the maps depends on it.

        Raises:
            NetworkError: the image does not fit the network.
        """
        network = self.network(image.header)
        sizes = network.sizes[self.tensor]
        rows, columns = (sizes[axis] if sizes else None for axis in self.axes[:2])
        known = None if rows is None or columns is None else (rows, columns)
        reader = _MapReader(self, image, known)
        rows, columns = known or reader.rows(0, 0, LARGEST).shape[:2]
        notes = (*image.header.notes, *(("alpha is dropped",) if image.header.alpha else ()))
        header = Header(
            image.header.format,
            rows,
            columns,
            self.maps,
            np.dtype(np.float32),
            image.header.frames,
            metadata=Metadata(timing=image.header.metadata.timing),
            notes=notes,
            bands=self.maps > 1,
        )
        return replace(
            image, header=header, stored=header, readers=[], parts=reader, skipped=0, original=image.header
        )

    def compute(self, pixels: Array, header: Header) -> Array:
        """The feature maps of one image.

        Args:
            pixels: (rows, columns, channels).

        Returns:
            (rows, columns, maps) of float32.
        """
        colors = pixels[..., :-1] if header.alpha else pixels
        dtype = self.runner.dtype
        values = self._integers(colors) if dtype == np.uint8 else self.values.of(colors).astype(dtype)
        batch = values.transpose(2, 0, 1)[None] if self.layout == "NCHW" else values[None]
        result = self.runner.run(np.ascontiguousarray(batch))
        return self._as_image(result)

    def _as_image(self, result: Array) -> Array:
        rows, columns, channels = self.axes
        last = () if channels is None else (channels,)
        others = [axis for axis in range(result.ndim) if axis not in (rows, columns, *last)]
        if any(result.shape[axis] != 1 for axis in others):
            raise NetworkError(f"{self.place}: {self.name} gave a tensor of shape {result.shape}")
        maps = result.transpose(*others, rows, columns, *last)
        maps = maps.reshape(*maps.shape[len(others) : len(others) + 2], -1)
        if maps.shape[2] != self.maps:
            raise NetworkError(f"{self.place}: {self.name} gave {maps.shape[2]} maps instead of {self.maps}")
        return np.ascontiguousarray(maps, np.float32)

    def _integers(self, colors: Array) -> Array:
        """Pixels for a network whose input has integers."""
        if colors.dtype != np.uint8 or self.values.text:
            what = f"{colors.dtype} values" if colors.dtype != np.uint8 else f"--normalize {self.values.text}"
            raise NetworkError(f"{self.place}: takes integers from 0 to 255, not {what}")
        return colors

    @property
    def values_text(self) -> str:
        """How pixels become values of the network's input."""
        return "from 0 to 255" if self.runner.dtype == np.uint8 else str(self.values)

    def facts(self, header: Header) -> MapFacts:
        """What a report says, for an image with this header."""
        network = self.network(header)
        if network not in self.known_facts:
            self.known_facts[network] = self._facts(network, header)
        return self.known_facts[network]

    def _facts(self, network: Network, header: Header) -> MapFacts:
        before = network.before(self.tensor)
        products = [node.multiply_adds for node in before]
        known = [count for count in products if count is not None]
        return MapFacts(
            self.place,
            self.node.name,
            self.node.operator,
            self.node.details,
            (header.rows, header.columns),
            network.sizes[network.input] or (),
            self.layout,
            self.values_text,
            receptive_fields(network)[self.tensor],
            parameter_count(before),
            sum(known) if len(known) == len(products) else None,
            self.runner.description,
        )


class _MapReader(SequentialReader):
    """Computes the maps of frames in order, and keeps the last one.

    Args:
        size: (rows, columns) of the maps; None if it is not known.
    """

    def __init__(self, maps: NodeMaps, image: Opened, size: tuple[int, int] | None) -> None:
        self.maps, self.image, self.size = maps, image, size
        super().__init__(self._computed, spare=1)

    def _computed(self) -> Iterator[Array]:
        header, reader = self.image.header, self.image.reader()
        for frame in range(header.frames):
            reader.hold(frame)
            try:
                pixels = reader.rows(frame, 0, header.rows)
            finally:
                reader.release(frame)
            maps = self.maps.compute(pixels, header)
            if self.size is not None and maps.shape[:2] != self.size:
                made, stated = ("×".join(map(str, size)) for size in (maps.shape[:2], self.size))
                raise NetworkError(
                    f"{self.maps.place}: {self.maps.name} gave maps of {made} values, its shapes say {stated}"
                )
            yield maps

    @property
    def memory(self) -> int:
        """The image, the weights, and the largest tensors, of which a few are held at once."""
        network = self.maps.network(self.image.header)
        shapes = filter(None, network.sizes.values())
        largest = max(prod(size or 1 for size in shape) for shape in shapes)
        return self.image.memory(1) + self.maps.weight_bytes + 4 * 4 * largest


def map_axes(network: Network, tensor: str) -> tuple[int, int, int | None] | None:
    """Which axes of a tensor are rows, columns and maps; None if it has no rows and columns.

    Where that cannot be followed through the network, a tensor of four axes has those of the input.
    """
    sizes, field = network.sizes.get(tensor), receptive_fields(network).get(tensor)
    if sizes is None or len(sizes) not in (3, 4):
        return None
    if field is not None and not field.unknown:
        rows, columns = (axis.place for axis in field.axes)
        if rows is None or columns is None:
            return None
    elif len(sizes) == 4:
        rows, columns = network.spatial
    else:
        return None
    others = [axis for axis in range(1, len(sizes)) if axis not in (rows, columns)]
    return rows, columns, others[0] if others else None


def _map_count(network: Network, tensor: str, axes: tuple[int, int, int | None]) -> int:
    sizes, channels = network.sizes[tensor] or (), axes[2]
    count = 1 if channels is None else sizes[channels]
    if count is None:
        raise NetworkError(
            f"{network.place}: the number of maps of {quoted(tensor)} cannot be inferred from the model"
        )
    return count


def _chosen(network: Network, until: str | None) -> tuple[Node, str]:
    """The node of a name, or the only output's, and the tensor that is meant."""
    producers = {name: node for node in network.nodes for name in node.outputs}
    if until is None:
        outputs = [name for name in network.outputs if name in producers]
        if len(outputs) == 1:
            return producers[outputs[0]], outputs[0]
        names = f" ({', '.join(map(one_line, outputs[:_LISTED]))})" if outputs else ""
        raise NetworkError(
            f"{network.place}: has {counted(len(outputs), 'output')}{names}; choose a node with --until"
        )
    named = {node.name: node for node in network.nodes}
    if until in named:
        return named[until], named[until].outputs[0]
    if until in producers:
        return producers[until], until
    known = [*named, *producers]
    ends = [name for name in known if until.casefold() in name.casefold().split("/")][:_NEAR]
    near = f" (did you mean {', '.join(map(one_line, ends))}?)" if ends else suggest(until, known)
    raise NetworkError(
        f"{network.place}: no node or tensor {quoted(until)}{near}; "
        "convcli shape SIZE --model FILE --report json lists all nodes"
    )


def _no_maps(network: Network, node: Node, tensor: str, until: str | None) -> str:
    """That a tensor has no rows and columns, and which nodes have."""
    maps = [other.name for other in network.nodes if map_axes(network, other.outputs[0])]
    names = ", ".join(map(one_line, _spread(maps)))
    advice = f"; choose a node with --until, such as {names}" if names else ""
    sizes = network.sizes.get(tensor)
    shape = f" of shape ({', '.join('?' if s is None else str(s) for s in sizes)})" if sizes else ""
    what = f"node {quoted(node.name)}" if until is not None else f"its output {quoted(tensor)}"
    return f"{what} gives a tensor{shape}, not feature maps{advice}"


def _spread(names: Sequence[str]) -> list[str]:
    """A few of many names, from the first to the last."""
    if len(names) <= _LISTED:
        return list(names)
    return [names[index * (len(names) - 1) // (_LISTED - 1)] for index in range(_LISTED)]
