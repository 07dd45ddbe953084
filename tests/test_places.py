"""Where results go: trees that are kept, names that meet, and images that are replaced by their results."""

from __future__ import annotations

import os
from pathlib import Path

import imagecodecs
import numpy as np
import pytest

from convcli.errors import ArgumentError
from convcli.naming import Output, mirrored


def noise(seed: int) -> bytes:
    """A PNG."""
    pixels = np.random.default_rng(seed).integers(0, 256, (12, 13, 3), np.uint8)
    return bytes(imagecodecs.png_encode(pixels))


@pytest.fixture
def tree(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working directory, with a tree in which two images have one name."""
    for index, name in enumerate(("in/a/x.png", "in/b/x.png", "in/b/c/z.png", "in/y.png")):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(noise(index))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def files(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


BELOW = ["a/x.box3.png", "b/c/z.box3.png", "b/x.box3.png", "y.box3.png"]
PATHS = ["in/a/x.png", "in/b/c/z.png", "in/b/x.png", "in/y.png"]


@pytest.mark.parametrize(
    ("path", "place"),
    [
        ("a/x.png", "a/x.png"),
        ("./a//b/../x.png", "a/x.png"),
        ("/data/a/x.png", "data/a/x.png"),
        ("/data/./a/x.png", "a/x.png"),
        ("../../a/x.png", "a/x.png"),
        ("/../x.png", "x.png"),
        ("//h/.a/x.png", "h/.a/x.png"),
        (".", ""),
    ],
)
def test_a_path_below_another_folder(path, place):
    """Nothing leads out of it; /./ says where the repeated part begins."""
    assert mirrored(path) == place


@pytest.mark.parametrize("form", ["in/{}", "./in/{}", "{cwd}/in/./{}", "../{last}/in/./{}"])
def test_lists_keep_the_tree(run, tree, form):
    """What find prints is repeated below the destination; a folder in a list is too."""
    names = [form.replace("{}", path[3:]) for path in PATHS]
    names = [name.replace("{cwd}", str(tree)).replace("{last}", tree.name) for name in names]
    below = BELOW if "/./" in form else [f"in/{name}" for name in BELOW]
    ran = run("batch", "-0", "-", "out/", "-k", "box3", "-q", stdin="\0".join(names).encode())
    assert (ran.code, ran.err, files(tree / "out")) == (0, "", below)
    (tree / "list").write_text("in\n")
    assert run("batch", "-r", "--from-file", "list", "all", "-k", "box3", "-q").code == 0
    assert files(tree / "all") == [f"in/{name}" for name in BELOW]


@pytest.mark.parametrize("options", [["-0", "-"], ["-"], ["--from-file", "empty"]])
def test_an_empty_list_is_nothing_to_do(run, tree, options):
    """Exit 0 and a line, or none with -q; an option that is wrong is still an error."""
    (tree / "empty").write_bytes(b"")
    ran = run("batch", *options, "out/", "-k", "box3")
    assert (ran.code, ran.err) == (0, "convcli: the list names no images; nothing to do\n")
    assert run("batch", *options, "out/", "-k", "box3", "-q", "--report", "log.jsonl").err == ""
    assert (tree / "log.jsonl").read_text() == ""
    assert run("batch", *options, "out/", "-k", "nonsense").code == 2
    assert not (tree / "out").exists()


def test_names_in_a_list_are_no_patterns(run, tree):
    """A file that is gone fails alone, whatever its name looks like."""
    (tree / "[x]*.png").write_bytes(noise(1))
    names = "[x]*.png\n[y]*.png\nin/y.png\n"
    ran = run("batch", "-", "out/", "-k", "box3", stdin=names.encode())
    assert ran.code == 1
    assert ran.err.startswith("convcli: [y]*.png: No such file")
    assert files(tree / "out") == ["[x]*.box3.png", "in/y.box3.png"]


@pytest.mark.parametrize("jobs", [1, 3])
def test_two_results_of_one_name_cost_one_of_them(run, tree, jobs):
    """The first in the order of the inputs is made, the other fails; so say a dry run and the manifest."""
    words = ["batch", "in/b/x.png", "in/a/x.png", "in/y.png", "out", "-k", "box3"]
    told = "in/a/x.png: its output out/x.box3.png is that of in/b/x.png too; a DESTINATION with {dir} keeps"
    ran = run(*words, "-j", jobs, "--report", "log.jsonl")
    assert (ran.code, told in ran.err, files(tree / "out")) == (1, True, ["x.box3.png", "y.box3.png"])
    log = (tree / "log.jsonl").read_text().splitlines()
    assert [('"error": null' in row or '"error":null' in row) for row in log] == [True, False, True]
    run("apply", "in/b/x.png", "-k", "box3", "-o", "b.png")
    assert (tree / "out/x.box3.png").read_bytes() == (tree / "b.png").read_bytes()
    dry = run(*words[:-3], "dry", "-k", "box3", "-n")
    assert (dry.code, dry.err.count("\n"), len(dry.text.splitlines())) == (1, 1, 2)
    apart = run(*words[:-3], "apart/{dir}/{stem}{suffix}", "-k", "box3", "-q")
    assert (apart.code, files(tree / "apart")) == (0, ["in/a/x.png", "in/b/x.png", "in/y.png"])


@pytest.mark.parametrize(
    ("template", "made"),
    [
        ("{dir}/{stem}-b{suffix}", "in/a/x-b.png"),
        ("out/{dir}/{stem}{suffix}", "out/in/a/x.png"),
        ("{dir}/out/", "in/a/out/x.box3.png"),
    ],
)
@pytest.mark.parametrize("command", ["apply", "batch"])
def test_the_folder_of_an_input_in_a_template(run, tree, command, template, made):
    """{dir} is the folder as it was named, alone with / after it; trees are not kept twice."""
    words = ["in/a/x.png", "-o", template] if command == "apply" else ["-r", "in/a", template]
    assert run(command, *words, "-k", "box3", "-q").code == 0
    assert made in files(tree)


def test_a_folder_in_a_template_needs_a_slash():
    """{dir}{stem} would be another name."""
    with pytest.raises(ArgumentError, match=r"\{dir\} is a folder; put / after it"):
        Output("{dir}-{stem}.png")
    source = os.path.join("a", "x.png")  # noqa: PTH118
    assert [str(place) for place in Output("o/{dir}/{stem}.png").foretold(f"/{source}", "k", 1)] == [
        "o/a/x.png"
    ]
