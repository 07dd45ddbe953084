"""Tests of arrays in chunks need dask, and compute in their own thread."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

dask = pytest.importorskip("dask", reason="arrays in chunks need dask")
pytest.importorskip("dask.array", reason="arrays in chunks need dask.array")


@pytest.fixture(autouse=True)
def _in_this_thread() -> Iterator[None]:
    """Compute without threads of Dask's."""
    with dask.config.set(scheduler="synchronous"):
        yield
