"""Settings as JSON: every field comes back as it was, or is refused by name."""

from __future__ import annotations

import json
from fractions import Fraction

import numpy as np
import pytest

from convcli.core.errors import ArgumentError
from convcli.core.frozen import contents, replace
from convcli.formats.header import Coding
from convcli.geometry.padding import Padding
from convcli.jobs.settings_json import (
    mapping_of_json,
    mapping_to_json,
    number_of_json,
    number_to_json,
    settings_of_json,
    settings_to_json,
)
from convcli.kernels.bank import combined
from convcli.kernels.kernel import Kernel
from convcli.kernels.library import load_kernel
from convcli.layers.stage_text import parse_stage
from convcli.pipeline.fingerprint import fingerprint
from convcli.pipeline.ignore import Ignore
from convcli.pipeline.mapping import Mapping
from convcli.pipeline.naming import OutputSpec
from convcli.pipeline.nodata import Nodata
from convcli.pipeline.normalization import Normalization
from convcli.pipeline.settings import Settings

OWN = {"force": True, "threads": 3, "max_pixels": 5, "max_memory": 7}
"""Fields that belong to the process, which stay behind."""

REFUSED = ("then", "transposed", "network")
"""Fields with values that no piece can apply."""

VALUES = {
    "stride": [(2,), (3, 2), (1, 2, 3)],
    "padding": [
        Padding.parse(text) for text in ("valid", "full:wrap", "3,0,1,2:7", "same:-3.5", "same:ignore")
    ],
    "dilation": [(2,), (3, 2)],
    "flip": [True],
    "output_padding": [(1, 0)],
    "channels": ["each", "gray", "sum"],
    "groups": [2],
    "mapping": [
        Mapping.parse(text) for text in ("raw", "abs", "signed", "stretch", "stretch:0.1,1/3", "clip")
    ],
    "output": [OutputSpec("out.zarr"), OutputSpec("{stem}/{kernel}.zarr", "zarr"), OutputSpec(None, "zarr")],
    "double": [True],
    "method": ["shift"],
    "steady": [True],
    "alpha": ["keep", "drop", "filter"],
    "ignore": [Ignore(), Ignore(Fraction(1, 3)), Ignore(keep=True)],
    "linear": [True],
    "normalize": [Normalization.parse("imagenet")],
    "depth": ["8", "16", "float"],
    "strip": [True],
    "frames": [slice(1, 5), slice(None, 7), slice(2, None), slice(0, 9, 2)],
    "stack": [True],
    "colormap": ["viridis"],
    "coding": [Coding(quality=50), Coding(small=True)],
    "notes": [("a", "b")],
    "axes": ["c=0,z=3..9"],
    "level": [2],
    "hdu": ["SCI,2"],
    "nodata": [Nodata.parse(text) for text in ("none", "-9999", "nan", "1e20", "-3.4028235e38")],
}
"""Values of each field that are not its default."""

KERNELS = {
    "exact": load_kernel("gaussian5"),
    "irrational": load_kernel("gaussian:1.5"),
    "bank": load_kernel("kirsch"),
    "combined": combined(load_kernel("sobel"), "angle"),
    "bias": Kernel([[1, 2, 3]], bias=Fraction(1, 3), name="biased"),
    "float bias": Kernel([[0.1, 0.2]], bias=0.1, name="x"),
    "volume": load_kernel("box:3x3x3"),
}


def there_and_back(settings):
    """Settings that went through JSON."""
    return settings_of_json(json.loads(json.dumps(settings_to_json(settings))))


def test_every_field_is_known():
    """A new field has values here, or is listed as one that stays behind or is refused."""
    fields = set(contents(Settings(KERNELS["exact"]))) - {"kernel"}
    assert fields <= set(VALUES) | set(OWN) | set(REFUSED)


def cases():
    fields = contents(Settings(KERNELS["exact"]))
    return [(name, value) for name, values in VALUES.items() if name in fields for value in values]


@pytest.mark.parametrize(("name", "value"), cases(), ids=str)
def test_every_field(name, value):
    """The same value, and the same fingerprint; other fields keep their defaults."""
    settings = replace(Settings(KERNELS["exact"]), **{name: value})
    again = there_and_back(settings)
    assert repr(getattr(again, name)) == repr(value)
    assert fingerprint(again) == fingerprint(settings)
    without = contents(again).keys() - {"kernel", name}
    defaults = contents(Settings(KERNELS["exact"]))
    assert all(getattr(again, other) == defaults[other] for other in without)


@pytest.mark.parametrize("name", KERNELS)
def test_every_kind_of_kernel(name):
    """The same weights to the last bit, biases, name and combination."""
    settings = Settings(KERNELS[name])
    again = there_and_back(settings)
    assert fingerprint(again) == fingerprint(settings)
    assert np.array_equal(again.kernel.weights, settings.kernel.weights)
    assert again.kernel.biases == settings.kernel.biases
    assert (again.kernel.name, again.kernel.combine) == (settings.kernel.name, settings.kernel.combine)


def test_what_stays_behind():
    """Limits and threads are those of the worker's process."""
    again = there_and_back(replace(Settings(KERNELS["exact"]), **OWN))
    assert {name: getattr(again, name) for name in OWN} == {
        "force": False,
        "threads": None,
        "max_pixels": None,
        "max_memory": None,
    }


@pytest.mark.parametrize(
    ("option", "change"),
    [
        ("--then", {"then": (parse_stage("relu", load_kernel),)}),
        ("--transposed", {"transposed": True}),
        ("--map stretch:1%,99%", {"mapping": Mapping.parse("stretch:1%,99%")}),
    ],
)
def test_what_is_refused(option, change):
    """By the name of the option."""
    with pytest.raises(
        ArgumentError, match="cannot be used for an image that is filtered in pieces"
    ) as caught:
        settings_to_json(replace(Settings(KERNELS["exact"]), **change))
    assert str(caught.value).startswith(option)


@pytest.mark.parametrize("number", [0, 7, -(10**30), Fraction(1, 3), 0.1, -0.0, 5e-324, 1e308, float("inf")])
def test_numbers(number):
    """Nothing is rounded."""
    again = number_of_json(json.loads(json.dumps(number_to_json(number))))
    assert again == number
    assert str(float(again)) == str(float(number))


@pytest.mark.parametrize("mapping", [Mapping("stretch", 0.1, Fraction(1, 3)), Mapping("signed", -5, 5)])
def test_mappings_with_ranges(mapping):
    """As a first pass finds them."""
    assert mapping_of_json(json.loads(json.dumps(mapping_to_json(mapping)))) == mapping
