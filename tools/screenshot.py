"""Photographs the page of ``convcli explore`` for docs/visualize.md: ``python -m tools.screenshot``.

It needs Chromium. No test compares the image, because browsers draw text differently.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Final

from PIL import Image

ROOT: Final = Path(__file__).resolve().parents[1]
IMAGE: Final = ROOT / "docs" / "explore.webp"
SIZE: Final = "1280,960"
PAGE: Final = ["explore", "samples/scene.png", "--kernel", "sobel-x"]
QUIET: Final = (
    "--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", "--no-first-run", "--disable-sync",
    "--disable-background-networking", "--disable-component-update", "--disable-quic",
)  # fmt: skip


def photograph(page: Path, folder: Path) -> Image.Image:
    """A page as Chromium draws it, RGB."""
    browser = shutil.which("chromium") or shutil.which("google-chrome")
    if browser is None:
        raise SystemExit("Chromium is not installed")
    target = folder / "page.png"
    options = [*QUIET, f"--user-data-dir={folder / 'profile'}", f"--window-size={SIZE}"]
    subprocess.run(
        [browser, *options, f"--screenshot={target}", page.as_uri()], check=True, capture_output=True
    )
    return Image.open(target).convert("RGB")


def main() -> None:
    """Make the page, and its image in docs/."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        page = folder / "explore.html"
        subprocess.run([sys.executable, "-m", "convcli", *PAGE, "-o", page], cwd=ROOT, check=True)
        photograph(page, folder).save(IMAGE, lossless=True, quality=100, method=6)


if __name__ == "__main__":
    main()
