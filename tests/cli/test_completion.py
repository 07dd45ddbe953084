"""Completion: what convcli answers, and what bash, zsh and fish make of it at a keyboard."""

from __future__ import annotations

import os
import pty
import select
import shlex
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

from convcli.cli.main import main
from convcli.cli.shells import SCRIPTS
from convcli.engine.methods.registry import NAMES
from tests.conftest import ROOT

SHARE = ROOT / "share"
TERMINAL = (
    "import fcntl, os, sys, termios\n"
    "fcntl.ioctl(0, termios.TIOCSCTTY, 0)\n"
    "os.execvp(sys.argv[1], sys.argv[1:])\n"
)
"""Runs a program with standard input as its controlling terminal, which fish asks for."""

KEEP = "\x0f"
"""Ctrl-O: the shells of these tests append the line to a file and begin a new one."""

START = {
    "bash": (
        ["bash", "--norc", "--noprofile", "-i"],
        "keep() {{ printf '%s\\n' \"$READLINE_LINE\" >> {out}; READLINE_LINE=; }}\n"
        "bind -x '\"\\C-o\": keep'\n. {share}/bash-completion/completions/convcli\n",
    ),
    "zsh": (
        ["zsh", "-f", "-i"],
        "fpath+=({share}/zsh/site-functions); autoload -Uz compinit; compinit -u -D\n"
        "keep() {{ print -r -- $BUFFER >> {out}; BUFFER= }}; zle -N keep; bindkey '^O' keep\n",
    ),
    "fish": (
        ["fish", "--no-config", "-i"],
        "source {share}/fish/vendor_completions.d/convcli.fish\n"
        "bind \\co 'commandline >> {out}; commandline -r \"\"'\n",
    ),
}

LINES = {
    "convcli app\t--pad\tsame:ref\t": "convcli apply --padding same:reflect ",
    "convcli apply pic\t--map=str\t": "convcli apply picture.png --map=stretch ",
    "convcli apply a -k random\t3x3 --output=pic\t": "convcli apply a -k random:3x3 --output=picture.png ",
    "convcli apply a -k min\t": "convcli apply a -k mine.yaml ",
    "convcli nonsense --st\t": "convcli nonsense --st",
}

FILES = "a file"

ANSWERS = {
    "convcli k": ["kernels"],
    "convcli kernels ": ["list", "show", "preview", "export", "separate", "fit"],
    "convcli --v": ["--version"],
    "convcli apply --st": ["--stride", "--storage-options", "--stack", "--strip", "--steady"],
    "convcli apply --stride 2 --st": ["--storage-options", "--stack", "--strip", "--steady"],
    "convcli apply ": [FILES],
    "convcli apply a.png b": [FILES],
    "convcli apply a -o ": [FILES],
    "convcli apply a --report-file x": [FILES],
    "convcli apply 'a b' -k sobel-": ["sobel-x", "sobel-y", "sobel-x:", "sobel-y:", FILES],
    "convcli apply a -k gaussian:": [FILES],
    "convcli batch in out -k box3 -k gaussian5 -k ide": ["identity", FILES],
    "convcli batch --report ": [FILES],
    "convcli shape 3x3 -k rand": ["random:", FILES],
    "convcli kernels show scharr-o": ["scharr-opt", "scharr-opt-x", "scharr-opt-y", FILES],
    "convcli apply a -k box3 --padding ": ["valid", "same", "same-lower", "full", "causal"],
    "convcli apply a --padding 2,1:z": ["2,1:zero"],
    "convcli apply a --padding=same:w": ["--padding=same:wrap"],
    "convcli apply a -k nonsense --map s": ["signed", "stretch"],
    "convcli plan 9x9 --method ": ["auto", *NAMES],
    "convcli apply a --format p": ["png", "pnm", "pfm"],
    "convcli kernels export box3 --format c": ["csv"],
    "convcli kernels list --tag bl": ["blur"],
    "convcli apply a --report ": ["text", "line", "json", "csv", "none"],
    "convcli apply a --scale ": ["none", "sum", "abs", "gain"],
    "convcli apply a --frames ": ["all"],
    "convcli apply a --stride ": [],
    "convcli apply a --threads ": [],
    "convcli shape ": [],
    "convcli apply a --nonsense ": [FILES],
    "convcli nonsense --": [],
    "convcli completion ": ["bash", "zsh", "fish"],
}


