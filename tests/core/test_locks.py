"""Locks of open files, and what replaces them."""

from __future__ import annotations

import os

import pytest

from convcli.core import handles, locks, processes


def test_a_second_handle_is_refused(tmp_path):
    """Until the first is closed."""
    path = tmp_path / "a"
    first, second = (os.open(path, os.O_RDWR | os.O_CREAT) for _ in range(2))
    assert locks.lock(first)
    with pytest.raises(BlockingIOError):
        locks.lock(second)
    os.close(first)
    assert locks.lock(second)
    os.close(second)


def test_a_system_without_locks(monkeypatch, tmp_path):
    """Nothing is locked, and nothing fails."""
    monkeypatch.setattr(locks, "_lock", None)
    with (tmp_path / "a").open("wb") as file:
        assert not locks.lock(file.fileno())


def test_parts_without_pread(monkeypatch, tmp_path):
    """Read through a second handle, so that the first stays where it is."""
    monkeypatch.delattr(os, "pread")
    path = tmp_path / "a"
    path.write_bytes(bytes(range(100)))
    with path.open("rb") as file:
        reader = handles.PartReader(file.fileno(), str(path))
        assert reader.read(5, 90) == bytes(range(90, 95))
        assert reader.read(50, 90) == bytes(range(90, 100)) and reader.read(1, 100) == b""
        assert file.tell() == 0
        reader.close()


def test_processes_that_run():
    """The own one does; none has so high a number."""
    assert processes.is_running(os.getpid())
    assert not processes.is_running(2**22 + 1)
    assert processes._runs_on_windows(1), "if the system cannot be asked, it may run"
