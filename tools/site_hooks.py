"""MkDocs hooks: pages of the site that live outside docs/, and the page that ``convcli explore`` makes."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Final

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

ROOT: Final = Path(__file__).resolve().parents[1]
OUTSIDE: Final = {"contributing.md": "CONTRIBUTING.md", "changelog.md": "CHANGELOG.md"}
"""Pages of the site with their files at the top of the repository, where GitHub looks for them."""
EXPLORE: Final = ("explore", "samples/scene.png", "--kernel", "sobel-x", "-o", "-")
EXPLORED: Final = "explore-scene.html"
"""The page that docs/explorer.md shows."""


def on_files(files: Files, *, config: MkDocsConfig) -> Files:
    """Add the pages of OUTSIDE, with their links relative to docs/, and the explorer of the sample."""
    for name, source in OUTSIDE.items():
        text = (ROOT / source).read_text("utf-8").replace("](docs/", "](")
        files.append(File.generated(config, name, content=text))
    page = subprocess.run(
        [sys.executable, "-m", "convcli", *EXPLORE], cwd=ROOT, check=True, capture_output=True
    )
    files.append(File.generated(config, EXPLORED, content=page.stdout))
    return files


def on_page_markdown(markdown: str, *, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Point links to the files of OUTSIDE to their pages."""
    for name, source in OUTSIDE.items():
        markdown = markdown.replace(f"](../{source}", f"]({name}")
    return markdown
