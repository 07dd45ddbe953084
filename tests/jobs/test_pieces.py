"""Pieces: put together they are the whole result, for every kernel, fill, option and grid."""

from __future__ import annotations

import json
from contextlib import contextmanager
from fractions import Fraction

import numpy as np
import pytest

from convcli.files.input import Input
from convcli.formats import opening
from convcli.geometry.padding import Padding
from convcli.jobs.facts import Facts, Totals
from convcli.jobs.grid import Grid
from convcli.jobs.piece import PieceRunner
from convcli.kernels.bank import combined
from convcli.kernels.library import load_kernel
from convcli.pipeline.ignore import Ignore
from convcli.pipeline.mapping import Mapping
from convcli.pipeline.maps.feature_map import feature_maps
from convcli.pipeline.maps.passes import colors_outcome
from convcli.pipeline.maps.ranges import ranged
from convcli.pipeline.maps.sinks import MemorySink
from convcli.pipeline.nodata import Nodata
from convcli.pipeline.normalization import Normalization
from convcli.pipeline.planning.task import prepare
from convcli.pipeline.settings import Settings
from convcli.pipeline.writing import colors_of


class MemoryTarget:
    """A target in memory, which refuses to be written twice."""

    def __init__(self, layout):
        self.images = np.zeros((layout.frames, *layout.shape), layout.dtype)
        self.times = np.zeros((layout.frames, layout.rows, layout.columns), int)

    def write(self, frames, rows, columns, pixels):
        box = slice(*frames), slice(*rows), slice(*columns)
        assert pixels.shape == self.images[box].shape
        self.images[box] = pixels
        self.times[box] += 1
        return pixels.nbytes


@contextmanager
def planned(path, settings):
    """The decisions for an image that stays open in the context."""
    with Input.open(str(path)) as opened:
        yield prepare(str(path), opening.open_input(opened), settings)[0][0]


