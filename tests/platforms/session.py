"""Runs commands one after the other in the working folder, and prints what each prints and its exit code."""

from __future__ import annotations

import contextlib
import io
import json
import shlex
import sys


def main(commands: list[str]) -> None:
    """The main process; those that `convcli batch` starts import this module, and run nothing."""
    from convcli.cli.main import main as convcli

    results = []
    for command in commands:
        printed = io.TextIOWrapper(io.BytesIO(), encoding="utf-8")
        with contextlib.redirect_stdout(printed), contextlib.redirect_stderr(printed):
            code = convcli(shlex.split(command))
            printed.flush()
        results.append((code, printed.buffer.getvalue().decode("latin-1")))
    print(json.dumps(results))


if __name__ == "__main__":
    main(sys.argv[1:])
