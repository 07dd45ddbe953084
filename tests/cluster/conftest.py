"""Clusters that the tests share."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.clusters import PATIENCE, Cluster, cluster


@pytest.fixture(scope="package")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """A scheduler and two workers, which are restarted if they die."""
    pytest.importorskip("distributed")
    with cluster(tmp_path_factory.mktemp("cluster")) as made:
        yield made


@pytest.fixture(scope="package")
def engine(pair: Cluster):
    """An engine on two workers."""
    from convcli.cluster.dask import DaskEngine

    with DaskEngine(pair.network(), PATIENCE) as made:
        pair.wait_for(made, 2)
        yield made
