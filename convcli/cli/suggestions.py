"""Words of other tools, and what convcli calls them."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final

from convcli.core.errors import suggest

_OPTIONS: Final = {
    "blur gaussian gaussian-blur gauss gblur sigma radius smooth soften": (
        "--kernel",
        "-k gaussian:SIGMA blurs",
    ),
    "size ksize kernel-size k-size window": ("--kernel", "the size is the kernel's: -k box:ROWSxCOLUMNS"),
    "sharpen unsharp usm": ("--kernel", "-k sharpen"),
    "edge edges sobel": ("--kernel", "-k sobel finds edges"),
    "emboss": ("--kernel", "-k emboss"),
    "laplacian laplace": ("--kernel", "-k laplacian4"),
    "filter convolve convolution matrix weights preset convmat": ("--kernel", "-k KERNEL"),
    "border border-mode border-type boundary edge-mode extend mode pad pads pad-mode virtual-pixel fill": (
        "--padding",
        "--padding AMOUNT:FILL",
    ),
    "overwrite yes y replace clobber allow-overwrite": ("--force", "--force"),
    "out outfile out-file output-file outdir out-dir output-dir output-folder dest destination to path "
    "target-directory d": ("--output", "-o OUT"),
    "in-place inplace i mogrify": ("--output", "-o '{dir}/{stem}{suffix}' --force"),
    "normalize normalise auto-level autolevel contrast-stretch equalize": ("--map", "--map stretch"),
    "grayscale greyscale gray grey luma luminance mono monochrome": ("--channels", "--channels gray"),
    "bits bit-depth bitdepth dtype": ("--depth", "--depth 8, 16 or float"),
    "ext extension out-format output-format type": ("--format", "--format NAME"),
    "strides step steps subsample": ("--stride", "--stride"),
    "dilate atrous rate": ("--dilation", "--dilation"),
    "workers parallel processes nproc cpus n-jobs": ("--jobs", "--jobs"),
    "jobs j workers parallel processes nproc cpus n-jobs": ("--threads", "--threads"),
    "recurse recursive r": ("--kernel", "for folders, convcli batch -r"),
    "divisor factor multiply gain div": ("--scale", "--scale"),
    "offset delta add": ("--bias", "--bias"),
    "clip clamp saturate": ("--map", "--map clip"),
    "abs absolute": ("--map", "--map abs"),
    "compression compression-level compress": ("--png", "--png small, or --quality N"),
    "silent no-progress s": ("--quiet", "--quiet"),
    "json csv": ("--report", "--report"),
    "log logfile manifest": ("--report", "--report"),
    "memory mem memory-limit ram limit": ("--max-memory", "--max-memory"),
    "keep-going continue ignore-errors k": ("--on-error", "--on-error"),
    "simulate noop dry whatif just-print": ("--dry-run", "--dry-run"),
    "gamma linear-light": ("--linear", "--linear"),
    "no-metadata strip-metadata noexif no-exif": ("--strip", "--strip"),
    "page pages": ("--frames", "--frames"),
    "cmap palette color-map colour-map colourmap": ("--colormap", "--colormap"),
    "montage contact-sheet grid": ("--sheet", "--sheet"),
    "plot show": ("--figure", "--figure"),
    "rotate angle": ("--kernel", "-k NAME@DEGREES turns the kernel"),
    "traceback verbose-errors": ("", "convcli --debug"),
}
"""Words of other tools, with the option that a command has to have for the advice, and the advice."""


def option_hint(word: str, options: Iterable[str]) -> str:
    """What to use instead of an option that a command with these options does not have, or nothing."""
    known = list(options)
    if re.match(r"-\.?\d", word):
        return (
            " (a kernel of several numbers is one word: quote it)"
            if word.split() == [word]
            else f"; write [{word}], in brackets"
        )
    plain = word.strip("-").casefold().replace("_", "-")
    for words, (needed, advice) in _OPTIONS.items():
        if plain in words.split() and (needed in known or not needed):
            return f"; use {advice}" if advice.startswith("-") and " " not in advice else f" ({advice})"
    return suggest(f"--{plain}", [name for name in known if name.startswith("--")])


_VALUES: Final = {
    "grayscale": "gray",
    "greyscale": "gray",
    "grey": "gray",
    "colour": "each",
    "luma": "gray",
    "luminance": "gray",
    "rgb": "each",
    "color": "each",
    "all": "sum",
    "jet": "viridis",
    "hot": "viridis",
    "coolwarm": "diverging",
    "seismic": "diverging",
    "bwr": "diverging",
    "float32": "float",
    "32": "float",
    "uint8": "8",
    "uint16": "16",
    "pytorch": "torch",
    "tensorflow": "keras",
    "tf": "keras",
    "cv2": "opencv",
    "magnitude": "l2",
    "norm": "l2",
    "mean": "sum",
    "off": "none",
    "no": "none",
    "ignore": "continue",
    "skip": "continue",
    "best": "small",
    "shared": "common",
}
"""Values of other tools and what convcli calls them."""


def value_hint(word: str, choices: Iterable[str]) -> str:
    """The nearest of some choices, or the one that another tool's word means, or nothing."""
    known = list(choices)
    meant = _VALUES.get(word.casefold())
    return f" (did you mean {meant}?)" if meant in known else suggest(word, known)
