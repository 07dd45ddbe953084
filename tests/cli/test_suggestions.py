"""Suggestions fit the command, or there are none."""

from __future__ import annotations

import re
from pathlib import Path

import imagecodecs
import numpy as np
import pytest

from convcli.cli import suggestions
from convcli.cli.registry import COMMANDS
from convcli.core.errors import edits, suggest
from tests.cli.test_help import LEAVES
from tests.conftest import SAMPLES


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working directory, with an image of its own and one in a subfolder."""
    (tmp_path / "in/sub").mkdir(parents=True)
    for name in ("a.png", "b.png", "in/sub/c.png"):
        (tmp_path / name).write_bytes(imagecodecs.png_encode(np.zeros((4, 5), np.uint8)))
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize(
    ("one", "other", "count"),
    [
        ("", "", 0),
        ("stirde", "stride", 1),
        ("blur", "debug", 4),
        ("sobl", "sobel", 1),
        ("ab", "ba", 1),
        ("a", "", 1),
    ],
)
def test_slips_of_the_keyboard(one, other, count):
    """Letters left out, put in, replaced or swapped."""
    assert edits(one, other) == edits(other, one) == count


@pytest.mark.parametrize(
    ("word", "known", "advice"),
    [
        ("--stirde", ["--stride", "--tile", "--strip"], " (did you mean --stride?)"),
        ("--blur", ["--debug", "--bias", "--force"], ""),
        ("gry", ["gray", "each", "sum"], " (did you mean gray?)"),
        ("--kernel-path", ["--kernel", "--kernel-path"], " (did you mean --kernel-path, --kernel?)"),
        ("x", ["a", "b"], ""),
        ("laplac", ["laplacian4", "laplacian8", "sobel"], " (did you mean laplacian4, laplacian8?)"),
        ("gaussian-blur", ["gaussian", "box"], " (did you mean gaussian?)"),
        ("x" * 100_000, ["box3"], ""),
    ],
)
def test_a_suggestion_is_near_or_there_is_none(word, known, advice):
    """A word that only shares a few letters with the input is not suggested."""
    assert suggest(word, known) == advice


OPTIONS = {
    "--blur": "--blur; use -k gaussian:SIGMA",
    "-blur": "-blur; use -k gaussian:SIGMA",
    "--sigma": "; use -k gaussian:SIGMA",
    "--sharpen": "; use -k sharpen",
    "--edge": "; use -k sobel",
    "--size": "(the size belongs to the kernel: -k box:ROWSxCOLUMNS)",
    "--kernel-size": "(the size belongs to the kernel: -k box:ROWSxCOLUMNS)",
    "--border": "; use --padding AMOUNT:FILL",
    "--border-type": "; use --padding AMOUNT:FILL",
    "--overwrite": "; use --force",
    "--out": "; use -o OUT",
    "--in_place": "; use -o '{dir}/{stem}{suffix}' --force",
    "--grayscale": "; use --channels gray",
    "--recursive": "(for folders, convcli batch -r)",
    "--kernal": "(did you mean --kernel?)",
    "--workers": "; use --threads",
    "--nonsense": "--nonsense\n",
    "-Q": "-Q\n",
    "-1": "-1 (quote a kernel of several numbers: it is one argument)",
    "-.5": "-.5 (quote a kernel of several numbers: it is one argument)",
    "-1 0 1": "-1 0 1; write [-1 0 1], in brackets",
}


@pytest.mark.parametrize("option", OPTIONS)
def test_options_of_other_tools(run, option):
    """The command's equivalent option, else a similar name, else nothing."""
    ran = run("apply", "a.png", "-k", "box3", option, "2")
    assert (ran.code, ran.err.count("\n")) == (2, 1)
    assert ran.err.startswith("convcli: no such option: ")
    assert OPTIONS[option] in ran.err


def test_advice_is_only_of_options_that_the_command_has(run):
    """Advice depends on the options and the purpose of a command; if none fits, there is none."""
    for command, option, advice in [
        ("batch", "--workers", "; use --jobs"),
        ("shape", "--overwrite", ""),
        ("shape", "--blur", ""),
        ("shape", "--kernel-size", "; use -k ROWSxCOLUMNS"),
        ("explain", "--recursive", ""),
        ("view", "--blur", ""),
        ("animate", "--delay", "; use --fps"),
        ("plan", "--ram", ""),
        ("apply", "--csv", "; use --report csv"),
        ("plan", "--csv", ""),
        ("compare", "--tolerance", "; use --fail-above"),
        ("compare", "--gray", ""),
        ("batch", "--report-file", "; use --report FILE"),
        ("batch", "--model", " (convcli apply takes --model, and several images)"),
        ("explain", "--until", " (for a layer of a network, use -k FILE:NODE --layer)"),
    ]:
        assert run(command, option, "1").err == f"convcli: no such option: {option}{advice}\n"
    assert run("kernels", "list", "--edge").err.endswith("; use --tag edge\n")


@pytest.mark.parametrize(
    ("word", "advice"),
    [
        ("aply", " (did you mean apply?)"),
        ("blur", "; use convcli apply IMAGE -k KERNEL"),
        ("photo.png", "; to filter an image, use convcli apply IMAGE -k KERNEL"),
        ("show", "; use convcli view IMAGE"),
        ("list", "; use convcli kernels list"),
        ("diff", "; use convcli compare A B"),
        ("help", "; use convcli --help"),
        ("xyzzy", ""),
    ],
)
def test_commands_of_other_tools(run, word, advice):
    """The command that is meant, else a near name, else nothing."""
    ran = run(word)
    assert (ran.code, ran.err) == (2, f"convcli: no such command '{word}'{advice}\n")


