"""A cluster of two workers, which are processes of their own, gives the same bytes."""

from __future__ import annotations

from collections.abc import Iterator

import dask.array as da
import numpy as np
import pytest

import convcli
import convcli.dask
from tests.clusters import Cluster, cluster


@pytest.fixture(scope="module")
def workers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """A scheduler and two workers."""
    pytest.importorskip("distributed")
    with cluster(tmp_path_factory.mktemp("cluster"), nanny=False) as made:
        yield made


def test_workers_give_the_same_bytes(workers):
    """Plans and chunks go from process to process, for exact and for rounded sums."""
    from distributed import Client

    x = np.random.default_rng(5).integers(0, 2**16, (300, 400), np.uint16)
    with Client(workers.address) as client:
        client.wait_for_workers(2, timeout=60)
        for values in (x, x.astype(np.float32)):
            options = {"padding": "same", "fill": "wrap", "stride": (1, 2)}
            lazy = convcli.dask.conv(da.from_array(values, chunks=(70, 90)), "gaussian:2", **options)
            expected = convcli.conv(values, "gaussian:2", steady=True, **options)
            assert client.compute(lazy, sync=True).tobytes() == expected.tobytes()
