"""MkDocs hooks: pages of the site that live outside docs/, and the page that ``convcli explore`` makes."""

from __future__ import annotations

import json
import re
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
CODE: Final = re.compile(r"(?<!<span></span>)<code>[^<]*</code>|<div class=\"language-sh.*?</pre>", re.DOTALL)
"""Code in running text, and blocks of commands; not their outputs."""
OPTION: Final = re.compile(r"([ >\n])(--?[a-z][\w-]*)")
COMMANDS: Final = "coming-from/"
NOTEBOOK: Final = "notebook.md"


def on_files(files: Files, *, config: MkDocsConfig) -> Files:
    """Add the pages of OUTSIDE, with their links relative to docs/, and the explorer of the sample."""
    for name, source in OUTSIDE.items():
        text = (ROOT / source).read_text("utf-8").replace("](docs/", "](")
        files.append(File.generated(config, name, content=text))
    page = subprocess.run(
        [sys.executable, "-m", "convcli", *EXPLORE], cwd=ROOT, check=True, capture_output=True
    )
    files.append(File.generated(config, EXPLORED, content=page.stdout))
    files.append(File.generated(config, NOTEBOOK, content=notebook_page()))
    return files


def notebook_page() -> str:
    """The cells of docs/notebook.ipynb as a page, with a link to the file; the notebook has no outputs."""
    cells = json.loads((ROOT / "docs" / "notebook.ipynb").read_text("utf-8"))["cells"]
    parts = []
    for cell in cells:
        text = "".join(cell["source"])
        parts.append(text if cell["cell_type"] == "markdown" else f"```py\n{text}\n```")
    parts.insert(
        1, "[Download the notebook](notebook.ipynb), and run it in Jupyter to see what each cell shows."
    )
    return "\n\n".join(parts) + "\n"


def on_page_markdown(markdown: str, *, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Point links to the files of OUTSIDE, and to the notebook, to their pages."""
    for name, source in OUTSIDE.items():
        markdown = markdown.replace(f"](../{source}", f"]({name}")
    return (
        markdown if page.file.src_uri == NOTEBOOK else markdown.replace("](notebook.ipynb)", f"]({NOTEBOOK})")
    )


def on_page_content(html: str, *, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Mark options, which browsers would break after their hyphens, and tables of commands."""
    html = CODE.sub(lambda code: OPTION.sub(r'\1<span class="option">\2</span>', code[0]), html)
    return f'<div class="commands">{html}</div>' if page.file.src_uri.startswith(COMMANDS) else html
