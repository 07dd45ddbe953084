"""``convcli kernels``: list, show and export."""

from __future__ import annotations

import subprocess
import sys
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

import convcli
from convcli.kernels import presets
from convcli.kernels.describe import response
from tests.conftest import SAMPLES

STATUS = Path("/proc/self/status")


def test_kernels_lists_every_preset(run):
    """Each preset on a line with its size, sum and description, under its tags; families below."""
    for arguments in ((), ("list",)):
        lines = run("kernels", *arguments).text.splitlines()
        named = [line.split()[0] for line in lines if " sum " in line or " of " in line]
        assert set(presets.names()) <= set(named)
        assert lines[0] == "edge, compass:"
        assert any("gaussian:SIGMA" in line for line in lines)
    edges = run("kernels", "list", "--tag", "edge").text
    assert "sobel-x" in edges
    assert "box3" not in edges
    ran = run("kernels", "list", "--tag", "nothing")
    assert (ran.code, "tags: basis, blur, compass" in ran.err) == (2, True)


def test_kernels_are_searched(run):
    """Every word has to occur in a name, an alias, a tag or the description."""
    found = run("kernels", "list", "Vertical", "SLOPE").text
    assert "sobel-x" in found
    assert "sobel-y" not in found
    assert "(also blur, box)" in run("kernels", "list", "blur").text
    ran = run("kernels", "list", "no", "such", "kernel")
    assert (ran.code, "no kernel matches 'no such kernel'" in ran.err) == (2, True)


def test_every_map_is_shown(run):
    """A bank's first maps, or all of them."""
    assert "and 4 more maps" in run("kernels", "show", "kirsch:stack").text
    text = run("kernels", "show", "kirsch:stack", "--all").text
    assert "more maps" not in text
    assert all(f"map {index}" in text for index in range(8))


def test_kernels_show(run):
    """Matrix, sum, range and separability; fractions as integers behind their factor."""
    text = run("kernels", "show", "gaussian3").text
    for words in (
        "1/16 ×",
        "1  2  1",
        "2  4  2",
        "sum        1",
        "0 … 255 for 8 bits",
        "1/16 [1 2 1]ᵀ × [1 2 1]",
    ):
        assert words in text
    text = run("kernels", "show", "laplacian4").text
    assert "separable  no (rank above 1)" in text
    assert "−1020 … 1020 for 8 bits" in text
    assert "l2 of 2 maps" in run("kernels", "show", "sobel").text
    assert run("kernels", "show", "sobl").code == 2


@pytest.mark.parametrize(
    ("name", "present"),
    [
        ("kirsch", ["map 3, kirsch-nw\n", "\n  and 4 more maps\n", "sum        0 (each of 8 maps)"]),
        ("laws", ["and 21 more maps", "256, 0, 0, 0, 0, 0, 0, 0 and 17 more (one per map)"]),
        ("random:2x2x5x6", ["map 3, input 3\n", "and 2 more maps, 1 more input\n"]),
        ("box:31", ["(31×31 weights, all 1/961)"]),
        ("gaussian:2", ["17×17 weights = vᵀ × v, where v is\n    6.692e−05  0.0004363", "0.1995\n"]),
        ("gaussian-dx:2", ["17×17 weights = uᵀ × v, where u is\n", "and v is\n"]),
        ("gabor:8,45", ["(41×41 weights, not shown)", "along 45°, clockwise, under"]),
    ],
)
def test_kernels_show_says_what_it_leaves_out(run, name, present):
    """Maps, inputs and sums beyond the first are counted; large separable kernels are their factors."""
    text = run("kernels", "show", name).text
    assert [words for words in present if words not in text] == []


@pytest.mark.parametrize(
    ("name", "words", "gain"),
    [
        ("sobel-x@90", "sobel-x rotated by 90° counterclockwise", 8),
        ("sobel-x@-45", "sobel-x rotated by 45° clockwise", None),
        ("sobel-x@180", "sobel-x rotated by 180°", 8),
        ("sobel-x@315@45", "sobel-x@315 rotated by 45° counterclockwise", None),
    ],
)
def test_turned_kernels_are_described_as_such(name, words, gain):
    """They do not inherit directions and aliases, which no longer hold."""
    about = convcli.load_kernel(name).about
    assert (about.description, about.aliases, about.gain) == (words, (), gain)
    same = convcli.load_kernel("box3@90").about
    assert same == convcli.load_kernel("box3").about
    assert convcli.load_kernel("kirsch@90").about.members[1] == "kirsch-ne@90"


