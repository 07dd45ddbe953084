"""Kernel files that are damaged in any way: a kernel, or one line that starts with the file's name."""

from __future__ import annotations

import io
import random
import subprocess
import sys
import zipfile

import imagecodecs
import numpy as np
import pytest

import convcli
from convcli.core.errors import KernelError
from tests.conftest import ROOT
from tests.kernels.test_models import PLAIN, conv_model, keras_layer, safetensors

MUTATIONS = 300
EDGE = np.array([[-1, 0, 1], [-2, 0, 2]])


def _npy() -> bytes:
    file = io.BytesIO()
    np.save(file, EDGE)
    return file.getvalue()


def _npz() -> bytes:
    file = io.BytesIO()
    np.savez_compressed(file, a=EDGE, b=np.ones((64, 64)))
    return file.getvalue()


def _onnx() -> bytes:
    nodes = (("DequantizeLinear", {"axis": 0}, ("raw", "w"), {"s": np.ones(2, np.float32)}),)
    return conv_model(PLAIN.astype(np.int8), nodes, strides=[1, 2], pads=[1, 0, 1, 0], group=1)


SAMPLES = {
    "k.csv": lambda: b'"1,5";2;1/9\n3;4;5\n',
    "k.txt": lambda: b"3x2+1+1: 1,2,3 4,nan,-6; 1x1: 2\n",
    "k.mat": lambda: b"3 2 9 1\n1 2 3\n4 5 6\n",
    "k.yaml": lambda: b"name: edge\nweights: [[1, 2], [3, 1/9]]\nscale: 1/8\nbias: [1]\ntags: [a]\n",
    "several.yaml": lambda: (
        b"kernels:\n  a: {rows: [1, 2], columns: [3], gain: 2, combine: sum}\n  b: [[1]]\n"
    ),
    "k.json": lambda: b'{"kernels": [{"name": "a", "weights": [[1, 2e1]], "anchor": [0, 1], "flip": "no"}]}',
    "k.npy": _npy,
    "k.npz": _npz,
    "k.png": lambda: bytes(imagecodecs.png_encode(np.arange(48, dtype=np.uint8).reshape(6, 8))),
    "k": lambda: b'{"weights": [[1, 2]], "scale": "1/3"}',
    "k.safetensors": lambda: safetensors({"a.weight": PLAIN, "a.bias": np.ones(2, np.float32)}),
    "k.onnx": _onnx,
}


NAMED = ("several.yaml", "k.npz", "k.json")
"""Files of several kernels, of which one is asked for."""


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


@pytest.mark.parametrize("name", SAMPLES)
@pytest.mark.filterwarnings("ignore:weights of shape")
def test_damaged_files_are_one_line(tmp_path, name):
    """Whatever bytes a reader gets, it returns a kernel or raises the one error that people can read."""
    path, data = tmp_path / name, SAMPLES[name]()
    for seed in range(MUTATIONS):
        path.write_bytes(mutated(data, seed))
        try:
            kernel = convcli.load_kernel(f"{path}:a" if seed % 2 and name in NAMED else str(path))
        except KernelError as error:
            message = str(error)
            assert message.startswith(str(path)), (seed, message)
            assert "\n" not in message
            assert "NoneType" not in message
        else:
            assert np.isfinite(kernel.weights).all()


HDF5 = """
import os, signal, sys
from pathlib import Path
from convcli.core.errors import KernelError, reading
from convcli.kernels.readers.models.keras import extract
from tests.kernels.test_damaged_kernel_files import mutated
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
    """The same of the reader that runs in a process of its own, which HDF5's library may crash or hang."""
    pytest.importorskip("h5py", reason="h5py is not installed: pip install -e '.[models]'")
    whole, damaged, archive = tmp_path / "whole", tmp_path / name, tmp_path / "archive"
    keras_layer(archive, PLAIN.transpose(2, 3, 1, 0), {"kernel_size": [3, 3], "padding": "same"})
    whole.write_bytes(archive.read_bytes())
    if name == "k.h5":
        whole.write_bytes(zipfile.ZipFile(archive).read("model.weights.h5"))
    seed = 0
    while seed < MUTATIONS:  # a crash or a hang ends the process, which is told as damage
        places = [str(whole), str(damaged), str(seed), str(MUTATIONS)]
        ran = subprocess.run(
            [sys.executable, "-c", HDF5, *places], capture_output=True, text=True, check=False, cwd=ROOT
        )
        lines = ran.stdout.split()
        assert ran.returncode <= 0
        assert "odd" not in lines, f"seed {lines[lines.index('odd') - 1]}"
        seed = int(lines[-1]) + 1
