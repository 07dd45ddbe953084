"""DICOM: every depth, sign, color and transfer syntax as pydicom and GDCM read them."""

from __future__ import annotations

import importlib.util
import io
import json
import sys
import warnings
import zlib
from pathlib import Path

import numpy as np
import pytest
import tifffile

from convcli.core.errors import ImageError
from convcli.formats.dicom import facts
from convcli.formats.opening import open_bytes

pydicom = pytest.importorskip("pydicom")
FILES = Path(pydicom.data.__file__).parent / "test_files"
GDCM = importlib.util.find_spec("gdcm") is not None

EXPLICIT, IMPLICIT, BIG, DEFLATED = (
    pydicom.uid.ExplicitVRLittleEndian,
    pydicom.uid.ImplicitVRLittleEndian,
    pydicom.uid.ExplicitVRBigEndian,
    pydicom.uid.DeflatedExplicitVRLittleEndian,
)
SECRET = "Doe^Jane"


def dataset(pixels: np.ndarray, syntax: str = EXPLICIT, **elements: object) -> pydicom.dataset.FileDataset:
    """A data set of (frames, rows, columns[, samples]) samples with a patient's name."""
    meta = pydicom.dataset.FileMetaDataset()
    meta.TransferSyntaxUID, meta.MediaStorageSOPClassUID = syntax, pydicom.uid.CTImageStorage
    meta.MediaStorageSOPInstanceUID = "1.2.3"
    made = pydicom.dataset.FileDataset(
        "", {}, file_meta=meta, preamble=bytes(128), is_implicit_VR=False, is_little_endian=syntax != BIG
    )
    bits = 8 * pixels.dtype.itemsize
    made.PatientName, made.PatientComments = SECRET, SECRET
    made.NumberOfFrames, made.Rows, made.Columns = pixels.shape[:3]
    made.SamplesPerPixel = pixels.shape[3] if pixels.ndim == 4 else 1
    made.PhotometricInterpretation = "RGB" if pixels.ndim == 4 else "MONOCHROME2"
    made.PixelRepresentation = int(pixels.dtype.kind == "i")
    made.BitsAllocated = made.BitsStored = bits
    made.HighBit = bits - 1
    if pixels.ndim == 4:
        made.PlanarConfiguration = 0
    order = ">" if syntax == BIG else "<"
    data = pixels.astype(pixels.dtype.newbyteorder(order)).tobytes()
    made.PixelData = data + bytes(len(data) % 2)
    made["PixelData"].VR = "OB" if bits == 8 else "OW"
    for keyword, value in elements.items():
        setattr(made, keyword, value)
    return made


def file_of(made: pydicom.dataset.FileDataset) -> bytes:
    buffer = io.BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        made.save_as(buffer, enforce_file_format=True)
    return buffer.getvalue()


def read(data: bytes) -> np.ndarray:
    """Every frame, (frames, rows, columns, channels)."""
    opened = open_bytes(data)
    reader = opened.reader()
    return np.stack([reader.rows(frame, 0, opened.header.rows) for frame in range(opened.header.frames)])


def values(kind: str, stored: int = 0, shape: tuple[int, ...] = (2, 5, 7)) -> np.ndarray:
    """Both ends of a number of bits."""
    info = np.iinfo(kind)
    top = 2 ** (stored or info.bits)
    low = -top // 2 if kind[0] == "i" else 0
    pixels = np.random.default_rng(3).integers(low, low + top, shape, np.int64).astype(kind)
    pixels.flat[:2] = low, low + top - 1
    return pixels


@pytest.mark.parametrize("syntax", [EXPLICIT, IMPLICIT, BIG, DEFLATED], ids=lambda uid: uid.name[:22])
@pytest.mark.parametrize("kind", ["u1", "i1", "u2", "i2", "u4", "i4"])
@pytest.mark.parametrize("color", [False, True], ids=["gray", "color"])
def test_native_samples(syntax, kind, color):
    """Every width, sign and byte order, gray and RGB, is what pydicom reads."""
    pixels = values(kind, shape=(2, 5, 7, 3) if color else (2, 5, 7))
    made = dataset(pixels, syntax)
    found = read(file_of(made))
    assert found.dtype == np.dtype(kind)
    assert np.array_equal(found.squeeze(), pixels)
    theirs = pydicom.dcmread(io.BytesIO(file_of(made))).pixel_array
    assert np.array_equal(found.reshape(theirs.shape), theirs)


