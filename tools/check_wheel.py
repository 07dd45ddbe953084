"""Check an installed wheel: its extension gives the bytes of NumPy alone with any instruction set.

``python tools/check_wheel.py`` checks the convcli that this Python imports, and needs nothing else.
"""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from itertools import product
from typing import Final

import numpy as np

import convcli
from convcli.native import loader

KERNELS: Final = ("sobel-x", "sharpen", "gaussian5", "box5", "kirsch-n")
TYPES: Final = ("uint8", "int16", "float32")


def digests() -> str:
    """Checksums of exact results and of float results."""
    exact, floats = hashlib.sha256(), hashlib.sha256()
    rng = np.random.default_rng(0)
    for kernel, dtype, stride in product(KERNELS, TYPES, (1, 2)):
        image = rng.integers(0, 200, (150, 211)).astype(dtype)
        checksum = floats if dtype == "float32" else exact
        checksum.update(convcli.conv(image, kernel, stride=stride, padding="same:reflect").tobytes())
    weights = rng.integers(-9, 10, (3, 3, 5, 11))
    exact.update(convcli.conv(rng.integers(0, 99, (60, 70, 5), np.uint8), weights, channels="last").tobytes())
    return f"{exact.hexdigest()} {floats.hexdigest()}"


def computed(choice: str) -> list[str]:
    """The two checksums of a new process in which CONVCLI_NATIVE is ``choice``."""
    command = [sys.executable, __file__, "digests"]
    environment = {**os.environ, loader.SWITCH: choice}
    return subprocess.run(command, env=environment, check=True, capture_output=True, text=True).stdout.split()


def main() -> str | None:
    """What is wrong, or None."""
    native = loader.extension()
    if native is None:
        return f"no compiled extension: {loader.description()}"
    names = native.instruction_sets()
    found = {name: computed(name) for name in names}
    if {exact for exact, _ in found.values()} != {computed("0")[0]}:
        return f"exact results differ from those of NumPy: {found}"
    if len({floats for _, floats in found.values()}) > 1:
        return f"instruction sets differ in floats: {found}"
    print(f"convcli {convcli.__version__}, Python {sys.version.split()[0]}: {', '.join(names)} agree")
    return None


if __name__ == "__main__":
    sys.exit(print(digests()) if "digests" in sys.argv else main())
