"""The contract that every format keeps, and what a new one gets from its line in the table."""

from __future__ import annotations

import ast
import io
import re
import subprocess
import sys
from collections import Counter

import numpy as np
import pytest

from convcli.core.errors import ArgumentError
from convcli.core.frozen import contents
from convcli.files.input import Input
from convcli.formats import registry
from convcli.formats.base import Format
from convcli.formats.capacity import OutputKind, suffixes_for
from convcli.formats.header import MAX_IMAGE_CHANNELS, Coding, Layout, Metadata
from convcli.formats.metadata import COMMENT, TEXTS
from convcli.formats.opening import open_bytes
from convcli.formats.registry import (
    HEAD,
    TABLE,
    Entry,
    format_named,
    format_of_suffix,
    formats,
    recognized_format,
)
from convcli.formats.tiff.tiff import _TEXTS as TIFF_TEXTS
from tests.conftest import ROOT
from tests.contracts.dummy_format import MAGIC
from tests.formats.test_registry import NAMES, sample_files
from tools import man_page, reference, vocabulary

KINDS = [
    (np.dtype(dtype), channels, frames)
    for dtype in ("u1", "i1", "u2", "i2", "u4", "i4", "f2", "f4", "f8")
    for channels in (1, 2, 3, 4)
    for frames in (1, 3)
]
ALL = [entry.name for entry in TABLE]
MEMBERS = {entry.path.partition(":")[0] for entry in TABLE}
LIMIT = 10**7


def test_names_and_suffixes_are_unique():
    """Each name, first suffix and suffix stands for one format, in lowercase, with its dot."""
    suffixes = Counter(suffix for entry in TABLE for suffix in (*entry.suffixes, *entry.read_only))
    assert max(suffixes.values()) == max(Counter(ALL).values()) == 1
    assert all(re.fullmatch(r"\.[a-z0-9]+", suffix) for suffix in suffixes)
    assert not set(suffixes) & set(registry.UNREAD)
    others = {entry.suffixes[0][1:] for entry in TABLE if entry.suffixes[0][1:] != entry.name}
    assert not others & set(ALL)


@pytest.mark.parametrize("name", ALL)
def test_attributes(name):
    """Names come from the table, limits go together, and qualities are within 1 to 100."""
    entry = format_named(name)
    assert isinstance(entry, Format) and entry.name == name and entry.suffixes[0]
    assert entry.writable == any(entry.holds(*kind) for kind in KINDS)
    assert (entry.max_side is None) == (entry.max_pixels is None)
    assert entry.max_channels >= MAX_IMAGE_CHANNELS
    assert entry.default_quality is None or (entry.has_quality and 1 <= entry.default_quality <= 100)
    assert min(entry.decoder_overhead, entry.encoder_overhead, entry.animation_overhead or 0) >= 0


@pytest.mark.parametrize("name", ALL)
def test_metadata_limits(name):
    """Every limit is of a field of `Metadata`, of all texts, or of a known keyword, in bytes."""
    for channels in (1, 2, 3, 4):
        limits = format_named(name).metadata_limits(channels)
        assert set(limits) <= {*contents(Metadata()), TEXTS, COMMENT, *TIFF_TEXTS}
        assert all(limit >= 0 for limit in limits.values())


@pytest.mark.parametrize("name", ALL)
def test_losses(name):
    """A loss is one line, and only formats that are written have any."""
    entry = format_named(name)
    losses = {entry.loss(*kind) for kind in KINDS}
    assert all("\n" not in loss for loss in losses)
    assert entry.writable or losses == {""}


@pytest.mark.parametrize("name", NAMES)
def test_a_file_is_recognized_by_its_first_bytes(name):
    """The first format of the table that recognizes its head is theirs, and fewer bytes are no error."""
    data = sample_files()[name]
    assert next(entry.name for entry in formats() if entry.sniff(data[:HEAD])) == name
    assert recognized_format(data[:HEAD]) is format_named(name)  # whose signature is no stricter
    for length in range(HEAD):
        assert format_named(name).sniff(data[:length]) in (True, False)
    assert not format_named(name).sniff(b"")


@pytest.mark.parametrize("name", NAMES)
def test_headers_describe_what_is_decoded(name):
    """Header, first frame, all frames and the reader's rows agree, and `open` finds the same header."""
    entry, data = format_named(name), sample_files()[name]
    header = entry.header(data)
    first = entry.decode(data, header)
    assert header.format == name
    assert (first.shape, first.dtype) == ((header.rows, header.columns, header.channels), header.dtype)
    frames = list(entry.frames(data, header))
    assert len(frames) == header.frames
    assert np.array_equal(frames[0], first)
    (run,) = entry.open(Input(data=data))
    assert (run[0].rows, run[0].columns, run[0].frames) == (header.rows, header.columns, header.frames)
    reader = open_bytes(data, LIMIT).reader()
    assert reader.memory >= 0
    for frame, pixels in enumerate(frames):
        reader.hold(frame)
        assert np.array_equal(reader.rows(frame, 3, 9), pixels[3:9])
        reader.release(frame)


def written_kinds() -> list[object]:
    """One kind of frames for each format that is written, and several frames where it holds them."""
    cases = []
    for entry in formats():
        for frames in (1, 3):
            kind = next((kind for kind in KINDS if kind[2] == frames and entry.holds(*kind)), None)
            if kind is not None and entry.name in NAMES:
                cases.append(pytest.param(entry, kind, id=f"{entry.name}-{frames}"))
    return cases


