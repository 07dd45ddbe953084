"""Reading a file in another process, for libraries that a damaged file can hang or crash."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import numpy as np

from convcli.core.errors import KernelError, one_line, reading
from convcli.core.processes import end_after, end_with, limit_memory
from convcli.kernels.readers.models.base import LayerAttributes

TIMEOUT: Final = 60.0  # seconds
_GRACE: Final = 5.0  # seconds until a process that nobody waits for ends itself
MOST_MEMORY: Final = 2**32  # bytes of the process's address space
_REFUSED: Final = 3
_FIELDS: Final = (
    "order", "window", "strides", "dilations", "groups", "padding", "output_padding", "notes",
    "factors", "offsets", "activation", "unsupported", "states_activation",
)  # fmt: skip
Weights = tuple[Any, LayerAttributes, str]
"""Weights as a file stores them, the attributes of their layer, and its name."""


def read_in_process(
    module: str, path: Path, member: str | None, place: str, timeout: float = TIMEOUT
) -> Weights:
    """What ``module.extract(path, member)`` returns in another process.

    Raises:
        KernelError: what ``extract`` raises; the process crashed, or took more than ``timeout`` seconds.
    """
    arguments = [str(path), *([] if member is None else [member])]
    output = _output(f"from {module} import extract; answer(extract)", arguments, place, timeout)
    with np.load(io.BytesIO(output), allow_pickle=False) as archive:
        facts = json.loads(str(archive["facts"]))
        attributes: dict[str, Any] = {
            key: tuple(value) if isinstance(value, list) else value
            for key, value in facts["attributes"].items()
        }
        bias = archive["bias"] if facts["bias"] else None
        return archive["weights"], LayerAttributes(**attributes, bias=bias), facts["name"]


def text_in_process(module: str, path: Path, place: str, timeout: float = TIMEOUT) -> str:
    """The text that ``module.extract_text(path)`` returns in another process; raises as `read_in_process`."""
    code = f"from {module} import extract_text; answer_text(extract_text)"
    return _output(code, [str(path)], place, timeout).decode()


def _output(code: str, arguments: list[str], place: str, timeout: float) -> bytes:
    """What code writes to standard output in another process."""
    code = (
        "from convcli.kernels.readers.models.isolated import answer, answer_text, limit; "
        f"limit({os.getpid()}, {timeout}); {code}"
    )
    root = str(Path(__file__).resolve().parents[4])
    paths = os.pathsep.join(filter(None, (root, os.environ.get("PYTHONPATH"))))
    safe_path = "-P"  # nothing is imported from the working directory
    try:
        ran = subprocess.run(
            [sys.executable, safe_path, "-c", code, *arguments],
            capture_output=True,
            stdin=subprocess.DEVNULL,
            env={**os.environ, "PYTHONPATH": paths, "OPENBLAS_NUM_THREADS": "1"},
            timeout=timeout,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise KernelError(f"{place}: damaged: could not be read within {timeout:g} seconds") from error
    if ran.returncode == _REFUSED:
        raise KernelError(ran.stderr.decode("utf-8", "replace"))
    if ran.returncode:
        raise KernelError(
            f"{place}: damaged: the library that reads it failed with exit code {ran.returncode}"
        )
    return ran.stdout


def limit(parent: int, timeout: float) -> None:
    """In the other process: end with the parent, in time, and within a limit of memory."""
    end_with(parent)
    end_after(timeout + _GRACE)
    limit_memory(MOST_MEMORY)


def answer(extract: Callable[[Path, str | None], Weights]) -> None:
    """In the other process: read the file of the command line, and write the result to standard output."""
    path = Path(sys.argv[1])
    try:
        with reading(one_line(str(path))):
            weights, attributes, name = extract(path, sys.argv[2] if len(sys.argv) > 2 else None)
            facts = {"attributes": {key: getattr(attributes, key) for key in _FIELDS}, "name": name}
            text = json.dumps({**facts, "bias": attributes.bias is not None})
            bias = np.zeros(0) if attributes.bias is None else attributes.bias
            buffer = io.BytesIO()
            np.savez(buffer, weights=weights, bias=bias, facts=np.array(text))
    except KernelError as error:
        sys.stderr.buffer.write(str(error).encode())
        sys.exit(_REFUSED)
    sys.stdout.buffer.write(buffer.getbuffer())


def answer_text(extract_text: Callable[[Path], str]) -> None:
    """In the other process: read the file of the command line, and write the text to standard output."""
    path = Path(sys.argv[1])
    try:
        with reading(one_line(str(path))):
            text = extract_text(path)
    except KernelError as error:
        sys.stderr.buffer.write(str(error).encode())
        sys.exit(_REFUSED)
    sys.stdout.buffer.write(text.encode())
