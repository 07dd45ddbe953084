"""Silences what Dask and the libraries below it log: what a user must know is an error or a note of ours."""

from __future__ import annotations

import logging
from typing import Final

SILENT: Final = logging.CRITICAL + 1
_ROOTS: Final = ("distributed", "tornado", "asyncio", "bokeh")


def silence() -> None:
    """Silence the loggers of Dask in this process for good: some log when everything has been closed."""
    for logger in _loggers():
        logger.setLevel(SILENT)


def _loggers() -> list[logging.Logger]:
    """The loggers that have a level of their own, and those from which others have theirs."""
    named = [logging.getLogger(root) for root in _ROOTS]
    for name, logger in logging.root.manager.loggerDict.items():
        if isinstance(logger, logging.Logger) and logger.level and name.partition(".")[0] in _ROOTS:
            named.append(logger)
    return named
