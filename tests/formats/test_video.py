"""Video by the extra: exact as FFV1, near as H.264, refused where it is cut."""

from __future__ import annotations

import struct
import sys
from fractions import Fraction

import numpy as np
import pytest

from convcli.core.errors import ImageError
from convcli.formats.header import Layout, Metadata, Timing
from convcli.formats.opening import open_bytes
from convcli.formats.registry import format_named
from tests.formats.test_frames import convolved, encoded, film, read

LIMIT = 10**9
TIMING = Timing((Fraction(1, 25), Fraction(1, 10), Fraction(1, 25), Fraction(2)))


@pytest.mark.parametrize("dtype", ["uint8", "uint16"])
@pytest.mark.parametrize("channels", [1, 3])
def test_ffv1_keeps_every_bit(channels, dtype):
    """Frames of any size are read back unchanged, and so are their times, except the last one's."""
    pytest.importorskip("av")
    pixels = film(channels, dtype)
    data = encoded("mkv", pixels, TIMING)
    assert np.array_equal(read(data), pixels)
    assert open_bytes(data, LIMIT).header.metadata.timing.durations[:3] == TIMING.durations[:3]


@pytest.mark.parametrize("rows", [32, 33])
def test_h264_is_near(run, tmp_path, rows):
    """A smooth image differs by little, and the report says what is lost."""
    pytest.importorskip("av")
    ramp = np.add.outer(np.arange(rows) * 3, np.arange(40) * 3)
    pixels = np.repeat(np.stack([ramp + 4 * frame for frame in range(5)])[..., None], 3, -1).astype(np.uint8)
    source, out = tmp_path / "in.png", tmp_path / "out.mp4"
    source.write_bytes(encoded("png", pixels, Timing.steady(5)))
    done = run("apply", source, "-k", "identity", "-o", out)
    assert "H.264 is slightly lossy" in done.text, done.err
    found = read(out.read_bytes())
    assert found.shape == pixels.shape
    assert np.abs(found.astype(int) - pixels).mean() < 3


@pytest.mark.parametrize("name", ["mkv", "mp4"])
def test_the_same_frames_are_the_same_bytes(monkeypatch, name):
    """A file contains nothing random and does not depend on the number of CPUs."""
    pytest.importorskip("av")
    pixels = film(3, rows=288, columns=352)
    data = encoded(name, pixels)
    assert encoded(name, pixels) == data
    assert name == "mkv" or b"threads=1 " in data  # the encoder says how it was used


def test_bytes_do_not_depend_on_freed_memory():
    """An encoder that reads memory before it writes there would find other values in each run."""
    pytest.importorskip("av")
    drawn = np.random.default_rng(0)
    noise = drawn.integers(0, 100, (3, 33, 21, 1)).astype(np.uint8)
    made = set()
    for _ in range(20):
        left = [bytes([drawn.integers(256)]) * int(2 ** drawn.uniform(9, 20)) for _ in range(100)]
        del left
        made.add(encoded("mp4", noise, Timing.steady(3)))
    assert len(made) == 1


def test_video_is_filtered_frame_by_frame(run, tmp_path):
    """Every frame of the result is what the plain loop makes of that frame."""
    pytest.importorskip("av")
    pixels = film(3)
    (tmp_path / "in.mkv").write_bytes(encoded("mkv", pixels, TIMING))
    done = run("apply", tmp_path / "in.mkv", "-k", "gaussian3")
    assert done.code == 0, done.err
    found = read((tmp_path / "in.gaussian3.mkv").read_bytes())
    from convcli import load_kernel

    kernel = load_kernel("gaussian3")
    expected = [[convolved(frame[..., channel], kernel) for channel in range(3)] for frame in pixels]
    assert np.array_equal(found, np.moveaxis(expected, 1, -1))


