"""``python -m convcli`` and the console script: the same as ``convcli``."""

import gc
import os
import signal
import sys
from contextlib import suppress

from convcli.core import native_stderr

_YOUNG = 50_000
"""Objects made before the garbage collector looks for cycles; imports alone make some ten thousand."""


def entry() -> None:
    """Run one command and exit, skipping the cleanup that the operating system does anyway.

    Python's own shutdown takes about 20 ms with NumPy loaded: a tenth of a command's time.
    """
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, signal.SIG_DFL)  # nothing to clean up while importing
    if "--debug" not in sys.argv:  # which shows what libraries print as it comes
        native_stderr.capture()
    gc.set_threshold(_YOUNG)
    os.environ["OPENBLAS_NUM_THREADS"] = "1"  # to start its own, which `blas` would stop, takes 60 ms
    code = _run()
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError, ValueError, AttributeError):  # closed, or nobody reads
            stream.flush()
    native_stderr.end_process(code)


def _run() -> int:
    """Run one command and return its exit code, even if there is no memory to say why it failed."""
    try:
        from convcli.cli import signals
        from convcli.cli.main import main

        words = [word for word in sys.argv[1:] if not word.startswith("-")]
        if words[:1] != ["batch"]:  # which forks, and ends its workers itself
            signals.watch()
        return main()
    except MemoryError:
        os.write(_stderr(), b"convcli: not enough memory\n")
        return 2
    except BaseException:
        import traceback

        traceback.print_exc()
        return 1


def _stderr() -> int:
    return 2 if sys.stderr is None else sys.stderr.fileno()


if __name__ == "__main__":
    entry()
