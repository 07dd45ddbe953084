"""A package that adds presets, a format and a kernel reader, installed in a folder of the test."""

import sys
from pathlib import Path

import pytest

from convcli.core import plugins
from convcli.formats import added as formats
from convcli.kernels.readers import added as readers

METADATA = "Metadata-Version: 2.1\nName: convcli-demo\nVersion: 1.2\n"
ENTRY_POINTS = """
[convcli.presets]
my-edge = convcli_demo:edge
box3 = convcli_demo:edge
comb = convcli_demo:COMB
broken = convcli_demo_missing:x
odd = convcli_demo:ODD
[convcli.formats]
demo = convcli_demo:FORMAT
gone = convcli_demo_missing:x
[convcli.kernel_readers]
dmk = convcli_demo_reader
bad = convcli_demo_missing
"""
MODULES = {
    "convcli_demo": """
from convcli import Kernel
from convcli.formats.entry import Entry
from convcli.kernels.families.base import Family, Parameter

ODD = 3
FORMAT = Entry("demo", "convcli_demo_format:Demo", (".demo",), signature=rb"DEMO")

def edge():
    return Kernel([[0, -1, 0], [-1, 4, -1], [0, -1, 0]])

def comb(name, teeth):
    return Kernel([[1, 0] * teeth], name=name)

COMB = Family("comb", "teeth with gaps", (Parameter("teeth", int),), comb, ("pattern",))
""",
    "convcli_demo_format": """
import numpy as np
from convcli.formats.base import Format
from convcli.formats.header import Header

class Demo(Format):
    def sniff(self, head):
        return head.startswith(b"DEMO")

    def header(self, data):
        return Header(self.name, data[4], data[5], 1, np.dtype(np.uint8))

    def decode(self, data, header):
        return np.frombuffer(data, np.uint8, offset=6).reshape(header.rows, header.columns, 1)

    def holds(self, dtype, channels, frames=1):
        return (dtype, channels, frames) == (np.uint8, 1, 1)

    def encode(self, pixels, metadata):
        return b"DEMO" + bytes(pixels.shape[:2]) + pixels.tobytes()
""",
    "convcli_demo_reader": """
from convcli import Kernel
from convcli.kernels.readers.base import Reader

READER = Reader("demo kernels", (".dmk",))

def read(file, member):
    return Kernel([[int(n) for n in line.split()] for line in file.text.splitlines()], name=file.name)
""",
}


def forget() -> None:
    """Forget what is installed."""
    plugins.forget()
    formats._entry.cache_clear()
    formats._format.cache_clear()
    readers._loaded.cache_clear()
    readers._BY_NAME.clear()


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """The name of the installed package."""
    folder = tmp_path / "site"
    facts = folder / "convcli_demo-1.2.dist-info"
    facts.mkdir(parents=True)
    (facts / "METADATA").write_text(METADATA)
    (facts / "entry_points.txt").write_text(ENTRY_POINTS)
    for name, text in MODULES.items():
        (folder / f"{name}.py").write_text(text)
    monkeypatch.syspath_prepend(folder)
    forget()
    yield "convcli-demo 1.2"
    forget()
    for name in MODULES:
        sys.modules.pop(name, None)
