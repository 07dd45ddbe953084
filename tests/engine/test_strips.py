"""Computers of small strips, which stay for the next run of a plan."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import numpy as np

import convcli
from convcli.engine import strips


def test_a_computer_is_left_before_another_thread_may_enter_it(monkeypatch):
    """What it changed in a thread is restored when others find it."""
    found = []

    class Idle(list[strips.StripComputer]):
        def append(self, computer: strips.StripComputer) -> None:
            found.append((np.getbufsize(), computer.is_ready))

    before, idle = np.getbufsize(), Idle()
    monkeypatch.setattr(strips, "_idle", lambda plan: idle)
    convcli.conv(np.ones((9, 9), np.float32), np.ones((2, 2)), method="shift", threads=1)
    assert before != strips.BUFFER
    assert found == [(before, True)]


def test_equal_calls_from_several_threads():
    """Each has a computer of its own."""
    image, weights = np.arange(400, dtype=np.float32).reshape(20, 20), np.ones((3, 3))
    alone = convcli.conv(image, weights, method="toeplitz")
    with ThreadPoolExecutor(8) as pool:
        results = pool.map(lambda _: convcli.conv(image, weights, method="toeplitz"), range(400))
    assert all(np.array_equal(result, alone) for result in results)
