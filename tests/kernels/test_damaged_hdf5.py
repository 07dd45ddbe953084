"""Damaged HDF5 files, whose library can crash or hang; other readers are held to it by tests/contracts."""

from __future__ import annotations

import random
import subprocess
import sys
import zipfile

import pytest

from tests.conftest import ROOT
from tests.kernels.test_models import PLAIN, keras_layer

MUTATIONS = 300


def mutated(data: bytes, seed: int) -> bytes:
    """Some bytes changed, left out, put in or repeated, or the end cut off."""
    draw = random.Random(seed)
    for _ in range(draw.randint(1, 3)):
        at, some = draw.randrange(len(data) + 1), draw.randrange(1, 9)
        piece = bytes(draw.randrange(256) for _ in range(some))
        data = (
            draw.choice(
                [
                    data[:at] + piece[:1] + data[at + 1 :],
                    data[:at] + bytes([data[at % len(data)] ^ 1 << some % 8]) + data[at + 1 :],
                    data[:at] + data[at + some :],
                    data[:at] + piece + data[at:],
                    data[:at] + data[max(at - some, 0) : at] * 3 + data[at:],
                    data[:at],
                ]
            )
            or b"\0"
        )
    return data


HDF5 = """
import os, signal, sys
from pathlib import Path
from convcli.core.errors import KernelError, reading
from convcli.kernels.readers.models.keras import extract
from tests.kernels.test_damaged_hdf5 import mutated
path, place, whole = Path(sys.argv[2]), sys.argv[2], Path(sys.argv[1]).read_bytes()
os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
for seed in range(int(sys.argv[3]), int(sys.argv[4])):
    path.write_bytes(mutated(whole, seed))
    print(seed, flush=True)
    signal.setitimer(signal.ITIMER_REAL, 3)
    try:
        with reading(place):
            extract(path, None)
    except KernelError as error:
        if not str(error).startswith(place) or chr(10) in str(error):
            print("odd", flush=True)
"""


@pytest.mark.parametrize("name", ["k.keras", "k.h5"])
def test_damaged_hdf5_is_one_line(tmp_path, name):
    """The reader returns a kernel or raises one line, although HDF5 may crash or hang its process."""
    pytest.importorskip("h5py", reason="h5py is not installed: pip install -e '.[models]'")
    whole, damaged, archive = tmp_path / "whole", tmp_path / name, tmp_path / "archive"
    keras_layer(archive, PLAIN.transpose(2, 3, 1, 0), {"kernel_size": [3, 3], "padding": "same"})
    whole.write_bytes(archive.read_bytes())
    if name == "k.h5":
        whole.write_bytes(zipfile.ZipFile(archive).read("model.weights.h5"))
    seed = 0
    while seed < MUTATIONS:  # a crash or a hang ends the process, which counts as damage
        places = [str(whole), str(damaged), str(seed), str(MUTATIONS)]
        ran = subprocess.run(
            [sys.executable, "-c", HDF5, *places], capture_output=True, text=True, check=False, cwd=ROOT
        )
        lines = ran.stdout.split()
        assert ran.returncode <= 0
        assert "odd" not in lines, f"seed {lines[lines.index('odd') - 1]}"
        seed = int(lines[-1]) + 1
