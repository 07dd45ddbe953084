"""How two images are compared."""

from __future__ import annotations

from typing import Final

from convcli.core.frozen import frozen

SSIM: Final = ("uniform", "gaussian", "none")
"""Windows of the structural similarity; with ``none``, it is not computed."""


@frozen
class CompareSettings:
    """How two images are compared.

    Attributes:
        ssim: one of `SSIM`.
        data_range: the difference between black and white; None for that of the type.
        ignore_alpha: whether alpha is left out on both sides.
        frames: which frames of both files.
        axes, level: which part of a store, as ``--axes`` and ``--level`` say.
        max_pixels: limit on the pixels of a file; None for the default.
        threads: most threads; None for one per CPU.
    """

    ssim: str = "uniform"
    data_range: float | None = None
    ignore_alpha: bool = False
    frames: slice = slice(None)
    axes: str = ""
    level: int = 0
    max_pixels: int | None = None
    threads: int | None = None
