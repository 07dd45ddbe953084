"""Where results go: from -o, --format, an input and a kernel to paths and formats, or a refusal."""

from __future__ import annotations

import re

import numpy as np
import pytest

from convcli.core.errors import ArgumentError, OutputError
from convcli.formats.capacity import OutputKind
from convcli.formats.registry import format_named
from convcli.pipeline.naming import OutputSpec
from convcli.pipeline.templates import safe_name

BYTES, FLOATS = OutputKind(np.dtype(np.uint8), 1), OutputKind(np.dtype(np.float32), 1)
RGBA = OutputKind(np.dtype(np.uint8), 4)

PATHS = [  # -o, --format, input, maps: paths
    (None, None, "in/a.png", 1, ["in/a.box3.png"]),
    (None, None, "in/a.PNG", 1, ["in/a.box3.PNG"]),
    (None, None, "in/a.png", 2, ["in/a.box3.0.png", "in/a.box3.1.png"]),
    (None, "tiff", "in/a.png", 1, ["in/a.box3.tif"]),
    (None, "tiff", "in/a.tiff", 1, ["in/a.box3.tiff"]),
    (None, None, "-", 1, [None]),
    ("-", None, "a.png", 1, [None]),
    ("x.png", None, "in/a.jpg", 1, ["x.png"]),
    ("x.raw", "npy", "in/a.jpg", 1, ["x.raw"]),
    ("out/", None, "in/a.png", 1, ["out/a.box3.png"]),
    ("out/", None, "-", 1, ["out/stdin.box3.png"]),
    ("{stem}-{kernel}{suffix}", None, "in/a.png", 1, ["a-box3.png"]),
    ("{stem}.jpg", None, "in/a.png", 1, ["a.jpg"]),
    ("{stem}.{index}.png", None, "in/a.png", 2, ["a.0.png", "a.1.png"]),
    ("{stem}.{index:03}.png", None, "in/a.png", 2, ["a.000.png", "a.001.png"]),
    ("{frame:04}.png", None, "in/a.png", 1, ["0007.png"]),
    ("{dir}/{stem}-x{suffix}", None, "in/a.png", 1, ["in/a-x.png"]),
    ("{dir}/{stem}-x{suffix}", None, "/in/a.png", 1, ["/in/a-x.png"]),
    ("out/{dir}/{stem}{suffix}", None, "/in/../b/a.png", 1, ["out/b/a.png"]),
    ("{kernel}/", None, "in/a.png", 1, ["box3/a.box3.png"]),
    ("{{{stem}}}.png", None, "in/a.png", 1, ["{a}.png"]),
]


@pytest.mark.parametrize(("spec", "format_name", "source", "maps", "paths"), PATHS)
def test_from_a_template_to_paths(spec, format_name, source, maps, paths):
    """A path for each map; None is standard output."""
    kind = OutputKind(BYTES.dtype, 1, frame=7)
    targets = OutputSpec(spec, format_name).targets(source, "box3", maps, format_named("png"), kind)
    assert [target.path and str(target.path) for target in targets] == paths


@pytest.mark.parametrize(
    ("spec", "format_name", "input_format", "kind", "chosen", "note"),
    [
        ("out/", None, "png", BYTES, "png", ""),
        ("out/", None, "jpeg", BYTES, "jpeg", ""),
        ("out/", None, "jpeg", RGBA, "png", "written as png: jpeg cannot hold RGBA, 8-bit"),
        ("out/", None, "gif", RGBA, "png", "written as png: gif cannot hold RGBA, 8-bit without loss"),
        ("out/", None, "png", FLOATS, "tiff", "written as tiff: png cannot hold gray, float32"),
        ("out/", None, "dicom", RGBA, "png", "written as png: dicom cannot hold RGBA, 8-bit"),
        ("out/", "npy", "png", BYTES, "npy", ""),
        ("x.tif", None, "png", BYTES, "tiff", ""),
        ("{stem}.npy", None, "png", FLOATS, "npy", ""),
        ("-", None, "jpeg", BYTES, "png", ""),
        ("-", None, "csv", FLOATS, "csv", ""),
        ("-", None, "tiff", FLOATS, "tiff", ""),
        ("-", None, "csv", BYTES, "png", ""),
    ],
)
def test_the_format_of_a_result(spec, format_name, input_format, kind, chosen, note):
    """That of --format, of the suffix, or of the input if it holds the result; else the first that does."""
    (target,) = OutputSpec(spec, format_name).targets("a.b", "k", 1, format_named(input_format), kind)
    assert (target.format.name, target.note) == (chosen, note)


