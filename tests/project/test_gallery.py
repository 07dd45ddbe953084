"""The gallery has an image for each of its commands, and shows every kind of kernel."""

from __future__ import annotations

import itertools
import json
import re
import shlex

import pytest

from convcli.kernels.families.registry import FAMILIES
from tools import gallery, kernels_page

UPDATE = "run python -m tools.gallery"
MOST_BYTES = 200_000


def kernels() -> set[str]:
    """What the commands of the gallery name as kernels."""
    words = [word for command in gallery.entries().values() for word in shlex.split(command)]
    return {kernel for option, kernel in itertools.pairwise(words) if option == "-k"}


def test_images_were_made_by_the_commands_of_the_page():
    """The checksums of the commands are those that the images were made by, and no image is left over."""
    assert json.loads(gallery.CHECKSUMS.read_text("utf-8")) == gallery.checksums(), UPDATE
    assert {path.name for path in gallery.IMAGES.glob("*.webp")} == set(gallery.entries()), UPDATE


def test_every_image_of_the_page_has_its_command():
    """Each image is followed by a block whose command writes a file of its name, and is small."""
    text = gallery.PAGE.read_text("utf-8")
    assert len(gallery.entries()) == text.count("](images/gallery/")
    for image, command in gallery.entries().items():
        assert command.endswith(f" -o {image}\n")
        assert (gallery.IMAGES / image).stat().st_size < MOST_BYTES, image


@pytest.mark.parametrize("family", FAMILIES)
def test_every_family_is_shown(family):
    """Each family with arguments has a kernel in the gallery."""
    assert any(re.fullmatch(rf"{family}(\d+|:.*)", name) for name in kernels()), family


def test_every_group_of_presets_is_shown():
    """Each group of docs/kernels.md has a preset in the gallery."""
    for tag, presets in kernels_page.grouped().items():
        assert kernels() & {kernel.name for kernel in presets}, tag
