"""Names of files on Windows, whatever the tests run on."""

from __future__ import annotations

from pathlib import PurePosixPath, PureWindowsPath

import pytest

from convcli.core import paths
from convcli.kernels.readers import registry
from convcli.storage.urls import is_url


@pytest.mark.parametrize(
    "name", ["CON", "nul.png", "Com1.tar.gz", "lpt9", "a:b.png", "what?.png", "a.png.", "a "]
)
def test_names_that_windows_reserves(name):
    """Devices with any suffix, forbidden characters, and dots and spaces at the end."""
    assert paths.reserved(name)


@pytest.mark.parametrize("name", ["console.png", "a.b.png", "nul-1.png", "com10.png", ".", "..", "x·y.png"])
def test_names_that_windows_takes(name):
    """What only looks like them."""
    assert not paths.reserved(name)


def test_a_drive_is_neither_a_url_nor_a_member():
    """A letter and a colon; a member follows the suffix of its file."""
    assert not is_url(r"C:\photos\a.png") and not is_url("C:/photos/a.png") and not is_url("C://a.png")
    file, member = registry.split(r"C:\k\m.safetensors:x.weight")
    assert (str(file), member) == (r"C:\k\m.safetensors", "x.weight")
    file, member = registry.split("C:/k/m.npz")
    assert (str(file), member) == ("C:/k/m.npz", None)


def test_what_a_path_repeats_below_another_folder():
    """Neither drive nor root nor what leads out."""
    assert paths.without_anchor(PureWindowsPath(r"C:\photos\..\a")) == ("photos", "a")
    assert paths.without_anchor(PureWindowsPath(r"\\server\share\a")) == ("a",)
    assert paths.without_anchor(PurePosixPath("/photos/a")) == ("photos", "a")


def test_separators(monkeypatch):
    """Windows takes both."""
    monkeypatch.setattr(paths, "SEPARATORS", ("\\", "/"))
    assert paths.has_folder(r"a\b") and paths.has_folder("a/b") and not paths.has_folder("ab")
    assert paths.ends_as_folder("a\\") and paths.ends_as_folder("a/") and not paths.ends_as_folder("a/b")
