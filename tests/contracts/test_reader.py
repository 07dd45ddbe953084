"""The contract that every kernel reader keeps, and what a new one gets from its line in the registry."""

from __future__ import annotations

import io
import os
import re
import subprocess
import sys
import threading
from importlib import import_module
from pathlib import Path
from types import ModuleType

import imagecodecs
import numpy as np
import pytest

import convcli
from convcli.core.errors import KernelError
from convcli.kernels.kernel import Kernel
from convcli.kernels.readers import registry
from convcli.kernels.readers.base import KernelFile, Reader
from convcli.kernels.readers.registry import READERS
from tests.conftest import ROOT
from tests.kernels.test_damaged_hdf5 import mutated
from tests.kernels.test_models import PLAIN, conv_model, keras_layer, safetensors
from tools import generate

EDGE = np.array([[-1, 0, 1], [-2, 0, 2]])
MUTATIONS = 200


def npy() -> bytes:
    file = io.BytesIO()
    np.save(file, EDGE)
    return file.getvalue()


def npz() -> bytes:
    file = io.BytesIO()
    np.savez_compressed(file, a=EDGE)
    return file.getvalue()


def onnx() -> bytes:
    nodes = (("DequantizeLinear", {"axis": 0}, ("raw", "w"), {"s": np.ones(2, np.float32)}),)
    return conv_model(PLAIN.astype(np.int8), nodes, strides=[1, 2], pads=[1, 0, 1, 0], group=1)


def keras() -> bytes:
    file = io.BytesIO()
    keras_layer(file, PLAIN.transpose(2, 3, 1, 0), {"kernel_size": [3, 3], "padding": "same"})
    return file.getvalue()


SAMPLES = {
    "yaml_document": lambda: b"name: edge\nweights: [[1, 2], [3, 1/9]]\nscale: 1/8\nbias: [1]\ntags: [a]\n",
    "json_document": lambda: b'{"kernels": [{"name": "a", "weights": [[1, 2e1]], "anchor": [0, 1]}]}',
    "npy": npy,
    "npz": npz,
    "magick": lambda: b"3x2+1+1: 1,2,3 4,nan,-6; 1x1: 2\n",
    "table": lambda: b'"1,5";2;1/9\n3;4;5\n',
    "vips": lambda: b"3 2 9 1\n1 2 3\n4 5 6\n",
    "models.safetensors": lambda: safetensors({"a.weight": PLAIN, "a.bias": np.ones(2, np.float32)}),
    "models.onnx": onnx,
    "models.keras": keras,
    "template": lambda: bytes(imagecodecs.png_encode(np.arange(48, dtype=np.uint8).reshape(6, 8))),
}
"""A file of each form; readers of optional libraries are skipped without them."""

every_reader = pytest.mark.parametrize("reader", READERS, ids=lambda reader: reader.name)
by_content = [reader for reader in READERS if reader.by_content]


def sample(reader: Reader, folder: Path, suffix: str | None = None) -> Path:
    """The reader's sample as a file, with its first suffix or another one."""
    path = folder / f"k{reader.suffixes[0] if suffix is None else suffix}"
    path.write_bytes(SAMPLES[reader.name]())
    return path


def test_every_reader_has_a_sample():
    """A new reader cannot miss these tests."""
    assert set(SAMPLES) == {reader.name for reader in READERS}


@every_reader
def test_the_module_has_what_its_line_says(reader):
    """``kernels`` or ``read``, ``recognizes`` if it works by content; suffixes in lower case."""
    module = import_module(f"convcli.kernels.readers.{reader.name}")
    assert hasattr(module, "kernels" if reader.several else "read")
    assert hasattr(module, "recognizes") == reader.by_content
    assert all(re.fullmatch(r"\.[a-z0-9]+", suffix) for suffix in reader.suffixes)


@every_reader
def test_each_suffix_reads_the_sample(reader, tmp_path):
    """The same kernel by every suffix, in upper case too."""
    kernel = convcli.load_kernel(sample(reader, tmp_path))
    assert np.isfinite(kernel.weights).all()
    for suffix in (*reader.suffixes, reader.suffixes[-1].upper()):
        same = convcli.load_kernel(str(sample(reader, tmp_path, suffix)))
        assert np.array_equal(same.weights, kernel.weights)
        assert (same.name, same.biases) == (kernel.name, kernel.biases)


@pytest.mark.parametrize("reader", by_content, ids=lambda reader: reader.name)
def test_recognized_by_content(reader, tmp_path):
    """Alone of all readers before it, without a suffix and from a pipe that is read once."""
    kernel = convcli.load_kernel(sample(reader, tmp_path))
    plain = KernelFile(sample(reader, tmp_path, ""))
    recognizing = [
        other.name
        for other in by_content
        if import_module(f"convcli.kernels.readers.{other.name}").recognizes(plain)
    ]
    assert recognizing in ([reader.name], [reader.name, "table"])
    assert np.array_equal(convcli.load_kernel(plain.path).weights, kernel.weights)
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    writer = threading.Thread(target=pipe.write_bytes, args=(plain.data,))
    writer.start()
    assert np.array_equal(convcli.load_kernel(str(pipe)).weights, kernel.weights)
    writer.join()


