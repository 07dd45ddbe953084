"""Every command on systems without fork, locks, unnamed files, hard links, limits and most signals."""

from __future__ import annotations

import json
import os
import re
import signal
import struct
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.conftest import ROOT

HERE = Path(__file__).parent
COMMANDS = {
    "apply a.png -k sobel-x -o edges.png": 0,
    "apply b.png -k sobel-x -o edges.png": 2,  # it exists
    "apply b.png -k sobel-x -o c.png --force": 0,
    "apply b.png -k gaussian:1 -o blurred.tif --stack --report json": 0,
    "apply ./a.png -k ./kernel.csv -o out/{stem}.{kernel}.npy --report csv": 0,
    "apply a.png -k model.safetensors:x.weight --stride 1 --padding 0 -o weights.npy": 0,
    "apply a.png -k box3 -o no/such/folder.png": 2,
    "apply a.png -k '-1 0 1' --map signed -o -": 0,
    "batch a.png 'b*.png' done/ -k sharpen -j 2 -q --report done.jsonl": 0,
    "batch a.png 'b*.png' done/ -k sharpen -j 2 -q --report done.jsonl --resume": 0,
    "explain a.png -k sobel-x --at 3,4": 0,
    "view a.png": 0,
    "kernels list": 0,
    "kernels preview a.png -k box3 -k sharpen -o sheet.png": 0,
    "shape 8x8 -k 3x3 --stride 2": 0,
    "plan a.png -k gaussian:2 --threads 2": 0,
    "explore a.png -k box3 -o page.html": 0,
    "completion bash": 0,
}
FILES_ONLY = [command for command in COMMANDS if command.startswith("apply")]
SYSTEMS = {"linux": list(COMMANDS), "macos": FILES_ONLY, "windows": list(COMMANDS)}
"""The commands that run on each; Windows lacks all that macOS lacks, too."""


def environment(system: str) -> dict[str, str]:
    paths = os.pathsep.join([str(HERE / "restricted"), str(ROOT)])
    return {**os.environ, "PYTHONPATH": paths, "CONVCLI_TEST_SYSTEM": system.replace("linux", "")}


def fill(folder: Path) -> None:
    """Images, a kernel and weights to work with."""
    rng = np.random.default_rng(0)
    for name, shape in (("a.png", (40, 50)), ("b.png", (30, 40, 3)), ("c.png", (20, 20))):
        Image.fromarray(rng.integers(0, 255, shape, np.uint8)).save(folder / name)
    (folder / "kernel.csv").write_text("0,1,0\n1,-4,1\n0,1,0\n")
    facts = {"x.weight": {"dtype": "F32", "shape": [1, 1, 3, 3], "data_offsets": [0, 36]}}
    header = json.dumps(facts).encode()
    weights = np.arange(9, dtype=np.float32).tobytes()
    (folder / "model.safetensors").write_bytes(struct.pack("<Q", len(header)) + header + weights)


Session = tuple[dict[str, bytes], list[tuple[int, str]]]


@pytest.fixture(scope="module")
def sessions(tmp_path_factory) -> dict[str, Session]:
    """The files that the commands leave on each system, with their exit codes and what they print."""
    running = {}
    for system, commands in SYSTEMS.items():
        folder = tmp_path_factory.mktemp(system)
        fill(folder)
        words = [sys.executable, str(HERE / "session.py"), *commands]
        options = {
            "cwd": folder,
            "env": environment(system),
            "stdout": subprocess.PIPE,
            "stderr": subprocess.PIPE,
        }
        running[system] = folder, subprocess.Popen(words, **options)
    done = {}
    for system, (folder, process) in running.items():
        out, errors = process.communicate(timeout=300)
        assert (process.returncode, errors) == (0, b""), errors.decode()
        files = {str(path.relative_to(folder)): path for path in folder.rglob("*") if path.is_file()}
        done[system] = {name: path.read_bytes() for name, path in files.items()}, json.loads(out)
    return done


@pytest.mark.parametrize("system", SYSTEMS)
def test_every_command_succeeds_or_is_refused_as_expected(sessions, system):
    """Exit codes are those of the table, and refusals are one line."""
    for command, (code, printed) in zip(SYSTEMS[system], sessions[system][1], strict=True):
        assert code == COMMANDS[command], (command, printed)
        assert "Traceback" not in printed
        assert code == 0 or re.fullmatch(r"convcli: [^\n]*\n", printed)


def test_results_are_the_same_on_every_system(sessions):
    """The same files with the same bytes, but for the times in a manifest, and none that is unfinished."""
    expected, macos, windows = (sessions[system][0] for system in SYSTEMS)
    assert windows.keys() == expected.keys() and macos.keys() <= expected.keys()
    assert {"edges.png", "blurred.tif", "out/a.kernel.npy", "weights.npy"} <= macos.keys()
    assert {name for name in macos if macos[name] != expected[name]} == set()
    assert {name for name in windows if windows[name] != expected[name]} <= {"done.jsonl"}
    assert b"\r" not in windows["done.jsonl"]


def opened(pipe: Path, process: subprocess.Popen[bytes]) -> int:
    """A pipe, opened for writing once the process reads it."""
    while process.poll() is None:
        try:
            return os.open(pipe, os.O_WRONLY | os.O_NONBLOCK)
        except OSError:
            time.sleep(0.02)
    pytest.fail(process.communicate()[1].decode())


def test_an_interrupted_command_leaves_nothing(tmp_path):
    """Ctrl-C ends it with its exit code, without a message and without a file."""
    fill(tmp_path)
    os.mkfifo(tmp_path / "pipe.png")
    code = "import convcli.__main__ as program; program.entry()"
    words = [sys.executable, "-c", code, "apply", "pipe.png", "-k", "box3", "-o", "new.png"]
    process = subprocess.Popen(words, cwd=tmp_path, env=environment("windows"), stderr=subprocess.PIPE)
    pipe = opened(tmp_path / "pipe.png", process)
    try:
        os.write(pipe, b"\x89PNG")
        process.send_signal(signal.SIGINT)
        assert process.communicate(timeout=60)[1] == b""
    finally:
        os.close(pipe)
        process.kill()
    assert process.returncode == 128 + signal.SIGINT
    assert not [path for path in tmp_path.iterdir() if path.name.startswith((".convcli", "new"))]


def test_nothing_that_other_systems_lack_is_named_outside_its_module():
    """Modules and functions of POSIX are used in the modules that say what is done elsewhere."""
    functions = "O_TMPFILE|O_NONBLOCK|O_NOFOLLOW|fork|link|pread|fchmod|sysconf|memfd_create|sched_\\w+"
    numbers = "SIGHUP|SIGKILL|SIGQUIT|SIGALRM|SIGPIPE|pthread_sigmask|setitimer"
    names = rf"import (fcntl|resource|termios|pwd|grp)\b|signal\.({numbers})\b"
    names += rf"|os\.({functions}|register_at_fork|kill|getppid)\b"
    homes = {"handles", "locks", "native_stderr", "processes", "signals", "system"}
    for path in (ROOT / "convcli").rglob("*.py"):
        if path.parent.name != "core" or path.stem not in homes:
            found = re.search(rf"(?m)^[^#\n\"`]*(?:{names})", path.read_text("utf-8"))
            assert found is None, f"{path}: {found[0]}"