def whole(task):
    """The pixels and facts of the whole image, as `apply` computes them."""
    separate = len(task.targets)
    sinks = [MemorySink(task.layout) for _ in range(separate)]
    colors = colors_of(task.colormap)
    shared = sinks * (task.plan.outcome.maps // separate)
    maps = feature_maps(task.plan, task.opened.reader(), task.color_handling, task.mapping, shared, colors)
    return [sink.images for sink in sinks], maps


def in_pieces(task, shard, piece, group=None):
    """The same, from pieces in any order."""
    layout = task.layout
    grid = Grid((layout.frames, layout.rows, layout.columns), shard, piece, group or layout.frames)
    targets = [MemoryTarget(layout) for _ in task.targets]
    runner = PieceRunner(task, task.opened.reader(), grid, targets, 1)
    numbers = np.random.default_rng(1).permutation(grid.count).tolist()
    maps, mappings = task.plan.outcome.maps, [task.mapping] * task.plan.outcome.maps
    outcome = runner.outcome
    ranges = None
    if task.mapping.needs_range:
        ranges = totals(maps, map(runner.range, numbers)).counters
        mappings = [
            ranged(task.plan, outcome, task.color_handling, index, task.mapping, counter)
            for index, counter in enumerate(ranges)
        ]
    done = totals(maps, (runner.map(number, mappings) for number in numbers))
    for target in targets:
        assert (target.times == 1).all()
    return [target.images for target in targets], done, ranges or done.counters


def totals(maps, pieces):
    """Facts as they arrive from workers, some of them twice."""
    total = Totals(maps)
    for facts in pieces:
        sent = json.dumps(facts.to_json())
        total.add(Facts.of_json(json.loads(sent)))
        total.add(facts)
    return total


FILLS = ("zero", "edge", "reflect", "symmetric", "wrap", "ignore", "7", "-3.5")
AVERAGES = ("box3", "gaussian:1.5", "motion:9")
"""Kernels whose weights have an average where some pixels are left out."""
KERNELS = ("box3", "gaussian:1.5", "sobel-x", "sobel", "laplacian8", "motion:9", "emboss")


def check(task, **pieces):
    """Pixels, ranges and counts of the pieces are those of the whole."""
    expected, maps = whole(task)
    images, done, ranges = in_pieces(task, **pieces)
    for image, own in zip(images, expected, strict=True):
        assert np.array_equal(image, own, equal_nan=image.dtype.kind == "f")
    for index, (map_, counter, range_) in enumerate(zip(maps, done.counters, ranges, strict=True)):
        outcome = colors_outcome(task.plan, task.color_handling)
        low, high = range_.values(outcome, index)
        assert str((map_.low, map_.high)) == str((low, high))
        assert (map_.below, map_.above) == (counter.below, counter.above)
        assert (map_.nan + map_.infinite) == range_.nan + range_.infinite
        assert (map_.undefined, map_.taken) == (counter.undefined, counter.taken)
        assert (map_.nan_pixels, map_.ignored_pixels) == (done.nan_pixels, done.ignored_pixels)


@pytest.fixture(scope="module")
def images(tmp_path_factory):
    """Random images of several types, as files."""
    folder, random = tmp_path_factory.mktemp("images"), np.random.default_rng(0)
    shapes = {
        "gray8": random.integers(0, 256, (61, 83), np.uint8),
        "gray16": random.integers(0, 65536, (61, 83), np.uint16),
        "rgb": random.integers(0, 256, (61, 83, 3), np.uint8),
        "rgba": random.integers(0, 256, (61, 83, 4), np.uint8),
        "int32": random.integers(-(2**31), 2**31, (61, 83), np.int32),
        "float": random.normal(size=(61, 83)).astype(np.float32),
    }
    holes = shapes["float"].copy()
    holes[10:20, 30:44] = np.nan
    shapes["holes"] = holes
    for name, pixels in shapes.items():
        np.save(folder / f"{name}.npy", pixels)
    return folder


@pytest.mark.parametrize(
    ("kernel", "fill"),
    [(kernel, fill) for kernel in KERNELS for fill in FILLS if fill != "ignore" or kernel in AVERAGES],
)
def test_every_kernel_and_fill(images, kernel, fill):
    """Exact sums: the same bytes and facts, also where windows reach into several pieces."""
    for name in ("gray8", "rgb"):
        settings = Settings(load_kernel(kernel), padding=Padding.parse(f"same:{fill}"))
        with planned(images / f"{name}.npy", settings) as task:
            check(task, shard=(1, 8, 16), piece=(1, 24, 32))


OPTIONS = {
    "stride": ("gray16", {"stride": (3, 2)}),
    "large stride": ("gray8", {"stride": (11, 17)}),
    "dilation": ("gray16", {"dilation": (4, 3)}),
    "valid": ("gray8", {"padding": Padding.parse("valid")}),
    "full": ("gray8", {"padding": Padding.parse("full:wrap")}),
    "outside": ("gray8", {"padding": Padding.parse("70,3,90,2:symmetric")}),
    "far outside": ("gray8", {"padding": Padding.parse("200,3,9,300:7")}),
    "flip": ("gray8", {"flip": True}),
    "gray": ("rgb", {"channels": "gray"}),
    "sum": ("rgb", {"channels": "sum"}),
    "alpha filtered": ("rgba", {"alpha": "filter"}),
    "alpha filtered, opaque fill": ("rgba", {"alpha": "filter", "padding": Padding.parse("same:9")}),
    "alpha kept": ("rgba", {"alpha": "keep"}),
    "alpha kept, full": ("rgba", {"alpha": "keep", "padding": Padding.parse("full:5"), "stride": (2, 3)}),
    "alpha kept, wrap": ("rgba", {"alpha": "keep", "padding": Padding.parse("full:wrap")}),
    "linear": ("rgb", {"linear": True}),
    "linear, fill": ("rgba", {"linear": True, "padding": Padding.parse("same:100")}),
    "signed": ("gray16", {"mapping": Mapping("signed")}),
    "stretch": ("int32", {"mapping": Mapping("stretch")}),
    "abs": ("gray16", {"mapping": Mapping("abs")}),
    "raw": ("int32", {"mapping": Mapping("raw")}),
    "16 bits": ("gray8", {"depth": "16"}),
    "float": ("float", {"method": "shift"}),
    "ranges of floats": ("float", {"method": "shift", "mapping": Mapping("stretch")}),
    "NaN": ("holes", {"method": "shift"}),
    "ignore NaN": ("holes", {"ignore": Ignore()}),
    "ignore NaN, kept": ("holes", {"ignore": Ignore(keep=True), "padding": Padding.parse("full:edge")}),
    "ignore a value": ("gray8", {"ignore": Ignore(Fraction(9)), "stride": (7, 9)}),
    "nodata": ("gray8", {"nodata": Nodata.parse("9")}),
    "nodata, full": ("gray8", {"nodata": Nodata.parse("9"), "padding": Padding.parse("full:wrap")}),
    "nodata, stride": ("gray8", {"nodata": Nodata.parse("9"), "stride": (3, 2), "dilation": (2, 3)}),
    "nodata, range": ("gray8", {"nodata": Nodata.parse("9"), "mapping": Mapping("stretch")}),
    "nodata of floats": ("holes", {"nodata": Nodata.parse("nan"), "steady": True}),
    "nodata of floats, range": (
        "holes",
        {"nodata": Nodata.parse("nan"), "steady": True, "mapping": Mapping("stretch")},
    ),
    "nodata of colors": ("rgb", {"nodata": Nodata.parse("9"), "channels": "sum"}),
    "nodata, ignore outside": (
        "gray8",
        {"nodata": Nodata.parse("9"), "padding": Padding.parse("full:ignore")},
    ),
    "nodata, alpha kept": ("rgba", {"nodata": Nodata.parse("9"), "alpha": "keep"}),
    "ignore outside": ("rgba", {"padding": Padding.parse("full:ignore"), "alpha": "filter"}),
    "normalize": ("rgb", {"normalize": Normalization.parse("imagenet"), "padding": Padding.parse("same:4")}),
    "colors": ("gray8", {"colormap": "viridis"}),
    "wheel": ("gray8", {"colormap": "wheel"}),
    "maps": ("gray8", {"stack": True}),
}
"""Options, and an image that they are tried with."""


@pytest.mark.parametrize("option", OPTIONS)
def test_every_option(images, option):
    """The same bytes, ranges and counts for everything that changes how a map is computed or shown."""
    name, fields = OPTIONS[option]
    averages_only = "ignore" in option or "filtered" in option
    for kernel in ("gaussian:1.5", "motion:9", *([] if averages_only else ["sobel-x"])):
        loaded = load_kernel(kernel)
        if option == "wheel":
            loaded = combined(load_kernel("sobel"), "angle")
        if option == "maps":
            loaded = combined(load_kernel("sobel"), "stack")
        with planned(images / f"{name}.npy", Settings(loaded, **fields)) as task:
            check(task, shard=(1, 8, 16), piece=(1, 24, 32))
            check(task, shard=(1, 7, 5), piece=(1, 14, 100))
