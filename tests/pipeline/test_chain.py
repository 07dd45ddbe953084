"""Chains of stages on images: values, alpha, frames, files and messages."""

from __future__ import annotations

import json

import numpy as np
import pytest

import convcli
from convcli.layers.loaded import LoadedStage
from convcli.layers.stage_text import parse_stage
from convcli.pipeline.fingerprint import fingerprint
from convcli.pipeline.options import FilterOptions
from convcli.pipeline.resolving import settings_of
from tests.conftest import SAMPLES
from tests.formats.test_frames import encoded, film, read

STAGES = ("laplacian8,stride=2", "relu", "maxpool3x3,stride=2,padding=1")


def then(*stages: str) -> list[str]:
    return [word for stage in stages for word in ("--then", stage)]


def pixels(name: str) -> np.ndarray:
    return read((SAMPLES / name).read_bytes())[0]


def by_hand(image: np.ndarray) -> np.ndarray:
    """What `STAGES` make of (rows, columns, channels) after gaussian5, as float64."""
    x = convcli.conv(image, "gaussian5", channels="last", padding="same:reflect", dtype=float)
    x = convcli.conv(x, "laplacian8", channels="last", stride=2, padding="same:reflect", dtype=float)
    x = np.maximum(x, 0)
    padded = np.pad(x, ((1, 1), (1, 1), (0, 0)), constant_values=-np.inf)
    windows = np.lib.stride_tricks.sliding_window_view(padded, (3, 3), (0, 1))[::2, ::2]
    return windows.max((-2, -1))


@pytest.mark.parametrize("name", ["scene.png", "color.png", "depth16.png"])
def test_raw_chains_are_what_separate_steps_give(run, tmp_path, name):
    """Gray and RGB, 8 and 16 bits: exactly the values of arrays that are filtered step by step."""
    out = tmp_path / "out.npy"
    done = run("apply", SAMPLES / name, "-k", "gaussian5", *then(*STAGES), "--map", "raw", "-o", out)
    assert done.code == 0, done.err
    expected = by_hand(pixels(name)).astype(np.float32)
    assert np.array_equal(np.load(out).reshape(expected.shape), expected)


def test_every_frame_is_filtered(run, tmp_path):
    """Each frame of an animation by itself, whatever the threads."""
    frames = film(1, rows=40, columns=30)
    source = tmp_path / "in.png"
    source.write_bytes(encoded("png", frames))
    for threads in ("1", "2"):
        out = tmp_path / f"{threads}.npy"
        ran = run(
            "apply",
            source,
            "-k",
            "gaussian5",
            *then(*STAGES),
            "--map",
            "raw",
            "--threads",
            threads,
            "-o",
            out,
        )
        assert ran.code == 0, ran.err
        expected = np.stack([by_hand(frame) for frame in frames]).astype(np.float32)
        assert np.array_equal(np.load(out).reshape(expected.shape), expected)


def test_averages_filter_alpha_and_other_chains_keep_it_at_the_centers(run, tmp_path):
    """Colors are weighted by alpha through averages; otherwise alpha is that at the center of the window."""
    image = pixels("transparent.png")
    out = tmp_path / "out.png"
    ran = run("apply", SAMPLES / "transparent.png", "-k", "box3", *then("gaussian5"), "-o", out)
    whole = tmp_path / "whole.png"
    run("apply", SAMPLES / "transparent.png", "-k", "box3*gaussian5", "-o", whole)
    assert "alpha is filtered too" in ran.text
    assert np.array_equal(read(out.read_bytes())[0][4:-4, 4:-4], read(whole.read_bytes())[0][4:-4, 4:-4])
    ran = run(
        "apply", SAMPLES / "transparent.png", "-k", "box3", *then("relu", "maxpool2x2"), "-o", out, "--force"
    )
    assert "at the center of each window" in ran.text
    # windows of 4 × 4 from −1 on, two apart: the upper left of the middle four pixels
    assert np.array_equal(read(out.read_bytes())[0][..., 3], image[::2, ::2, 3])


def test_results_are_named_after_all_stages(run, tmp_path):
    """The default name lists them, and so do {kernel} and the report."""
    source = tmp_path / "a.png"
    source.write_bytes((SAMPLES / "scene.png").read_bytes())
    ran = run("apply", source, "-k", "box3", *then("relu", "maxpool2x2"), "--report", "line")
    assert (tmp_path / "a.box3.relu.maxpool2x2.png").exists(), ran.err
    assert "box3.relu.maxpool2x2" in ran.text


