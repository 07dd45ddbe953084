"""Fingerprints of settings: pinned values, what changes them, and what does not."""

from __future__ import annotations

import json
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from convcli.core.frozen import replace
from convcli.formats.header import Coding
from convcli.geometry.padding import Padding
from convcli.kernels.kernel import Kernel, Layer
from convcli.kernels.library import load_kernel
from convcli.pipeline.fingerprint import FIELDS, IGNORED, fingerprint, settings_text
from convcli.pipeline.mapping import Mapping
from convcli.pipeline.naming import OutputSpec
from convcli.pipeline.settings import Settings
from tests.conftest import SAMPLES, Run

BOX = Settings(load_kernel("box3"))
BOX_TEXT = """convcli settings
kernel 'box3'
weights int64/9 3x3 df070c0849900928e1e85833cce32020c89d2303a9e960510c3c3b79746448b7
bias 0
combine -
"""


def test_a_fingerprint_is_pinned():
    """Renaming or moving code changes neither; where this has to change, raise `REVISION`."""
    assert settings_text(BOX) == BOX_TEXT
    assert fingerprint(BOX) == "3-b1aae6854a3f6db7"


def test_every_setting_is_in_the_text_or_ignored_on_purpose():
    """A new field of `Settings` needs a line with the text of its default, which is then left out."""
    assert {"kernel", *FIELDS, *IGNORED} == set(Settings.__match_args__)
    assert [name for name, (text, implied) in FIELDS.items() if text(BOX) != implied] == []


CHANGES = {
    "stride": (2, 1),
    "padding": Padding.parse("1,2,3,4:0.5"),
    "dilation": (3, 3),
    "flip": True,
    "channels": "each",
    "groups": 2,
    "mapping": Mapping.parse("stretch:1%,99%"),
    "output": OutputSpec("{stem}.tif"),
    "double": True,
    "method": "fft",
    "alpha": "drop",
    "linear": True,
    "depth": "16",
    "strip": True,
    "frames": slice(1, None, 2),
    "stack": True,
    "colormap": "viridis",
    "coding": Coding(quality=80, small=True),
}


def test_each_setting_is_a_line_of_its_own():
    """The text says every setting in full, by its value alone."""
    text = settings_text(replace(BOX, **CHANGES))
    assert text == BOX_TEXT + (
        "stride 2,1\npadding 1,2 3,4 constant 0.5\ndilation 3,3\nflip yes\nchannels each\ngroups 2\n"
        "mapping stretch -,- 1,99\noutput tiff\ndouble yes\nmethod fft\nalpha drop\nlinear yes\ndepth 16\n"
        "strip yes\nframes 1,-,2\nstack yes\ncolormap viridis\ncoding 80 yes\n"
    )
    assert len({fingerprint(replace(BOX, **{name: value})) for name, value in CHANGES.items()}) == len(
        CHANGES
    )


@pytest.mark.parametrize(
    "kernel",
    [
        Kernel([[1, 1, 1]] * 3, name="box3"),
        Kernel([[1, 1, 1]] * 3, scale=Fraction(1, 9), name="other"),
        Kernel([[1 / 9] * 3] * 3, name="box3"),
        Kernel([[1] * 9], scale=Fraction(1, 9), name="box3"),
        Kernel([[1, 1, 1]] * 3, scale=Fraction(1, 9), name="box3", bias=1),
        Kernel([[1, 1, 1]] * 3, scale=Fraction(1, 9), name="box3", combine="l2"),
        Kernel([[1, 1, 1]] * 3, scale=Fraction(1, 9), name="box3", layer=Layer("", bias=(Fraction(1, 3),))),
    ],
)
def test_whatever_a_kernel_computes_changes_the_fingerprint(kernel):
    """Weights, their exactness and shape, both kinds of bias, the combination; and the name."""
    assert fingerprint(Settings(kernel)) != fingerprint(BOX)


def test_what_changes_no_byte_changes_no_fingerprint():
    """Threads, limits, notes, and where in a folder the result goes; a single step is that of both axes."""
    same = replace(
        BOX,
        threads=3,
        max_pixels=1,
        max_memory=1,
        force=True,
        notes=("a",),
        stride=(1,),
        output=OutputSpec("o/"),
    )
    assert fingerprint(same) == fingerprint(BOX)


def manifest_of(run: Run, tmp_path: Path, form: str, *options: object) -> tuple[list[object], Path]:
    """Run a batch, and return its words and its manifest."""
    log = tmp_path / f"log.{form}"
    words = ["batch", SAMPLES / "scene.png", tmp_path / "out", "-k", "box3", "--report", log]
    assert run(*words, *options).code == 0
    return words, log


@pytest.mark.parametrize("form", ["jsonl", "csv"])
def test_rows_of_another_version_are_made_again_for_a_stated_reason(run, tmp_path, form):
    """Versions before the fingerprints had a revision hashed Python's notation of the settings."""
    words, log = manifest_of(run, tmp_path, form)
    log.write_text(log.read_text().replace(fingerprint(BOX), "fbf2281128c915b2"))
    ran = run(*words, "--resume")
    assert "1 result to redo (made by a version of convcli whose results may differ: 1)\n" in ran.err
    assert "1 done, 0 skipped" in ran.err
    assert "0 done, 1 skipped" in run(*words, "--resume").err


@pytest.mark.parametrize("form", ["jsonl", "csv"])
def test_exact_results_are_up_to_date_whatever_the_method(run, tmp_path, form):
    """The plan that a row records was exact, so no method gives other bytes; the rows stay as they are."""
    words, log = manifest_of(run, tmp_path, form, "--method", "shift")
    before = log.read_text().splitlines()[1:]
    for method in ("auto", "separable", "shift"):
        assert "0 done, 1 skipped" in run(*words, "--method", method, "--resume").err
        assert log.read_text().splitlines()[1:] == before
    assert "settings differ: 1" in run(*words, "--method", "fft", "--bias", 1, "--resume").err


@pytest.mark.parametrize("form", ["jsonl", "csv"])
def test_rounded_results_are_made_again_by_another_method(run, tmp_path, form):
    """Sums of floats depend on the order of adding."""
    np.save(tmp_path / "a.npy", np.random.default_rng(1).random((9, 8, 1), np.float32))
    log = tmp_path / f"log.{form}"
    words = ["batch", tmp_path / "a.npy", tmp_path / "out", "-k", "gaussian:1", "--report", log]
    assert run(*words).code == 0
    assert "settings differ: 1" in run(*words, "--method", "separable", "--resume").err
    assert "0 done, 1 skipped" in run(*words, "--method", "separable", "--resume").err


def test_options_in_a_manifest_do_not_name_classes(run, tmp_path):
    """Options are shown as the command line takes them."""
    _, log = manifest_of(run, tmp_path, "jsonl", "--png", "small", "--frames", "0:3", "--stride", 2)
    (recipe,) = json.loads(log.read_text().splitlines()[0])["manifest"]["settings"].values()
    assert recipe["options"] == {"stride": "(2, 2)", "frames": "0:3", "coding": "png small"}
