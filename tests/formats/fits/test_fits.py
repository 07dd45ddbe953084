"""FITS: every type, scale, compression and layout of units as astropy and CFITSIO read it."""

from __future__ import annotations

import gzip
import io
import json
import sys

import numpy as np
import pytest

from convcli.core.errors import ArgumentError, ImageError
from convcli.files.input import Input
from convcli.formats.fits.fits import UPWARDS
from convcli.formats.opening import open_bytes, open_input

fits = pytest.importorskip("astropy.io.fits")

TYPES = ["u1", "i1", "u2", "i2", "u4", "i4", "f4", "f8"]
METHODS = {
    "RICE_1": ["u1", "i2", "u2", "i4", "f4"],
    "GZIP_1": ["u2", "f4"],
    "GZIP_2": ["i4", "f4"],
    "PLIO_1": ["u1"],
    "HCOMPRESS_1": ["u2", "i4"],
    "NOCOMPRESS": ["i2"],
}


def values(kind: str, shape: tuple[int, ...] = (7, 11)) -> np.ndarray:
    """Both ends of the type; NaN and infinity of floats."""
    rng = np.random.default_rng(5)
    if kind[0] == "f":
        pixels = rng.normal(size=shape).astype(kind)
        pixels.flat[:3] = np.nan, np.inf, -0.0
        return pixels
    info = np.iinfo(kind)
    pixels = rng.integers(info.min, info.max, shape, kind, endpoint=True)
    pixels.flat[:2] = info.min, info.max
    return pixels


def file_of(*units: object) -> bytes:
    buffer = io.BytesIO()
    fits.HDUList(list(units)).writeto(buffer)
    return buffer.getvalue()


def plain(pixels: np.ndarray, **keywords: object) -> bytes:
    """A file of one image, with further keywords behind astropy's."""
    unit = fits.PrimaryHDU(pixels)
    unit.header.update(keywords)
    return file_of(unit)


def read(data: bytes, frame: int = 0) -> np.ndarray:
    opened = open_bytes(data)
    return opened.reader().rows(frame, 0, opened.header.rows)[..., 0]


@pytest.mark.parametrize("kind", TYPES)
@pytest.mark.parametrize("shape", [(7, 11), (3, 7, 11), (2, 1, 3, 5, 6), (9,)], ids=str)
def test_every_type(kind, shape):
    """Bit for bit what astropy reads, turned upside down; further axes are frames, one axis is a signal."""
    pixels = values(kind, shape)
    data = plain(pixels)
    theirs = fits.getdata(io.BytesIO(data))
    opened = open_bytes(data)
    assert opened.header.dtype == np.dtype(kind)
    planes = theirs.reshape(-1, *((1, *shape)[-2:]))
    assert opened.header.frames == len(planes)
    assert (opened.header.metadata.signal == "") == (len(shape) > 1)
    for frame, plane in enumerate(planes):
        found = read(data, frame)
        assert found.tobytes() == np.ascontiguousarray(plane[::-1]).astype(kind).tobytes()
    part = opened.reader().window(0, (1, 3), (2, 5)) if len(shape) > 1 else None
    assert part is None or part.tobytes() == planes[0][::-1][1:3, 2:5].astype(kind).tobytes()


TILES = {"HCOMPRESS_1": [(1, 8, 12), (1, 4, 4)]}
COMPRESSED = [
    (method, kind, tile)
    for method, kinds in METHODS.items()
    for kind in kinds
    for tile in TILES.get(method, [None, (1, 3, 4), (2, 8, 12)])
]


@pytest.mark.parametrize(("method", "kind", "tile"), COMPRESSED, ids=str)
def test_compressed_tiles(method, kind, tile):
    """Every compression, tile and type, frames included; in parts, and as astropy decompresses all."""
    pixels = np.arange(3 * 8 * 12).reshape(3, 8, 12).astype(kind) % 200
    quantize = {"quantize_level": 0} if kind == "f4" and method != "RICE_1" else {}
    image = fits.CompImageHDU(pixels, compression_type=method, tile_shape=tile, **quantize)
    data = file_of(fits.PrimaryHDU(), image)
    with fits.open(io.BytesIO(data)) as file:
        theirs = file[1].data.astype(kind)
    reader = open_bytes(data).reader()
    for frame in range(3):
        whole = theirs[frame][::-1]
        for first, last in ((0, 8), (2, 5), (7, 8)):
            assert reader.rows(frame, first, last)[..., 0].tobytes() == whole[first:last].tobytes()