def test_reports_describe_each_stage(run, tmp_path):
    """Sizes, receptive field, possible range and exactness of each stage, as requested."""
    out = tmp_path / "out.png"
    ran = run(
        "apply", SAMPLES / "scene.png", "-k", "gaussian5", *then(*STAGES), "-o", out, "--report", "json"
    )
    stages = json.loads(ran.text)["stages"]
    assert [stage["kind"] for stage in stages] == ["convolution", "convolution", "activation", "pool"]
    assert [stage["output"]["nhwc"][1] for stage in stages] == [512, 256, 256, 128]
    assert [stage["receptive_field"][0] for stage in stages] == [5, 7, 7, 11]
    assert [stage["jump"][0] for stage in stages] == [1, 2, 2, 4]
    assert [stage["range"] for stage in stages] == [[0, 255], [-2040, 2040], [0, 2040], [0, 2040]]
    assert all(stage["exact"] for stage in stages)


@pytest.mark.parametrize(
    ("stages", "mapping"),
    [
        (["gaussian5"], "clip"),
        (["laplacian8"], "signed"),
        (["gaussian5", "laplacian8", "gaussian5"], "signed"),
        (["laplacian8", "relu"], "stretch"),
        (["relu"], "clip"),
        (["maxpool2x2"], "clip"),
        (["threshold:99"], "stretch:0,1"),
        (["sigmoid"], "stretch:0,1"),
        (["laplacian8", "tanh"], "signed:1"),
    ],
    ids=str,
)
def test_auto_maps_by_what_the_chain_makes_of_pixels(run, tmp_path, stages, mapping):
    """Averages are clipped, differences centered on gray, functions with a known range shown in it."""
    out = tmp_path / "out.png"
    ran = run("apply", SAMPLES / "scene.png", "-k", "box3", *then(*stages), "-o", out, "--report", "json")
    assert json.loads(ran.text)["mapping"].startswith(mapping)


def test_stages_count_in_fingerprints():
    """Every part of a stage that changes bytes changes the fingerprint; two equal chains have one."""
    texts = ["box3", "box3,stride=2", "box3,padding=valid", "box3,flip=yes", "box3,bias=1", "box5", "relu"]
    texts += [
        "maxpool2x2",
        "maxpool2x2,stride=1",
        "avgpool2x2",
        "clip:0,1",
        "clip:0,2",
        "maxpool2x2,ceil=yes",
    ]

    def made(*stages: str) -> str:
        loaded = tuple(LoadedStage(parse_stage(text, convcli.load_kernel)) for text in stages)
        return fingerprint(settings_of(FilterOptions(then=loaded), convcli.load_kernel("box3")))

    assert len({made(), *(made(text) for text in texts), made("box3", "relu"), made("relu", "box3")}) == 16
    assert made("box3", "relu") == made("box3", "relu")


@pytest.mark.parametrize(
    ("stage", "message"),
    [
        ("", "stage '' is empty; allowed: a kernel, maxpoolHxW"),
        ("rleu", "stage 'rleu' is neither a kernel nor a function (did you mean relu?)"),
        (
            "softmax",
            "stage 'softmax' is neither a kernel nor a function; allowed: a kernel, maxpoolHxW, avgpoolHxW",
        ),
        ("maxpool", "stage 'maxpool' needs a window, such as maxpool2x2"),
        ("relu:3", "stage 'relu:3': write relu"),
        ("clip:9,1", "stage 'clip:9,1': LOW must not be above HIGH"),
        ("threshold:x", "'x' is not a number"),
        ("relu,stride=2", "relu takes no options"),
        ("box3,strid=2", "unknown option strid (did you mean stride?)"),
        ("box3,stride=0", "stride 0 is not allowed"),
        ("box3,stride=1,stride=2", "stride is given twice"),
        ("box3,ceil=yes", "ceil= is for pools"),
        ("3x3x16", "stage '3x3x16' has sizes but no weights"),
        ("avgpool2x2,dilation=2", "an average pool has no dilation"),
        ("maxpool2x2,padding=2", "stage 2 (maxpool2x2): padding 2 of a window of 2"),
        ("maxpool999x999", "stage 2 (maxpool999x999): the kernel covers 999 × 999"),
        ("random:3x3x3x2", "takes 3 channels, but the stage before gives 1 channel"),
        ("mean:3x3x3", "filters volumes"),
    ],
)
def test_stages_that_cannot_be_are_refused_in_one_line(run, tmp_path, stage, message):
    """Nothing is written, and the exit code is 2."""
    ran = run("apply", SAMPLES / "scene.png", "-k", "box3", "--then", stage, "-o", tmp_path / "out.png")
    assert message in ran.err, ran.err
    assert (ran.code, len(ran.err.strip().splitlines())) == (2, 1)
    assert not list(tmp_path.iterdir())