@pytest.mark.parametrize("name", ["mkv", "mp4"])
def test_cut_video_is_refused(name):
    """Cut off anywhere, a file is damaged; an image alone is no video."""
    pytest.importorskip("av")
    data = encoded(name, film(3, rows=32, columns=48), TIMING)
    for length in range(40, len(data) - 1, len(data) // 60):
        with pytest.raises(ImageError) as caught:
            read(data[:length])
        assert "\n" not in str(caught.value)
    assert not format_named(name).holds(np.dtype(np.uint8), 3, 1)


def test_without_the_extra_the_command_that_installs_it_is_named(monkeypatch):
    """One line, for reading and for writing."""
    monkeypatch.setitem(sys.modules, "av", None)
    words = r"video requires an extra package: pip install 'convcli\[video\]'"
    with pytest.raises(ImageError, match=words):
        open_bytes(b"\x1a\x45\xdf\xa3\x84" + bytes(4) + b"\x18\x53\x80\x67\x80" + bytes(40), LIMIT)
    layout = Layout(4, 4, 1, np.dtype(np.uint8), 2)
    with pytest.raises(ImageError, match=words):
        format_named("mp4").encoder(layout, Metadata())


def test_a_wrong_check_sum_is_found():
    """FFV1 has sums of its own: a flipped bit among the pixels is an error, never other pixels."""
    pytest.importorskip("av")
    pixels = film(3)
    data = encoded("mkv", pixels, TIMING)
    refused = 0
    for place in range(len(data) // 3, len(data) * 9 // 10, len(data) // 40):
        broken = bytearray(data)
        broken[place] ^= 16
        try:
            found = read(bytes(broken))
        except ImageError:
            refused += 1
        else:
            assert np.array_equal(found, pixels)
    assert refused > 10


def shown_by(data: bytes, a: float, b: float, c: float, d: float) -> bytes:
    """An MP4 with this matrix in its track's header (ISO/IEC 14496-12, 8.3.2)."""
    place = data.index(b"tkhd") + 44
    matrix = struct.pack(">9i", *(round(value * 2**16) for value in (a, b, 0, c, d, 0, 0, 0, 2**14)))
    return data[:place] + matrix + data[place + 36 :]


@pytest.mark.parametrize(
    ("matrix", "orientation", "upright"),
    [
        ((1, 0, 0, 1), 1, lambda frame: frame),
        ((-1, 0, 0, 1), 2, np.fliplr),
        ((-1, 0, 0, -1), 3, lambda frame: np.rot90(frame, 2)),
        ((1, 0, 0, -1), 4, np.flipud),
        ((0, 1, 1, 0), 5, lambda frame: frame.swapaxes(0, 1)),
        ((0, 1, -1, 0), 6, lambda frame: np.rot90(frame, -1)),
        ((0, -1, -1, 0), 7, lambda frame: np.rot90(frame, 2).swapaxes(0, 1)),
        ((0, -1, 1, 0), 8, np.rot90),
    ],
)
def test_frames_are_turned_as_they_are_shown(run, tmp_path, matrix, orientation, upright):
    """A telephone's display matrix: rows and columns, every frame, some of them, and a note."""
    pytest.importorskip("av")
    data = encoded("mp4", film(3, rows=32, columns=48), TIMING)
    expected = np.stack([upright(frame) for frame in read(data)])
    turned = shown_by(data, *matrix)
    assert np.array_equal(read(turned), expected)
    (tmp_path / "in.mp4").write_bytes(turned)
    out = tmp_path / "out.mkv"
    done = run("apply", tmp_path / "in.mp4", "-k", "identity", "--frames", "1:3", "-o", out)
    assert ("rotated upright" in done.text) == (orientation > 1), done.err
    assert np.array_equal(read(out.read_bytes()), expected[1:3])


def test_an_odd_display_matrix_is_mentioned():
    """A matrix that is no quarter turn is ignored: frames stay as stored, and a note says so."""
    pytest.importorskip("av")
    data = encoded("mp4", film(3, rows=32, columns=48), TIMING)
    header = open_bytes(shown_by(data, 0.7, 0.7, -0.7, 0.7), LIMIT).header
    assert (header.rows, header.columns) == (32, 48)
    assert header.notes == ("the display matrix is ignored: it is not a rotation by a multiple of 90°",)