def test_another_library_agrees(tmp_path):
    """CFITSIO reads the same values of offset, compressed and scaled integers."""
    fitsio = pytest.importorskip("fitsio")
    files = {
        "plain": plain(values("u2")),
        "signed": plain(values("i1")),
        "tiles": file_of(fits.PrimaryHDU(), fits.CompImageHDU(values("u2"))),
        "scaled": scaled("i2", 0.25, 7.0),
    }
    for name, data in files.items():
        (tmp_path / f"{name}.fits").write_bytes(data)
        assert np.array_equal(read(data), fitsio.read(str(tmp_path / f"{name}.fits"))[::-1]), name


def scaled(kind: str, scale: float, zero: float, **keywords: object) -> bytes:
    """A file whose header scales stored values, which are written as they are."""
    unit = fits.PrimaryHDU(values(kind))
    unit.header.update({"BSCALE": scale, "BZERO": zero, **keywords})
    buffer = io.BytesIO()
    header = fits.Header(unit.header, copy=True)
    text = header.tostring().encode()
    buffer.write(text)
    stored = values(kind).astype(np.dtype(kind).newbyteorder(">")).tobytes()
    buffer.write(stored + bytes(-len(stored) % 2880))
    return buffer.getvalue()


@pytest.mark.parametrize("kind", ["u1", "i2", "i4", "f4", "f8"])
@pytest.mark.parametrize(("scale", "zero"), [(0.1, 0), (1, 1000), (-2, 3.5)])
def test_scaled_values(kind, scale, zero):
    """A scale that is not the one of unsigned integers is applied in float64, with a note."""
    opened = open_bytes(scaled(kind, scale, zero))
    assert opened.header.dtype == np.float64
    assert any("BSCALE" in note for note in opened.header.notes)
    due = values(kind).astype(float) * scale + zero
    assert np.array_equal(opened.pixels()[..., 0], due[::-1], equal_nan=True)


@pytest.mark.parametrize(
    ("data", "nodata"),
    [
        (plain(values("i2"), BLANK=-32768), -32768.0),
        (plain(values("u2"), BLANK=-32768), 0.0),
        (plain(values("u2")), None),
        (plain(values("u1"), BLANK=300), None),
        (plain(values("f4")), np.nan),
        (scaled("i2", 0.5, 0, BLANK=32767), np.nan),
    ],
    ids=["signed", "unsigned", "none", "out of range", "float", "scaled"],
)
def test_missing_pixels(data, nodata):
    """BLANK, and NaN of floats, are the value of missing data; scaled ones become NaN."""
    opened = open_bytes(data)
    stated = opened.header.metadata.nodata
    assert stated == nodata or (nodata is not None and np.isnan(nodata) and np.isnan(stated))
    if opened.header.dtype == np.float64:
        assert np.isnan(opened.pixels()).sum() == (values("i2") == 32767).sum()


def test_missing_pixels_are_left_out(run, tmp_path):
    """A mean of what is there, as astropy's convolution with interpolation of NaN has it."""
    from astropy.convolution import convolve

    pixels = np.random.default_rng(2).normal(size=(12, 14)).astype("f4")
    pixels[3:5, 6] = np.nan
    (tmp_path / "in.fits").write_bytes(plain(pixels))
    done = run(
        *("apply", tmp_path / "in.fits", "-k", "box3", "--padding", "valid", "--map", "raw"),
        *("--precision", "double", "-o", tmp_path / "out.npy"),
    )
    assert UPWARDS in done.text
    theirs = convolve(pixels.astype(float), np.full((3, 3), 1 / 9), boundary="fill", fill_value=np.nan)
    found = np.load(tmp_path / "out.npy")[::-1]
    missing = np.isnan(pixels[1:-1, 1:-1])
    assert np.isnan(found[missing]).all()  # as is its center, which astropy fills
    assert np.allclose(found[~missing], theirs[1:-1, 1:-1][~missing], rtol=0, atol=1e-6)


