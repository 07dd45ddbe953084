"""Whatever ends a command, its failure is one line: what C libraries print, exits and aborts, slow calls."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys

import pytest

from convcli.core.native_stderr import fatal_line
from tests.conftest import ROOT, SAMPLES
from tests.core.test_processes import until

ENTRY = """
import ctypes, os, sys, threading
from convcli.{package} import {module}
libc = ctypes.CDLL(None)

def instead(*given, **_):
    {body}

{before}
{module}.{name} = instead
from convcli.__main__ import entry
entry()
"""


def command(
    body: str, *words: object, before: str = "", patched: str = "pipeline.job._made", **options: object
):
    """A command of which one function does something else."""
    package, module, name = patched.split(".")
    code = ENTRY.format(package=package, module=module, name=name, body=body, before=before)
    return subprocess.Popen(
        [sys.executable, "-c", code, *map(str, words)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        cwd=ROOT,
        **options,
    )


def apply(body: str, folder, **options: object) -> tuple[int, str]:
    shutil.copy(SAMPLES / "scene.png", folder / "in.png")
    process = command(body, "apply", folder / "in.png", "-k", "box3", "-q", **options)
    return process.wait(60), process.communicate()[1].decode()


@pytest.mark.parametrize(
    ("body", "code", "told"),
    [
        ("libc.exit(1)", 1, "killed, or out of memory"),
        ("os.write(2, b'a warning\\nno memory left\\n'); libc.exit(1)", 1, "no memory left"),
        (
            "t = threading.Thread(target=lambda: (os.write(2, b'oh\\n'), libc.exit(1))); t.start(); t.join()",
            1,
            "oh",
        ),
        (
            "os.write(2, b'x.c:1: f: Assertion failed.\\n'); libc.abort()",
            -signal.SIGABRT,
            "x.c:1: f: Assertion failed.",
        ),
        ("os.kill(os.getpid(), 9)", -signal.SIGKILL, "killed, or out of memory"),
    ],
)
def test_a_process_that_dies_leaves_one_line(body, code, told, tmp_path):
    """With the last words of the library that ended it, in any thread; nothing is left beside the input."""
    assert apply(body, tmp_path) == (code, f"convcli: terminated unexpectedly: {told}\n")
    assert [path.name for path in tmp_path.iterdir()] == ["in.png"]


def test_warnings_of_libraries_are_not_shown(tmp_path):
    """A failure is one line of ours, whatever was printed before, and without a monitor process too."""
    body = "os.write(2, b'a warning\\n'); raise MemoryError"
    assert apply(body, tmp_path) == (2, f"convcli: {tmp_path}/in.png: not enough memory\n")
    refused = "def fork(): raise OSError\nos.fork = fork"
    code, err = apply(body, tmp_path, before=refused)
    assert (code, err) == (2, f"a warning\nconvcli: {tmp_path}/in.png: not enough memory\n")


def test_a_worker_that_dies_says_why(tmp_path):
    """A batch tells what the library printed that ended a worker, and does the rest."""
    for name in ("a", "b", "c"):
        shutil.copy(SAMPLES / "scene.png", tmp_path / f"{name}.png")
    process = command(
        "os.write(2, b'no memory left\\n'); libc.exit(1) if given[0].source.endswith('b.png') else None; "
        "return made(*given)",
        *(
            "batch",
            tmp_path / "a.png",
            tmp_path / "b.png",
            tmp_path / "c.png",
            tmp_path / "out",
            "-k",
            "box3",
        ),
        *("-q", "-j", 2),
        before="made = job._made",
    )
    assert process.wait(60) == 1
    line = f"convcli: {tmp_path}/b.png: its worker process exited with code 1: no memory left\n"
    assert process.communicate()[1].decode() == line
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["a.box3.png", "c.box3.png"]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_ends_a_long_call_of_a_library(number, tmp_path):
    """The command ends immediately with the signal's exit code, and leaves no hidden file."""
    shutil.copy(SAMPLES / "scene.png", tmp_path / "in.png")
    process = command(
        "open(sys.argv[2] + '.begun', 'w'); libc.sleep(600)",
        *("apply", tmp_path / "in.png", "-o", tmp_path / "out.png", "-k", "box3"),
        before="from convcli.core import handles; handles.OPEN_FILES = '/nowhere'",
    )
    assert until((tmp_path / "in.png.begun").exists)
    assert any(path.name.startswith(".convcli-") for path in tmp_path.iterdir())
    process.send_signal(number)
    assert process.wait(60) == 128 + number
    assert process.communicate() == (b"", b"")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["in.png", "in.png.begun"]


@pytest.mark.parametrize(
    ("printed", "words"),
    [
        (b"", ""),
        (b"\1warning\n\n", "warning"),
        (b"one\ntwo\n", "two"),
        (
            b"terminate called after throwing an instance of 'std::bad_alloc'\n  what():  std::bad_alloc\n",
            "terminate called after throwing an instance of 'std::bad_alloc' what(): std::bad_alloc",
        ),
        (
            b"Fatal Python error: Aborted\n\nThread 0x1 (most recent call first):\n  File x\n",
            "Fatal Python error: Aborted",
        ),
        (b"\x1b[31m\xff\n", "\N{REPLACEMENT CHARACTER}[31m\N{REPLACEMENT CHARACTER}"),
        (b"x" * 5000, "x" * 300),
    ],
)
def test_last_words_are_one_safe_line(printed, words):
    """The line of the libraries' output that gives the reason."""
    assert fatal_line(printed) == words


@pytest.mark.parametrize("limit", [6, 7, 8])
def test_a_monitor_that_finds_no_descriptor_changes_nothing(limit, tmp_path):
    """Without descriptors for a monitor, a usage error is reported as usual."""
    words = ["bash", "-c", f'ulimit -n {limit}; exec "$0" -m convcli shape 8x8 -k x', sys.executable]
    ran = subprocess.run(words, capture_output=True, text=True, check=False, cwd=ROOT, env=dict(os.environ))
    assert ran.returncode == 2
    assert ran.stderr.count("\n") == 1, ran.stderr
