"""The servers, and no storage options left by another test."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from convcli.storage import options
from tests.servers import quirky_s3, s3, s3_server, web

__all__ = ["quirky_s3", "s3", "s3_server", "web"]


@pytest.fixture(autouse=True)
def no_options() -> Iterator[None]:
    """Each test begins and ends without storage options."""
    options.set_options(None)
    yield
    options.set_options(None)
