"""Files that appear whole or not at all, with and without a name before that."""

from __future__ import annotations

import fcntl
import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from convcli.core import handles
from convcli.core.errors import OutputError
from convcli.files.atomic import AtomicFile, sweep
from convcli.files.ledger import OutputLedger
from convcli.files.outputs import write


@pytest.fixture(
    params=["without a name", "without /proc", "with a hidden name", "without links", "as Windows"]
)
def system(request, monkeypatch, tmp_path):
    """A file system that makes files without names, a system that cannot name them, others that have none."""
    if request.param == "without /proc":
        monkeypatch.setattr(handles, "OPEN_FILES", str(tmp_path / "proc/self/fd"))
    elif request.param != "without a name":
        monkeypatch.delattr(os, "O_TMPFILE", raising=False)
    if request.param == "as Windows":
        monkeypatch.setattr(handles, "IS_POSIX", False)
    if request.param == "without links":

        def refuse(*_: object, **__: object) -> None:
            raise PermissionError

        monkeypatch.setattr(os, "link", refuse)
    return request.param


def test_a_file_has_no_name_until_it_is_whole(system, tmp_path):
    """Nothing is visible before, only the file afterwards, and nothing if it is abandoned."""
    target = tmp_path / "a.bin"
    with AtomicFile(target, force=False) as draft:
        draft.file.write(b"abc")
        assert not target.exists()
        assert len(list(tmp_path.iterdir())) == (0 if system == "without a name" else 1)
        assert draft.commit() == 3
    assert [path.name for path in tmp_path.iterdir()] == ["a.bin"]
    with pytest.raises(ZeroDivisionError), AtomicFile(tmp_path / "b.bin", force=False):
        raise ZeroDivisionError
    assert [path.name for path in tmp_path.iterdir()] == ["a.bin"]


def test_what_is_there_is_kept_unless_asked(system, tmp_path):
    """An existing file is refused, replaced by force with its permissions, or accepted if it is the same."""
    target = tmp_path / "a.bin"
    target.write_bytes(b"old")
    target.chmod(0o640)
    with pytest.raises(OutputError, match="already exists"):
        write(target, b"new", force=False)
    assert target.read_bytes() == b"old"
    write(target, b"new", force=True)
    assert (target.read_bytes(), stat.S_IMODE(target.stat().st_mode)) == (b"new", 0o640)
    for data, same in ((b"new", True), (b"newer", False), (b"ne", False), (b"now", False)):
        with AtomicFile(target, force=False, resume=True) as draft:
            draft.file.write(data)
            if same:
                draft.commit()
            else:
                with pytest.raises(OutputError, match="already exists"):
                    draft.commit()
        assert target.read_bytes() == b"new"
    assert [path.name for path in tmp_path.iterdir()] == ["a.bin"]


def test_links_are_replaced_never_written_through(system, tmp_path):
    """The target of a symlink or hard link stays as it was."""
    original = tmp_path / "original"
    original.write_bytes(b"old")
    (tmp_path / "soft").symlink_to(original)
    (tmp_path / "hard").hardlink_to(original) if system != "without links" else None
    for name in ("soft", "hard"):
        write(tmp_path / name, b"new", force=True)
        assert (tmp_path / name).read_bytes() == b"new"
    assert original.read_bytes() == b"old"


def test_leftovers_are_swept_where_nobody_writes_them(tmp_path):
    """The next claim of an output in a folder removes what a killed run left, and nothing else."""
    foreign = (".convcli-notes", ".convcli-.tmp", ".convcli-0123456789ab.tmp", ".convcli-1-0123456789ab.tmp")
    for name in foreign:
        (tmp_path / name).write_bytes(b"someone's own")
    dead, alive = left_behind(tmp_path, 1), left_behind(tmp_path, 2)
    copy = dead.with_name(dead.name.replace("0001.tmp", "0003.tmp"))
    copy.write_bytes(b"has the form, but the number of another file")
    with alive.open("rb") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        OutputLedger().claim(tmp_path / "a.png", force=False)
        assert {path.name for path in tmp_path.iterdir()} == {*foreign, alive.name, copy.name}
    sweep(tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == {*foreign, copy.name}
    sweep(tmp_path / "nothing")


def left_behind(folder: Path, number: int) -> Path:
    """What a run killed in the middle of writing leaves, where files cannot be without a name."""
    path = folder / f"new-{number}"
    path.write_bytes(b"part")
    return path.rename(folder / f".convcli-{path.stat().st_ino:x}-{number:012x}.tmp")


def test_a_killed_run_leaves_what_the_next_one_removes(monkeypatch, tmp_path):
    """The hidden file that a killed process leaves is recognized by its name."""
    monkeypatch.delattr(os, "O_TMPFILE")
    code = "import os, sys; del os.O_TMPFILE; from pathlib import Path; "
    code += "from convcli.files.atomic import AtomicFile; "
    code += (
        "draft = AtomicFile(Path(sys.argv[1]), force=False).__enter__(); draft.file.write(b'x'); os._exit(9)"
    )
    subprocess.run([sys.executable, "-c", code, str(tmp_path / "a.bin")], check=False)
    assert len(list(tmp_path.iterdir())) == 1
    sweep(tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_draft_in_the_making_is_not_swept(monkeypatch, tmp_path):
    """Another run that begins meanwhile leaves it alone."""
    monkeypatch.delattr(os, "O_TMPFILE")
    with AtomicFile(tmp_path / "a.bin", force=False) as draft:
        draft.file.write(b"abc")
        sweep(tmp_path)
        draft.commit()
    assert (tmp_path / "a.bin").read_bytes() == b"abc"


def test_an_input_that_changes_is_refused(tmp_path):
    """A file written to between opening and committing gives no result."""
    import shutil

    from convcli import load_kernel
    from convcli.core.errors import ImageError
    from convcli.files.input import Input
    from convcli.pipeline import job
    from convcli.pipeline.naming import OutputSpec
    from convcli.pipeline.settings import Settings
    from tests.conftest import SAMPLES

    source, out = tmp_path / "a.png", tmp_path / "b.png"
    shutil.copy(SAMPLES / "scene.png", source)
    settings = Settings(load_kernel("box3"), output=OutputSpec(str(out)))
    with Input.open(str(source)) as opened:
        todo = job.planned_results(str(source), opened, [settings])
        (result,) = job.compute_results(opened, todo, OutputLedger([str(source)]))
        os.utime(source, ns=(1, 1))
        with pytest.raises(ImageError, match="changed while it was being read"):
            result.commit()
    assert [path.name for path in tmp_path.iterdir()] == ["a.png"]


@pytest.mark.parametrize("force", [False, True])
def test_a_broken_link_is_no_place_for_an_output(tmp_path, force):
    """As with cp: its disk may not be mounted, so neither the link nor its target is written."""
    link = tmp_path / "a.png"
    link.symlink_to(tmp_path / "unmounted" / "a.png")
    with pytest.raises(OutputError, match="a broken symbolic link" if force else "already exists"):
        OutputLedger().claim(link, force)
    assert link.is_symlink() and len(list(tmp_path.iterdir())) == 1
