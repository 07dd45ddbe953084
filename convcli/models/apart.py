"""A file read by a process of its own, for a library that a damaged file can hang or crash."""

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

from convcli.errors import KernelError
from convcli.kernel import Layer
from convcli.models.base import biases
from convcli.processes import end_after, end_with

LONGEST: Final = 60.0  # seconds
_GRACE: Final = 5.0  # seconds after which a process that nobody waits for ends by itself
_REFUSED: Final = 3
Weights = tuple[Any, Layer, str]
"""Weights as a file keeps them, their layer and its name."""


def read_apart(module: str, path: Path, member: str | None, place: str, longest: float = LONGEST) -> Weights:
    """What ``module``'s ``extract`` reads of a file.

    Raises:
        KernelError: what ``extract`` refuses; the process crashed, or did not end in ``longest`` seconds.
    """
    code = (
        f"from convcli.models.apart import answer, bounded; bounded({os.getpid()}, {longest}); "
        f"from {module} import extract; answer(extract)"
    )
    root = str(Path(__file__).resolve().parents[2])
    paths = os.pathsep.join(filter(None, (root, os.environ.get("PYTHONPATH"))))
    arguments = [str(path), *([] if member is None else [member])]
    try:
        ran = subprocess.run(
            [
                sys.executable,
                "-P",
                "-c",
                code,
                *arguments,
            ],  # -P: nothing of the working directory is imported
            capture_output=True,
            stdin=subprocess.DEVNULL,
            env={**os.environ, "PYTHONPATH": paths},
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
        for key in ("stride", "dilation"):
            facts["layer"][key] = tuple(facts["layer"][key])
        layer = Layer(**facts["layer"], bias=biases(archive["bias"]))
        return archive["weights"], layer, facts["name"]


def bounded(parent: int, longest: float) -> None:
    """The other side's first step: whatever becomes of the process that asked, this one ends."""
    end_with(parent)
    end_after(longest + _GRACE)


def answer(extract: Callable[[Path, str | None], Weights]) -> None:
    """The other side: read what the command line names, and write it to standard output."""
    try:
        weights, layer, name = extract(Path(sys.argv[1]), sys.argv[2] if len(sys.argv) > 2 else None)
    except KernelError as error:
        sys.stderr.buffer.write(str(error).encode())
        sys.exit(_REFUSED)
    kept = {key: getattr(layer, key) for key in ("order", "stride", "padding", "dilation", "groups")}
    facts = np.array(json.dumps({"layer": kept, "name": name}))
    buffer = io.BytesIO()
    np.savez(buffer, weights=weights, bias=np.array([float(value) for value in layer.bias]), facts=facts)
    sys.stdout.buffer.write(buffer.getvalue())
