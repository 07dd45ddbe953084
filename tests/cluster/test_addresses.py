"""Addresses of clusters."""

from __future__ import annotations

import subprocess
import sys

import pytest

from convcli.cluster.addresses import Environment, Local, Network, SchedulerFile, parse
from convcli.core.errors import ArgumentError


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("tcp://10.0.0.5:8786", Network("tcp://10.0.0.5:8786")),
        ("tls://head.cluster-1.example:443", Network("tls://head.cluster-1.example:443")),
        ("tcp://[::1]:8786", Network("tcp://[::1]:8786")),
        ("local", Local()),
        ("local:4", Local(4)),
        ("file:/home/me/scheduler.json", SchedulerFile("/home/me/scheduler.json")),
        ("file:scheduler.json", SchedulerFile("scheduler.json")),
        ("env", Environment()),
    ],
)
def test_what_addresses_mean(text, address):
    """Each form becomes a value of its own."""
    assert parse(text) == address


@pytest.mark.parametrize(
    "text",
    [
        "",
        "10.0.0.5:8786",
        "tcp://",
        "tcp://host",
        "tcp://host:0",
        "tcp://host:65536",
        "tcp://a b:1",
        "http://h:1",
        "local:",
        "local:0",
        "local:-1",
        "local:99999",
        "local:2x",
        "file:",
        "ENV",
    ],
)
def test_other_texts_are_refused_in_one_line(text):
    """The message quotes the text, and says what is allowed."""
    with pytest.raises(ArgumentError) as caught:
        parse(text)
    message = str(caught.value)
    assert repr(text) in message
    assert "\n" not in message
    assert "(allowed: " in message or "(1 to 65535)" in message


def test_parsing_imports_no_cluster():
    """An address can be checked without Dask, which takes a second to import."""
    code = (
        "import sys; from convcli.cluster.addresses import parse; parse('local:2');"
        "assert not {'dask', 'distributed', 'numpy'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
