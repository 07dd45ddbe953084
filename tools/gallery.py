"""Runs the commands of docs/gallery.md and keeps the images they make: ``python -m tools.gallery [--all]``.

Each image of the page has its command below it. ``commands.json`` holds the checksum of the command that
each image was made by. It tells a test, and this tool unless ``--all`` is given, which are out of date.
"""

from __future__ import annotations

import hashlib
import json
import re
import shutil
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final

from tools.lesson import DOCS, prepare, run

PAGE: Final = DOCS / "gallery.md"
IMAGES: Final = DOCS / "images" / "gallery"
CHECKSUMS: Final = IMAGES / "commands.json"
_ENTRY: Final = re.compile(r"!\[[^]]+\]\(images/gallery/([\w-]+\.webp)\)\n\n```shell\n(.*?)```", re.DOTALL)


def entries() -> dict[str, str]:
    """The images of the page, each with its command."""
    return dict(_ENTRY.findall(PAGE.read_text("utf-8")))


def checksums() -> dict[str, str]:
    """The images of the page, each with the checksum of its command."""
    return {image: hashlib.sha256(command.encode()).hexdigest() for image, command in entries().items()}


def draw(image: str, command: str) -> None:
    """Run a command in a folder with the samples, and keep the image that it writes."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        prepare(folder)
        run(command, folder)
        shutil.copy(folder / image, IMAGES)


def current() -> set[str]:
    """The images that were made by the commands of the page."""
    if not CHECKSUMS.exists():
        return set()
    made = json.loads(CHECKSUMS.read_text("utf-8"))
    return {
        image for image, sum_ in checksums().items() if made.get(image) == sum_ and (IMAGES / image).exists()
    }


def main() -> None:
    """Draw what is out of date, remove what the page does not have, and write the checksums."""
    IMAGES.mkdir(parents=True, exist_ok=True)
    kept = set() if "--all" in sys.argv[1:] else current()
    for path in IMAGES.glob("*.webp"):
        if path.name not in kept:
            path.unlink()
    with ThreadPoolExecutor(2) as pool:
        drawn = [pool.submit(draw, *entry) for entry in entries().items() if entry[0] not in kept]
    for future in drawn:
        future.result()
    CHECKSUMS.write_text(json.dumps(checksums(), indent=2) + "\n", "utf-8")


if __name__ == "__main__":
    main()
