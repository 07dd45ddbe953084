"""Arrays of the zarr library: opened with metadata that were checked, and bounded."""

from __future__ import annotations

import json
import warnings
from collections.abc import Mapping
from functools import cache
from math import prod
from typing import Any, Final

from convcli.core.errors import ConvcliError, ImageError, reason_of
from convcli.formats.zarr.facts import SHARDING, ArrayFacts
from convcli.formats.zarr.objects import Objects

_THREADS: Final = 8
"""Threads of zarr for requests and codecs in one process, unless its configuration says otherwise."""

_SLACK: Final = 2**12
"""Bytes that an encoded chunk may have beyond those of its values, and the same for each chunk of a shard."""


def path_key(path: str, name: str) -> str:
    """The key of an object below a path."""
    return f"{path}/{name}" if path else name


def check_installed() -> None:
    """Refuse to go on without zarr.

    Raises:
        ImageError: it is missing.
    """
    try:
        _configure()
    except ImportError as error:
        raise ImageError("zarr is not installed; install it with: pip install 'convcli[zarr]'") from error


@cache
def _configure() -> None:
    """Import zarr, and bound its threads."""
    import zarr

    if zarr.config.get("threading.max_workers", None) is None:
        zarr.config.set({"threading.max_workers": _THREADS})


def opened_array(
    objects: Objects, path: str, document: Mapping[str, Any], facts: ArrayFacts, writes: bool = False
) -> tuple[Any, Any]:
    """An array of zarr, and its `ObjectStore`.

    Args:
        objects: of the store.
        path: of the array in it.
        document: ``zarr.json`` or ``.zarray``, checked by `array_facts`.
        facts: of the document.
        writes: whether the array is written, by whole shards, rather than read.

    Raises:
        ImageError: zarr does not take the document.
    """
    check_installed()
    import zarr

    from convcli.formats.zarr.adapter import ObjectStore

    seen = document if writes else _bounded(document, facts)
    name = "zarr.json" if facts.zarr_format == 3 else ".zarray"
    data = json.dumps({key: value for key, value in seen.items() if key != "attributes"}).encode()
    store = ObjectStore(objects, {path_key(path, name): data}, _most_bytes(facts), facts, writes)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # about codecs outside the specification, which are read anyway
        try:
            array = zarr.open_array(
                store, path=path, mode="r+" if writes else "r", zarr_format=facts.zarr_format
            )
            return (array.with_config({"write_empty_chunks": True}) if writes else array), store
        except ConvcliError:
            raise
        except Exception as error:  # of any kind
            raise ImageError(f"zarr refuses its metadata: {reason_of(error)}") from error


def _most_bytes(facts: ArrayFacts) -> int:
    """The most bytes of an object that holds chunks."""
    return 2 * prod(facts.objects) * facts.dtype.itemsize + prod(facts.per_shard) * _SLACK + facts.index_size


def _bounded(document: Mapping[str, Any], facts: ArrayFacts) -> dict[str, Any]:
    """The document with one bounded codec for all that are listed from bytes to bytes."""
    from convcli.formats.zarr.checked import NAME, configuration

    checked = configuration(facts.codecs, facts.size, is_exact=not facts.filters)
    seen = dict(document)
    if facts.zarr_format == 2:
        return {**seen, "compressor": {"id": NAME, **checked}, "filters": None}
    codecs = list(document["codecs"])
    if facts.shards:
        inner = {**codecs[0]["configuration"]}
        inner["codecs"] = [*_of_numbers(inner["codecs"]), {"name": NAME, "configuration": checked}]
        return {**seen, "codecs": [{"name": SHARDING, "configuration": inner}]}
    return {**seen, "codecs": [*_of_numbers(codecs), {"name": NAME, "configuration": checked}]}


def _of_numbers(codecs: list[Any]) -> list[Any]:
    """The codecs up to the one that makes bytes."""
    names = [codec if isinstance(codec, str) else codec["name"] for codec in codecs]
    place = next(place for place, name in enumerate(names) if name in ("bytes", "endian"))
    return codecs[: place + 1]
