"""One report in its four forms: the same facts as JSON, CSV, a block of text and a line, and its notes."""

from __future__ import annotations

import csv
import io
import json

import numpy as np
import pytest

import convcli
from convcli.core.frozen import replace
from convcli.files.input import Input
from convcli.formats.header import Coding
from convcli.formats.opening import open_input
from convcli.geometry.padding import Padding
from convcli.pipeline.mapping import Mapping
from convcli.pipeline.maps.feature_map import feature_maps
from convcli.pipeline.maps.sinks import MemorySink
from convcli.pipeline.naming import OutputSpec
from convcli.pipeline.planning.task import prepare
from convcli.pipeline.reports.csv_form import COLUMNS, as_csv, csv_row
from convcli.pipeline.reports.json_form import as_json, manifest_row, report_dict, settings_dict
from convcli.pipeline.reports.report import Report
from convcli.pipeline.reports.task_report import report_of
from convcli.pipeline.reports.text_form import as_block, as_lines, text_rows
from convcli.pipeline.settings import Settings

RAMP = np.arange(48, dtype=np.uint8).reshape(6, 8)
FRAMES = np.stack([RAMP, RAMP + 9])[..., None]
SPOILED = np.where(RAMP < 2, np.nan, np.where(RAMP > 46, np.inf, RAMP)).astype(np.float32)


def reports(pixels: np.ndarray, kernel: str, source: str = "in/a.npy", **options: object) -> list[Report]:
    """The reports on each map of an array, as `apply` would make them, with 1000 bytes in 0.0125 s."""
    file = io.BytesIO()
    np.save(file, pixels)
    settings = Settings(convcli.load_kernel(kernel), **options)
    tasks = prepare(source, open_input(Input(data=file.getvalue())), settings)
    made = []
    for (task,) in tasks:
        sinks = [MemorySink(task.layout) for _ in range(task.plan.outcome.maps)]
        maps = feature_maps(task.plan, task.opened.reader(), task.color_handling, task.mapping, sinks)
        made += [report_of(task, settings, index, map_, 1000, 0.0125) for index, map_ in enumerate(maps)]
    return made


def report(pixels: np.ndarray = RAMP, kernel: str = "sobel-x", **options: object) -> Report:
    """That of the first map."""
    return reports(pixels, kernel, **options)[0]


def test_the_facts_of_a_report():
    """Sizes, ranges and counts by hand: sobel-x of columns that rise by 1 is 8, and 4 at an edge."""
    facts = report_dict(report(padding=Padding.parse("same:edge"), stride=(1, 2)))
    assert facts["input"] == {
        "name": "in/a.npy", "format": "npy", "kind": "gray, 8-bit", "bytes": 128 + 48,
        "nhwc": [1, 6, 8, 1], "nchw": [1, 1, 6, 8],
    }  # fmt: skip
    assert (facts["output"]["nhwc"], facts["output"]["bytes"]) == ([1, 6, 4, 1], 1000)
    assert facts["range"] == {"low": 4.0, "high": 8.0}
    assert facts["axes"]["columns"]["stride"] == 2
    assert facts["saturated"] == {"below": 0, "above": 0, "of": 24}
    assert (facts["parameters"], facts["multiply_adds"]) == (9, 9 * 24)
    assert facts["kernel"]["weights"][1][0] == [[-2.0]]
    assert (facts["kernel"]["operation"], facts["seconds"]) == ("cross-correlation", 0.0125)


def test_json_is_one_line_without_nan():
    """A range of no finite value is null, which NaN is not; what is printed is what the dictionary has."""
    nothing = report(np.full((6, 8), np.nan, np.float32), "box3", mapping=Mapping.parse("raw"))
    line = as_json(nothing)
    assert len(line.splitlines()) == 1 and ": NaN" not in line
    assert json.loads(line)["range"] == {"low": None, "high": None}
    assert json.loads(line)["nonfinite"] == {"nan": 48, "infinite": 0}


@pytest.mark.parametrize("kernel", ["sobel-x", "kirsch", "box31"])
def test_a_manifest_has_each_fact_once(kernel):
    """The row and what the settings share are the report; weights are in the shared part alone."""
    whole = report(kernel=kernel)
    row, facts = manifest_row(whole), report_dict(whole)
    shared = settings_dict(whole.kernel, "cross-correlation", whole.padding, whole.groups)
    joined = {**shared, **row, "kernel": {**shared["kernel"], **row["kernel"]}, "schema": facts["schema"]}
    assert joined == facts
    assert set(row) & set(shared) == {"kernel"} and set(row["kernel"]) == {"name", "sum", "bias"}


def test_the_table_has_the_numbers_of_json():
    """Every column has a value, and those that JSON has too are the same."""
    made = report(stride=(1, 2))
    row, facts = csv_row(made), report_dict(made)
    assert tuple(row) == COLUMNS
    assert (row["input"], row["output"]) == (facts["input"]["name"], facts["output"]["name"])
    for column in ("padding", "uncovered", "parameters", "multiply_adds", "mapping", "seconds"):
        assert row[column] == facts[column]
    for name, axis in facts["axes"].items():
        for column, key in (("input", "input"), ("kernel", "kernel"), ("output", "output")):
            assert row[f"{column}_{name}"] == axis[key]
    assert (row["low"], row["high"]) == (facts["range"]["low"], facts["range"]["high"])
    with_header, without = as_csv(made), as_csv(made, header=False)
    assert with_header == ",".join(COLUMNS) + "\n" + without
    assert next(csv.DictReader(io.StringIO(with_header)))["low"] == str(row["low"])