@every_reader
def test_what_is_wrong_is_one_line_with_the_place(reader, tmp_path):
    """A missing file, a folder, an empty file, a member that is not in it."""
    path = sample(reader, tmp_path)
    wrong = [f"{path}:no such member"]
    (tmp_path / f"empty{path.suffix}").write_bytes(b"")
    (tmp_path / f"folder{path.suffix}").mkdir()
    wrong += [f"{tmp_path}/{stem}{path.suffix}" for stem in ("missing", "empty", "folder")]
    for text in wrong:
        with pytest.raises(KernelError) as caught:
            convcli.load_kernel(text)
        assert str(caught.value).startswith(text.removesuffix(":no such member"))
        assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", [name for name in SAMPLES if name != "models.keras"])
@pytest.mark.filterwarnings("ignore:weights of shape")
def test_damaged_files_are_one_line(tmp_path, name):
    """Whatever bytes a reader gets, it returns a kernel or raises one line; Keras's has a test of its own."""
    (reader,) = (reader for reader in READERS if reader.name == name)
    path = sample(reader, tmp_path)
    data = path.read_bytes()
    for seed in range(MUTATIONS):
        path.write_bytes(mutated(data, seed))
        try:
            kernel = convcli.load_kernel(f"{path}:a" if seed % 2 and reader.takes_member else str(path))
        except KernelError as error:
            message = str(error)
            assert message.startswith(str(path)), (seed, message)
            assert "\n" not in message
            assert "NoneType" not in message
        else:
            assert np.isfinite(kernel.weights).all()


@pytest.mark.parametrize("reader", [reader for reader in READERS if reader.in_folders], ids=lambda r: r.name)
def test_presets_of_a_folder(reader, tmp_path):
    """Such files are presets of ``--kernel-path``, by the name of the file."""
    sample(reader, tmp_path)
    assert np.isfinite(convcli.load_kernel("k", kernel_path=tmp_path).weights).all()


@every_reader
def test_the_page_of_kernel_files_names_its_suffixes(reader):
    """It names all of them; for images, the usual ones."""
    page = (ROOT / "docs" / "kernel-files.md").read_text()
    named = [suffix for suffix in reader.suffixes if f"`{suffix}`" in page]
    assert ".png" in named if reader.name == "template" else named == list(reader.suffixes)


def test_only_the_reader_that_is_needed_is_imported(tmp_path):
    """The registry imports none; a table imports those that share its suffix."""
    (tmp_path / "k.csv").write_text("1 2 1")
    code = (
        "import sys, pathlib; from convcli.kernels.readers import registry\n"
        f"name = '{registry.__package__}.'.__add__\n"
        "imported = lambda: [r.name for r in registry.READERS if name(r.name) in sys.modules]\n"
        "print(imported()); registry.read(pathlib.Path(sys.argv[1])); print(imported())"
    )
    ran = subprocess.run(
        [sys.executable, "-c", code, tmp_path / "k.csv"], capture_output=True, text=True, cwd=ROOT, check=True
    )
    assert ran.stdout.splitlines() == ["[]", "['magick', 'table']"]


def test_a_new_reader_is_one_module_and_one_line(tmp_path, monkeypatch, run):
    """Its files are read by suffix, by content and from folders of presets, listed and documented."""
    module = ModuleType("dummy")
    module.recognizes = lambda file: file.data.startswith(b"DUMMY")
    module.read = lambda file, member: Kernel([[len(file.data)]], name=file.name)
    monkeypatch.setitem(sys.modules, "convcli.kernels.readers.dummy", module)
    line = Reader("dummy", (".dummy",), by_content=True, in_folders=True)
    monkeypatch.setattr(registry, "READERS", (line, *READERS))
    for name in ("mine.dummy", "plain"):
        (tmp_path / name).write_bytes(b"DUMMY!")
        assert convcli.load_kernel(f"{tmp_path}/{name}").sum == 6
    assert convcli.load_kernel("mine", kernel_path=tmp_path).sum == 6
    assert "mine" in run("kernels", "list", "--kernel-path", tmp_path).text
    with pytest.raises(KernelError, match=r"mine\.dummy contains one kernel; leave out :x"):
        convcli.load_kernel(f"{tmp_path}/mine.dummy:x")
    with pytest.raises(KernelError, match=r"none\.dummy: no such file"):
        convcli.load_kernel("none.dummy")
    assert convcli.load_kernel("box3").sum == 1
    (manual,) = (text for path, text in generate.made() if path.name == "convcli.1")
    assert "*.dummy" in manual