def encoded(entry: Format, pixels: np.ndarray, height: int) -> bytes:
    """A file made in strips of ``height`` rows."""
    frames, rows, columns, channels = pixels.shape
    encoder = entry.encoder(Layout(rows, columns, channels, pixels.dtype, frames), Metadata())
    pieces, file = [], io.BytesIO()
    for frame in range(frames):
        for top in range(0, rows, height):
            part = pixels[frame, top : top + height]
            destination = encoder.destination(frame, top, top + len(part))
            if destination is not None:
                destination[...] = part
            pieces.append(encoder.strip(top, part))
    encoder.write(file, pieces)
    return file.getvalue()


@pytest.mark.parametrize(("entry", "kind"), written_kinds())
def test_files_do_not_depend_on_strips_and_are_read_back(entry, kind):
    """Strips of any height make the same file, with as many frames as were written."""
    dtype, channels, frames = kind
    pixels = np.random.default_rng(0).integers(0, 100, (frames, 33, 21, channels)).astype(dtype)
    made = {encoded(entry, pixels, height) for height in (7, 16, 33)}
    assert len(made) == 1
    header = open_bytes(made.pop(), LIMIT).header
    assert (header.format, header.rows, header.columns, header.frames) == (entry.name, 33, 21, frames)
    layout = Layout(33, 21, channels, dtype, frames)
    assert entry.encoder_memory(layout) >= 0
    assert entry.band_height(layout, Coding()) >= 1


def imports(path: str) -> set[str]:
    """The modules of the package that a file imports."""
    tree = ast.parse((ROOT / path).read_text())
    nodes = [node for node in ast.walk(tree) if isinstance(node, ast.ImportFrom) and node.module]
    return {f"{node.module}{part}" for node in nodes for part in ("", *(f".{a.name}" for a in node.names))}


def test_formats_do_not_import_each_other():
    """A format shares with others only what is in modules of no format."""
    for module in MEMBERS:
        other = imports(f"{module.replace('.', '/')}.py") & MEMBERS - {module}
        assert not other, module


def test_nobody_but_the_table_knows_a_format():
    """Outside ``formats/``, no module imports a format or checks for its class."""
    for path in (ROOT / "convcli").rglob("*.py"):
        name = str(path.relative_to(ROOT))
        if not name.startswith("convcli/formats/"):
            assert not imports(name) & MEMBERS, name


def test_formats_are_imported_when_they_are_used():
    """The table costs neither NumPy nor a format, and a PNG costs no other one."""
    probe = (
        "import sys; from convcli.formats import registry; registry.readable_suffixes(); "
        "print('numpy' in sys.modules); registry.format_of_suffix('.png'); "
        "print(sorted(name for name in sys.modules if name in MEMBERS))"
    )
    code = f"MEMBERS = {sorted(MEMBERS)!r}; {probe}"
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    assert ran.stdout.splitlines() == ["False", "['convcli.formats.png.png']"]


@pytest.fixture
def dummy(monkeypatch) -> Entry:
    """One more format, added only by its line in the table."""
    line = Entry("dummy", "tests.contracts.dummy_format:Dummy", (".dmy", ".dummy"), {".dmx": "DummyX"})
    monkeypatch.setattr(registry, "TABLE", (*TABLE, line))
    return line


def test_a_new_format_is_read_and_written(dummy, run, tmp_path):
    """`apply` reads it, writes it beside its input, by suffix and by name, and keeps to its limits."""
    source = tmp_path / "in.dummy"
    source.write_bytes(MAGIC + bytes((4, 5)) + bytes(range(20)))
    for words, out in (
        ((), "in.identity.dummy"),
        (("-o", tmp_path / "a.dmy"), "a.dmy"),
        (("-o", tmp_path / "b", "--format", "dummy"), "b"),
        (("-o", tmp_path / "c", "--format", "dmy"), "c"),
    ):
        ran = run("apply", source, "-k", "identity", *words)
        assert ran.code == 0, ran.err
        assert (tmp_path / out).read_bytes() == source.read_bytes()
    big = tmp_path / "big.npy"
    np.save(big, np.zeros((3, 256), np.uint8))
    ran = run("apply", big, "-k", "identity", "-o", tmp_path / "big.dmy")
    assert "dummy cannot hold 256×3 pixels (gray, 8-bit): at most 255 pixels a side" in ran.err


def test_a_new_format_is_named_wherever_formats_are(dummy, run, tmp_path):
    """Suffixes, messages, completion, the man page and the page of formats follow the table."""
    assert registry.readable_suffixes()[".dummy"] == "dummy"
    assert registry.readable_suffixes()[".dmx"] == "DummyX"
    assert format_of_suffix(".dmx") is None
    assert ".dmy" in suffixes_for(OutputKind(np.dtype(np.uint8), 1))
    assert ".dmy" not in suffixes_for(OutputKind(np.dtype(np.uint8), 3))
    with pytest.raises(ArgumentError, match="csv, zarr, dummy"):
        format_named("no")
    np.save(tmp_path / "a.npy", np.zeros((3, 3), np.uint8))
    cases = ((".xyz", "unknown suffix; allowed: .*, .dmy"), (".dmx", "convcli reads DummyX but"))
    for suffix, words in cases:
        ran = run("apply", tmp_path / "a.npy", "-k", "identity", "-o", tmp_path / f"a{suffix}")
        assert ran.code == 2 and re.search(words, ran.err), ran.err
    assert '"dummy": ""' in vocabulary.module()
    assert "| `dummy` | `.dmy`, `.dummy`, `.dmx` (read only) |" in reference.formats_table()
    assert "*.dmy, *.dummy" in "\n".join(man_page._files((ROOT / "docs/kernel-files.md").read_text()))