@pytest.mark.parametrize("kind", ["u1", "i1", "u2", "i2", "u4", "i4"])
def test_every_number_of_bits(kind):
    """Bits in use are taken out of what surrounds them, wherever the highest is, with their sign."""
    width = np.iinfo(kind).bits
    for stored in (bits for bits in (2, 7, 8, 10, 12, 16, 17, 24, 31, 32) if bits <= width):
        pixels = values(kind, stored)
        for high in {stored - 1, width - 1}:
            shifted = (pixels.astype(np.int64) << (high + 1 - stored)).astype(kind)
            noise = np.array(1, f"u{width // 8}") << (high + 1) if high + 1 < width else 0
            bits = (shifted.view(f"u{width // 8}") & np.array(2 ** (high + 1) - 1, f"u{width // 8}")) | noise
            data = file_of(dataset(bits.view(kind), BitsStored=stored, HighBit=high))
            assert np.array_equal(read(data)[..., 0], pixels), (stored, high)


def test_single_bits():
    """Frames of single bits are packed without gaps, and become 0 and 255."""
    bits = np.random.default_rng(1).integers(0, 2, (3, 5, 7), np.uint8)
    made = dataset(bits, BitsAllocated=1, BitsStored=1, HighBit=0)
    made.PixelData = np.packbits(bits.ravel(), bitorder="little").tobytes()
    assert np.array_equal(read(file_of(made))[..., 0], bits * 255)


def test_planes_of_colors():
    """Samples by planes are the same colors."""
    pixels = values("u1", shape=(2, 5, 7, 3))
    made = dataset(pixels, PlanarConfiguration=1)
    data = np.moveaxis(pixels, -1, 1).tobytes()
    made.PixelData = data + bytes(len(data) % 2)
    assert np.array_equal(read(file_of(made)), pixels)


@pytest.mark.parametrize(
    ("kind", "stored", "slope", "intercept", "dtype"),
    [
        ("u2", 12, 1, -1024, "int16"),
        ("i2", 16, 1, 0, "int16"),
        ("u2", 16, 2, 0, "uint32"),
        ("u1", 8, -1, 0, "int16"),
        ("u2", 12, 0.25, 3, "float64"),
        ("u4", 32, 3, 0, "float64"),
    ],
)
def test_values_of_the_modality(kind, stored, slope, intercept, dtype):
    """The rescale slope and intercept are applied, in integers where they are whole, with a note."""
    pixels = values(kind, stored)
    made = dataset(pixels, BitsStored=stored, HighBit=stored - 1, RescaleType="HU", PixelPaddingValue=0)
    made.RescaleSlope, made.RescaleIntercept = str(slope), str(intercept)
    opened = open_bytes(file_of(made))
    assert opened.header.dtype == np.dtype(dtype)
    assert np.array_equal(read(file_of(made))[..., 0], pixels.astype(float) * slope + intercept)
    assert opened.header.metadata.nodata == intercept
    changes = (slope, intercept) != (1, 0)
    assert any("Hounsfield units" in note for note in opened.header.notes) == changes


def test_functional_groups():
    """Slopes of frames count if all are the same, and are refused otherwise."""

    def group(slope: str) -> pydicom.dataset.Dataset:
        rescale, frame = pydicom.dataset.Dataset(), pydicom.dataset.Dataset()
        rescale.RescaleSlope, rescale.RescaleIntercept = slope, "-5"
        frame.PixelValueTransformationSequence = [rescale]
        return frame

    pixels = values("u1")
    made = dataset(pixels, PerFrameFunctionalGroupsSequence=[group("2"), group("2")])
    assert np.array_equal(read(file_of(made))[..., 0], pixels.astype(int) * 2 - 5)
    made = dataset(pixels, PerFrameFunctionalGroupsSequence=[group("2"), group("3")])
    with pytest.raises(ImageError, match="different rescale slopes"):
        open_bytes(file_of(made))


def test_low_values_that_are_bright():
    """MONOCHROME1 is inverted in the range of its bits, unless values are signed or rescaled."""
    pixels = values("u2", 12)
    low = {"PhotometricInterpretation": "MONOCHROME1", "BitsStored": 12, "HighBit": 11}
    assert np.array_equal(read(file_of(dataset(pixels, **low)))[..., 0], 4095 - pixels)
    kept = dataset(pixels, RescaleSlope="1", RescaleIntercept="-9", **low)
    assert np.array_equal(read(file_of(kept))[..., 0], pixels.astype(int) - 9)
    for made in (dataset(pixels, **low), kept):
        assert any("MONOCHROME1" in note for note in open_bytes(file_of(made)).header.notes)