@pytest.mark.parametrize("name", ["=1+1.npy", "+a.npy", "-a.npy", "@a.npy"])
def test_no_cell_is_a_formula(name):
    """A name that a spreadsheet would run is quoted."""
    made = report()
    cell = next(csv.DictReader(io.StringIO(as_csv(replace(made, source=replace(made.source, name=name))))))
    assert cell["input"] == f"'{name}"


def test_numbers_in_text_have_a_minus_sign():
    """U+2212 in ranges, limits, weights and lines; no hyphen is before a digit, except in file names."""
    falling = RAMP[:, ::-1].copy()
    made = report(falling, mapping=Mapping.parse("stretch:-8,8"), output=OutputSpec("x.png"))
    rows = dict(text_rows(made))
    assert rows["range"] == "−8 … 0 before the mapping"
    assert rows["mapping"] == "stretch: −8 → 0, 8 → 255"
    values = ("range", "mapping", "saturated", "kernel", "rows", "columns", "")
    assert not any(f"-{digit}" in rows[label] for label in values for digit in range(10))
    assert "range −8 … " in as_lines([made])


@pytest.mark.parametrize(
    ("pixels", "kernel", "options", "label", "text"),
    [
        (RAMP, "box3", {}, "input", "npy, gray, 8-bit: (1, 6, 8, 1) uint8"),
        (RAMP, "box3", {}, "operation", "cross-correlation, channels each"),
        (RAMP, "box3", {"flip": True}, "operation", "convolution (kernel rotated by 180°), channels each"),
        (RAMP, "box3", {}, "padding", "same:reflect: top 1, bottom 1, left 1, right 1"),
        (RAMP, "box3", {}, "output", "(1, 6, 8, 1) NHWC, (1, 1, 6, 8) NCHW"),
        (RAMP, "box3", {}, "cost", "9 parameters, 432 multiply-adds"),
        (RAMP, "ones3", {"mapping": Mapping.parse("clip")}, "saturated", "0 below and 19 above of 48 values"),
        (RAMP, "box3", {}, "mapping", "clip: rounded to nearest, saturated at 0 and 255"),
        (RAMP, "box3", {"mapping": Mapping("raw")}, "mapping", "raw: values unchanged, as floats"),
        (RAMP, "box3", {"output": OutputSpec("x.png")}, "written", "x.png: png, gray, 8-bit, 1000 bytes"),
        (SPOILED, "identity", {}, "range", "2 … 46 before the mapping (finite values only)"),
        (SPOILED * np.nan, "identity", {}, "range", "no value is finite"),
    ],
)
def test_rows_of_text(pixels, kernel, options, label, text):
    """A label and what it says."""
    assert dict(text_rows(report(pixels, kernel, **options)))[label] == text


def test_a_block_says_once_what_maps_share():
    """The file and input once, a kernel's rows once, then a row for each map; verbose adds candidates."""
    made = reports(RAMP, "kirsch", output=OutputSpec("o/"))
    block = as_block(made)
    assert block.startswith("in/a.npy\n  input ") and block.count("  input ") == 1
    assert [f"map {index} " in block for index in range(8)] == [True] * 8
    assert block.count("cost ") == 1
    assert len(as_block(made, verbose=True)) > len(block)
    assert as_lines(made).count("\n") == 1 and ", 8 maps, 6 × 8, " in as_lines(made)


def test_frames_of_their_own_are_told_apart():
    """``frame 0`` and ``frame 1``, in one section; a line joins their ranges."""
    made = reports(FRAMES, "box3", output=OutputSpec("{frame}.png"))
    assert "frame 0 " in as_block(made) and "frame 1 " in as_block(made)
    assert "→ 0.png … 1.png: box3, 2 maps" in as_lines(made)


@pytest.mark.parametrize(
    ("pixels", "kernel", "options", "notes"),
    [
        (RAMP, "box3", {}, []),
        (RAMP, "sobel-x", {"output": OutputSpec("x.png")},
         ["the range was found in a first pass over the image"]),
        (RAMP, "sobel-x", {}, ["values were mapped to 8-bit; --map raw keeps the original values",
                               "the range was found in a first pass over the image"]),
        (FRAMES, "sobel-x", {"output": OutputSpec("x.tif")},
         ["the range was found in a first pass over all frames, which share it"]),
        (RAMP, "box3", {"output": OutputSpec("x.png"), "coding": Coding(quality=80)},
         ["--quality has no effect on png"]),
        (RAMP, "box3", {"output": OutputSpec("x.jpg")}, ["jpeg is lossy: quality 95, chroma 4:4:4"]),
        (RAMP, "box3", {"output": OutputSpec("x.tif"), "depth": "16"}, ["values were mapped to 16-bit"]),
        (RAMP, "box3", {"linear": True},
         ["filtered in linear light: sRGB was decoded first, re-encoded after"]),
        (RAMP, "box3", {"notes": ("a note",)}, ["a note"]),
        (SPOILED, "identity", {},
         ["2 NaN values: kept", "1 infinite value (from infinite pixels or overflowing sums): kept",
          "2 pixels of the input are NaN"]),
        (RAMP.astype(np.int64), "box3", {}, ["its int64 values, 0 to 47, are read as int32"]),
    ],
)  # fmt: skip
def test_notes(pixels, kernel, options, notes):
    """What there is to know, and nothing where there is nothing."""
    assert list(report(pixels, kernel, **options).notes) == notes
