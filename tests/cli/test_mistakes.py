"""Mistakes of users: one line of explanation, the right exit code, and no file left behind."""

from __future__ import annotations

import os
import shlex
import signal
import subprocess
import sys
import time

import imagecodecs
import numpy as np
import pytest

from tests.conftest import ROOT, SAMPLES
from tests.formats.test_registry import monster

SCENE = str(SAMPLES / "scene.png")
QUOTED = shlex.quote(SCENE)
PROGRAM = f"{shlex.quote(sys.executable)} -m convcli"

MISTAKES = {
    "unknown preset": (["-k", "sobl"], "unknown kernel 'sobl' (did you mean sobel"),
    "hyphenated preset": (["-k", "sobl-x"], "unknown kernel 'sobl-x' (did you mean sobel-x"),
    "ragged kernel": (["-k", "1 2; 3"], "row 2: row has 1 number, expected 2"),
    "word in kernel": (["-k", "1 2 x"], "column 3: 'x' is not a number"),
    "nan kernel": (["-k", "nan 1"], "'nan' is not a finite number"),
    "empty kernel": (["-k", ""], "unknown kernel ''"),
    "stage as kernel": (
        ["-k", "maxpool2x2,stride=1"],
        "is a stage, not a kernel; use --then maxpool2x2,stride=1 after -k KERNEL",
    ),
    "missing file": (["-k", "none.yaml"], "none.yaml: no such file"),
    "large kernel": (["-k", "box999", "--padding", "valid"], "covers 999 × 999, which is larger than"),
    "zero stride": (["-k", "box3", "--stride", "0"], "stride 0 is not allowed (allowed: 1 to 1099511627776)"),
    "negative stride": (["-k", "box3", "--stride", "-1"], "stride -1 is not allowed"),
    "three strides": (["-k", "box3", "--stride", "1,2,3"], "stride has 3 values; allowed: 1 or 2"),
    "zero dilation": (["-k", "box3", "--dilation", "0"], "dilation 0 is not allowed"),
    "mirror": (["-k", "box3", "--padding", "same:mirror"], "'mirror' is ambiguous"),
    "padding": (["-k", "box3", "--padding", "sames"], "padding 'sames' is not one of valid, same"),
    "map": (["-k", "box3", "--map", "signde"], "did you mean signed"),
    "method": (["-k", "box3", "--method", "fast"], "not one of auto, shift, direct"),
    "refused method": (["-k", "sharpen", "--method", "separable"], "rank above 1"),
    "scale": (["-k", "box3", "--scale", "1/0"], "'1/0' divides by zero"),
    "bias": (["-k", "box3", "--bias", "inf"], "'inf' is not a finite number"),
    "format": (["-k", "box3", "--format", "pgn"], "format 'pgn' is not one of png"),
    "suffix": (["-k", "box3", "-o", "x.xyz"], "unknown suffix; allowed: .png"),
    "folder": (["-k", "box3", "-o", "none/x.png"], "the folder none does not exist"),
    "template": (["-k", "box3", "-o", "{name}.png"], "{name} is not one of {dir}, {stem}"),
    "template attribute": (["-k", "box3", "-o", "{stem.__class__}.png"], "is not one of {dir}, {stem}"),
    "template brace": (["-k", "box3", "-o", "{stem.png"], "output template"),
    "long name": (["-k", "box3", "-o", "x" * 300 + ".png"], "File name too long"),
    "very long name": (["-k", "box3", "-o", "x" * 5000 + ".png"], "xxx…: File name too long"),
    "threads": (["-k", "box3", "--threads", "0"], "--threads: 0 is not allowed (allowed: 1 to 1024)"),
    "max pixels": (["-k", "box3", "--max-pixels", "1e5"], "allowed: 100000 (--max-pixels)"),
    "option": (
        ["-k", "box3", "--stirde", "2"],
        "no such option: --stirde (did you mean --stride?)",
    ),
    "no kernel": ([], "missing option -k/--kernel"),
    "empty report file": (["-k", "box3", "--report-file", ""], "--report-file: an empty name"),
    "channels": (["-k", "random:3x3x3x1,seed=1"], "takes 3 input channels"),
    "preset without a value": (["-k", "box:=3"], "has nothing before ="),
    "too many weights": (["-k", "ones:4096x4096x9x1"], "too many weights"),
    "truncate": (["-k", "gaussian:1,truncate=1e300"], "truncate 1e300 is not between"),
    "large fill": (["-k", "box3", "--padding", "5:1e308"], "a number up to 1e+30"),
    "large bias": (["-k", "box3", "--bias", "1e300"], "bias"),
    "large output": (["-k", "box3", "--padding", "0,5000000"], "pixels; allowed: 1000000000"),
    "long option": (["-k", "box3", "--stride", "1" + " " * 100_000 + "2"], "whole numbers"),
    "long kernel": (["-k", "x" * 5000], "unknown kernel"),
    "jpeg of floats": (["-k", "box3", "--map", "raw", "-o", "x.jpg"], "jpeg cannot hold"),
}


