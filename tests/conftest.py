"""Shared helpers: a command line in this process, and images written by other libraries."""

from __future__ import annotations

import fcntl
import io
import os
import shutil
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import imagecodecs
import numpy as np
import pytest
from hypothesis import settings

from convcli.arrays import preparing
from convcli.cli.main import main
from convcli.engine import native, planner
from tests.servers import quirky_s3, s3, s3_server, web

__all__ = ["quirky_s3", "s3", "s3_server", "web"]

settings.register_profile("quick", max_examples=50, deadline=None)
settings.register_profile("thorough", max_examples=200, deadline=None)
settings.load_profile("quick")

ROOT = Path(__file__).resolve().parent.parent
SAMPLES = ROOT / "samples"


@dataclass(frozen=True)
class Ran:
    """What a command did."""

    code: int
    out: bytes
    err: str

    @property
    def text(self) -> str:
        return self.out.decode()


Run = Callable[..., Ran]


def forget_plans() -> None:
    """Forget all plans, whose methods depend on the compiled extension."""
    planner.forget()
    preparing.forget()


@contextmanager
def without_extension() -> Iterator[None]:
    """The methods as they are without the compiled extension."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(native, "is_available", lambda dtype: False)
        forget_plans()
        yield
    forget_plans()


@pytest.fixture
def numpy_alone() -> Iterator[None]:
    """A test without the compiled extension."""
    with without_extension():
        yield


@pytest.fixture
def run(capsysbinary: pytest.CaptureFixture[bytes], monkeypatch: pytest.MonkeyPatch) -> Iterator[Run]:
    """Run ``convcli`` with arguments; ``stdin`` gives it bytes."""
    handlers = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)}

    def command(*arguments: object, stdin: bytes = b"") -> Ran:
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(stdin)))
        code = main([str(argument) for argument in arguments])
        captured = capsysbinary.readouterr()
        return Ran(code, captured.out, captured.err.decode())

    yield command
    for number, handler in handlers.items():
        signal.signal(number, handler)


@pytest.fixture
def gray() -> np.ndarray:
    """A small gray image without symmetry."""
    return np.random.default_rng(5).integers(0, 256, (23, 31), dtype=np.uint8)


@pytest.fixture
def picture(tmp_path: Path, gray: np.ndarray) -> Path:
    """The small gray image as a PNG file."""
    path = tmp_path / "picture.png"
    path.write_bytes(imagecodecs.png_encode(gray))
    return path


@pytest.fixture(scope="session")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel of this tree, built once for all tests of a run, beside its source distribution."""
    folder = tmp_path_factory.getbasetemp()
    folder = (folder.parent if "PYTEST_XDIST_WORKER" in os.environ else folder) / "wheel"
    folder.mkdir(exist_ok=True)
    with (folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not list(folder.glob("*.whl")):
            build_wheel(folder)
    (path,) = folder.glob("*.whl")
    return path


def copy_sources(folder: Path) -> None:
    """A clean copy of all that a wheel or a source distribution is built from."""
    for part in ("convcli", "kernels", "share"):
        shutil.copytree(ROOT / part, folder / part, ignore=shutil.ignore_patterns("__pycache__", "*.so"))
    for part in ("pyproject.toml", "setup.py", "MANIFEST.in", "README.md", "CHANGELOG.md", "LICENSE"):
        shutil.copy(ROOT / part, folder)


def build_wheel(folder: Path, **environment: str) -> None:
    """Build the source distribution from a clean copy of the tree, and the wheel from that."""
    copy_sources(folder / "source")
    built = subprocess.run(
        [sys.executable, "-m", "build", "-o", str(folder), str(folder / "source")],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "CONVCLI_NATIVE": "", **environment},
    )
    assert built.returncode == 0, built.stdout + built.stderr
    assert "Warning" not in built.stdout + built.stderr


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Name each group of skipped tests, so that a missing extra is seen."""
    reasons = Counter(
        str(report.longrepr[2]).removeprefix("Skipped: ")
        for report in terminalreporter.stats.get("skipped", [])
        if isinstance(report.longrepr, tuple)
    )
    for reason, count in reasons.most_common():
        terminalreporter.write_line(f"skipped {count}: {reason}")


def decoded(data: bytes | Path) -> np.ndarray:
    """A PNG as imagecodecs reads it."""
    return imagecodecs.png_decode(data.read_bytes() if isinstance(data, Path) else data)
