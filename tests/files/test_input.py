"""Input files: parts and windows of what is there, limits, and what is refused."""

from __future__ import annotations

import io
import os
import sys
from pathlib import Path

import pytest

from convcli.core.errors import ImageError
from convcli.files import input as files
from convcli.files.input import Input, Window, checksum

DATA = bytes(range(256)) * 8192  # larger than a file that is read whole


@pytest.fixture(params=["file", "stream"])
def opened(request, tmp_path, monkeypatch):
    """The same bytes, as a file or on standard input."""
    if request.param == "file":
        (tmp_path / "a").write_bytes(DATA)
        with Input.open(str(tmp_path / "a")) as source:
            yield source
    else:
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(DATA)))
        yield Input.open("-")


def test_the_same_bytes_by_every_way_in(opened):
    """Size, head, parts beyond the end, windows, file objects and all of it, twice."""
    assert opened.size == len(DATA)
    assert opened.head(3) == DATA[:3]
    for offset, count in ((0, 10), (1_000_000, 300_000), (len(DATA) - 5, 10), (len(DATA) + 5, 10)):
        assert bytes(opened.part(offset, count)) == DATA[offset : offset + count]
    window = opened.window()
    for key in (slice(10, 20), slice(2**20, 2**20 + 5), slice(3, 4), slice(-5, None), slice(5, 5)):
        assert window[key] == DATA[key]
    assert isinstance(window, Window) == (opened.contents is not None) and len(window) == len(DATA)
    assert opened.handle().read() == DATA
    assert opened.read() == opened.read() == DATA
    opened.forget()
    assert opened.read() == DATA
    opened.check_unchanged()


def test_what_is_no_input(tmp_path, monkeypatch):
    """Folders, missing files, devices and names that no file has; pipes unless they are waited for."""
    os.mkfifo(tmp_path / "pipe")
    refusals = {
        str(tmp_path): "is a folder; choose an image in it",
        str(tmp_path / "none"): "No such file or directory",
        "/dev/null": "not a regular file",
        "a\0b": "invalid file name",
    }
    for name, message in refusals.items():
        with pytest.raises(ImageError, match=message):
            Input.open(name)
    with pytest.raises(ImageError, match="not a regular file"):
        Input.open(str(tmp_path / "pipe"), pipes=False)
    with pytest.raises(OSError, match="not a regular file"):
        checksum(str(tmp_path / "pipe"))
    monkeypatch.setattr(sys, "stdin", None)
    with pytest.raises(ImageError, match="standard input is closed"):
        Input.open("-")


def test_a_stream_has_a_limit(monkeypatch):
    """It is read in pieces, up to the limit."""
    monkeypatch.setattr(files, "PIECE", 2**16)
    monkeypatch.setattr(files, "LARGEST_INPUT", 2**20)
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(DATA)))
    with pytest.raises(ImageError, match="larger than"):
        Input.open("-")


def test_a_file_that_a_link_leads_to_is_the_file(tmp_path: Path):
    """If the link leads elsewhere later, the file counts as changed."""
    (tmp_path / "a").write_bytes(DATA)
    (tmp_path / "b").write_bytes(DATA)
    (tmp_path / "link").symlink_to("a")
    with Input.open(str(tmp_path / "link")) as source:
        source.check_unchanged()
        (tmp_path / "link").unlink()
        (tmp_path / "link").symlink_to("b")
        with pytest.raises(ImageError, match="changed while it was being read"):
            source.check_unchanged()
