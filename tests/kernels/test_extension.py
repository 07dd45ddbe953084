"""A new preset is one file, a new family one function and one line: names, lists, hints and words follow."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import pytest

import convcli
from convcli.core.errors import KernelError
from convcli.kernels import presets
from convcli.kernels.families.base import Family, Parameter, number
from convcli.kernels.families.registry import FAMILIES
from convcli.kernels.kernel import Kernel
from tools import vocabulary

PRESET = "name: dummy-edge\ndescription: A dummy\ntags: [edge]\naliases: [dummy-alias]\nweights: [[-1, 1]]\n"


@pytest.fixture
def preset(tmp_path, monkeypatch):
    """A folder of shipped presets with one more."""
    path = tmp_path / "dummy-edge.yaml"
    path.write_text(PRESET)
    with_dummy = {**presets.files(), "dummy-edge": path}
    monkeypatch.setattr(presets, "files", lambda: with_dummy)
    presets.aliases.cache_clear()
    yield path
    presets.aliases.cache_clear()


@pytest.fixture
def family(monkeypatch):
    """One more family."""

    def make(name: str, amount: Fraction) -> Kernel:
        return Kernel([[amount]], name=name)

    parameters = (Parameter("amount", number("amount", "0", "10")),)
    monkeypatch.setitem(FAMILIES, "dummy", Family("dummy", "a dummy", parameters, make, ("lesson",)))


def test_a_preset_is_one_file(preset, run):
    """By name and alias, in lists by tag and word, in hints, and among the words that complete."""
    assert convcli.load_kernel("Dummy_Edge").weights.tolist() == [[-1, 1]]
    assert convcli.load_kernel("dummyalias").name == "dummy-edge"
    assert "dummy-edge" in run("kernels", "list", "--tag", "edge").text
    assert "A dummy" in run("kernels", "list", "dummy").text
    with pytest.raises(KernelError, match="did you mean dummy-edge"):
        convcli.load_kernel("dumy-edge")
    assert '"dummy-edge": "A dummy"' in vocabulary.module()


def test_a_family_is_one_line(family, run):
    """By name and arguments, in lists, in hints, in messages with its usage, and among the words."""
    assert convcli.load_kernel("dummy:2.5").sum == Fraction(5, 2)
    assert "dummy:AMOUNT: a dummy" in run("kernels", "list", "--tag", "lesson").text
    for text, words in [
        ("dumny", "did you mean dummy"),
        ("dummy", "kernel 'dummy': amount is missing; usage: dummy:AMOUNT"),
        ("dummy:11", "amount 11 is not between 0 and 10; usage: dummy:AMOUNT"),
    ]:
        with pytest.raises(KernelError, match=words):
            convcli.load_kernel(text)
    assert '"dummy:": "dummy:AMOUNT"' in vocabulary.module()


def test_every_shipped_preset_is_a_file_of_the_project():
    """The folder itself is their only list."""
    folder = Path(presets.__file__).resolve().parents[2] / "kernels"
    assert set(presets.files()) == {path.stem for path in folder.glob("*.yaml")}
