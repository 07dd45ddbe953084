"""Keras: ``.keras`` archives with the layers' settings, and ``.h5`` files of models or of weights."""

from __future__ import annotations

import io
import json
import re
import zipfile
from pathlib import Path
from typing import Any, Final

from convcli.core.errors import KernelError, one_line, reason_of
from convcli.kernels.kernel import LARGEST_KERNEL, Kernel
from convcli.kernels.readers.base import KernelFile
from convcli.kernels.readers.members import choose
from convcli.kernels.readers.models.base import (
    CHANNELS_LAST,
    LARGEST_TEXT,
    NARROW,
    TRANSPOSED_LAST,
    VOLUME_ADVICE,
    LayerAttributes,
    is_convolution,
    is_row,
    is_volume,
    layer_kernel,
    required,
    widened,
)
from convcli.kernels.readers.models.isolated import Weights, read_in_process, text_in_process
from convcli.kernels.readers.models.keras_following import Placed, following, placed_layers

_LARGEST_STORED: Final = 2**31  # bytes of weights that an archive stores uncompressed
_LARGEST_UNPACKED: Final = 2**28  # bytes of weights that an archive compresses, as Keras never does
_KERNELS: Final = ("kernel", "kernel:0", "depthwise_kernel", "depthwise_kernel:0", "0")
_TRANSPOSED: Final = ("Conv2DTranspose", "Conv1DTranspose")
_CLASSES: Final = ("Conv2D", "Conv1D", "DepthwiseConv2D", *_TRANSPOSED)
_WIDEST: Final = 8  # bytes of a number
_WEIGHTS, _CONFIG = "model.weights.h5", "config.json"
_NARROW: Final = {"bfloat16": "BF16", "float8_e4m3fn": "F8_E4M3", "float8_e5m2": "F8_E5M2"}
"""Types that HDF5 lacks; Keras stores them as opaque bytes with an attribute."""


def read(file: KernelFile, member: str | None) -> Kernel:
    """A convolution of a Keras file, by its layer's name (``conv2d``) or a dataset's path.

    HDF5's library can loop forever on a damaged file, so another process reads it.

    Raises:
        KernelError: not a Keras file, no such layer, or h5py is missing.
    """
    required("h5py", file.place)
    return layer_kernel(*read_in_process(__name__, file.path, member, file.place), file.place)


def model_settings(path: Path) -> str:
    """The settings of a whole model, as JSON.

    Raises:
        KernelError: not a Keras file, or one of weights alone.
    """
    place = one_line(str(path))
    try:
        if not zipfile.is_zipfile(path):
            required("h5py", place)
            return text_in_process(__name__, path, place)
        with zipfile.ZipFile(path) as archive:
            return _entry(archive, _CONFIG, LARGEST_TEXT, place).decode("utf-8", "replace")
    except (OSError, KeyError, RuntimeError, ValueError, zipfile.BadZipFile) as error:
        if isinstance(error, KernelError):
            raise
        raise KernelError(f"{place}: not a Keras file: {reason_of(error)}") from error


def extract_text(path: Path) -> str:
    """The settings in an ``.h5`` file of a whole model, read in this process.

    Raises:
        KernelError: not an HDF5 file, or one of weights alone.
    """
    place = one_line(str(path))
    try:
        with required("h5py", place).File(path, "r") as file:
            text = _attribute(file, "model_config")
    except OSError as error:
        raise KernelError(f"{place}: not a Keras file: {reason_of(error)}") from error
    if text is None:
        raise KernelError(f"{place}: holds weights alone; save the whole model with model.save()")
    return text.decode("utf-8", "replace") if isinstance(text, bytes) else str(text)


def extract(path: Path, member: str | None) -> Weights:
    """The weights and attributes that `read` needs, read in this process.

    Raises:
        KernelError: not a Keras file, or no such layer.
    """
    place = one_line(str(path))
    h5py = required("h5py", place)
    try:
        source, config = _opened(path, place)
        with h5py.File(source, "r") as file:
            layers = placed_layers(config or _own_config(file))
            return _extracted(file, h5py, layers, member, place)
    except (OSError, KeyError, RuntimeError, ValueError, zipfile.BadZipFile) as error:
        if isinstance(error, KernelError):
            raise
        raise KernelError(f"{place}: not a Keras file: {reason_of(error)}") from error


def _opened(path: Path, place: str) -> tuple[Any, Any]:
    """What h5py opens, and the model's settings if an archive holds them."""
    if not zipfile.is_zipfile(path):
        return path, None
    with zipfile.ZipFile(path) as archive:
        stored = archive.getinfo(_WEIGHTS).compress_type == zipfile.ZIP_STORED
        most = _LARGEST_STORED if stored else _LARGEST_UNPACKED
        config = json.loads(_entry(archive, _CONFIG, LARGEST_TEXT, place))
        return io.BytesIO(_entry(archive, _WEIGHTS, most, place)), config


def _entry(archive: zipfile.ZipFile, name: str, most: int, place: str) -> bytes:
    size = archive.getinfo(name).file_size
    if size > most:
        raise KernelError(f"{place}: its {name} unpacks to {size} bytes; allowed: up to {most}")
    return archive.read(name)


def _own_config(file: Any) -> Any:
    """The settings in an ``.h5`` file of a whole model, or None."""
    text = _attribute(file, "model_config")
    try:
        return json.loads(text) if text is not None else None
    except (ValueError, RecursionError):
        return None


