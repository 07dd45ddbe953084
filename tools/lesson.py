"""Runs the commands shown in README.md and docs/, and fills in what they print: ``python -m tools.lesson``.

The images that docs/learn.md makes (``learn-*``) are kept in docs/images.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).resolve().parents[1]
DOCS: Final = ROOT / "docs"
README: Final = ROOT / "README.md"
PAGE, IMAGES = DOCS / "learn.md", DOCS / "images"
SAMPLES: Final = ROOT / "samples"
REST: Final = "…\n"
"""The last line of an output that is shown only in part."""

_LIBRARIES: Final = {".zarr": "zarr", "--cluster": "distributed"}
"""What a command that has such a word needs besides convcli itself."""

_INSTALLING: Final = "pip install"
_FROM_CLONE: Final = "&& .venv/bin/"


@dataclass(frozen=True)
class Block:
    """Commands of a page, and the output shown directly below them, if any."""

    commands: str
    shown: str | None

    @property
    def runnable(self) -> str | None:
        """The commands without setting up an environment; None if that is all, or a library is missing."""
        if any(word in self.commands and not find_spec(name) for word, name in _LIBRARIES.items()):
            return None
        if _INSTALLING not in self.commands:
            return self.commands
        command = self.commands.rpartition(_FROM_CLONE)[2]
        return command if command.startswith("convcli ") else None

    def expects(self, printed: str) -> bool:
        """Whether an output is the one that is shown."""
        if self.shown is None:
            return True
        if self.shown.endswith(REST):
            return printed.startswith(self.shown.removesuffix(REST))
        return printed == self.shown

    def updated(self, printed: str) -> str:
        """What to show of an output: all of it, or as many lines as before."""
        if self.shown is None or not self.shown.endswith(REST):
            return printed
        lines = printed.splitlines(keepends=True)
        return "".join(lines[: self.shown.count("\n") - 1]) + REST


def pages() -> list[Path]:
    """README.md and every page of docs/ but the lesson, whose commands run side by side."""
    return [README, *sorted(path for path in DOCS.rglob("*.md") if path != PAGE)]


def blocks(page: Path = PAGE) -> list[Block]:
    """The shell blocks of a page, in order."""
    found = re.findall(r"```sh\n(.*?)```(?:\n\n```text\n(.*?)```)?", page.read_text("utf-8"), re.DOTALL)
    return [Block(commands, shown or None) for commands, shown in found]


def run(commands: str, folder: Path) -> str:
    """What commands print in a folder that has the samples.

    Raises:
        RuntimeError: a command failed.
    """
    program = f'convcli() {{ "{sys.executable}" -m convcli "$@"; }}\nset -e -o pipefail\n'
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    ran = subprocess.run(
        ["bash", "-c", program + commands],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    if ran.returncode:
        raise RuntimeError(f"{commands}\n{ran.stderr}")
    return ran.stdout


def run_lesson(folder: Path) -> list[str]:
    """What each block of the lesson prints; the first makes what the others read, which run side by side."""
    prepare(folder)
    first, *others = [block.commands for block in blocks()]
    with ThreadPoolExecutor(4) as pool:
        return [run(first, folder), *pool.map(lambda commands: run(commands, folder), others)]


def run_page(page: Path, folder: Path) -> list[tuple[Block, str]]:
    """The blocks of a page that can be run, each with what it prints, one after the other."""
    prepare(folder)
    return [(block, run(block.runnable, folder)) for block in blocks(page) if block.runnable]


def prepare(folder: Path) -> None:
    """Copy the samples into a folder."""
    (folder / "samples").mkdir()
    for path in (*SAMPLES.glob("*.png"), *SAMPLES.glob("*.onnx")):
        if path.name.count(".") == 1:  # not what somebody's command made of one
            shutil.copy(path, folder / "samples")


def fill_in(page: Path, ran: Sequence[tuple[Block, str]]) -> None:
    """Write the outputs of commands below them."""
    text = page.read_text("utf-8")
    for block, printed in ran:
        if block.shown:
            above = f"```sh\n{block.commands}```\n\n```text\n"
            text = text.replace(f"{above}{block.shown}```", f"{above}{block.updated(printed)}```")
    page.write_text(text, "utf-8")


def main() -> None:
    """Run everything, fill in the outputs, keep the images of the lesson."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        fill_in(PAGE, list(zip(blocks(), run_lesson(folder), strict=True)))
        for path in folder.glob("learn-*"):
            shutil.copy(path, IMAGES)
    for page in pages():
        if any(block.shown and block.runnable for block in blocks(page)):
            with tempfile.TemporaryDirectory() as name:
                fill_in(page, run_page(page, Path(name)))


if __name__ == "__main__":
    main()
