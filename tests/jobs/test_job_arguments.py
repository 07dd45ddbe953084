"""`convcli.regions.Job`: wrong arguments and sources are named in one line."""

from __future__ import annotations

import pytest

pytest.importorskip("zarr")

from convcli.core.errors import ArgumentError, ImageError
from convcli.regions import Job


def test_a_missing_source_is_named(tmp_path):
    """The error begins with the name that was given."""
    with pytest.raises(ImageError, match=r"nothing\.zarr: No such file or directory$"):
        Job.of(tmp_path / "nothing.zarr", tmp_path / "out.zarr", kernel="box3")


def test_axes_are_a_text(tmp_path):
    """A dictionary is refused as an argument, not as a damaged source."""
    with pytest.raises(
        ArgumentError, match=r"axes is of type dict \(allowed: a text such as 'c=0,z=3\.\.9'\)"
    ):
        Job.of(tmp_path / "in.zarr", tmp_path / "out.zarr", kernel="box3", axes={"c": 0})
