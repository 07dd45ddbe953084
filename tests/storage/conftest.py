"""No storage options are left by another test."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from convcli.storage import options


@pytest.fixture(autouse=True)
def no_options() -> Iterator[None]:
    """Each test begins and ends without storage options."""
    options.set_options(None)
    yield
    options.set_options(None)
