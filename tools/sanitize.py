"""Run the tests of the extension with the sanitizers of GCC or Clang for addresses and undefined behavior.

``python -m tools.sanitize [TEST…]`` compiles the extension into a copy of the package, and tests that.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import sysconfig
import tempfile
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).resolve().parent.parent
TESTS: Final = ["tests/native", "tests/contracts/test_compiled.py", "tests/formats/test_png_filters.py"]
FLAGS: Final = [
    "-shared",
    "-fPIC",
    "-O1",
    "-g",
    "-ffp-contract=off",
    "-fsanitize=address,undefined",
    "-fno-sanitize-recover=all",
    "-DPy_LIMITED_API=0x030B0000",
]


def compiled(folder: Path) -> None:
    """Put a copy of the package with a sanitized extension into a folder."""
    shutil.copytree(
        ROOT / "convcli", folder / "convcli", ignore=shutil.ignore_patterns("*.so", "__pycache__")
    )
    shutil.copytree(ROOT / "kernels", folder / "kernels")
    native = folder / "convcli" / "native"
    words = [*FLAGS, f"-I{sysconfig.get_path('include')}", "-o", native / "_native.abi3.so"]
    subprocess.run([compiler(), *map(str, [*words, *sorted(native.glob("*.c"))])], check=True)


def compiler() -> str:
    """The C compiler."""
    return os.environ.get("CC", "cc")


def environment(folder: Path) -> dict[str, str]:
    """The variables with which Python loads the sanitizers before all else, and the copy of the package."""
    libraries = [
        subprocess.run(
            [compiler(), f"-print-file-name={name}"], check=True, capture_output=True, text=True
        ).stdout.strip()
        for name in ("libasan.so", "libubsan.so")
    ]
    return {
        **os.environ,
        "PYTHONPATH": str(folder),
        "PYTHONMALLOC": "malloc",
        "LD_PRELOAD": " ".join(libraries),
        "ASAN_OPTIONS": "detect_leaks=0:allocator_may_return_null=1",  # Python itself leaks at its end
        "UBSAN_OPTIONS": "print_stacktrace=1",
    }


def main(words: list[str]) -> int:
    """Compile, then run the tests; the exit code of pytest."""
    with tempfile.TemporaryDirectory() as name:
        compiled(Path(name))
        python = [sys.executable, "-P", "-W", "error"]
        where = (
            "import sys; from convcli.native import _native; sys.exit(sys.argv[1] not in _native.__file__)"
        )
        subprocess.run([*python, "-c", where, name], check=True, env=environment(Path(name)))
        options = ["--import-mode=append", "-p", "no:cacheprovider", "-n", "0"]
        command = [*python, "-m", "pytest", *options, *(words or TESTS)]
        return subprocess.run(command, cwd=ROOT, env=environment(Path(name)), check=False).returncode


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
