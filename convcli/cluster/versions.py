"""Versions of the packages on which the bytes of results depend, and of Dask, whose messages are pickled."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from functools import lru_cache
from importlib.metadata import PackageNotFoundError, version
from typing import Final

import convcli
from convcli.core.errors import cut

PACKAGES: Final = ("numpy", "imagecodecs", "zarr", "numcodecs", "fsspec", "distributed")
_MISSING: Final = "missing"
_MOST_NAMED: Final = 3  # workers in a message


@lru_cache(1)
def installed() -> dict[str, str]:
    """The versions in this process: of Python, whose patches make no difference, convcli and `PACKAGES`."""
    python = f"{sys.version_info.major}.{sys.version_info.minor}"
    return {"python": python, "convcli": convcli.__version__, **{name: _version(name) for name in PACKAGES}}


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return _MISSING


def differences(here: Mapping[str, str], there: Mapping[str, Mapping[str, str]]) -> str:
    """What differs between this process and workers: ``numpy 2.1.0 on tcp://… (here 2.4.6)``, or nothing.

    A package that is missing here is not needed there.

    Args:
        there: versions by the address of the worker.
    """
    found: dict[tuple[str, str], list[str]] = {}
    for address, versions in there.items():
        for package, wanted in here.items():
            version = versions.get(package, _MISSING)
            if version != wanted != _MISSING:
                found.setdefault((package, version), []).append(address)
    return ", ".join(
        f"{package} {version} on {_named(addresses)} (here {here[package]})"
        for (package, version), addresses in sorted(found.items())
    )


def _named(addresses: list[str]) -> str:
    more = len(addresses) - _MOST_NAMED
    return cut(", ".join(addresses[:_MOST_NAMED]) + (f" and {more} more" if more > 0 else ""))
