"""TIFF files made of tags and segments, as no library would write them."""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence

import numpy as np

_FORMS = {1: "B", 2: "B", 3: "H", 4: "I", 5: "I", 7: "B", 12: "d"}
_COMPRESSIONS = {1: "none", 5: "lzw", 8: "zlib", 32773: "packbits", 34925: "lzma", 50000: "zstd"}


def tiff(
    tags: Mapping[int, int | Sequence[int]],
    segments: Sequence[bytes],
    order: str = "<",
    types: Mapping[int, int] | None = None,
    first: bool = False,
) -> bytes:
    """One page: tags of 16-bit numbers unless ``types`` says otherwise, and the segments it points to.

    ``first`` puts the page before the segments; tags 273 and 279, or 324 and 325 where there are tiles, are
    made unless they are given.
    """
    types = {273: 4, 279: 4, 324: 4, 325: 4, 532: 5, 529: 5, **(types or {})}
    places, counts = (324, 325) if 322 in tags else (273, 279)
    tags = {places: [0] * len(segments), counts: [len(part) for part in segments], **tags}
    tags = {tag: value if isinstance(value, Sequence) else [value] for tag, value in tags.items()}
    body = b"".join(segments)
    starts = np.cumsum([0, *(len(part) for part in segments[:-1])])
    directory = 8 if first else 8 + len(body)
    length = 2 + 12 * len(tags) + 4
    values = {
        tag: struct.pack(order + _FORMS[types.get(tag, 3)] * len(value), *value)
        for tag, value in tags.items()
    }
    more = sum(len(value) for value in values.values() if len(value) > 4)
    begin = 8 + length + more if first else 8
    tags[places] = [int(begin + start) for start in starts]
    values[places] = struct.pack(order + "I" * len(starts), *tags[places])
    entries, behind = b"", b""
    for tag in sorted(tags):
        kind, value = types.get(tag, 3), values[tag]
        count = len(tags[tag]) // (2 if kind == 5 else 1)
        field = value.ljust(4, b"\0")
        if len(value) > 4:
            field = struct.pack(order + "I", directory + length + len(behind))
            behind += value
        entries += struct.pack(order + "HHI", tag, kind, count) + field
    page = struct.pack(order + "H", len(tags)) + entries + struct.pack(order + "I", 0) + behind
    head = (b"II*\0" if order == "<" else b"MM\0*") + struct.pack(order + "I", directory)
    return head + page + body if first else head + body + page


def packed(samples: np.ndarray, bits: int, order: str = "<") -> bytes:
    """Rows of integers of so many bits, each row ended with a whole byte; or floats as they are."""
    if samples.dtype.kind == "f" or bits in (8, 16, 32):
        return samples.astype(samples.dtype.newbyteorder(order)).tobytes()
    if bits == 24:  # whole bytes, in the order of the file
        wide = samples.astype(order + "u4").reshape(-1, 1).view(np.uint8)
        return (wide[:, :3] if order == "<" else wide[:, 1:]).tobytes()
    rows = samples.reshape(len(samples), -1).tolist()
    texts = ("".join(f"{value:0{bits}b}" for value in row) for row in rows)
    return b"".join(
        int(text.ljust(-(-len(text) // 8) * 8, "0"), 2).to_bytes(-(-len(text) // 8), "big") for text in texts
    )


def compressed(data: bytes, compression: int, row: int) -> bytes:
    """A segment whose rows have so many bytes, by imagecodecs."""
    import imagecodecs

    if compression == 1:
        return data
    encode = getattr(imagecodecs, _COMPRESSIONS[compression] + "_encode")
    if compression != 32773:
        return bytes(encode(data))
    return b"".join(bytes(encode(data[start : start + row])) for start in range(0, len(data), row))