@pytest.mark.parametrize(
    ("spec", "format_name", "maps", "message"),
    [
        ("", None, 1, "-o is empty; use FILE, FOLDER/, a template or -"),
        ("x", None, 1, "x: unknown suffix; allowed: .png, .*, or --format; for a folder, use x/"),
        ("x.dcm", None, 1, "x.dcm: convcli reads dicom but does not write it; allowed: .png, .*"),
        ("x.png", "tiff", 1, "x.png: the suffix .png means png, but --format is tiff"),
        ("x.png", "pgn", 1, "format 'pgn' is not one of png.*"),
        ("x.png", None, 3, "k gives 3 feature maps, which do not fit in one file; use a folder, .*"),
        ("x.npy", None, 3, "k gives 3 feature maps, which do not fit in one file; use --stack, .*"),
        ("-", None, 3, "k gives 3 feature maps, which do not fit in one file; use .*"),
        ("{stem}.png", None, 3, "k gives 3 feature maps; the template needs {index}"),
        ("{stem}.tif", None, 3, "k gives 3 feature maps; the template needs {index} or --stack"),
        ("{name}.png", None, 1, "output template '{name}.png': {name} is not one of {dir}, {stem}, .*"),
        ("{stem!r}.png", None, 1, "output template '{stem!r}.png': {stem} is not one of .*"),
        ("{stem.png", None, 1, "output template '{stem.png': expected '}' before end of string"),
        ("{dir}x.png", None, 1, "output template '{dir}x.png': {dir} is a folder; put / after it"),
        (
            "{stem:9}.png", None, 1,
            "output template '{stem:9}.png': {stem} does not take '9'; only {index} and "
            "{frame} take a width, as in {index:03}",
        ),
    ],
)  # fmt: skip
def test_outputs_that_are_refused(spec, format_name, maps, message):
    """What was given, why it cannot be, and what can."""
    pattern = "".join(part if part == ".*" else re.escape(part) for part in re.split(r"(\.\*)", message))
    with pytest.raises((ArgumentError, OutputError), match=f"^{pattern}$"):
        OutputSpec(spec, format_name).targets("a.png", "k", maps, format_named("png"), BYTES)


@pytest.mark.parametrize(
    ("spec", "one_file", "one_kernel", "one_input", "one_frame"),
    [
        (None, False, False, False, False),
        ("x.png", True, True, True, False),
        ("out/", False, False, False, False),
        ("{stem}.png", False, True, False, False),
        ("{kernel}.png", False, False, True, False),
        ("{stem}.{frame}.png", False, True, False, True),
        ("{kernel}/", False, False, False, False),
    ],
)
def test_what_an_output_distinguishes(spec, one_file, one_kernel, one_input, one_frame):
    """Whether all results, or those of all kernels, inputs or frames, would go to the same place."""
    output = OutputSpec(spec)
    facts = output.is_one_file, output.is_one_kernel, output.is_one_input, output.is_one_frame
    assert facts == (one_file, one_kernel, one_input, one_frame)


@pytest.mark.parametrize(
    ("spec", "folder", "deeper"),
    [
        ("out", "a/b", "out/a/b/"),
        ("out/{stem}.png", "a", "out/a/{stem}.png"),
        ("{kernel}/", "a", "{kernel}/a/"),
        ("out/{stem}.png", "{a}", "out/{{a}}/{stem}.png"),
        ("{dir}/{stem}.png", "a", "{dir}/{stem}.png"),
        ("out", "", "out"),
    ],
)
def test_one_folder_deeper(spec, folder, deeper):
    """A tree is repeated below the output, unless the template has {dir}."""
    assert OutputSpec(spec).inside_folder(folder).spec == deeper


@pytest.mark.parametrize(
    ("spec", "format_name", "stacked"),
    [
        (None, None, "npy"),
        ("x.npy", None, "npy"),
        ("x.tif", None, "tiff"),
        ("{stem}{suffix}", None, "npy"),
        ("out/", "tiff", "tiff"),
        ("x.png", None, "--stack writes an array of 6 channels, or pages, which png cannot hold"),
        ("out/", "png", "--stack writes an array of 6 channels, or pages, which png cannot hold"),
    ],
)
def test_the_format_of_a_stack(spec, format_name, stacked):
    """An array unless pages are requested; no other format."""
    output = OutputSpec(spec, format_name)
    if " " not in stacked:
        assert output.stacked(6).format == stacked
        return
    with pytest.raises(OutputError, match=stacked):
        output.stacked(6)


def test_patterns_do_not_depend_on_what_a_header_decides():
    """Frames and suffixes are open, so that two patterns that differ never give one path."""
    (default,) = OutputSpec("out/").path_patterns("in/a.png", "k", 1)
    (framed,) = OutputSpec("{stem}.{frame:03}.tif").path_patterns("in/a.png", "k", 1)
    assert default.startswith("out/a.k") and ".png" not in default
    assert framed.startswith("a.") and framed.endswith(".tif") and not re.search(r"\d", framed)
    assert OutputSpec("{kernel}.png").path_patterns("a.png", "k", 1) == ["k.png"]


@pytest.mark.parametrize(
    ("kernel", "name"),
    [
        ("box3", "box3"),
        ("gaussian:2,size=5", "gaussian-2-size=5"),
        ("a/b c", "a-b-c"),
        ("[1]", "1"),
        ("..", "kernel"),
    ],
)
def test_a_kernel_in_a_file_name(kernel, name):
    """Nothing that leads to another folder, hides a file or needs quotes."""
    assert safe_name(kernel) == name
