"""Where names are looked up: folders of a run, the environment, shipped presets, the user's folder."""

from __future__ import annotations

import json

import pytest

import convcli
from convcli.core.errors import KernelError
from convcli.kernels import library
from convcli.kernels.families.registry import FAMILIES


@pytest.fixture
def home(tmp_path, monkeypatch):
    """A configuration folder of its own and an empty working directory."""
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.delenv(library.PATH_VARIABLE, raising=False)
    (tmp_path / "work").mkdir()
    monkeypatch.chdir(tmp_path / "work")
    return tmp_path


def folder(path, **files):
    path.mkdir(parents=True)
    for name, text in files.items():
        stem, _, suffix = name.rpartition("_")
        (path / f"{stem.replace('_', '-')}.{suffix}").write_text(text)
    return path


def test_folders_of_a_run_come_first(home, run):
    """--kernel-path comes before the environment, this before shipped presets; the list says so."""
    first = folder(home / "first", box3_csv="3\n", mine_csv="1 2 1\n")
    second = folder(home / "second", box3_yaml="weights: [[2]]\n", other_csv="5\n")
    assert convcli.load_kernel("box3").size == (3, 3)
    assert convcli.load_kernel("box3", kernel_path=[first, second]).sum == 3
    assert convcli.load_kernel("OTHER", kernel_path=[first, second]).sum == 5
    listed = run("kernels", "list", "--kernel-path", first, "--kernel-path", second)
    (line,) = [line for line in listed.text.splitlines() if line.startswith("box3 ")]
    assert f"[{first}] hides {second}, the shipped one" in line
    assert f"folder {first}: searched before the built-in kernels" in listed.err
    with pytest.raises(KernelError, match="kernel path none is not a folder"):
        convcli.load_kernel("box3", kernel_path=["none"])


def test_the_environment(home, monkeypatch, run):
    """CONVCLI_KERNEL_PATH names folders; empty and missing ones are skipped."""
    own = folder(home / "own", mine_yaml="description: My own\naliases: [myown]\nweights: [[1, 2, 1]]\n")
    monkeypatch.setenv(library.PATH_VARIABLE, f":{home}/none:{own}")
    assert convcli.load_kernel("mine").sum == 4
    assert convcli.load_kernel("my-own").sum == 4
    assert convcli.load_kernel("mine@90").size == (3, 1)
    assert "My own" in run("kernels", "list").text


def test_the_users_folder_comes_last(home, run):
    """The platform's configuration folder adds names; a shipped name means the same on every machine."""
    folder(home / "config" / "convcli" / "kernels", box3_csv="9\n", mine_csv="1 2 1\n", bad_csv="1 x\n")
    assert convcli.load_kernel("mine").sum == 4
    assert convcli.load_kernel("box3").sum == 1
    listed = run("kernels", "list")
    assert "hides" in next(line for line in listed.text.splitlines() if line.startswith("box3 "))
    assert "bad.csv:1: column 2: 'x' is not a number" in listed.text
    assert "after the built-in kernels" in listed.err


def test_a_projects_folder_is_not_taken_unasked(home, run):
    """./kernels is not read; hints name its kernels, and --kernel-path reads them."""
    folder(home / "work" / "kernels", mine_csv="1 2 1\n", box3_csv="7\n")
    assert convcli.load_kernel("box3").sum == 1
    ran = run("kernels", "show", "mine")
    assert ran.code == 2
    assert "kernels/mine.csv exists: give its path, or --kernel-path kernels" in ran.err
    assert "folder kernels: 2 kernel files, not read without --kernel-path kernels" in run("kernels").err
    assert "1  2  1" in run("kernels", "show", "mine", "--kernel-path", "kernels").text
    assert run("kernels", "show", "--kernel-path", "kernels", "mine").code == 0
    assert "left out" not in run("kernels", "list", "--kernel-path", "kernels").err


def test_users_own_sets(home):
    """A set's members are looked up where the set was."""
    own = folder(home / "own", pair_yaml="members: [mine, box3]\ncombine: max\n", mine_csv="1 2 1\n")
    kernel = convcli.load_kernel("pair", kernel_path=[own])
    assert (kernel.maps, kernel.combine) == (2, "max")


def test_a_set_of_unknown_members_is_one_line(home, run):
    """The hint for a missing member looks at names only, not at the members of sets."""
    own = folder(home / "own", pair_yaml="members: [nope, sobel-x]\ncombine: l2\n", mine_csv="1 2 1\n")
    listed = run("kernels", "list", "--kernel-path", own)
    assert listed.code == 0
    assert "cannot be read: unknown kernel 'nope'" in listed.text
    shown = run("kernels", "show", "pair", "--kernel-path", own)
    assert (shown.code, shown.err.count("\n")) == (2, 1)
    assert "sobel-x" in run("kernels", "show", "sobl-x", "--kernel-path", own).err


def test_every_fact_as_json(home, run):
    """One object with kernels, families and folders, filtered by tag."""
    report = json.loads(run("kernels", "list", "--json", "--tag", "compass").text)
    assert {kernel["name"] for kernel in report["kernels"]} >= {
        "kirsch",
        "kirsch-ne",
        "robinson-w",
        "nevatia-babu-30",
    }
    sobel = next(
        k for k in json.loads(run("kernels", "list", "--json").text)["kernels"] if k["name"] == "sobel-x"
    )
    assert sobel["gain"] == 8
    assert sobel["separable"] is True
    assert sobel["range"] == [-4, 4]
    assert sobel["folder"] is None
    assert [each["name"] for each in json.loads(run("kernels", "list", "--json").text)["families"]] == list(
        FAMILIES
    )
