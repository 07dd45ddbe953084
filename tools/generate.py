"""Write the generated files: ``python -m tools.generate``.

The man page and the completion scripts are in ``share/`` as they are installed under a system's ``share/``;
``convcli/kernels/parsed_presets.py`` has the shipped presets, so that reading one needs no YAML parser, and
``convcli/cli/vocabulary.py`` the words of the registries, so that completion imports none of them.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Final

from convcli.cli.shells import SCRIPTS
from tools import man_page, presets, reference, vocabulary

ROOT: Final = Path(__file__).resolve().parents[1]
SHARE: Final = ROOT / "share"


def made() -> Iterator[tuple[Path, str]]:
    """Every generated file with its text."""
    sources = ("docs/exit-codes.md", "docs/kernel-files.md", "CHANGELOG.md")
    exit_codes, kernel_files, changes = ((ROOT / name).read_text("utf-8") for name in sources)
    yield ROOT / "convcli" / "kernels" / "parsed_presets.py", presets.module()
    yield ROOT / "convcli" / "cli" / "vocabulary.py", vocabulary.module()
    yield SHARE / "bash-completion" / "completions" / "convcli", SCRIPTS["bash"]
    yield SHARE / "zsh" / "site-functions" / "_convcli", SCRIPTS["zsh"]
    yield SHARE / "fish" / "vendor_completions.d" / "convcli.fish", SCRIPTS["fish"]
    yield SHARE / "man" / "man1" / "convcli.1", man_page.page(exit_codes, kernel_files, changes)
    yield from reference.pages()


if __name__ == "__main__":
    for path, text in made():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
        print(path.relative_to(ROOT))