@pytest.mark.parametrize(
    ("words", "advice"),
    [
        (["--channels", "grayscale"], "'grayscale' is not one of each, gray, sum (did you mean gray?)"),
        (["--channels", "grey"], "(did you mean gray?)"),
        (["--colormap", "jet"], "(did you mean viridis?)"),
        (["--depth", "32"], "(did you mean float?)"),
        (["--like", "pytorch"], "(did you mean torch?)"),
        (["--combine", "magnitude"], "(did you mean l2?)"),
        (["--png", "whatever"], "'whatever' is not one of fast, small\n"),
        (["--map", "signde"], "(did you mean signed?)"),
        (["--padding", "same:replicat"], "(did you mean replicate?)"),
        (["--padding", "smae"], "(did you mean same?)"),
        (
            ["-k", "median"],
            "unknown kernel 'median'; this filter is not a convolution",
        ),
        (["-o", "folder"], "or --format; for a folder, use folder/\n"),
    ],
)
def test_values_of_other_tools(run, words, advice):
    """The intended value, in one line that lists what is allowed."""
    ran = run("apply", SAMPLES / "scene.png", "-k", "box3", *words)
    assert (ran.code, advice in ran.err, ran.err.count("\n")) == (2, True, 1), ran.err


@pytest.mark.parametrize(
    ("words", "advice"),
    [
        (
            ["batch", "a.png", "x.jpg"],
            "x.jpg: the DESTINATION of a batch must be a folder or a template; for one image",
        ),
        (
            ["batch", "a.png", "b.png"],
            "b.png: is a file; the DESTINATION (last argument, or -o) must be a folder",
        ),
        (["batch", "in", "out"], "no images found in any SOURCE; use -r to include subfolders"),
        (["apply", "in"], "in: is a folder; choose an image in it, or use convcli batch"),
        (["apply", "a.png", "-k", "laws", "-o", "f.npy"], "use --stack, a folder or {index}"),
        (["apply", "a.png", "-k", "laws", "-o", "f.png"], "use a folder, {index} or --sheet"),
        (["apply", "a.png", "-k", "laws", "-o", "{stem}.tif"], "needs {index} or --stack"),
        (["apply", "a.png", "-k", "box5", "-o", "f.tif"], "use FOLDER/, {kernel} or --stack"),
        (["apply", "a.png", "-k", "box5", "-o", "f.jpg"], "use FOLDER/, {kernel} or --sheet"),
        (
            ["apply", "a.png", "-k", "m.pt"],
            "m.pt: PyTorch files can contain code, which convcli does not run; in Python",
        ),
        (["apply", "a.png", "-k", "m.PTH:conv.weight"], "safetensors.torch.save_file(model.state_dict(), "),
        (["apply", "a.png", "-k", "w.pkl"], "numpy.save('k.npy', weights)"),
        (["apply", "a.png", "-k", "m.tflite"], "model.save('m.keras')"),
    ],
)
def test_what_to_do_instead(run, folder, words, advice):
    """The next step, in the same line; nothing is made."""
    ran = run(*words, *([] if "laws" in words else ["-k", "box3"]), "-q")
    assert (ran.code, advice in ran.err, ran.err.count("\n")) == (2, True, 1), ran.err
    assert len(list(folder.rglob("*"))) == 5


def test_a_batch_takes_its_destination_as_an_option(run, folder):
    """-o DESTINATION in any place, as xargs wants it; one file for several is still refused."""
    ran = run("batch", "-o", "out/", "-k", "box3", "-q", "a.png", "b.png")
    assert (ran.code, sorted(path.name for path in (folder / "out").iterdir())) == (
        0,
        ["a.box3.png", "b.box3.png"],
    )
    assert "needs a SOURCE" in run("batch", "-o", "out/", "-k", "box3").err
    assert run("batch", "a.png", "-k", "box3", "-q", "-o", "photos.jpg/").code == 0
    assert (folder / "photos.jpg" / "a.box3.png").exists()


def test_unsupported_images_of_a_folder_are_counted(run, folder):
    """Images of kinds that are not read, counted; what an extra reads is tried; other files are not."""
    for name in ("x.psd", "y.PSD", "z.svg", "notes.txt", ".hidden.psd", "sub/deep.jp2"):
        (folder / "in" / name).write_bytes(b"?")
    (folder / "in/film.webm").write_bytes(b"\x1a\x45\xdf\xa3")
    ran = run("batch", "in", "out", "-k", "box3")
    assert "convcli: skipped files of unsupported formats: .psd (2), .svg (1)\n" in ran.err
    assert (ran.code, "convcli: in/film.webm: " in ran.err) == (1, True)
    assert "unsupported" not in run("batch", "in", "out", "-k", "box3", "-q").err
    assert ".jp2 (1), .psd (2)" in run("batch", "-r", "in", "out", "-k", "box3").err


def test_no_advice_names_an_option_that_the_command_does_not_have():
    """Every hint of every command, for every known option and value of other tools."""
    words = [word for known in (suggestions._OPTIONS, *suggestions._OF_COMMANDS.values()) for word in known]
    for path, command in LEAVES.items():
        options = {option for parameter in command.params for option in parameter.opts}
        for word in " ".join(words).split():
            hint = suggestions.option_hint(f"--{word}", options, command.name)
            if "convcli" not in hint:
                assert set(re.findall(r"(?<![\w-])--?[a-z][\w-]*", hint)) <= options, (path, word, hint)


def test_no_advice_names_a_command_that_does_not_exist():
    """Each command that another tool's name is mapped to is in the registry."""
    assert {command for command, _ in suggestions._COMMANDS.values() if command} <= set(COMMANDS)
