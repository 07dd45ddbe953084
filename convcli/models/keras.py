"""Keras: ``.keras`` archives with the layers' settings, and ``.h5`` files of models or of weights."""

from __future__ import annotations

import io
import json
import zipfile
from pathlib import Path
from typing import Any, Final

from convcli.errors import KernelError, one_line
from convcli.kernel import LARGEST_KERNEL, Kernel, Layer
from convcli.kernelarrays import choose
from convcli.models.apart import Weights, read_apart
from convcli.models.base import CHANNELS_LAST, biases, by_axis, is_convolution, layer_kernel, needed
from convcli.rational import Number
from convcli.values import replace

LARGEST_WEIGHTS: Final = 2**31  # bytes that an archive unpacks to
_KERNELS: Final = ("kernel", "kernel:0", "depthwise_kernel", "depthwise_kernel:0", "0")
_CLASSES: Final = ("Conv2D", "Conv1D", "DepthwiseConv2D")
_WEIGHTS, _CONFIG = "model.weights.h5", "config.json"


def read(path: Path, member: str | None) -> Kernel:
    """A convolution of a Keras file: by its layer's name (``conv2d``), or a dataset's path.

    HDF5's library can loop for ever in a damaged file, so another process reads it.

    Raises:
        KernelError: not such a file, no such layer, or h5py is missing.
    """
    place = one_line(str(path))
    needed("h5py", place)
    return layer_kernel(*read_apart(__name__, path, member, place), place)


def extract(path: Path, member: str | None) -> Weights:
    """The same, in this process.

    Raises:
        KernelError: not such a file, or no such layer.
    """
    place = one_line(str(path))
    h5py = needed("h5py", place)
    source, config = _opened(path, place)
    try:
        with h5py.File(source, "r") as file:
            layers = _layers(config or _own_config(file))
            return _extracted(file, h5py, layers, member, place)
    except (OSError, KeyError, RuntimeError, ValueError) as error:
        if isinstance(error, KernelError):
            raise
        raise KernelError(f"{place}: not a file of Keras: {one_line(str(error))}") from error


def _opened(path: Path, place: str) -> tuple[Any, Any]:
    """What h5py opens, and the model's settings where an archive holds them."""
    if not zipfile.is_zipfile(path):
        return path, None
    try:
        with zipfile.ZipFile(path) as archive:
            if archive.getinfo(_WEIGHTS).file_size > LARGEST_WEIGHTS:
                raise KernelError(f"{place}: its weights unpack to more than {LARGEST_WEIGHTS} bytes")
            return io.BytesIO(archive.read(_WEIGHTS)), json.loads(archive.read(_CONFIG))
    except (zipfile.BadZipFile, KeyError, ValueError, RecursionError) as error:
        if isinstance(error, KernelError):
            raise
        raise KernelError(f"{place}: not a file of Keras: {one_line(str(error))}") from error


def _own_config(file: Any) -> Any:
    """The settings that an ``.h5`` file of a whole model carries."""
    text = file.attrs.get("model_config")
    try:
        return json.loads(text) if text is not None else None
    except (ValueError, RecursionError):
        return None


def _layers(config: Any) -> dict[str, dict[str, Any]]:
    """The class and settings of every convolution by its name, those of models inside models too."""
    found: dict[str, dict[str, Any]] = {}
    if isinstance(config, dict):
        settings = config.get("config")
        if isinstance(settings, dict) and isinstance(settings.get("kernel_size"), (list, tuple)):
            found[str(settings.get("name"))] = {**settings, "class": str(config.get("class_name"))}
        for value in config.values():
            found |= _layers(value)
    elif isinstance(config, list):
        for value in config:
            found |= _layers(value)
    return found


def _extracted(
    file: Any, h5py: Any, layers: dict[str, dict[str, Any]], member: str | None, place: str
) -> Weights:
    datasets: dict[str, Any] = {}

    def visit(name: str, item: Any) -> None:
        if isinstance(item, h5py.Dataset) and not name.startswith("optimizer") and _own(item):
            datasets[name] = item

    file.visititems(visit)
    convolutions = {
        _layer_name(name, item): name
        for name, item in datasets.items()
        if name.rsplit("/", 1)[-1] in _KERNELS and is_convolution(item.shape)
    }
    wanted = member if member in datasets else None
    if wanted is None:
        wanted = convolutions[choose(list(convolutions), member, place, "convolution")]
    name = _layer_name(wanted, datasets[wanted])
    settings, weights = layers.get(name, {}), datasets[wanted][()]
    kind = settings.get("class", "Conv2D")
    if kind not in _CLASSES:
        raise KernelError(f"{place}:{one_line(name)}: a {one_line(kind)}; allowed: {', '.join(_CLASSES)}")
    groups = int(settings.get("groups") or 1)
    if kind == "DepthwiseConv2D":
        groups, weights = weights.shape[2], weights.reshape(*weights.shape[:2], 1, -1)
    layer = replace(_layer(settings), groups=groups, bias=_bias(datasets, wanted))
    return weights, layer, name


def _own(item: Any) -> bool:
    """Whether a dataset's values stand in this very file, and are no more than a kernel's."""
    return not item.is_virtual and not item.external and 0 < item.size <= LARGEST_KERNEL


def _layer_name(path: str, item: Any) -> str:
    """As the file says it, else ``conv2d`` of ``layers/conv2d/vars/0`` and of ``conv2d/conv2d/kernel:0``."""
    said = item.parent.attrs.get("name")
    if isinstance(said, str):
        return said
    parts = [part for part in path.split("/")[:-1] if part not in ("vars", "layers", "model_weights")]
    return parts[-1] if parts else path


def _bias(datasets: dict[str, Any], wanted: str) -> tuple[Number, ...]:
    folder, _, last = wanted.rpartition("/")
    beside = {"0": "1"}.get(last, "bias:0" if last.endswith(":0") else "bias")
    found = datasets.get(f"{folder}/{beside}")
    return biases(found[()]) if found is not None and len(found.shape) == 1 else ()


def _layer(settings: dict[str, Any]) -> Layer:
    padding = settings.get("padding")
    return Layer(
        CHANNELS_LAST,
        stride=by_axis(settings.get("strides")),
        padding=padding if padding in ("same", "valid") else "",
        dilation=by_axis(settings.get("dilation_rate")),
    )