def test_64_bit_integers():
    """Float64 if that is exact; otherwise the value is named."""
    assert np.array_equal(read(plain(np.array([[2**53, -7]], "i8"))), [[2.0**53, -7]])
    unsigned = np.array([[2**53, 7]], "u8")
    assert np.array_equal(read(plain(unsigned)), [[2.0**53, 7]])
    with pytest.raises(ImageError, match="64-bit integer 9007199254740993"):
        read(plain(np.array([[2**53 + 1]], "i8")))


def many() -> bytes:
    """An empty unit, a table and three images, two of one name."""
    compressed = fits.CompImageHDU(np.full((8, 9), 3, "u2"), name="SCI")
    compressed.header["EXTVER"] = 2
    return file_of(
        fits.PrimaryHDU(),
        fits.BinTableHDU.from_columns([fits.Column("a", "J", array=[1, 2])], name="T"),
        fits.ImageHDU(np.full((4, 5), 1, "u1"), name="SCI"),
        fits.ImageHDU(np.full((4, 6), 2, "i2"), name="ERR"),
        compressed,
    )


@pytest.mark.parametrize(
    ("wanted", "value", "columns"),
    [("", 1, 5), ("2", 1, 5), ("sci", 1, 5), ("ERR", 2, 6), ("SCI,2", 3, 9), ("4", 3, 9)],
)
def test_units_are_chosen(wanted, value, columns):
    """The first image, or the one of a number, a name, or a name with a version."""
    source = Input(data=many())
    source.hdu = wanted
    (opened,) = open_input(source)
    assert opened.header.columns == columns
    assert (opened.pixels() == value).all()
    assert any("2 (SCI), 3 (ERR), 4 (SCI,2)" in note for note in opened.header.notes)


@pytest.mark.parametrize(
    ("wanted", "words"),
    [("1", "HDU 1 .T. holds no image"), ("DQ", "no such HDU; images: 2 .SCI"), ("9", "9")],
)
def test_units_that_are_no_images(wanted, words):
    """Tables and unknown names are refused with the images that there are."""
    source = Input(data=many())
    source.hdu = wanted
    with pytest.raises(ArgumentError, match=words):
        open_input(source)


def test_the_option(run, tmp_path):
    """`--hdu` selects for apply and plan, and is refused for other formats."""
    (tmp_path / "in.fits").write_bytes(many())
    done = run("apply", tmp_path / "in.fits", "-k", "identity", "--hdu", "ERR", "-o", tmp_path / "o.npy")
    assert (np.load(tmp_path / "o.npy") == 2).all()
    assert done.code == 0
    assert run("plan", tmp_path / "in.fits", "-k", "box3", "--hdu", "3").code == 0
    done = run("apply", tmp_path / "o.npy", "-k", "identity", "--hdu", "ERR", "-o", tmp_path / "p.npy")
    assert (done.code, "--hdu chooses an image of a FITS file" in done.err) == (2, True)


def test_gzip(run, tmp_path):
    """A file in gzip is unpacked, up to a limit; other archives are no images."""
    data = plain(values("u2"))
    (tmp_path / "in.fits.gz").write_bytes(gzip.compress(data))
    done = run(
        "apply", tmp_path / "in.fits.gz", "-k", "identity", "-o", tmp_path / "o.npy", "--report", "json"
    )
    assert json.loads(done.text)["input"]["format"] == "fits"
    assert np.array_equal(np.load(tmp_path / "o.npy"), values("u2")[::-1])
    with pytest.raises(ImageError, match="truncated"):
        open_bytes(gzip.compress(data)[:-30])
    with pytest.raises(ImageError, match="not an image"):
        open_bytes(gzip.compress(b"other"))


