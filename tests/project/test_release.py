"""Files for releases: versions agree, workflows and recipes name what exists."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest
import yaml

import convcli
from tests.conftest import ROOT

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
EXTRAS = PROJECT["project"]["optional-dependencies"]
WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))
RECIPE = ROOT / "recipe" / "recipe.yaml"
OTHER_NAMES = {"isal": "python-isal"}
"""What libraries are called by conda-forge, where it is not the name on PyPI."""


def loaded(path: Path) -> dict[str, object]:
    return yaml.safe_load(path.read_text("utf-8"))


def commands(workflow: Path) -> list[str]:
    """What the jobs of a workflow run."""
    return [
        step["run"] for job in loaded(workflow)["jobs"].values() for step in job["steps"] if "run" in step
    ]


def test_versions_agree():
    """It is written once for Python, and stated by the files of other programs."""
    assert PROJECT["project"]["dynamic"] == ["version"]
    assert str(loaded(ROOT / "CITATION.cff")["version"]) == convcli.__version__
    assert str(loaded(RECIPE)["context"]["version"]) == convcli.__version__
    assert f"\n## {convcli.__version__}\n" in (ROOT / "CHANGELOG.md").read_text("utf-8")


def test_the_changelog_keeps_its_form():
    """Versions in order, each with parts of the known kinds, each kind once."""
    text = (ROOT / "CHANGELOG.md").read_text("utf-8")
    assert text.startswith("# Changelog\n") and "keepachangelog.com" in text
    versions = re.split(r"(?m)^## ", text)[1:]
    names = [version.split("\n", 1)[0] for version in versions]
    assert names[0] == "Unreleased" and all(re.fullmatch(r"\d+\.\d+\.\d+", name) for name in names[1:])
    for version in versions:
        kinds = re.findall(r"(?m)^### (.*)", version)
        assert kinds and len(set(kinds)) == len(kinds)
        assert set(kinds) <= {"Added", "Changed", "Deprecated", "Removed", "Fixed", "Security"}


@pytest.mark.parametrize("workflow", WORKFLOWS, ids=lambda path: path.name)
def test_workflows_name_what_exists(workflow):
    """Extras, modules of tools, and scripts; every job has a limit of time."""
    assert all("timeout-minutes" in job for job in loaded(workflow)["jobs"].values())
    for command in commands(workflow):
        for extras in re.findall(r"\.\[([\w,]+)\]", command):
            assert set(extras.split(",")) <= EXTRAS.keys()
        for path in re.findall(r"\bbash (\S+)|\bpython (\S+\.py)", command):
            assert (ROOT / next(filter(None, path))).exists()


def test_every_supported_version_of_python_is_tested():
    """From the one that pyproject.toml requires on, with the first and the last of the wheels."""
    (job, *_) = loaded(ROOT / ".github" / "workflows" / "tests.yml")["jobs"].values()
    versions = job["strategy"]["matrix"]["python"]
    assert f">={versions[0]}" == PROJECT["project"]["requires-python"]
    ends = [f"cp{version.replace('.', '')}-*" for version in (versions[0], versions[-1])]
    assert PROJECT["tool"]["cibuildwheel"]["build"] == ends


def test_the_recipe_requires_what_the_package_requires():
    """The same libraries with the same lowest versions."""
    required = set()
    for line in [*PROJECT["project"]["dependencies"], f"python{PROJECT['project']['requires-python']}"]:
        name, version = line.split(";")[0].split(">=")
        required.add(f"{OTHER_NAMES.get(name, name).lower()} >={version}")
    recipe = loaded(RECIPE)
    assert set(recipe["requirements"]["run"]) == required
    (script,) = PROJECT["project"]["scripts"].items()
    assert recipe["build"]["python"]["entry_points"] == [" = ".join(script)]


def test_the_page_on_installing_lists_every_extra():
    """Those for users, with the libraries that they install."""
    page = (ROOT / "docs" / "install.md").read_text("utf-8")
    listed = dict(re.findall(r"(?m)^\| `(\w+)` \| [^|]+ \| (.+) \|$", page))
    assert listed.keys() == EXTRAS.keys() - {"test", "browser", "servers", "notebook", "docs", "peers"}
    for name, libraries in listed.items():
        assert re.findall(r"`([^`]+)`", libraries) == [line.split(">=")[0] for line in EXTRAS[name]]


def test_hooks_run_what_the_tests_run():
    """Ruff and mypy of the environment, so that there is one version of each."""
    (repository,) = loaded(ROOT / ".pre-commit-config.yaml")["repos"]
    tools = {hook["entry"].split()[2] for hook in repository["hooks"]}
    assert repository["repo"] == "local" and tools == {"ruff", "mypy"}
