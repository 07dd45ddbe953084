"""Presets, formats and kernel readers of other installed packages."""

import json
import subprocess
import sys

import numpy as np
import pytest

import convcli
from convcli.core.plugins import Plugin, PluginError

BROKEN = (
    r"^package convcli-demo 1\.2: its {} cannot be loaded \(ModuleNotFoundError: .*\); update or uninstall"
)


def test_presets_and_families(package):
    """A preset by its name, a family with arguments; both also in expressions and with other spellings."""
    assert convcli.load_kernel("My_Edge").weights.tolist() == [[0, -1, 0], [-1, 4, -1], [0, -1, 0]]
    assert convcli.load_kernel("My_Edge").name == "my-edge"
    assert convcli.load_kernel("comb:2").weights.tolist() == [[1, 0, 1, 0]]
    assert convcli.load_kernel("my-edge*box3").size == (5, 5)
    with pytest.raises(convcli.KernelError, match="usage: comb:TEETH"):
        convcli.load_kernel("comb:x")
    with pytest.raises(convcli.KernelError, match="did you mean my-edge"):
        convcli.load_kernel("my-edgy")


def test_built_in_names_come_first(package, run):
    """A preset of a package never replaces a shipped one, and the list says that it is hidden."""
    assert convcli.load_kernel("box3").weights.sum() == pytest.approx(1)
    assert f"hides package {package}" in run("kernels", "list", "box3").text


def test_lists_name_the_package(run, package):
    """Presets and families with their origin, as text and JSON."""
    assert f"[package {package}]" in run("kernels", "list", "my-edge").text
    listed = json.loads(run("kernels", "list", "--json", "comb").text)
    assert listed["families"][0]["origin"] == f"package {package}"


def test_formats(package, tmp_path, gray):
    """Files are recognized by content, and written by suffix and by name."""
    small = gray[:9, :8].copy()
    source = tmp_path / "a.bin"
    source.write_bytes(b"DEMO" + bytes(small.shape) + small.tobytes())
    result = convcli.apply(source, "box3")
    assert result.report["input"]["format"] == "demo"
    for target, name in (("b.demo", None), ("b.other", "demo")):
        result.save(tmp_path / target, format=name)
        saved = (tmp_path / target).read_bytes()
        assert saved == b"DEMO" + bytes(small.shape) + result.pixels.tobytes()


def test_kernel_readers(package, tmp_path):
    """A kernel file by the suffix of a reader that a package adds."""
    file = tmp_path / "k.dmk"
    file.write_text("1 2\n3 4\n")
    assert convcli.load_kernel(file).weights.tolist() == [[1, 2], [3, 4]]
    assert convcli.load_kernel(str(file)).name == "k"


def test_what_is_broken_names_the_package(package, tmp_path, run):
    """One line for a module that is missing, and for a value of another type; lists go on."""
    file = tmp_path / "k.bad"
    file.write_text("1")
    for thing, use in (
        ("preset broken", lambda: convcli.load_kernel("broken")),
        ("kernel reader bad", lambda: convcli.load_kernel(str(file))),
        ("format gone", lambda: convcli.apply(np.eye(3), "box3").save(tmp_path / "x", format="gone")),
    ):
        with pytest.raises(PluginError, match=BROKEN.format(thing)):
            use()
    with pytest.raises(PluginError, match=r"its preset odd is of type int \(allowed: a Kernel"):
        convcli.load_kernel("odd")
    assert "cannot be read: package convcli-demo 1.2" in run("kernels", "list").text
    with pytest.raises(convcli.ConvcliError, match=r"not an image in a known format .*demo.*format gone"):
        convcli.apply(b"\0nothing", "box3")


def test_a_module_that_exits():
    """An entry point whose module ends the process, or raises what is no `Exception`, is one line."""

    class Exits:
        def load(self) -> None:
            raise SystemExit("bye")

    with pytest.raises(PluginError, match=r"its preset x cannot be loaded \(SystemExit: bye\)"):
        Plugin("x", "convcli.presets", "demo 1", Exits()).load()


def test_known_names_read_no_metadata():
    """The metadata of packages, which takes milliseconds, is not read for what is built in."""
    code = (
        "import sys, numpy, convcli; convcli.apply(numpy.eye(5), 'box3').pixels;"
        "convcli.load_kernel('gaussian:1.5'); convcli.load_kernel('box3*sobel-x');"
        "from convcli.core import plugins; sys.exit(plugins._installed.cache_info().misses)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
