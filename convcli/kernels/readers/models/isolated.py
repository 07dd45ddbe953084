"""A file read by a process of its own, for a library that a damaged file can hang or crash."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

import numpy as np

from convcli.core.errors import KernelError, one_line, reading
from convcli.core.processes import end_after, end_with
from convcli.kernels.readers.models.base import Stated

LONGEST: Final = 60.0  # seconds
_GRACE: Final = 5.0  # seconds after which a process that nobody waits for ends by itself
MOST_MEMORY: Final = 2**32  # bytes that the process may take
_REFUSED: Final = 3
_FACTS: Final = ("order", "window", "strides", "dilations", "groups", "padding", "notes")
Weights = tuple[Any, Stated, str]
"""Weights as a file keeps them, what it states of their layer, and the layer's name."""


def read_apart(module: str, path: Path, member: str | None, place: str, longest: float = LONGEST) -> Weights:
    """What ``module``'s ``extract`` reads of a file.

    Raises:
        KernelError: what ``extract`` refuses; the process crashed, or did not end in ``longest`` seconds.
    """
    code = (
        "from convcli.kernels.readers.models.isolated import answer, bounded; "
        f"bounded({os.getpid()}, {longest}); "
        f"from {module} import extract; answer(extract)"
    )
    root = str(Path(__file__).resolve().parents[4])
    paths = os.pathsep.join(filter(None, (root, os.environ.get("PYTHONPATH"))))
    arguments = [str(path), *([] if member is None else [member])]
    isolated = "-P"  # nothing of the working directory is imported
    try:
        ran = subprocess.run(
            [sys.executable, isolated, "-c", code, *arguments],
            capture_output=True,
            stdin=subprocess.DEVNULL,
            env={**os.environ, "PYTHONPATH": paths, "OPENBLAS_NUM_THREADS": "1"},
            timeout=longest,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise KernelError(f"{place}: damaged: it could not be read in {longest:g} seconds") from error
    if ran.returncode == _REFUSED:
        raise KernelError(ran.stderr.decode("utf-8", "replace"))
    if ran.returncode:
        raise KernelError(f"{place}: damaged: the library that reads it ended with {ran.returncode}")
    with np.load(io.BytesIO(ran.stdout), allow_pickle=False) as archive:
        facts = json.loads(str(archive["facts"]))
        stated: dict[str, Any] = {
            key: tuple(value) if isinstance(value, list) else value for key, value in facts["stated"].items()
        }
        bias = archive["bias"] if facts["bias"] else None
        return archive["weights"], Stated(**stated, bias=bias), facts["name"]


def bounded(parent: int, longest: float) -> None:
    """The other side's first step: it ends with the process that asked, in time, and within its memory."""
    import resource

    end_with(parent)
    end_after(longest + _GRACE)
    soft, hard = resource.getrlimit(resource.RLIMIT_AS)
    if soft == resource.RLIM_INFINITY or soft > MOST_MEMORY:  # a lower limit stays
        with suppress(ValueError, OSError):
            resource.setrlimit(resource.RLIMIT_AS, (MOST_MEMORY, hard))


def answer(extract: Callable[[Path, str | None], Weights]) -> None:
    """The other side: read what the command line names, and write it to standard output."""
    path = Path(sys.argv[1])
    try:
        with reading(one_line(str(path))):
            weights, stated, name = extract(path, sys.argv[2] if len(sys.argv) > 2 else None)
            facts = {"stated": {key: getattr(stated, key) for key in _FACTS}, "name": name}
            text = json.dumps({**facts, "bias": stated.bias is not None})
            bias = np.zeros(0) if stated.bias is None else stated.bias
            buffer = io.BytesIO()
            np.savez(buffer, weights=weights, bias=bias, facts=np.array(text))
    except KernelError as error:
        sys.stderr.buffer.write(str(error).encode())
        sys.exit(_REFUSED)
    sys.stdout.buffer.write(buffer.getbuffer())