def test_kernels_show_what_waves_become(run):
    """Symmetry, frequency response, the plan and, on request, a heat map in colors."""
    text = run("kernels", "show", "gaussian3").text
    assert "even left to right, even top to bottom" in text
    assert "freq → x" in text
    assert "1 at 0, 0.5 at 1/4, 0 at 1/2 cycles per pixel" in text
    assert "for 24 megapixels of 8-bit gray" in text
    assert (
        "odd left to right, even top to bottom, odd under 180° rotation"
        in run("kernels", "show", "sobel-x").text
    )
    assert "\x1b[" not in text
    assert run("kernels", "show", "sobel-x", "--heat").text.count("\x1b[48;") == 9
    assert "none: kernel" in run("kernels", "show", "random:3x3x7x2").text


@pytest.mark.parametrize("name", ["sobel-x", "gaussian:1.1", "motion:9,30", "1 2 3"])
def test_waves_are_multiplied_by_the_sum_of_weights_at_their_phases(name):
    """The bars and numbers are the magnitude of the discrete-time Fourier transform."""
    kernel = convcli.load_kernel(name)
    y, x = np.indices(kernel.size)
    for (_, shown), phase in zip(response(kernel), (x, y, x + y), strict=True):
        numbers = shown.replace("−", "-").split("  ")[1].replace(" cycles per pixel", "").split(", ")
        for value, frequency in (number.split(" at ") for number in numbers):
            turns = np.exp(-2j * np.pi * float(Fraction(frequency)) * phase)
            assert float(value) == pytest.approx(abs((kernel.weights * turns).sum()), rel=1e-3, abs=1e-3)


@pytest.mark.skipif(not STATUS.exists(), reason="only Linux tells the most memory that was taken")
def test_showing_a_large_kernel_takes_memory_for_its_weights_only(tmp_path):
    """A few copies of 2²² weights, not one for every frequency; what an image takes counts them too."""
    np.savez_compressed(tmp_path / "large.npz", np.zeros((2**11, 2**11)))
    code = (
        "from convcli.cli.main import main\n"
        "try: main(['kernels', 'show', 'large.npz'])\n"
        "finally: print(open('/proc/self/status').read().split('VmHWM:')[1].split()[0])"
    )
    ran = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, cwd=tmp_path, check=False
    )
    assert "0 at 1/2 cycles per pixel" in ran.stdout
    assert int(ran.stdout.split()[-1]) < 500_000


def test_weights_count_as_memory(run, tmp_path):
    """``--max-memory`` is held to the kernel's weights as well as to the image's pixels."""
    np.savez_compressed(tmp_path / "large.npz", np.zeros((2**11, 2**11)))
    ran = run(
        "apply",
        SAMPLES / "scene.png",
        "-k",
        tmp_path / "large.npz",
        "--max-memory",
        "200M",
        "-o",
        tmp_path / "o.png",
    )
    assert ran.code == 2
    assert "allowed: 200 MB (--max-memory)" in ran.err


@pytest.mark.parametrize("suffix", ["yaml", "json", "csv", "mat", "npy"])
def test_kernels_export(run, tmp_path, suffix):
    """The file reads back as the same kernel; the default is standard output; no file is overwritten."""
    path = tmp_path / f"kernel.{suffix}"
    assert run("kernels", "export", "box3", "-o", path).code == 0
    assert np.array_equal(convcli.load_kernel(path).weights, convcli.load_kernel("box3").weights)
    assert run("kernels", "export", "box3", "--format", suffix).out == path.read_bytes()
    assert "already exists" in run("kernels", "export", "box3", "-o", path).err
    ran = run("kernels", "export", "box3", "-o", tmp_path / "kernel.png")
    assert (ran.code, "unknown suffix; allowed: .yaml, .json" in ran.err) == (2, True)


def test_export_offers_every_form():
    """The choices of ``--format``, which import no writer, are the writers."""
    from convcli.cli.kernels import export
    from convcli.kernels.writers import FORMS

    (form,) = (option.type for option in export.params if option.name == "form")
    assert list(form.choices) == list(FORMS)
