"""``--nodata``: pixels without data are left out, against a slow loop over fractions."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction

import numpy as np
import pytest
import tifffile

import convcli
from convcli.geometry.padding import Padding
from convcli.pipeline.job import apply
from convcli.pipeline.mapping import Mapping
from convcli.pipeline.naming import OutputSpec
from convcli.pipeline.nodata import Nodata, stored_value
from convcli.pipeline.settings import Settings

EPSILON = 1e-6
RNG = np.random.default_rng(11)
HOLES = RNG.random((23, 31)) < 0.1
HOLES[4:10, 8:15] = True


def written(path, pixels, nodata=None, **options):
    """A TIFF with GDAL's nodata tag, and its name."""
    tags = [] if nodata is None else [(42113, 2, 0, str(nodata), True)]
    kind = {"photometric": "rgb" if pixels.shape[2:] in ((3,), (4,)) else "minisblack"} | options
    tifffile.imwrite(path, pixels, metadata=None, extratags=tags, **kind)
    return path


@dataclass
class Windows:
    """The windows of a slow loop: weights as integers, ``scale`` for each, and where they lie."""

    taps: np.ndarray
    scale: Fraction
    stride: tuple[int, int]
    dilation: tuple[int, int]
    pads: list[list[int]]
    fill: str
    """A number, "ignore", or NumPy's name of a padding."""

    def padded(self, values, outside):
        """An array with its padding; ``outside`` is the constant."""
        if self.fill == "ignore" or self.fill.isdigit():
            return np.pad(values, self.pads, constant_values=outside)
        return np.pad(values, self.pads, mode=self.fill)

    def results(self, pixels, missing, strict=False):
        """Per window: None without data at its center, else S · Σ w·x / Σ w over pixels with data.

        Args:
            pixels, missing: (rows, columns).
            strict: a window over any missing pixel gives None.

        Returns:
            (rows, columns) of fractions and None, and which windows have all data.
        """
        constant = int(self.fill) if self.fill.isdigit() else 0
        x = self.padded(np.where(missing, 0, pixels).astype(object), constant)
        gone, left_out = self.padded(missing, False), self.padded(missing, self.fill == "ignore")
        span = [(n - 1) * d + 1 for n, d in zip(self.taps.shape, self.dilation, strict=True)]
        sizes = [(n - k) // s + 1 for n, k, s in zip(x.shape, span, self.stride, strict=True)]
        found, full = np.empty(sizes, object), np.ones(sizes, bool)
        whole = Fraction(int(self.taps.sum())) * self.scale
        for at in np.ndindex(*sizes):
            first = [index * step for index, step in zip(at, self.stride, strict=True)]
            part = tuple(
                slice(start, start + length, step)
                for start, length, step in zip(first, span, self.dilation, strict=True)
            )
            center = gone[tuple(start + (n - 1) // 2 for start, n in zip(first, span, strict=True))]
            weights = np.where(left_out[part], 0, self.taps)
            full[at] = not center and np.array_equal(weights, self.taps)
            products, total = Fraction((weights * x[part]).sum()), int(weights.sum())
            if strict:
                found[at] = products * self.scale if full[at] else None
            else:
                found[at] = whole * products / total if total and not center else None
        return found, full


@pytest.mark.parametrize("seed", range(60))
def test_every_geometry(tmp_path, seed):
    """Any stride, dilation, padding, direction and type: as the loop says; full windows as without it."""
    rng = np.random.default_rng(seed)
    dtype = np.dtype(rng.choice(["u1", "i2", "u2", "f4", "f8"]))
    strict = bool(rng.integers(2))
    fill = rng.choice(["0", "3", "edge", "wrap", "reflect", *([] if strict else ["ignore"])])
    image = rng.integers(0, 60, rng.integers(6, 14, 2)).astype(dtype)
    missing = rng.random(image.shape) < rng.choice([0.03, 0.4])
    value = {"u": 200, "i": -9999}.get(dtype.kind, rng.choice([-9999.0, np.nan]))
    image[missing] = value
    least = -3 if strict else 0
    kernel = convcli.Kernel(rng.integers(least, 4, rng.integers(1, 6, 2)) + np.eye(1), scale="1/7", bias=2)
    stride, dilation, pads = rng.integers(1, 4, 2), rng.integers(1, 3, 2), rng.integers(0, 4, (2, 2))
    pads = np.minimum(pads, 2) if fill in ("wrap", "reflect") else pads
    extent = [(n - 1) * d + 1 for n, d in zip(kernel.shape, dilation, strict=True)]
    if any(e > n + p.sum() for e, n, p in zip(extent, image.shape, pads, strict=True)):
        pytest.skip("the window does not fit")
    flip, taps = bool(rng.integers(2)), np.asarray(kernel.exact.numerators)
    source = written(tmp_path / "in.tif", image, value)
    results = []
    for choice in ("auto", "none"):
        out = tmp_path / f"{choice}.tif"
        settings = Settings(
            kernel,
            stride=tuple(stride.tolist()),
            dilation=tuple(dilation.tolist()),
            padding=Padding.parse(f"{','.join(map(str, pads.ravel()))}:{fill}"),
            flip=flip,
            mapping=Mapping("raw"),
            output=OutputSpec(str(out)),
            nodata=Nodata.parse(choice),
        )
        apply(str(source), settings)
        results.append(tifffile.imread(out))
    found, plain = results
    windows = Windows(
        taps[::-1, ::-1] if flip else taps,
        Fraction(1, kernel.exact.denominator),
        stride,
        dilation,
        pads.tolist(),
        fill,
    )
    due, full = windows.results(image, missing, strict=bool((taps < 0).any() or not taps.sum()))
    assert found.shape == due.shape
    values = np.array([value if d is None else float(d + 2) for d in due.ravel()]).reshape(due.shape)
    assert np.allclose(found, values, rtol=EPSILON, atol=EPSILON, equal_nan=True)
    empty = np.array([d is None for d in due.ravel()]).reshape(due.shape)
    written_value = np.asarray(stored_value(float(value), found.dtype))
    assert np.array_equal(found[empty], np.full(empty.sum(), written_value), equal_nan=True)
    if fill != "ignore":
        assert np.array_equal(found[full & ~empty], plain[full & ~empty], equal_nan=True)
