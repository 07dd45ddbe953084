"""Arrays that contradict each other are errors of Python: nothing is read or written outside them."""

from __future__ import annotations

from itertools import product
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import convcli
from convcli.engine import native as engine
from convcli.engine.methods import fft
from convcli.native import loader
from tests.conftest import forget_plans

pytestmark = pytest.mark.skipif(loader.extension() is None, reason="the compiled extension is not in use")

RESULTS = {"strip": 10, "tiles": 2}
"""The index of the result among the arguments of each function."""

REFUSED = (ValueError, TypeError, MemoryError, BufferError)
EDGES = [-(2**63), -(2**31), -2, -1, 0, 1, 2, 3, 7, 8, 2**31, 2**44, 2**62, 2**63 - 1]
PIXELS = np.random.default_rng(4).integers(0, 256, (23, 29), np.uint8)
SMOOTH = np.outer([1, 3, 1], [1, 4, 2])
LAYER = np.arange(30).reshape(2, 3, 1, 5)
CALLS: dict[str, tuple[str, np.ndarray, Any, dict[str, Any]]] = {
    "direct": ("strip", PIXELS, [[0, 2, 1], [1, 0, 3]], {"padding": "same:edge"}),
    "dense": ("strip", PIXELS, [[1, 2, 1], [3, 4, 5], [1, 7, 3]], {"padding": "full:wrap"}),
    "strided": ("strip", PIXELS, [[1, 2, 1], [3, 4, 5]], {"stride": (3, 2), "padding": "same:9"}),
    "floats": ("strip", PIXELS.astype(np.float32), [[0.3, 0.1]], {"padding": "same:reflect"}),
    "layer": ("strip", PIXELS[..., None], LAYER, {"padding": "same", "channels": "last"}),
    "separable": ("strip", PIXELS, SMOOTH, {"stride": 2, "method": "separable"}),
    "box": ("strip", PIXELS, np.ones((5, 4), int), {"dtype": np.int16, "method": "box"}),
    "fft": ("tiles", PIXELS, [[1, 2], [3, 4]], {"method": "fft"}),
    "fft in float32": (
        "tiles",
        PIXELS.astype(np.float32)[..., None],
        LAYER,
        {"method": "fft", "channels": "last"},
    ),
}
"""The function, and a call of `convcli.conv` that uses it."""


class Recorder:
    """Stands for the extension, and keeps the arguments of each call of a function."""

    def __init__(self, function: str) -> None:
        self.function = function
        self.calls: list[tuple[Any, ...]] = []

    def __getattr__(self, name: str) -> Any:
        def call(*arguments: Any) -> None:
            if name == self.function:
                self.calls.append(arguments)
            getattr(loader.extension(), name)(*arguments)

        return call


@pytest.fixture(scope="module")
def recorded() -> dict[str, tuple[Any, ...]]:
    """The arguments of a valid call of each kind."""
    calls = {}
    for name, (function, x, weights, options) in CALLS.items():
        recorder = Recorder(function)
        with pytest.MonkeyPatch.context() as patch:
            for module in (engine, fft):
                patch.setattr(module, "extension", lambda recorder=recorder: recorder)
            forget_plans()
            convcli.conv(x, weights, **{"method": "direct", **options})
        forget_plans()
        assert recorder.calls, f"{name} is computed by the extension"
        calls[name] = recorder.calls[0]
    return calls


def accepted(name: str, arguments: Any) -> bool:
    """Whether the extension computes something; all that it may do otherwise is to raise."""
    try:
        getattr(loader.extension(), CALLS[name][0])(*arguments)
    except REFUSED:
        return False
    return True


def is_table(array: Any) -> bool:
    """Whether it holds integers that can be edited."""
    return isinstance(array, np.ndarray) and array.dtype.kind in "iu" and array.size > 0


def edited(array: np.ndarray, data: st.DataObject) -> np.ndarray:
    """One number replaced by an extreme one, or by a neighbor."""
    flat, ends = array.copy().ravel(), np.iinfo(array.dtype)
    index = data.draw(st.integers(0, flat.size - 1))
    near = st.integers(-9, 9).map(lambda step: int(flat[index]) + step)
    flat[index] = min(max(data.draw(st.sampled_from(EDGES) | near), int(ends.min)), int(ends.max))
    return flat.reshape(array.shape)


