"""Where results go: trees that are repeated, names that clash, and images that their results replace."""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path

import imagecodecs
import numpy as np
import pytest

from convcli.core.errors import ArgumentError
from convcli.pipeline.naming import OutputSpec
from convcli.pipeline.templates import mirrored


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
    """No path leads out of it; /./ marks where the kept part begins."""
    assert mirrored(path) == place


@pytest.mark.parametrize("form", ["in/{}", "./in/{}", "{cwd}/in/./{}", "../{last}/in/./{}"])
def test_lists_keep_the_tree(run, tree, form):
    """The tree that find prints is reproduced below the destination, and so is a folder in a list."""
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
    """The exit code is 0, with a line unless -q is given; an invalid option is still an error."""
    (tree / "empty").write_bytes(b"")
    ran = run("batch", *options, "out/", "-k", "box3")
    assert (ran.code, ran.err) == (0, "convcli: the list of names is empty; nothing to do\n")
    assert run("batch", *options, "out/", "-k", "box3", "-q", "--report", "log.jsonl").err == ""
    assert len((tree / "log.jsonl").read_text().splitlines()) == 1  # what all rows share
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
    message = (
        "in/a/x.png: its output out/x.box3.png is also that of in/b/x.png, which comes first; put {dir}/ into"
    )
    ran = run(*words, "-j", jobs, "--report", "log.jsonl")
    assert (ran.code, message in ran.err, files(tree / "out")) == (1, True, ["x.box3.png", "y.box3.png"])
    log = (tree / "log.jsonl").read_text().splitlines()
    assert [('"error": null' in row or '"error":null' in row) for row in log[1:]] == [True, False, True]
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
    """{dir} is the folder as it was named, and needs a / after it; trees are not repeated twice."""
    words = ["in/a/x.png", "-o", template] if command == "apply" else ["-r", "in/a", template]
    assert run(command, *words, "-k", "box3", "-q").code == 0
    assert made in files(tree)


def test_a_folder_in_a_template_needs_a_slash():
    """Without the slash, {dir}{stem} would be a different name."""
    with pytest.raises(ArgumentError, match=r"\{dir\} is a folder; put / after it"):
        OutputSpec("{dir}-{stem}.png")
    source = os.path.join("a", "x.png")  # noqa: PTH118
    assert [
        str(place) for place in OutputSpec("o/{dir}/{stem}.png").expected_paths(f"/{source}", "k", 1)
    ] == ["o/a/x.png"]


def filtered(run, name: str, *options: str) -> bytes:
    """What apply makes of an image beside it."""
    assert run("apply", name, "-k", "box3", "-q", "-o", "elsewhere.png", "-f", *options).code == 0
    return Path("elsewhere.png").read_bytes()


@pytest.mark.parametrize(
    "words",
    [
        ["apply", "in/y.png", "-o", "in/y.png"],
        ["apply", "in/y.png", "-o", "in/../in/y.png"],
        ["apply", "in/y.png", "in/a/x.png", "-o", "{dir}/{stem}{suffix}"],
        ["batch", "-r", "in", "{dir}/{stem}{suffix}"],
        ["batch", "in/y.png", "in/{stem}.png"],
    ],
)
def test_an_image_is_replaced_by_its_result(run, tree, words):
    """With --force alone, whole, with its permissions; other names of the file keep what it was."""
    image, before = tree / "in/y.png", (tree / "in/y.png").read_bytes()
    after = filtered(run, "in/y.png")
    os.link(image, tree / "hard.png")
    image.chmod(0o640)
    ran = run(*words, "-k", "box3", "-q")
    assert (ran.code > 0, "is the input itself (--force replaces it" in ran.err) == (True, True)
    assert image.read_bytes() == before
    ran = run(*words, "-k", "box3", "-q", "--force")
    assert (ran.code, ran.err, image.read_bytes()) == (0, "", after)
    assert image.stat().st_mode & 0o777 == 0o640
    assert (tree / "hard.png").read_bytes() == before
    assert not list(tree.rglob(".convcli*"))


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["apply", "in/y.png", "-k", "box3", "-o", "link.png"], "only be replaced by its own single result"),
        (
            ["apply", "link.png", "-k", "box3", "-o", "link.png"],
            "is a symbolic link; to replace the image, use",
        ),
        (
            ["apply", "in/y.png", "in/a/x.png", "-k", "box3", "-o", "in/{kernel}.png"],
            "another output of this",
        ),
        (
            ["apply", "in/y.png", "-k", "box3", "--figure", "-o", "in/y.png"],
            "only be replaced by its own single result",
        ),
        (
            ["batch", "in/y.png", "in/{stem}.png", "-k", "box3", "--report", "m.csv", "--resume"],
            "--resume cannot",
        ),
        (["batch", "link.png", "{dir}/{stem}.png", "-k", "box3"], "is a symbolic link"),
    ],
)
def test_no_image_is_replaced_otherwise(run, tree, words, message):
    """Not through another name, not by anything but its single filtered result, and not in resumed runs."""
    (tree / "link.png").symlink_to("in/y.png")
    before = {name: (tree / name).read_bytes() for name in PATHS}
    ran = run(*words, "-q", "--force")
    assert message in ran.err
    assert {name: (tree / name).read_bytes() for name in PATHS} == before
    assert (tree / "link.png").is_symlink()


