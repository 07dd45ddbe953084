"""The order of the axes of weights in files that do not state it: by shape, by the image, or as requested."""

from __future__ import annotations

import warnings

import imagecodecs
import numpy as np
import pytest

import convcli
from convcli.core.errors import KernelError
from convcli.kernels.readers.axis_order import AmbiguousOrderError, WeightsOrder, order_of
from tests.conftest import SAMPLES
from tests.kernels.test_models import safetensors

BOTH = "ask"
SHAPES = {
    (3, 3, 3, 64): ("hwio", "hwio"),
    (3, 3, 64, 128): ("hwio", "hwio"),
    (64, 3, 7, 7): ("oihw", "oihw"),
    (128, 64, 3, 3): ("oihw", "oihw"),
    (768, 3, 16, 16): ("oihw", "oihw"),
    (16, 1, 3, 3): ("oihw", "oihw"),
    (1, 7, 3, 8): ("hwio", "hwio"),
    (3, 3, 3, 3): (BOTH, BOTH),
    (1, 1, 3, 3): (BOTH, BOTH),
    (16, 16, 3, 3): (BOTH, BOTH),
    (1, 1, 1, 1): ("hwio", "oihw"),
    (4, 3, 3, 5): ("hwio", "oihw"),
}
"""What is read from .npy and .npz files, and from safetensors files, without an image."""


def _files(folder, array: np.ndarray) -> tuple[str, str, str]:
    np.save(folder / "w.npy", array)
    np.savez(folder / "w.npz", a=array)
    (folder / "w.safetensors").write_bytes(safetensors({"a": array}))
    return f"{folder}/w.npy", f"{folder}/w.npz:a", f"{folder}/w.safetensors:a"


@pytest.mark.parametrize("shape", SHAPES)
def test_shapes_tell_the_order(tmp_path, shape):
    """The only order with a typical window is taken, noted if it is not the format's; else it is asked."""
    array = np.arange(np.prod(shape), dtype=np.float32).reshape(shape)
    read = {"hwio": array, "oihw": array.transpose(2, 3, 1, 0)}
    plain, stored = SHAPES[shape]
    for file, expected in zip(_files(tmp_path, array), (plain, plain, stored), strict=True):
        default = "oihw" if "safetensors" in file else "hwio"
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            if expected == BOTH:
                with pytest.raises(KernelError, match=r"can be .rows, columns, in, out. or .out, in, rows"):
                    convcli.load_kernel(file)
            else:
                assert np.array_equal(convcli.load_kernel(file).weights, read[expected])
                assert len(caught) == (expected != default)
            del caught[:]
            for order in ("hwio", "oihw"):
                for name in (f"{file}:{order}", f"{file}@{order}"):
                    assert np.array_equal(convcli.load_kernel(name).weights, read[order])
                assert np.array_equal(convcli.load_kernel(file, order=order).weights, read[order])
            assert not caught


@pytest.mark.parametrize(
    ("shape", "channels", "expected"),
    [
        ((16, 16, 3, 3), 3, "hwio"),
        ((16, 16, 3, 3), 16, "oihw"),
        ((16, 16, 3, 3), 1, BOTH),
        ((3, 3, 3, 3), 3, BOTH),
        ((1, 1, 3, 3), 1, "oihw"),
        ((3, 3, 1, 1), 1, "hwio"),
        ((3, 3, 1, 1), 3, BOTH),
        ((5, 5, 4, 4), 4, "hwio"),
    ],
)
def test_channels_tell_the_order(shape, channels, expected):
    """The only order whose inputs the image has; one input filters every channel on its own."""
    known = WeightsOrder(inputs=(channels,))
    if expected == BOTH:
        with pytest.raises(AmbiguousOrderError):
            order_of(shape, known, "hwio", "w.npy")
        return
    chosen, notes = order_of(shape, known, "hwio", "w.npy")
    assert chosen == expected
    assert f"the only order that fits {channels} channel" in notes[0]


def test_biases_tell_the_order(tmp_path):
    """As many biases as maps in one order only."""
    array = np.arange(16 * 16 * 9, dtype=np.float32).reshape(16, 16, 3, 3)
    file = tmp_path / "w.safetensors"
    file.write_bytes(safetensors({"a.weight": array, "a.bias": np.zeros(16, np.float32)}))
    assert np.array_equal(convcli.load_kernel(file).weights, array.transpose(2, 3, 1, 0))


