"""The documentation site builds in strict mode, and its pages are complete and need no network."""

from __future__ import annotations

import os
import re
import subprocess
import sys

import pytest

from tests.conftest import ROOT

for module in ("mkdocs", "material", "mkdocstrings"):
    pytest.importorskip(module)


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """The built site: a broken link, an unknown anchor or a page outside the navigation is an error."""
    folder = tmp_path_factory.mktemp("site")
    ran = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", folder],
        cwd=ROOT,
        env={**os.environ, "NO_MKDOCS_2_WARNING": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr
    return folder


def test_every_page_is_built(site):
    """Each Markdown page has an HTML page, and so have the two at the top of the repository."""
    pages = {path.relative_to(ROOT / "docs").with_suffix(".html") for path in (ROOT / "docs").rglob("*.md")}
    built = {path.relative_to(site) for path in site.rglob("*.html")}
    assert {str(path) for path in pages} | {"contributing.html", "changelog.html"} <= {
        str(path) for path in built
    }


def test_pages_load_nothing_from_the_network(site):
    """Scripts, styles, fonts and images are files of the site."""
    for path in site.rglob("*.html"):
        loaded = re.findall(
            r"""(?:src|<link[^>]*href)=["']?(https?:)?//([^"' >]+)""", path.read_text("utf-8")
        )
        assert not loaded, path.name


def test_the_api_page_has_every_public_name(site):
    """What `convcli.__all__` names is documented."""
    import convcli

    page = (site / "api.html").read_text("utf-8")
    for name in convcli.__all__:
        assert re.search(rf'id="convcli\.[\w.]*\b{name}"', page), name