@pytest.mark.parametrize("line", ANSWERS)
def test_what_completes(line, monkeypatch, capfd):
    """Commands, options, the words of values, and files where a file can stand."""
    monkeypatch.setenv("_CONVCLI_COMPLETE", "zsh_complete")
    monkeypatch.setenv("_CONVCLI_LINE", line)
    main([])
    answers = [answer.split("\t") for answer in capfd.readouterr().out.splitlines() if answer]
    assert [FILES if kind == "file" else value for kind, value, _ in answers] == ANSWERS[line]


@pytest.mark.parametrize("part", ["same:re", "re"])
def test_bash_replaces_what_follows_a_colon(part, monkeypatch, capfd):
    """A shell that breaks words at colons says which part it replaces."""
    monkeypatch.setenv("_CONVCLI_COMPLETE", "bash_complete")
    monkeypatch.setenv("_CONVCLI_LINE", "convcli apply a --padding same:re")
    monkeypatch.setenv("_CONVCLI_WORD", part)
    assert main([]) == 0
    assert capfd.readouterr().out == f"plain\t{part}flect\t\n"


@pytest.mark.parametrize("shell", SCRIPTS)
def test_the_command_prints_the_script(shell, run):
    """``convcli completion bash`` is what the packages install."""
    assert run("completion", shell).text == SCRIPTS[shell]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with an image and a kernel, and ``convcli`` on the PATH."""
    program = tmp_path / "bin" / "convcli"
    program.parent.mkdir()
    program.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m convcli "$@"\n')
    program.chmod(0o755)
    work = tmp_path / "work"
    work.mkdir()
    for name in ("picture.png", "mine.yaml"):
        (work / name).touch()
    monkeypatch.chdir(work)
    for name, value in (
        ("PATH", f"{program.parent}{os.pathsep}{os.environ['PATH']}"),
        ("PYTHONPATH", str(ROOT)),
        ("HOME", str(tmp_path)),
        ("TERM", "dumb"),
    ):
        monkeypatch.setenv(name, value)
    return tmp_path


class Keyboard:
    """A shell in a terminal, and the file that it keeps lines in."""

    def __init__(self, shell: str, folder: Path) -> None:
        command, setup = START[shell]
        self.out = folder / "kept"
        self.master, slave = pty.openpty()
        ends = {"stdin": slave, "stdout": slave, "stderr": slave}
        self.process = subprocess.Popen(
            [sys.executable, "-c", TERMINAL, *command], start_new_session=True, **ends
        )
        os.close(slave)
        self.seen = b""
        share = shlex.quote(str(SHARE))
        os.write(self.master, setup.format(share=share, out=shlex.quote(str(self.out))).encode())

    def line(self, keys: str) -> str:
        """What the line has become when these keys were pressed."""
        before = self._kept()
        for part in (*keys.replace("\t", "\t\0").split("\0"), KEEP):
            os.write(self.master, part.encode())
        end = time.monotonic() + 20
        while len(self._kept()) == len(before) and time.monotonic() < end:
            if select.select([self.master], [], [], 0.01)[0]:
                self.seen += os.read(self.master, 65536)
        kept = self._kept()[len(before) :]
        assert kept, self.seen.decode(errors="replace")
        return kept[0]

    def _kept(self) -> list[str]:
        text = self.out.read_text() if self.out.exists() else ""
        return [line for line in text.split("\n")[:-1] if line.startswith("convcli")]

    def close(self) -> None:
        self.process.kill()
        self.process.wait()
        os.close(self.master)


@pytest.mark.parametrize("shell", SCRIPTS)
def test_lines_typed_in_a_shell(shell, folder):
    """Commands, options, presets, values behind : and =, and files, as they are typed."""
    if not shutil.which(shell):
        pytest.skip(f"{shell} is not installed")
    keyboard = Keyboard(shell, folder)
    try:
        assert {keys: keyboard.line(keys) for keys in LINES} == LINES
    finally:
        keyboard.close()
