"""The lesson: every command runs, prints what is shown below it, and makes the pictures that stand there."""

from __future__ import annotations

import re

import numpy as np
import pytest
from PIL import Image, ImageSequence

from tools import lesson

MOST = 500_000  # bytes of all pictures
TELLING = "run python -m tools.lesson"


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """The folder that the commands leave, and what each block printed."""
    folder = tmp_path_factory.mktemp("lesson")
    return folder, lesson.run_lesson(folder)


def test_the_commands_print_what_is_shown(made):
    """In a folder with the samples; the text below a block is its output."""
    blocks = lesson.blocks()
    assert len(blocks) > 15
    assert sum(block.shown is not None for block in blocks) > 8
    for block, printed in zip(blocks, made[1], strict=True):
        assert block.expects(printed), f"{block.commands}: {TELLING}"


def test_both_walk_throughs_are_in_it():
    """The sizes of the exercise, the shapes of the layer."""
    page = lesson.PAGE.read_text()
    shapes = ["(1, 6, 6, 1)", "(1, 10, 8, 1)", "(1, 8, 8, 1)", "(1, 10, 6, 1)", "(1, 255, 510, 1)"]
    assert all(shape in page for shape in [*shapes, "(1, 512, 512, 1)", "(3, 3, 1, 1)", "0.5202"])


def test_its_pictures_are_current_and_small(made):
    """What the commands make is what is kept, frame by frame; every one stands in the lesson."""
    kept = sorted(lesson.PICTURES.glob("learn-*"))
    assert [path.name for path in kept] == sorted(path.name for path in made[0].glob("learn-*"))
    assert {path.name for path in kept} == set(
        re.findall(r"pictures/(learn-[\w.-]+)\)", lesson.PAGE.read_text())
    )
    assert sum(path.stat().st_size for path in kept) < MOST
    for path in kept:
        old, new = frames(path), frames(made[0] / path.name)
        assert len(old) == len(new), f"{path.name}: {TELLING}"
        for before, after in zip(old, new, strict=True):
            assert before.shape == after.shape, f"{path.name}: {TELLING}"
            assert (np.abs(before - after) > 24).mean() < 0.02, f"{path.name}: {TELLING}"


def frames(path):
    with Image.open(path) as image:
        return [np.asarray(frame.convert("RGB")).astype(int) for frame in ImageSequence.Iterator(image)]
