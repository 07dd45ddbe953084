"""Processes of our own end with the one that started them, and after a timeout."""

from __future__ import annotations

import fcntl
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

from tests.conftest import ROOT

HANGING = """
import ctypes, fcntl, sys

def extract(path, member):
    file = open(path, "r+b")
    fcntl.flock(file, fcntl.LOCK_EX)
    file.write(b"begun")
    file.flush()
    ctypes.PyDLL(None).sleep(600)  # as a library that loops: no signal handler and no thread gets its turn
"""
READER = """
from pathlib import Path
from convcli.kernels.readers.models.isolated import read_in_process
read_in_process("hanging", Path({!r}), None, "x")
"""


def python(code: str, **options: object) -> subprocess.Popen[bytes]:
    env = {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), *options.pop("paths", [])])}
    return subprocess.Popen([sys.executable, "-c", code], env=env, **options)


def until(happened, seconds: float = 30) -> bool:
    end = time.monotonic() + seconds
    while not happened() and time.monotonic() < end:
        time.sleep(0.02)
    return happened()


def is_free(path: Path) -> bool:
    """Whether a file is not locked."""
    with path.open("rb") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True


def test_a_reader_ends_with_who_asked_it(tmp_path):
    """Killed by SIGKILL, a command leaves no process behind that reads a file for it."""
    (tmp_path / "hanging.py").write_text(HANGING)
    lock = tmp_path / "lock"
    lock.touch()
    parent = python(READER.format(str(lock)), paths=[str(tmp_path)])
    assert until(lambda: lock.read_bytes() == b"begun")
    assert not is_free(lock)
    parent.kill()
    parent.wait()
    assert until(lambda: is_free(lock))


def test_a_process_ends_after_its_time():
    """Even in the middle of a library call, and without help from its parent."""
    code = "import ctypes; from convcli.core.processes import end_after; end_after(0.1); "
    assert python(code + "ctypes.PyDLL(None).sleep(600)").wait(60) == -signal.SIGALRM


def test_a_process_whose_parent_is_gone_ends_at_once():
    """If the parent died before the system was asked for the signal."""
    code = "from convcli.core.processes import end_with; end_with(1 << 30); print('still there')"
    child = python(code, stdout=subprocess.PIPE)
    assert child.communicate()[0] == b""
    assert child.returncode == -signal.SIGKILL