def test_commands(run, tmp_path):
    """The image decides in ``apply``, ``explain`` and ``plan``; ``--weights-order`` does in every command."""
    array = np.random.default_rng(1).standard_normal((16, 16, 3, 3)).astype(np.float32)
    file, _, _ = _files(tmp_path, array)
    color, out = SAMPLES / "color.png", tmp_path / "o.npy"
    common = ("--stack", "--map", "raw", "-o", out, "-f")
    ran = run("apply", color, "-k", file, *common)
    assert "are read as (rows, columns, in, out), the only order that fits 3 channels" in ran.text
    assert np.load(out).shape[-1] == 3
    assert run("explain", color, "-k", file, "--at", "20,20").code == 0
    assert run("plan", "64x64x16", "-k", file).code == 0
    pixels = np.random.default_rng(2).integers(0, 256, (1, 20, 20, 16), np.uint8)
    np.save(tmp_path / "x.npy", pixels)
    assert (
        "the only order that fits 16 channels" in run("apply", tmp_path / "x.npy", "-k", file, *common).text
    )
    ran = run("apply", SAMPLES / "scene.png", "-k", file, *common)
    assert ran.code == 2
    assert f"use {file}:hwio or {file}:oihw, or --weights-order" in ran.err
    np.save(tmp_path / "w.npy", np.ones((3, 3, 3, 3), np.float32))
    assert "--weights-order" in run("apply", color, "-k", file, *common).err
    for order in ("hwio", "oihw"):
        assert run("apply", color, "-k", file, "--weights-order", order, *common).code == 0
    ran = run("batch", color, tmp_path / "folder", "-k", file)
    assert ran.code == 2
    assert "--weights-order" in ran.err
    assert run("batch", color, tmp_path / "folder", "-k", file, "--weights-order", "oihw").code == 0
    assert "--weights-order" in run("kernels", "show", file).err
    ran = run("apply", color, "-k", "box3", "--weights-order", "oihw", *common)
    assert ran.code == 2
    assert "so --weights-order has no effect on it; write FILE:oihw for kernels that are" in ran.err
    assert run("kernels", "show", f"{file}@oihw").code == 0


def test_sums_follow_the_order(run, tmp_path):
    """A layer in PyTorch's order, saved by NumPy, gives what PyTorch computes."""
    torch = pytest.importorskip("torch", reason="PyTorch is not installed: pip install torch")
    weights = np.random.default_rng(3).standard_normal((8, 3, 3, 3)).astype(np.float32)
    np.save(tmp_path / "w.npy", weights)
    out = ("--stack", "--map", "raw", "--padding", "valid", "-o", tmp_path / "o.npy")
    assert run("apply", SAMPLES / "color.png", "-k", tmp_path / "w.npy", *out).code == 0
    x = imagecodecs.png_decode((SAMPLES / "color.png").read_bytes()).astype(np.float32)
    expected = torch.nn.functional.conv2d(torch.tensor(x.transpose(2, 0, 1)[None]), torch.tensor(weights))[0]
    maps = np.load(tmp_path / "o.npy")[0].transpose(2, 0, 1)
    assert np.allclose(maps, expected.numpy(), atol=0.01)


@pytest.mark.parametrize("legacy", [False, True])
@pytest.mark.parametrize("name", ["w.pt", "w.pth", "w.bin", "w.npz", "w.safetensors", "weights"])
def test_files_of_pytorch_are_named(tmp_path, name, legacy):
    """By suffix or content, in both forms that torch.save has had: one line that says how to export them."""
    torch = pytest.importorskip("torch", reason="PyTorch is not installed: pip install torch")
    state = {"c.weight": torch.ones(2, 1, 3, 3)}
    torch.save(state, tmp_path / name, _use_new_zipfile_serialization=not legacy)
    with pytest.raises(
        KernelError, match=r"PyTorch files can contain code.*safetensors.torch.save_file"
    ) as caught:
        convcli.load_kernel(f"{tmp_path}/{name}")
    assert "\n" not in str(caught.value)


def test_a_kernel_of_other_channels_names_the_option_for_the_order(run, tmp_path):
    """Windows of 5×3 tell no order; read as (out, in, rows, columns), the weights fit a color image."""
    np.save(tmp_path / "bank.npy", np.ones((4, 3, 5, 3)))
    ran = run("apply", SAMPLES / "color.png", "-k", tmp_path / "bank.npy", "-o", tmp_path / "a.png")
    assert "; --weights-order oihw reads weights of a file as (out, in, rows, columns)\n" in ran.err
