"""Silences what Dask and the libraries below it log: what a user must know is an error or a note of ours."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

SILENT: Final = logging.CRITICAL + 1
_ROOTS: Final = ("distributed", "tornado", "asyncio", "bokeh")


@contextmanager
def silence() -> Iterator[None]:
    """Silence the loggers of Dask, and restore their levels."""
    before = {logger: logger.level for logger in _loggers()}
    for logger in before:
        logger.setLevel(SILENT)
    try:
        yield
    finally:
        for logger, level in before.items():
            logger.setLevel(level)


def _loggers() -> list[logging.Logger]:
    """The loggers that have a level of their own, and those from which others have theirs."""
    named = [logging.getLogger(root) for root in _ROOTS]
    for name, logger in logging.root.manager.loggerDict.items():
        if isinstance(logger, logging.Logger) and logger.level and name.partition(".")[0] in _ROOTS:
            named.append(logger)
    return named
