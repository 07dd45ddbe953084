"""Runs the commands of docs/learn.md and keeps the pictures that they make: ``python -m tools.lesson``."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Final

DOCS: Final = Path(__file__).resolve().parents[1] / "docs"
PAGE, PICTURES = DOCS / "learn.md", DOCS / "pictures"
SAMPLES: Final = DOCS.parent / "samples"


@dataclass(frozen=True)
class Block:
    """Commands of the lesson, and what they print where the lesson shows it."""

    commands: str
    shown: str | None


def blocks() -> list[Block]:
    """All of them, in their order."""
    found = re.findall(r"```sh\n(.*?)```(?:\n\n```text\n(.*?)```)?", PAGE.read_text("utf-8"), re.DOTALL)
    return [Block(commands, shown or None) for commands, shown in found]


def run(block: Block, folder: Path) -> str:
    """What the commands print, in a folder that has the samples."""
    program = f'convcli() {{ "{sys.executable}" -m convcli "$@"; }}\nset -e -o pipefail\n'
    ran = subprocess.run(
        ["bash", "-c", program + block.commands], cwd=folder, capture_output=True, text=True, check=False
    )
    if ran.returncode:
        raise RuntimeError(f"{block.commands}\n{ran.stderr}")
    return ran.stdout


def run_all(folder: Path) -> list[str]:
    """What each block prints; the first one makes what the others need, and these run side by side."""
    prepare(folder)
    first, *others = blocks()
    with ThreadPoolExecutor(4) as pool:
        return [run(first, folder), *pool.map(lambda block: run(block, folder), others)]


def prepare(folder: Path) -> None:
    """Put the samples there."""
    (folder / "samples").mkdir()
    for path in SAMPLES.glob("*.png"):
        shutil.copy(path, folder / "samples")


def main() -> None:
    """Run everything, fill in what is printed, keep the pictures."""
    page = PAGE.read_text("utf-8")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for block, printed in zip(blocks(), run_all(folder), strict=True):
            if block.shown:
                below = f"```sh\n{block.commands}```\n\n```text\n"
                page = page.replace(f"{below}{block.shown}```", f"{below}{printed}```")
        for path in folder.glob("learn-*"):
            shutil.copy(path, PICTURES)
    PAGE.write_text(page, "utf-8")


if __name__ == "__main__":
    main()
