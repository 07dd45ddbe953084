"""Pages for contributors name files, modules and commands that exist."""

from __future__ import annotations

import re

import pytest

from tests.conftest import ROOT
from tests.project.test_structure import MODULES, packages

PAGES = ["CONTRIBUTING.md", "docs/architecture.md", "docs/kernels.md"]
PAGES += [str(path.relative_to(ROOT)) for path in sorted((ROOT / "docs" / "decisions").glob("*.md"))]
TOP = ("convcli/", "kernels/", "tests/", "tools/", "benchmarks/", "docs/", "share/", "samples/", ".ci/")
"""How a path from the top of the repository begins."""


def named_paths(page: str) -> list[str]:
    """The paths in code spans: from the top of the repository, or from the package."""
    spans = re.findall(r"`([\w./-]+)`", page)
    return [span for span in spans if span.endswith(".py") or span.startswith(TOP)]


def exists(path: str) -> bool:
    return any((root / path).exists() for root in (ROOT, ROOT / "convcli", ROOT / "convcli" / "engine"))


@pytest.mark.parametrize("page", PAGES)
def test_named_paths_exist(page):
    """Every path of the tables and texts is in the tree."""
    missing = [path for path in named_paths((ROOT / page).read_text("utf-8")) if not exists(path)]
    assert not missing


CLASSES = {name for path in MODULES.values() for name in re.findall(r"(?m)^class (\w+)", path.read_text())}


@pytest.mark.parametrize("page", PAGES)
def test_named_classes_exist(page):
    """A capitalized word in a code span is a class of the package; ``Thread`` is Python's."""
    names = re.findall(r"`([A-Z][a-z]\w*)(?:\.\w+)?`", (ROOT / page).read_text("utf-8"))
    assert set(names) <= CLASSES | {"Thread"}


@pytest.mark.parametrize("page", ["CONTRIBUTING.md", "docs/architecture.md"])
def test_named_modules_can_be_run(page):
    """``python -m tools.NAME`` and ``python benchmarks/NAME.py``."""
    text = (ROOT / page).read_text("utf-8")
    for name in re.findall(r"python -m tools\.(\w+)", text):
        assert (ROOT / "tools" / f"{name}.py").exists(), name
    for path in re.findall(r"python (benchmarks/\w+\.py)", text):
        assert (ROOT / path).exists(), path


@pytest.mark.parametrize("page", ["README.md", "CONTRIBUTING.md", "CHANGELOG.md"])
def test_links_lead_to_files(page):
    """The pages at the top of the repository; the site's build checks those of docs/."""
    links = re.findall(r"\]\(([^)#]+)", (ROOT / page).read_text("utf-8"))
    missing = [link for link in links if "://" not in link and not (ROOT / link).exists()]
    assert not missing


def test_architecture_is_short():
    """An introduction that is read from start to end."""
    assert len((ROOT / "docs" / "architecture.md").read_text("utf-8").split()) < 1500


def test_every_package_has_a_page_of_decisions():
    """One page each, listed in the overview."""
    overview = (ROOT / "docs" / "decisions" / "index.md").read_text("utf-8")
    pages = {path.stem for path in (ROOT / "docs" / "decisions").glob("*.md")} - {"index"}
    assert pages == set(packages()) & {name.split(".")[0] for name in MODULES if "." in name}
    assert pages == set(re.findall(r"\((\w+)\.md\)", overview))