def test_floats():
    """Float pixel data are read bit for bit."""
    for keyword, kind in (("FloatPixelData", "f4"), ("DoubleFloatPixelData", "f8")):
        pixels = np.random.default_rng(1).normal(size=(2, 5, 7)).astype(kind)
        made = dataset(pixels)
        del made.PixelData
        setattr(made, keyword, pixels.tobytes())
        assert read(file_of(made)).tobytes() == pixels.tobytes()


COMPRESSED = [
    "693_J2KI.dcm", "GDCMJ2K_TextGBR.dcm", "J2K_pixelrep_mismatch.dcm", "JPEG2000.dcm", "JPGExtended.dcm",
    "JPEGLSNearLossless_08.dcm", "JPEGLSNearLossless_16.dcm", "MR_small_RLE.dcm", "MR_small_jp2klossless.dcm",
    "MR_small_jpeg_ls_lossless.dcm", "SC_rgb_dcmtk_+eb+cr.dcm", "SC_rgb_dcmtk_+eb+cy+np.dcm",
    "SC_rgb_dcmtk_+eb+cy+s4.dcm", "SC_rgb_jls_lossy_line.dcm", "SC_rgb_jls_lossy_sample.dcm",
    "SC_rgb_jpeg.dcm", "SC_rgb_jpeg_app14_dcmd.dcm", "SC_rgb_jpeg_dcmtk.dcm", "SC_rgb_jpeg_gdcm.dcm",
    "SC_rgb_rle_2frame.dcm", "SC_rgb_rle_16bit_2frame.dcm", "SC_rgb_rle_32bit_2frame.dcm",
    "SC_rgb_small_odd_jpeg.dcm", "rtdose_rle.dcm", "SC_jpeg_no_color_transform_2.dcm",
]  # fmt: skip
NATIVE = [
    "CT_small.dcm", "ExplVR_BigEnd.dcm", "MR_small_bigendian.dcm", "MR_small_implicit.dcm", "image_dfl.dcm",
    "SC_ybr_full_422_uncompressed.dcm", "SC_rgb_small_odd_big_endian.dcm", "examples_palette.dcm",
    "examples_overlay.dcm", "liver_1frame.dcm", "rtdose_expb.dcm",
]  # fmt: skip
TOLERANCE = {"JPGExtended.dcm": 1}
"""Largest difference where decoders of lossy 12-bit JPEG round differently."""


@pytest.mark.skipif(not GDCM, reason="python-gdcm decodes what pydicom cannot")
@pytest.mark.parametrize("name", COMPRESSED + NATIVE)
def test_files_of_other_programs(name):
    """Every transfer syntax and color, as pydicom and GDCM read it, times slope plus intercept."""
    if name in TOLERANCE:
        pytest.importorskip("libjpeg", reason="needs pylibjpeg-libjpeg, which decodes lossy 12-bit JPEG")
    theirs, made = reference(FILES / name)
    found = read((FILES / name).read_bytes())
    slope, intercept = float(made.get("RescaleSlope", 1)), float(made.get("RescaleIntercept", 0))
    due = theirs.reshape(found.shape) * slope + intercept
    assert np.abs(found.astype(float) - due).max() <= TOLERANCE.get(name, 0)