def test_one_of_several_results_replaces_no_input(run, tree):
    """Two kernels or two maps, of which one is called as the input: refused by apply and batch."""
    for name in ("box3.png", "0.png"):
        (tree / name).write_bytes(noise(1))
    for words in (
        ["apply", "box3.png", "-k", "box3", "-k", "box5", "-o", "{kernel}.png"],
        ["apply", "0.png", "-k", "sobel:stack", "-o", "{index}.png"],
        ["batch", "box3.png", "{kernel}.png", "-k", "box3", "-k", "box5"],
        ["batch", "0.png", "{index}.png", "-k", "sobel:stack"],
    ):
        ran = run(*words, "--force", "-q")
        assert (ran.code, "only be replaced by" in ran.err) == (2, True)
    assert (tree / "box3.png").read_bytes() == (tree / "0.png").read_bytes() == noise(1)


def test_a_result_in_place_is_recorded(run, tree):
    """The manifest of such a batch says what was read and what is there now."""
    assert (
        run("batch", "in/y.png", "in/{stem}.png", "-k", "box3", "-f", "-q", "--report", "m.jsonl").code == 0
    )
    facts = json.loads((tree / "m.jsonl").read_text().splitlines()[-1])["batch"]
    assert facts["input_sha256"] == hashlib.sha256(noise(3)).hexdigest()
    assert facts["output_sha256"] == hashlib.sha256((tree / "in/y.png").read_bytes()).hexdigest()


@pytest.mark.parametrize(
    "words",
    [
        ["apply", "in/y.png", "-k", "k.npy", "-o", "k.npy", "--map", "raw"],
        ["apply", "in/y.png", "-k", "k.npy@90", "-o", "hard.npy"],
        [
            "apply",
            "in/y.png",
            "-k",
            "box3",
            "-k",
            "k.npy",
            "-o",
            "{stem}{kernel}.png",
            "--report-file",
            "k.npy",
        ],
        [
            "apply",
            "in/y.png",
            "-k",
            "k",
            "--kernel-path",
            "own",
            "-o",
            "o.png",
            "--report-file",
            "own/k.yaml",
        ],
        [
            "apply",
            "in/y.png",
            "-k",
            "alias",
            "--kernel-path",
            "own",
            "-o",
            "o.png",
            "--report-file",
            "own/k.yaml",
        ],
        ["batch", "in/y.png", "{kernel}.npy", "-k", "k.npy", "--map", "raw"],
        ["batch", "in/y.png", "out", "-k", "k.yaml.csv", "--report", "k.yaml.csv"],
        ["batch", "--from-file", "list.csv", "{dir}/../l{kernel}.csv", "-k", "ist.npy", "--format", "npy"],
        ["batch", "--from-file", "list.csv", "out", "-k", "box3", "--report", "list.csv"],
        ["explore", "in/y.png", "-k", "k.npy", "-o", "k.npy"],
        ["animate", "4x4", "-k", "pic.png", "-o", "pic.png"],
        ["kernels", "preview", "in/y.png", "-k", "pic.png", "-o", "pic.png"],
        ["kernels", "export", "k.npy", "-o", "k.npy"],
    ],
)
def test_kernels_and_lists_are_never_replaced(run, tree, words):
    """Nothing that a run reads is overwritten: not with --force, nor by a report or a manifest."""
    np.save("k.npy", np.ones((3, 3)))
    os.link("k.npy", "hard.npy")
    (tree / "k.yaml.csv").write_text("1 2 1\n")
    np.save("ist.npy", np.ones((3, 3)))
    (tree / "list.csv").write_text("in/y.png\n")
    (tree / "pic.png").write_bytes(imagecodecs.png_encode(np.ones((3, 3), np.uint8)))
    (tree / "own").mkdir()
    (tree / "own/k.yaml").write_text("name: k\naliases: [alias]\nweights: [[1, 2, 1]]\n")
    before = {path: path.read_bytes() for path in tree.rglob("*") if path.is_file()}
    ran = run(*words, "--force")
    assert (ran.code, "read by this run" in ran.err) == (2, True), ran.err
    assert {path: path.read_bytes() for path in before} == before
    assert {path for path in tree.rglob("*") if path.is_file()} == set(before)
