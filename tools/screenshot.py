"""Photographs the page of ``convcli explore``, and a terminal, for docs/: ``python -m tools.screenshot``.

It needs Chromium. No test compares the images, because browsers draw text differently.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Final

from PIL import Image

ROOT: Final = Path(__file__).resolve().parents[1]
IMAGE: Final = ROOT / "docs" / "explore.webp"
SIZE: Final = (1280, 960)
PAGE: Final = ("explore", "samples/scene.png", "--kernel", "sobel-x")
TERMINAL: Final = ROOT / "docs" / "terminal.webp"
SHOWN: Final = "convcli view samples/color.png"
CELL: Final = (8, 16)
"""Width and height of a character, in pixels."""
QUIET: Final = (
    "--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", "--no-first-run", "--disable-sync",
    "--disable-background-networking", "--disable-component-update", "--disable-quic",
)  # fmt: skip


def photograph(page: Path, folder: Path, size: tuple[int, int]) -> Image.Image:
    """A page as Chromium draws it, RGB."""
    browser = shutil.which("chromium") or shutil.which("google-chrome")
    if browser is None:
        raise SystemExit("Chromium is not installed")
    target = folder / "page.png"
    options = [*QUIET, f"--user-data-dir={folder / 'profile'}", f"--window-size={size[0]},{size[1]}"]
    subprocess.run(
        [browser, *options, f"--screenshot={target}", page.as_uri()], check=True, capture_output=True
    )
    return Image.open(target).convert("RGB")


def terminal(folder: Path) -> tuple[Path, tuple[int, int]]:
    """A page that looks as a terminal does after a command that draws half blocks, and its size."""
    ran = subprocess.run(
        [sys.executable, "-m", *SHOWN.split(), "--as", "blocks"],
        cwd=ROOT,
        env={**os.environ, "COLUMNS": "80", "LINES": "32"},
        capture_output=True,
        text=True,
        check=True,
    )
    lines = [cells(line) for line in ran.stdout.splitlines()]
    width, height = CELL
    style = (
        f"body {{margin: 12px; background: #1b1d23; color: #ddd; font: 13px/{height}px monospace}}"
        f"i {{float: left; width: {width}px; height: {height}px}} div {{clear: left; height: {height}px}}"
    )
    page = folder / "terminal.html"
    rows = "".join(f"<div>{line}</div>" for line in (f"$ {SHOWN}", *lines))
    page.write_text(f"<meta charset=utf-8><style>{style}</style>{rows}", "utf-8")
    columns = max(line.count("<i ") for line in lines)
    return page, (columns * width + 24, (len(lines) + 1) * height + 24)


def cells(line: str) -> str:
    """The half blocks of a line of a terminal as boxes of two colors."""
    drawn = []
    for color, text in re.findall(r"\x1b\[([\d;]*)m([^\x1b]*)", line):
        if values := re.fullmatch(r"38;2;(\d+);(\d+);(\d+);48;2;(\d+);(\d+);(\d+)", color):
            upper, lower = (f"rgb({','.join(values.groups()[at : at + 3])})" for at in (0, 3))
            drawn.append(f'<i style="background: linear-gradient({upper} 50%, {lower} 50%)"></i>' * len(text))
    return "".join(drawn)


def main() -> None:
    """Make the pages, and their images in docs/."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        page = folder / "explore.html"
        subprocess.run([sys.executable, "-m", "convcli", *PAGE, "-o", page], cwd=ROOT, check=True)
        for image, shown, size in ((IMAGE, page, SIZE), (TERMINAL, *terminal(folder))):
            photograph(shown, folder, size).save(image, lossless=True, quality=100, method=6)


if __name__ == "__main__":
    main()