def reference(path: Path) -> tuple[np.ndarray, pydicom.dataset.FileDataset]:
    """The pixels by the decoders of pydicom, with the palette applied; single bits as 0 and 255."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        made = pydicom.dcmread(path, force=True)
        pixels = made.pixel_array
        if made.PhotometricInterpretation == "PALETTE COLOR":
            pixels = pydicom.pixels.apply_color_lut(pixels, made)
    return pixels * np.uint8(255) if made.BitsStored == 1 else pixels, made


def test_nothing_about_a_patient_is_kept(run, tmp_path):
    """Neither results nor reports, notes or errors contain what the header says of a patient."""
    made = dataset(values("u2", shape=(1, 5, 7)), PixelSpacing=["0.5", "0.25"], BurnedInAnnotation="YES")
    (tmp_path / "in.dcm").write_bytes(file_of(made))
    seen = b""
    for out in ("out.tif", "out.npy", "out.png"):
        done = run("apply", tmp_path / "in.dcm", "-k", "box3", "-o", tmp_path / out, "--report", "json")
        assert done.code == 0
        seen += done.out + done.err.encode()
    report = json.loads(done.text)
    with tifffile.TiffFile(tmp_path / "out.tif") as file:
        assert [top / bottom for top, bottom in map(file.pages[0].tags.valueof, (282, 283))] == [101.6, 50.8]
    assert any("burned into" in note for note in report["notes"])
    damaged = file_of(made).replace(b"DS\x08\x000.5\\0.25", b"DS\x08\x00" + SECRET.encode())
    (tmp_path / "bad.dcm").write_bytes(damaged.replace(b"US\x02\x00\x05\x00", b"DS\x02\x00ab", 1))
    done = run("apply", tmp_path / "bad.dcm", "-k", "box3", "-o", tmp_path / "out.tif", "--force")
    seen += done.out + done.err.encode()
    seen += b"".join(path.read_bytes() for path in tmp_path.iterdir() if not path.name.endswith(".dcm"))
    assert SECRET.encode() not in seen


def test_files_without_a_preamble():
    """A data set alone, coded either way, is recognized by its first element."""
    for syntax in (EXPLICIT, IMPLICIT):
        made = dataset(values("u2"), syntax, SpecificCharacterSet="ISO_IR 100")
        buffer = io.BytesIO()
        del made.file_meta
        made.preamble = None
        made.save_as(buffer, implicit_vr=syntax == IMPLICIT, little_endian=True, enforce_file_format=False)
        assert np.array_equal(read(buffer.getvalue())[..., 0], values("u2"))


@pytest.mark.parametrize(
    ("elements", "words"),
    [
        ({"Rows": 6}, "damaged dicom: 140 of 168 bytes of pixels"),
        ({"BitsStored": 17}, "17 bits up to bit 15 of 16"),
        ({"BitsAllocated": 24}, "24 bits allocated; allowed: 1, 8, 16, 32"),
        ({"PhotometricInterpretation": "CMYK"}, "1 samples of another photometric interpretation"),
        ({"NumberOfFrames": "-1"}, "damaged dicom: -1 frames"),
        ({"Rows": 60000, "Columns": 60000}, "bytes of pixels"),
    ],
)
def test_headers_are_bounded(elements, words):
    """Sizes and types that contradict the data are refused before anything is decoded."""
    with pytest.raises(ImageError, match=words):
        open_bytes(file_of(dataset(values("u2"), **elements)))


def test_frames_that_are_larger_than_stated():
    """A JPEG of another size within the file is not decoded."""
    data = (FILES / "SC_rgb_jpeg_dcmtk.dcm").read_bytes()
    place = data.index(b"\xff\xc0") + 5
    with pytest.raises(ImageError, match="a frame of 4294836225 pixels instead of 100×100"):
        open_bytes(data[:place] + b"\xff" * 4 + data[place + 4 :]).pixels()


def test_a_deflated_bomb(monkeypatch):
    """A data set that inflates without end is refused before the library inflates it."""
    monkeypatch.setattr(facts, "_INFLATED", 2**20)
    data = file_of(dataset(values("u2"), DEFLATED))
    start = data.index(b"1.2.840.10008.1.2.1.99")
    head = data[: 144 + int.from_bytes(data[140:144], "little")]
    assert start < len(head)
    packer = zlib.compressobj(9, zlib.DEFLATED, -15)
    bomb = b"".join(packer.compress(bytes(2**24)) for _ in range(2)) + packer.flush()
    with pytest.raises(ImageError, match="inflates to more than 1048576 bytes"):
        open_bytes(head + bomb)


def test_other_transfer_syntaxes_are_named():
    """Video and unknown codings are refused by name."""
    for uid, words in (
        (pydicom.uid.MPEG2MPML, "dicom with MPEG2 Main Profile"),
        ("1.2.3.4", "dicom with transfer syntax .?1.2.3.4"),
    ):
        data = file_of(dataset(values("u2")))
        made = pydicom.dcmread(io.BytesIO(data))
        made.file_meta.TransferSyntaxUID = pydicom.uid.UID(uid)
        made.PixelData = pydicom.encaps.encapsulate([b"1234"])
        made["PixelData"].is_undefined_length = True
        buffer = io.BytesIO()
        made.save_as(buffer, implicit_vr=False, little_endian=True, enforce_file_format=True)
        with pytest.raises(ImageError, match=words):
            open_bytes(buffer.getvalue())


def test_without_the_extra(monkeypatch):
    """One line names the command that installs it."""
    data = file_of(dataset(values("u2")))
    monkeypatch.setitem(sys.modules, "pydicom", None)
    with pytest.raises(
        ImageError, match=r"^reading dicom requires an extra package: pip install 'convcli\[dicom\]'$"
    ):
        open_bytes(data)