def _attribute(owner: Any, name: str) -> Any:
    """An attribute that is a text of sensible length, or None."""
    if name not in owner.attrs or owner.attrs.get_id(name).get_storage_size() > LARGEST_TEXT:
        return None
    value = owner.attrs[name]
    return value if isinstance(value, (str, bytes)) else None


def _extracted(file: Any, h5py: Any, layers: dict[str, Placed], member: str | None, place: str) -> Weights:
    datasets: dict[str, Any] = {}

    def visit(name: str, item: Any) -> None:
        if isinstance(item, h5py.Dataset) and not name.startswith("optimizer") and _own(item):
            datasets[name] = item

    file.visititems(visit)
    path = member if member in datasets else None
    if path is None:
        convolutions = _convolutions(datasets, layers)
        path = convolutions[choose(list(convolutions), member, place, "convolution")]
    name = _layer_name(path, datasets[path])
    placed, weights = layers.get(name, Placed({})), _values(datasets[path])
    settings = placed.settings
    kind = settings.get("class", _class_by_name(name))
    if kind not in _CLASSES:
        raise KernelError(
            f"{place}:{one_line(name)}: a {one_line(kind)} layer; allowed: {', '.join(_CLASSES)}"
            + (f"; {VOLUME_ADVICE}" if is_volume(weights.shape) else "")
        )
    groups = settings.get("groups")
    if kind == "DepthwiseConv2D" and weights.ndim == 4:
        groups, weights = weights.shape[2], weights.reshape(*weights.shape[:2], 1, -1)
    after = following(placed, lambda layer, variable: _variable(datasets, layer, variable))
    attributes = LayerAttributes(
        TRANSPOSED_LAST if kind in _TRANSPOSED else CHANNELS_LAST,
        window=settings.get("kernel_size"),
        strides=settings.get("strides"),
        dilations=settings.get("dilation_rate"),
        groups=groups,
        padding=settings.get("padding"),
        output_padding=settings.get("output_padding"),
        bias=_bias(datasets, path),
        factors=None if after.factors is None else after.factors.tolist(),
        offsets=None if after.offsets is None else after.offsets.tolist(),
        activation=after.activation,
        unsupported=one_line(after.unsupported),
        states_activation=bool(settings),
    )
    return weights, attributes, name


def _class_by_name(name: str) -> str:
    """The class of a layer whose settings the file lacks: its name is usually made from it."""
    return "Conv2DTranspose" if re.match(r"conv\dd_transpose", name) else "Conv2D"


def _convolutions(datasets: dict[str, Any], layers: dict[str, Placed]) -> dict[str, str]:
    """The paths of layers' weights, by the layers' names."""
    convolutions, volumes = {}, {}
    for path, item in datasets.items():
        name = _layer_name(path, item)
        row = is_row(item.shape) and (name in layers or "conv1d" in path.casefold())
        if path.rsplit("/", 1)[-1] in _KERNELS and (is_convolution(item.shape) or row):
            convolutions[name] = path
        elif path.rsplit("/", 1)[-1] in _KERNELS and is_volume(item.shape):
            volumes[name] = path  # refused later
    return convolutions or volumes


def _own(item: Any) -> bool:
    """Whether a dataset's numbers are in this file, and no more than a kernel may have."""
    if item.id.get_type().get_size() > _WIDEST:  # NumPy may not have its type
        return False
    numeric = item.dtype.kind in "biuf" or _narrow(item) is not None
    return numeric and not item.is_virtual and not item.external and 0 < item.size <= LARGEST_KERNEL


def _narrow(item: Any) -> str | None:
    """The type of a dataset of opaque bytes, a key of `NARROW`, or None."""
    kind = _NARROW.get(str(_attribute(item, "dtype")))
    fits = kind is not None and item.dtype.kind == "V" and item.dtype.names is None
    return kind if fits and kind and f"{item.dtype.itemsize}" == NARROW[kind][-1] else None


def _values(item: Any) -> Any:
    kind = _narrow(item)
    return item[()] if kind is None else widened(item[()].view(NARROW[kind]), kind)


def _layer_name(path: str, item: Any) -> str:
    """The name in the file, else ``conv2d`` of ``layers/conv2d/vars/0`` and ``conv2d/conv2d/kernel:0``."""
    name = _attribute(item.parent, "name")
    if isinstance(name, str):
        return name
    parts = [part for part in path.split("/")[:-1] if part not in ("vars", "layers", "model_weights")]
    return parts[-1] if parts else path


def _variable(datasets: dict[str, Any], layer: str, variable: str) -> Any:
    """The values of a layer's variable of one axis, or None."""
    for path, item in datasets.items():
        is_named = path.rpartition("/")[2].removesuffix(":0") == variable
        if is_named and len(item.shape) == 1 and _layer_name(path, item) == layer:
            return _values(item)
    return None


def _bias(datasets: dict[str, Any], path: str) -> Any:
    """The values of the bias stored with these weights, or None."""
    folder, _, last = path.rpartition("/")
    name = {"0": "1"}.get(last, "bias:0" if last.endswith(":0") else "bias")
    dataset = datasets.get(f"{folder}/{name}")
    return _values(dataset) if dataset is not None and len(dataset.shape) == 1 else None
