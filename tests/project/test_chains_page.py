"""The images of chains in the documentation are what their tool draws."""

from __future__ import annotations

import numpy as np
from PIL import Image

from tools import chains_page

UPDATE = "run python -m tools.chains_page"


def test_the_image_is_current_and_shows_the_command_of_the_page():
    """It matches what is drawn, up to fonts of Pillow versions, and the page has the same chain."""
    committed = np.asarray(Image.open(chains_page.FIGURE).convert("RGB")).astype(int)
    drawn = chains_page.figure().astype(int)
    assert committed.shape == drawn.shape, UPDATE
    assert (np.abs(committed - drawn) > 24).mean() < 0.02, UPDATE
    command = f"-k {' --then '.join([chains_page.KERNEL, *chains_page.STAGES])} "
    assert command in (chains_page.DOCS / "chains.md").read_text("utf-8")


def test_the_figure_of_two_layers_is_current():
    """It matches what is drawn, and its page has the same chain."""
    committed = np.asarray(Image.open(chains_page.LAYERS).convert("RGB")).astype(int)
    drawn = chains_page.layers().astype(int)
    assert committed.shape == drawn.shape, UPDATE
    assert (np.abs(committed - drawn) > 24).mean() < 0.02, UPDATE
    command = f"-k {' --then '.join([chains_page.BANK, *chains_page.AFTER_BANK])} --figure"
    assert command in (chains_page.DOCS / "visualize.md").read_text("utf-8")