def others(array: Any) -> list[Any]:
    """Other arguments in the place of one."""
    found: list[Any] = [None, 0, b"", b"12345678", np.zeros(3), np.zeros((0, 3), np.int64), "text"]
    if isinstance(array, np.ndarray) and array.dtype.kind != "c":
        found += [
            array[:0],
            array[1:],
            array[:-1],
            np.repeat(array, 2, 0),
            array[None],
            array.ravel(),
            array[::-1],
        ]
        with np.errstate(all="ignore"):
            found += [
                array.astype(kind) for kind in ("u1", "i2", "i8", "u8", "f4", "f8", "c8", "f2", ">i8", "?")
            ]
        found += [np.frombuffer(b"\0" + array.tobytes(), array.dtype, offset=1).reshape(array.shape)]
        found += [
            array[..., :-1],
            np.repeat(array, 2, 0),
            np.broadcast_to(array[:1], array.shape),
            np.ma.masked_array(array),
        ]
    return found


@pytest.mark.parametrize("name", CALLS)
@given(data=st.data())
def test_changed_arguments_never_crash(name, recorded, data):
    """One to three arguments are exchanged or edited; mostly single numbers."""
    arguments = list(recorded[name])
    result = RESULTS[CALLS[name][0]]
    arguments[result] = np.zeros_like(arguments[result])
    for _ in range(data.draw(st.integers(1, 3))):
        index = data.draw(st.integers(0, len(arguments) - 1))
        if is_table(arguments[index]) and data.draw(st.integers(0, 3)):
            arguments[index] = edited(arguments[index], data)
        else:
            choices = others(arguments[index])
            arguments[index] = choices[data.draw(st.integers(0, len(choices) - 1))]
    accepted(name, arguments)


@pytest.mark.parametrize("name", CALLS)
def test_every_number_of_every_table(name, recorded):
    """Each one in turn becomes extreme; valid calls stay valid."""
    assert accepted(name, recorded[name])
    for index, array in enumerate(recorded[name]):
        if not is_table(array) or array.size > 200 or array.itemsize < 8:
            continue
        arguments = list(recorded[name])
        for place, number in product(range(array.size), EDGES):
            arguments[index] = array.copy()
            arguments[index].reshape(-1)[place] = number
            accepted(name, arguments)


@pytest.mark.parametrize("name", CALLS)
def test_the_number_of_arguments(name, recorded):
    """None too few and none too many."""
    for arguments in ([], recorded[name][:-1], [*recorded[name], None]):
        with pytest.raises((TypeError, ValueError)):
            getattr(loader.extension(), CALLS[name][0])(*arguments)


@pytest.mark.parametrize("name", [name for name, call in CALLS.items() if call[0] == "strip"])
def test_what_is_wrong_is_said(name, recorded):
    """The error names the condition, or the type."""
    arguments = list(recorded[name])
    for index, words in ((5, "counts->rows"), (6, "counts->depths"), (9, "counts->constants")):
        longer = [*arguments[:index], np.repeat(arguments[index], 2, 0), *arguments[index + 1 :]]
        with pytest.raises(ValueError, match=words):
            loader.extension().strip(*longer)
    with pytest.raises(TypeError, match="not supported"):
        loader.extension().strip(*arguments[:4], arguments[4].astype(complex), *arguments[5:])
    with pytest.raises(ValueError, match="axes; expected 5"):
        loader.extension().strip(*arguments[:4], arguments[4][0], *arguments[5:])


@pytest.mark.parametrize("name", ["", "avx", None, 3, b"AVX2"])
def test_unknown_instruction_sets(name):
    """None is the best one; anything else that is no name of `instruction_sets` is refused."""
    native = loader.extension()
    try:
        if name is None:
            assert native.use(name) == native.instruction_sets()[0]
        else:
            with pytest.raises(ValueError, match="is not an instruction set that this processor has"):
                native.use(name)
    finally:
        native.use(loader.instruction_set())