def test_a_gzip_file_that_is_a_bomb(monkeypatch):
    """A small file that unpacks to far more than images do is refused before it is held in memory."""
    monkeypatch.setattr("convcli.formats.fits.fits._ANY", 2**20)
    packed = gzip.compress(plain(values("u1")) + bytes(2**21))
    with pytest.raises(ImageError, match="more than 1 MiB in gzip"):
        open_bytes(packed)


def edited(data: bytes, key: str, value: object) -> bytes:
    """The file with another value of a keyword."""
    place = data.index(f"{key:8}=".encode())
    return data[:place] + f"{key:8}= {value!s:>20}".ljust(80).encode() + data[place + 80 :]


@pytest.mark.parametrize(
    ("key", "value", "words"),
    [
        ("NAXIS", 999999999, "999999999 axes"),
        ("NAXIS1", -4, "an axis of -4"),
        ("NAXIS1", "T", "no valid NAXIS1"),
        ("NAXIS2", 10**12, "of 11000000000000 bytes"),
        ("BITPIX", 24, "BITPIX is 24"),
    ],
)
def test_headers_are_bounded(key, value, words):
    """Absurd sizes and types are refused by the header."""
    with pytest.raises(ImageError, match=words):
        open_bytes(edited(plain(values("u1")), key, value))


@pytest.mark.parametrize(
    ("key", "value", "words"),
    [
        ("ZTILE1", 0, "a tile of 0"),
        ("ZCMPTYPE", "'LZW     '", "compression 'LZW'"),
        ("ZNAXIS1", 12, "damaged"),
        ("TFIELDS", 10**9, "a table of 1000000000 columns"),
        ("PCOUNT", 16, "outside the data"),
        ("THEAP", -(10**9), "outside the data"),
        ("ZVAL1", -64, "BLOCKSIZE is -64"),
        ("ZVAL2", -64, "BYTEPIX is -64"),
    ],
)
def test_headers_of_tiles_are_bounded(key, value, words):
    """Tiles and methods that are not read, and sizes that contradict the data."""
    data = file_of(fits.PrimaryHDU(), fits.CompImageHDU(values("u2")))
    data = data if f"{key:8}=".encode() in data else data.replace(b"EXTNAME = ", f"{key:8}= ".encode())
    with pytest.raises(ImageError, match=words):
        read(edited(data, key, value))


@pytest.mark.parametrize(
    ("method", "place", "word", "words"),
    [
        ("HCOMPRESS_1", 2, b"\0\0\x7f\xff", "states 11×32767 pixels instead of 77"),
        ("HCOMPRESS_1", 0, b"\0\0", "no HCOMPRESS data"),
        ("PLIO_1", 6, b"\x7f\xff", "states a list of 32767"),
        ("PLIO_1", 2, b"\x7f\xff", "states a list of"),
    ],
)
def test_sizes_in_tiles_are_bounded(method, place, word, words):
    """Sizes that a tile's own data state, and that would lead its decoder outside of it, are refused."""
    image = fits.CompImageHDU(values("i2") & 255, compression_type=method, tile_shape=(7, 11))
    data = file_of(fits.PrimaryHDU(), image)
    with fits.open(io.BytesIO(data), disable_image_compression=True) as opened:
        heap = opened[1]._data_offset + opened[1].header["NAXIS1"]
    with pytest.raises(ImageError, match=words):
        read(data[: heap + place] + word + data[heap + place + len(word) :])


def test_a_tile_that_is_a_bomb():
    """A tile that inflates to far more than its pixels is refused before it is decoded."""
    bomb = np.zeros((8, 2**16), "u1")
    data = file_of(
        fits.PrimaryHDU(), fits.CompImageHDU(bomb, compression_type="GZIP_1", tile_shape=(8, 2**16))
    )
    small = edited(edited(edited(data, "ZNAXIS1", 16), "ZTILE1", 16), "ZTILE2", 8)
    with pytest.raises(ImageError, match="decompresses to more"):
        read(small)


def test_without_the_extra(monkeypatch):
    """One line names the command that installs it."""
    monkeypatch.setitem(sys.modules, "astropy.io", None)
    with pytest.raises(
        ImageError, match=r"^reading fits requires an extra package: pip install 'convcli\[fits\]'$"
    ):
        open_bytes(plain(values("u1")))