@pytest.mark.parametrize("name", MISTAKES)
def test_one_line_and_exit_2(run, name, tmp_path, monkeypatch):
    """A mistake on the command line is one line on standard error; nothing is written."""
    monkeypatch.chdir(tmp_path)
    options, words = MISTAKES[name]
    result = run("apply", SCENE, *options, *([] if "-o" in options else ["-o", tmp_path / "out.png"]))
    assert result.code == 2
    assert words in result.err
    assert result.err.startswith("convcli: ")
    assert result.err.count("\n") == 1
    assert result.text == ""
    assert list(tmp_path.iterdir()) == []


def broken_images() -> dict[str, tuple[bytes, str]]:
    """Contents that are not valid images, with the message for each."""
    png = (SAMPLES / "color.png").read_bytes()
    flipped = bytearray(png)
    flipped[len(png) // 2] ^= 255
    return {
        "empty.png": (b"", "the file is empty"),
        "text.png": (b"hello\n", "not an image in a known format"),
        "cut.png": (png[:5000], "damaged png"),
        "flipped.png": (bytes(flipped), "damaged png"),
        "monster.png": (monster(), "50000×50000 is 2500000000 pixels"),
        "renamed.png": (b"PK\3\4 an archive", "not an image"),
        "signature.png": (png[:8], "it does not start with an IHDR chunk"),
    }


@pytest.mark.parametrize("name", broken_images())
def test_broken_images(run, name, tmp_path):
    """An invalid image: its name and the reason, exit 2, nothing written."""
    content, words = broken_images()[name]
    path = tmp_path / name
    path.write_bytes(content)
    result = run("apply", path, "-k", "box3")
    assert result.code == 2
    assert result.err.startswith(f"convcli: {path}: ")
    assert words in result.err
    assert result.err.count("\n") == 1
    assert list(tmp_path.iterdir()) == [path]


def test_standard_input_may_be_closed_and_standard_error_full(tmp_path):
    """Both are met with the exit code of a mistake, not with a traceback."""
    script = f"{PROGRAM} apply - -k box3 -o {tmp_path}/a.png <&-"
    ran = subprocess.run(["bash", "-c", script], capture_output=True, text=True, check=False)
    assert (ran.returncode, ran.stderr) == (2, "convcli: standard input: standard input is closed\n")
    ran = subprocess.run(["bash", "-c", f"{PROGRAM} apply none -k box3 2>/dev/full"], check=False)
    assert ran.returncode == 2


@pytest.mark.parametrize(
    "command",
    [
        ["shape", "100000000x3", "-k", "1", "--stride", "2", "--padding", "valid"],
        ["apply", SCENE, "-k", "[1]", "--padding", "0,400000:edge", "-o", "/dev/null", "--format", "png"],
        ["apply", SCENE, "-k", "1 1", "--dilation", "1000000", "-o", "/dev/null", "--format", "png"],
        ["apply", SCENE, "-k", "box:1000", "-o", "/dev/null", "--format", "png"],
        ["apply", SCENE, "-k", "1e300", "-o", "/dev/null", "--format", "png"],
    ],
)
def test_odd_numbers_cost_little(command, run):
    """Large sizes, paddings, dilations and weights neither hang nor warn."""
    begun = time.perf_counter()
    result = run(*command)
    assert (result.code, result.err) == (0, "")
    assert time.perf_counter() - begun < 10


def test_control_characters_in_names_do_not_reach_the_terminal(run, tmp_path):
    """A file name with an escape sequence or a line break is shown escaped, on one line."""
    result = run("apply", f"{tmp_path}/a\x1b[31m\nb.png", "-k", "box3")
    assert result.code == 2
    assert "a\\x1b[31m\\nb.png: No such file" in result.err
    assert result.err.count("\n") == 1


def test_commands_and_help(run):
    """A misspelled command gets a suggestion; every command has a help page; --debug shows the traceback."""
    result = run("aply")
    assert (result.code, result.err) == (2, "convcli: no such command 'aply' (did you mean apply?)\n")
    assert run().text.startswith("Usage: convcli")
    for command in ("apply", "shape", "kernels"):
        assert run(command, "--help").text.startswith(f"Usage: convcli {command}")
    with pytest.raises(Exception, match="No such file"):
        run("--debug", "apply", "none.png", "-k", "box3")


def convcli(*arguments: str, **options: object) -> subprocess.Popen[bytes]:
    """The real program."""
    return subprocess.Popen([sys.executable, "-m", "convcli", *arguments], **options)


def test_an_interrupt_while_modules_are_imported_is_silent():
    """Before the program can clean up there is nothing to clean up: it ends by the signal."""
    code = """if True:
        import builtins, os, signal, convcli.__main__
        imported = builtins.__import__
        def interrupted(name, *rest):
            if name.startswith("click"):
                os.kill(os.getpid(), signal.SIGINT)
            return imported(name, *rest)
        builtins.__import__ = interrupted
        convcli.__main__.entry()
    """
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (ran.returncode, ran.stdout, ran.stderr) == (-signal.SIGINT, "", "")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_signals_leave_nothing_behind(number, tmp_path):
    """Interrupted while it works: exit 128 + the signal, no partial file, the old output whole."""
    source, out = tmp_path / "large.png", tmp_path / "out.png"
    pixels = np.random.default_rng(0).integers(0, 256, (3000, 3000), np.uint8)
    source.write_bytes(imagecodecs.png_encode(pixels, level=1))
    out.write_text("precious")
    options = ["-k", "gaussian:40", "-o", str(out), "--force", "--method", "shift", "--threads", "2"]
    process = convcli("apply", str(source), *options, stderr=subprocess.PIPE)
    time.sleep(1.0)
    assert process.poll() is None
    process.send_signal(number)
    _, err = process.communicate(timeout=20)
    assert process.returncode == 128 + number
    assert b"Traceback" not in err
    assert sorted(path.name for path in tmp_path.iterdir()) == ["large.png", "out.png"]
    assert out.read_text() == "precious"


def test_several_signals_end_it_once(tmp_path):
    """The first one counts; the others do not disturb what it cleans up. nohup is respected."""
    source, out = tmp_path / "large.png", tmp_path / "out.png"
    source.write_bytes(imagecodecs.png_encode(np.zeros((3000, 3000), np.uint8), level=1))
    options = ["-k", "gaussian:40", "-o", str(out), "--method", "shift", "--threads", "2"]
    process = convcli("apply", str(source), *options, stderr=subprocess.PIPE)
    time.sleep(1.0)
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        process.send_signal(number)
        time.sleep(0.005)
    _, err = process.communicate(timeout=20)
    assert process.returncode in (129, 130, 143) and err == b""
    assert [path.name for path in tmp_path.iterdir()] == ["large.png"]


def test_a_closed_pipe_is_no_error():
    """A closed pipe is not a failure: exit 0, no message."""
    script = f"({PROGRAM} apply {QUOTED} -k box3 -o - ; echo $? >&2) | head -c 10 >/dev/null"
    piped = subprocess.run(["bash", "-c", script], capture_output=True, text=True, check=True)
    assert piped.stderr.strip() == "0"


def test_a_full_disk_and_a_folder_without_permission(tmp_path):
    """The reason is reported and nothing is left behind; exit 1 if results were written."""
    both = f"apply {QUOTED} {shlex.quote(str(SAMPLES / 'color.png'))} -k box3 -o {tmp_path}/out/"
    for command, code in ((f"apply {QUOTED} -k box3 -o -", 2), ("kernels", 2), (both, 1)):
        script = f"{PROGRAM} {command} > /dev/full"
        full = subprocess.run(["bash", "-c", script], capture_output=True, text=True, check=False)
        assert full.returncode == code
        assert full.stderr == "convcli: standard output: No space left on device\n"
    assert len(list((tmp_path / "out").iterdir())) == 2
    locked = tmp_path / "locked"
    locked.mkdir(mode=0o500)
    if not os.access(locked, os.W_OK):
        denied = convcli("apply", SCENE, "-k", "box3", "-o", f"{locked}/a.png", stderr=subprocess.PIPE)
        assert b"no permission to write" in denied.communicate()[1]


@pytest.mark.parametrize("limit", ["-f 20", "-v 1000000"])
def test_limits_of_the_system(limit, tmp_path):
    """A file-size or memory limit ends in one line and leaves nothing behind."""
    script = f"ulimit {limit}; {PROGRAM} apply {QUOTED} -k box3 -o {tmp_path}/a.png -q"
    ran = subprocess.run(
        ["bash", "-c", f"trap '' XFSZ; {script}"], capture_output=True, text=True, check=False
    )
    assert "Traceback" not in ran.stderr
    if ran.returncode:
        assert ran.returncode == 2
        assert ran.stderr.count("\n") == 1
        assert list(tmp_path.iterdir()) == []


def test_locale_and_home_do_not_matter(tmp_path):
    """LC_ALL=C, no HOME and no TMPDIR: the same report and the same image."""
    ran = subprocess.run(
        [sys.executable, "-m", "convcli", "apply", SCENE, "-k", "box3", "-o", tmp_path / "a.png"],
        capture_output=True,
        check=True,
        env={"LC_ALL": "C", "PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT)},
    )
    assert "floor((512" in ran.stdout.decode()


def test_a_last_name_that_is_no_file_is_answered_with_the_option_for_results(run, tmp_path):
    """As in `convert in.png out.png`; before other images, or with -o, a missing file is just missing."""
    first = tmp_path / "a.png"
    first.write_bytes((SAMPLES / "scene.png").read_bytes())
    last, hint = tmp_path / "out.png", "; to name the result, use -o "
    assert f"{hint}{last}\n" in run("apply", first, last, "-k", "box3").err
    assert hint not in run("apply", last, first, "-k", "box3", "--force").err
    assert hint not in run("apply", first, last, "-k", "box3", "-o", f"{tmp_path}/results/").err
