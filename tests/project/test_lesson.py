"""The lesson: every command runs, prints what is shown below it, and makes the images on the page."""

from __future__ import annotations

import re

import numpy as np
import pytest
from PIL import Image, ImageSequence

from tools import lesson

LARGEST = 600_000  # bytes of all images
UPDATE = "run python -m tools.lesson"


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """The folder with the outputs of the commands, and what each block printed."""
    folder = tmp_path_factory.mktemp("lesson")
    return folder, lesson.run_lesson(folder)


def test_the_commands_print_what_is_shown(made):
    """The text below a block is its output, in a folder with the samples."""
    blocks = lesson.blocks()
    assert len(blocks) > 15
    assert sum(block.shown is not None for block in blocks) > 8
    for block, printed in zip(blocks, made[1], strict=True):
        assert block.expects(printed), f"{block.commands}: {UPDATE}"


def test_both_walk_throughs_are_in_it():
    """The sizes of the exercise, and the shapes and weights of the layer."""
    page = lesson.PAGE.read_text()
    shapes = ["(1, 6, 6, 1)", "(1, 10, 8, 1)", "(1, 8, 8, 1)", "(1, 10, 6, 1)", "(1, 255, 510, 1)"]
    assert all(shape in page for shape in [*shapes, "(1, 512, 512, 1)", "(3, 3, 1, 1)", "0.5202"])


def test_images_are_current_and_small(made):
    """The committed images are what the commands make, frame by frame, and each is shown on the page."""
    committed = sorted(lesson.IMAGES.glob("learn-*"))
    assert [path.name for path in committed] == sorted(path.name for path in made[0].glob("learn-*"))
    assert {path.name for path in committed} == set(
        re.findall(r"images/(learn-[\w.-]+)\)", lesson.PAGE.read_text())
    )
    assert sum(path.stat().st_size for path in committed) < LARGEST
    for path in committed:
        old, new = frames(path), frames(made[0] / path.name)
        assert len(old) == len(new), f"{path.name}: {UPDATE}"
        for before, after in zip(old, new, strict=True):
            assert before.shape == after.shape, f"{path.name}: {UPDATE}"
            assert (np.abs(before - after) > 24).mean() < 0.02, f"{path.name}: {UPDATE}"


def frames(path):
    with Image.open(path) as image:
        return [np.asarray(frame.convert("RGB")).astype(int) for frame in ImageSequence.Iterator(image)]
