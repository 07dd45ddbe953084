"""Reports as text: a block per image, a line in loops, and the form that a suffix chooses."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import pytest

from tests.conftest import SAMPLES

SCENE = SAMPLES / "scene.png"


@pytest.mark.parametrize(
    ("options", "sections", "maps"),
    [
        (("-k", "kirsch"), 1, 8),
        (("-k", "kirsch", "--stack", "--map", "raw", "--format", "tiff"), 1, 8),
        (("-k", "sobel-x", "-k", "box3"), 2, 0),
        (("-k", "kirsch", "-k", "box3"), 2, 8),
        (("-k", "sobel"), 1, 0),
    ],
)
def test_a_block_says_once_what_maps_share(run, tmp_path, options, sections, maps):
    """The name and input once, the rest once per kernel, and a line per map."""
    ran = run("apply", SCENE, *options, "-o", f"{tmp_path}/", "-f")
    assert ran.code == 0, ran.err
    labels = [line[:13].strip() for line in ran.text.splitlines()]
    assert ran.text.count(f"{SCENE}\n") == labels.count("input") == 1
    for label in ("kernel", "padding", "rows", "plan"):
        assert labels.count(label) == sections
    assert sum(label.startswith("map ") for label in labels) == maps


def test_frames_in_files_of_their_own_are_lines(run, tmp_path):
    """Many frames share one block, with a line for each."""
    np.save(tmp_path / "v.npy", np.random.default_rng(1).integers(0, 256, (9, 8, 7, 1), np.uint8))
    ran = run("apply", tmp_path / "v.npy", "-k", "box3", "-o", f"{tmp_path}/{{frame}}.png")
    assert ran.code == 0, ran.err
    assert ran.text.count("weights") == 1 and len(ran.text.splitlines()) < 40
    for number in range(9):
        assert f"  frame {number} " in ran.text and f"{number}.png: png" in ran.text


def test_several_images_are_a_line_each(run, tmp_path):
    """A line per image and kernel by default, a block on request."""
    images = [SCENE, SAMPLES / "color.png"]
    ran = run("apply", *images, "-k", "box3", "-k", "kirsch", "-o", f"{tmp_path}/")
    lines = ran.text.splitlines()
    assert len(lines) == 4
    said = "box3, 512 × 512, gray, 8-bit, range 24 … 247.333, clip, 0 saturated"
    assert lines[0] == f"{SCENE} → {tmp_path}/scene.box3.png: {said}"
    assert "8 maps, 512 × 512" in lines[1] and f"{tmp_path}/scene.kirsch.0.png … " in lines[1]
    again = run("apply", *images, "-k", "box3", "-o", f"{tmp_path}/", "-f", "--report", "text").text
    assert again.count("  kernel ") == 2
    one = run("apply", SCENE, "-k", "box3", "-o", f"{tmp_path}/", "-f", "--report", "line").text
    assert one.splitlines() == lines[:1]


@pytest.mark.parametrize("name", ["r.json", "r.JSONL", "r.csv", "r.txt"])
def test_the_suffix_of_a_report_says_its_form(run, tmp_path, name):
    """JSON lines, CSV, otherwise text; an explicit --report takes precedence."""
    place, words = (
        tmp_path / name,
        ("apply", SCENE, "-k", "box3", "-o", f"{tmp_path}/", "-f", "--report-file"),
    )
    assert run(*words, place).code == 0
    text = place.read_text()
    if name.casefold().startswith("r.json"):
        assert json.loads(text)["kernel"]["name"] == "box3"
    elif name == "r.csv":
        assert [row["kernel"] for row in csv.DictReader(text.splitlines())] == ["box3"]
    else:
        assert text.startswith(f"{SCENE}\n  input ")
    run(*words, place, "--report", "text")
    assert Path(place).read_text().startswith(f"{SCENE}\n  input ")
