"""Writes what is made from the commands and presets: ``python -m share.make``.

The man page and the completion scripts lie in this folder as they are installed under ``share/`` of a system;
``convcli/cli/words.py`` has the words that complete, so that completing imports none of what knows them.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Final

from convcli.cli.scripts import SCRIPTS
from share import manpage, wordlist

HERE: Final = Path(__file__).resolve().parent
ROOT: Final = HERE.parent


def made() -> Iterator[tuple[Path, str]]:
    """Every generated file with its text; the words first, because a command imports them."""
    readme, changes = ((ROOT / name).read_text("utf-8") for name in ("README.md", "CHANGELOG.md"))
    yield ROOT / "convcli" / "cli" / "words.py", wordlist.module()
    yield HERE / "bash-completion" / "completions" / "convcli", SCRIPTS["bash"]
    yield HERE / "zsh" / "site-functions" / "_convcli", SCRIPTS["zsh"]
    yield HERE / "fish" / "vendor_completions.d" / "convcli.fish", SCRIPTS["fish"]
    yield HERE / "man" / "man1" / "convcli.1", manpage.page(readme, changes)


if __name__ == "__main__":
    for path, text in made():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
        print(path.relative_to(ROOT))
