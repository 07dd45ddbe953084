"""Encrypted connections, with certificates that the test makes."""

from __future__ import annotations

import shutil
import subprocess

import pytest

from convcli.cluster.base import Task
from convcli.core.errors import ConvcliError
from convcli.core.frozen import replace
from tests.cluster import tasks
from tests.clusters import PATIENCE, Cluster

pytest.importorskip("distributed")

import dask

from convcli.cluster.addresses import parse
from convcli.cluster.dask import DaskEngine


@pytest.fixture(scope="module")
def certificate(tmp_path_factory):
    """A key and a certificate that vouches for itself: Dask wants one authority for all, and no names."""
    if not shutil.which("openssl"):
        pytest.skip("openssl is not installed")
    folder = tmp_path_factory.mktemp("tls")
    key, cert = str(folder / "key.pem"), str(folder / "cert.pem")
    made = ["req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=convcli-test"]
    subprocess.run(["openssl", *made, "-keyout", key, "-out", cert], check=True, capture_output=True)
    return key, cert


@pytest.fixture(scope="module")
def secure(certificate, tmp_path_factory):
    """A scheduler and a worker that speak TLS only."""
    key, cert = certificate
    made = Cluster(tmp_path_factory.mktemp("secure"))
    files = ("--tls-ca-file", cert, "--tls-cert", cert, "--tls-key", key)
    try:
        made.start_scheduler("--protocol", "tls", "--host", "tls://127.0.0.1", *files)
        made.start_worker("--protocol", "tls", *files, nanny=False)
        yield made
    finally:
        made.end()


def test_tasks_run_over_tls(secure, certificate):
    """The certificates are those of Dask's configuration."""
    key, cert = certificate
    names = {"ca-file": cert, "client.cert": cert, "client.key": key}
    settings = {f"distributed.comm.tls.{name}": file for name, file in names.items()}
    assert secure.address.startswith("tls://")
    with dask.config.set(settings), DaskEngine(parse(secure.address), PATIENCE) as engine:
        outcomes = list(engine.outcomes(tasks.double, (Task(n, str(n)) for n in range(20))))
    assert sorted(int(outcome.facts) for outcome in outcomes) == list(range(0, 40, 2))


def test_certificates_are_needed(secure):
    """The message names the settings."""
    with pytest.raises(ConvcliError, match=r"set distributed\.comm\.tls\.ca-file, client\.cert and client"):
        DaskEngine(parse(secure.address), PATIENCE)


def test_a_plain_connection_is_refused(secure):
    """A scheduler that speaks TLS does not answer others."""
    plain = parse(secure.address.replace("tls:", "tcp:"))
    with pytest.raises(ConvcliError, match="cannot reach the scheduler"):
        DaskEngine(plain, replace(PATIENCE, connect=1))
