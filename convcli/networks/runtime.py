"""Running a network up to one of its nodes, by onnxruntime on the CPU."""

from __future__ import annotations

from functools import cached_property
from pathlib import Path
from threading import Lock
from typing import Any, Final

import numpy as np

from convcli.core.dtypes import Array
from convcli.core.errors import cut, one_line, quoted
from convcli.core.numerals import counted
from convcli.core.patterns import pattern
from convcli.core.system import processors
from convcli.networks.graph import NetworkError
from convcli.networks.onnx.file import load, required
from convcli.networks.onnx.sorting import read_names

_FATAL: Final = 4  # of onnxruntime's levels: nothing less is printed
_TYPES: Final = {
    "tensor(float)": np.float32,
    "tensor(float16)": np.float16,
    "tensor(double)": np.float64,
    "tensor(uint8)": np.uint8,
}
_FOLDER_OF_WEIGHTS: Final = "session.model_external_initializers_file_folder_path"
_CODE: Final = pattern(r"^\[ONNXRuntimeError\] : \d+ : \w+ : ")
_SOURCE: Final = pattern(r"\S*\.(cc|h|cpp):\d+ \S.*?\)( const)?( \[with [^]]*\])? ")
"""Where in its own code onnxruntime noticed a mistake, and the function's signature."""


class Runner:
    """A network that ends at one tensor.

    Args:
        path: the ONNX file.
        tensor: what is computed; nothing after it is loaded.
        threads: None for one per CPU.
    """

    def __init__(self, path: Path, tensor: str, threads: int | None) -> None:
        self.path, self.tensor, self.threads = path, tensor, threads or processors()
        self.place, self.running = one_line(str(path)), Lock()

    @cached_property
    def session(self) -> Any:
        """The loaded network.

        Raises:
            NetworkError: onnxruntime is missing, or cannot load it.
        """
        runtime = required("onnxruntime", self.place)
        options = runtime.SessionOptions()
        options.log_severity_level = _FATAL
        options.intra_op_num_threads = self.threads
        options.inter_op_num_threads = 1
        options.use_deterministic_compute = True
        options.add_session_config_entry(_FOLDER_OF_WEIGHTS, str(self.path.absolute().parent))
        data = cut_model(load(self.path), self.tensor).SerializeToString()
        try:
            return runtime.InferenceSession(data, options, providers=["CPUExecutionProvider"])
        except Exception as error:  # of many classes, which have no common one
            reason = runtime_reason(error)
            raise NetworkError(f"{self.place}: onnxruntime cannot load it: {reason}") from error

    @property
    def description(self) -> str:
        """Version and threads."""
        name = f"onnxruntime {required('onnxruntime', self.place).__version__}"
        return f"{name}, {counted(self.threads, 'thread')}"

    @property
    def dtype(self) -> Any:
        """The type of the network's input.

        Raises:
            NetworkError: it is not that of an image.
        """
        (entry,) = self.session.get_inputs()
        if entry.type not in _TYPES:
            raise NetworkError(
                f"{self.place}: takes {one_line(entry.type)} values; allowed: {', '.join(_TYPES)}"
            )
        return np.dtype(_TYPES[entry.type])

    def run(self, values: Array) -> Array:
        """The tensor for an input of the network's axes and type.

        Raises:
            NetworkError: the network cannot be computed.
        """
        with self.running:
            try:
                (entry,) = self.session.get_inputs()
                (result,) = self.session.run([self.tensor], {entry.name: values})
            except NetworkError:
                raise
            except MemoryError:
                raise
            except Exception as error:
                raise NetworkError(f"{self.place}: onnxruntime: {runtime_reason(error)}") from error
        return np.asarray(result)


def cut_model(model: Any, tensor: str) -> Any:
    """A model reduced to what a tensor depends on, which is its only output; ``model`` is changed."""
    graph = model.graph
    producers = {name: index for index, node in enumerate(graph.node) for name in node.output if name}
    needed, kept, pending = {tensor}, set[int](), [tensor]
    while pending:
        index = producers.get(pending.pop(), -1)
        if index >= 0 and index not in kept:
            kept.add(index)
            names = set(read_names(graph.node[index])) - needed
            needed |= names
            pending += names
    _keep(graph.node, [graph.node[index] for index in sorted(kept)])
    _keep(graph.initializer, [entry for entry in graph.initializer if entry.name in needed])
    _keep(graph.output, [type(graph.output[0])(name=tensor)])
    del graph.value_info[:]
    return model


def _keep(entries: Any, kept: list[Any]) -> None:
    """Reduce a list of a model to some of its entries."""
    copies = [type(entry).FromString(entry.SerializeToString()) for entry in kept]
    del entries[:]
    entries.extend(copies)


def runtime_reason(error: Exception) -> str:
    """The message of an exception of onnxruntime in one line, without places in its code."""
    text = _SOURCE.sub("", _CODE.sub("", " ".join(str(error).split())))
    return cut(one_line(text.strip().removesuffix("."))) or quoted(type(error).__name__)
