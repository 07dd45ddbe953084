"""A network that is cut, between network namespaces; for root on Linux, run with ``pytest -m netns``."""

from __future__ import annotations

import os
import shutil
import subprocess

import pytest

from convcli.cluster.base import Task
from tests.cluster import tasks
from tests.clusters import PATIENCE, Cluster

pytest.importorskip("distributed")

from convcli.cluster.dask import DaskEngine

pytestmark = [
    pytest.mark.netns,
    pytest.mark.skipif(os.geteuid() != 0 or not shutil.which("ip"), reason="needs root and ip"),
]
HERE, THERE = "10.213.77.1", "10.213.77.2"


def ip(*words):
    """Change the network."""
    subprocess.run(["ip", *words], check=True, capture_output=True)


@pytest.fixture
def host():
    """A network namespace that is reached through a cable, which is named like it."""
    name = f"cv{os.getpid()}"
    ip("netns", "add", name)
    try:
        ip("link", "add", name, "type", "veth", "peer", "name", "eth0", "netns", name)
        ip("addr", "add", f"{HERE}/24", "dev", name)
        ip("link", "set", name, "up")
        for words in (["addr", "add", f"{THERE}/24", "dev", "eth0"], ["link", "set", "eth0", "up"]):
            ip("-n", name, *words)
        ip("-n", name, "link", "set", "lo", "up")
        yield name
    finally:
        ip("netns", "del", name)


def test_a_host_whose_cable_is_cut(host, tmp_path):
    """Its tasks are done by others; when it is back, it is used again or has left."""
    made = Cluster(tmp_path)
    try:
        made.start_scheduler("--host", HERE)
        made.start_worker("--host", HERE, nanny=False)
        made.start_worker("--host", THERE, nanny=False, prefix=("ip", "netns", "exec", host))
        with DaskEngine(made.network(), PATIENCE) as engine:
            made.wait_for(engine, 2)
            given = (Task(n, "0.05", f"piece {n}") for n in range(60))
            outcomes = []
            for outcome in engine.outcomes(tasks.where, given):
                outcomes.append(outcome)
                if len(outcomes) == 10:
                    ip("link", "set", host, "down")
            assert sorted(outcome.number for outcome in outcomes) == list(range(60))
            assert not any(outcome.failure for outcome in outcomes)
            ip("link", "set", host, "up")
            assert len(list(engine.outcomes(tasks.double, (Task(n, str(n)) for n in range(20))))) == 20
    finally:
        made.end()
