"""``python -m convcli`` and the console script: the same as ``convcli``."""

import gc
import os
import signal
import sys
from contextlib import suppress

_YOUNG = 50_000
"""Objects made before the garbage collector looks for cycles; imports alone make some ten thousand."""


def entry() -> None:
    """Run one command and end this process, without taking down what the system takes down as well.

    Python's own end of a process, with NumPy in it, takes about 20 ms: a tenth of a command's time.
    """
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, signal.SIG_DFL)  # nothing to clean up while importing
    gc.set_threshold(_YOUNG)
    os.environ["OPENBLAS_NUM_THREADS"] = "1"  # to start its own, which `blas` would stop, takes 60 ms
    from convcli.cli.main import main

    code = main()
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError, ValueError, AttributeError):  # closed, or nobody reads
            stream.flush()
    os._exit(code)


if __name__ == "__main__":
    entry()
