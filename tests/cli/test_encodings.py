"""Reports in encodings that lack some of their characters."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from convcli.cli.encodings import plain
from tests.conftest import ROOT, SAMPLES


@pytest.mark.parametrize(
    ("character", "expected"),
    [
        ("−", "-"),
        ("×", "x"),
        ("⁵", "^5"),
        ("⁻", "^-"),
        ("₂", "_2"),
        ("…", "..."),
        ("é", "e"),
        ("画", "?"),
        ("\udc80", "?"),
    ],
)
def test_plain_characters(character, expected):
    """Signs keep their meaning; what has no likeness in ASCII is a question mark."""
    assert plain(character) == expected


@pytest.mark.parametrize(
    ("encoding", "weights", "by"), [("cp1252", "-1   0   1", "×"), ("ascii:strict", "−1", "×")]
)
def test_a_report_in_any_encoding(encoding, weights, by):
    """A console of Windows has × but no minus sign; numbers keep their signs, and nothing fails."""
    ran = subprocess.run(
        [sys.executable, "-m", "convcli", "kernels", "show", "sobel-x"],
        capture_output=True,
        check=True,
        cwd=SAMPLES,
        env={**os.environ, "PYTHONIOENCODING": encoding, "PYTHONPATH": str(ROOT)},
    )
    text = ran.stdout.decode("utf-8" if encoding.startswith("ascii") else encoding)
    assert weights in text and by in text and ran.stderr == b""
