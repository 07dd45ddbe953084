"""`explore`: an interactive page on which the kernel slides over an image."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, Final, Unpack

from convcli.core import markup
from convcli.core.errors import ArgumentError
from convcli.files.ledger import OutputLedger
from convcli.files.outputs import write
from convcli.images.calls import single_settings
from convcli.images.inputs import as_image
from convcli.images.keywords import KernelLike, Options, with_options
from convcli.visualize.explore.page import SIDE, page

_HEIGHT: Final = 720  # of the frame in a notebook, in pixels


class Page:
    """A web page without requests: a single file that opens in any browser.

    In a notebook it is shown in a frame whose scripts reach nothing outside of it.

    Attributes:
        html: the whole page.
    """

    def __init__(self, html: str, name: str, files: tuple[str, ...]) -> None:
        self.html, self._name, self._files = html, name, files

    def save(self, path: str | os.PathLike[str], *, force: bool = False) -> str:
        """Write the page to a file, and return its name.

        Raises:
            OutputError: the file exists and ``force`` is off, or it cannot be written.
        """
        target = Path(path)
        OutputLedger(self._files).claim(target, force)
        write(target, self.html.encode("utf-8"), force)
        return str(target)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} to explore {self._name}, {len(self.html)} characters>"

    def _repr_html_(self) -> str:
        return markup.framed(self.html, f"explore {self._name}", _HEIGHT)


@with_options
def explore(
    image: Any, kernel: KernelLike, *, side: int = SIDE, dims: Any = None, **options: Unpack[Options]
) -> Page:
    """Return an interactive page: the kernel slides over an image, and every setting can be changed.

    Args:
        image: as for `apply`, of 8 or 16 bits.
        kernel: as for `apply`.
        side: larger images are shrunk to so many pixels on the longer side, 8 to 4096.
        dims: as for `apply`.
        options: as for `apply`; the page starts with them.

    Raises:
        ConvcliError: as for `apply`, or the page cannot show the image or the kernel.
    """
    if not isinstance(side, int) or not 8 <= side <= 4096:
        raise ArgumentError(f"side {side!r} is not a whole number from 8 to 4096")
    taken = as_image(image, dims)
    settings = single_settings(taken, kernel, dict(options))
    with taken.errors():
        return Page(page(taken.source, settings, side), taken.title, taken.files)
