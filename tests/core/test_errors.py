"""The messages of failures inside libraries."""

from __future__ import annotations

import struct

import pytest

from convcli.core.errors import ImageError, reason_of
from convcli.formats.decoding import decoder_errors


def raised(code: str) -> Exception:
    try:
        exec(code, {"struct": struct})
    except Exception as error:
        return error
    raise AssertionError


@pytest.mark.parametrize(
    "code",
    [
        "()[0]",
        "{}['key']",
        "None.size",
        "None[0]",
        "int('x')",
        "a, b = [1]",
        "1 // 0",
        "assert False",
        "b'\\xff'.decode()",
        "raise ValueError",
        "missing",
        "len(1)",
        "raise ValueError('The truth value of an array is ambiguous')",
        "raise ValueError('corrupted strip cannot be reshaped from (958,) to (1, 8, 40, 3)')",
    ],
)
def test_words_of_python_are_not_told(code):
    """Python's message about a library's code is not a reason that a user can act on."""
    assert reason_of(raised(code)) == "its contents are inconsistent"
    told = r"^damaged png: its contents are inconsistent$"
    with pytest.raises(ImageError, match=told), decoder_errors("png"):
        raise raised(code)


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (ValueError("bad Huffman code\nat byte 7"), "bad Huffman code"),
        (RuntimeError("cannot read <_io.BytesIO object at 0x7f12ab>"), "cannot read"),
        (raised("struct.unpack('<I', b'12')"), "it is truncated"),
        (EOFError(), "it is truncated"),
    ],
)
def test_a_librarys_own_words_are_told(error, told):
    """In one line, without places in memory; short data by its own name."""
    assert reason_of(error) == told
