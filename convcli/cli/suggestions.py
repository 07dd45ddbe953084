"""What to use instead of an unknown option, command or value, with the words of other tools known."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final

from convcli.cli.vocabulary import WORDS
from convcli.core.errors import suggest

_OPTIONS: Final[dict[str, tuple[str, str]]] = {
    "blur gaussian gaussian-blur gauss gblur sigma radius smooth soften": (
        "--kernel",
        "-k gaussian:SIGMA",
    ),
    "size ksize kernel-size k-size ks window window-size": (
        "--kernel",
        "the size belongs to the kernel: -k box:ROWSxCOLUMNS",
    ),
    "sharpen unsharp usm": ("--kernel", "-k sharpen"),
    "edge edges sobel": ("--kernel", "-k sobel"),
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
    "in-place inplace i mogrify": ("--force", "-o '{dir}/{stem}{suffix}' --force"),
    "normalize normalise auto-level autolevel contrast-stretch equalize": ("--map", "--map stretch"),
    "grayscale greyscale gray grey luma luminance mono monochrome": ("--channels", "--channels gray"),
    "bits bit-depth bitdepth dtype": ("--depth", "--depth 8, --depth 16 or --depth float"),
    "ext extension out-format output-format type": ("--format", "--format NAME"),
    "strides step steps subsample": ("--stride", "--stride"),
    "dilate atrous rate": ("--dilation", "--dilation"),
    "workers parallel processes nproc cpus n-jobs": ("--jobs", "--jobs"),
    "jobs j workers parallel processes nproc cpus n-jobs": ("--threads", "--threads"),
    "recurse recursive r": ("apply", "for folders, convcli batch -r"),
    "divisor factor multiply gain div": ("--scale", "--scale"),
    "offset delta add": ("--bias", "--bias"),
    "clip clamp saturate": ("--map", "--map clip"),
    "abs absolute": ("--map", "--map abs"),
    "compression compression-level compress": ("--png", "--png small or --quality N"),
    "silent no-progress s": ("--quiet", "--quiet"),
    "json": ("--report", "--report json"),
    "csv": ("--report-file", "--report csv"),
    "log logfile report-to": ("--report-file", "--report-file FILE"),
    "memory mem memory-limit ram limit": ("--max-memory", "--max-memory"),
    "keep-going continue ignore-errors k": ("--on-error", "--on-error"),
    "simulate noop dry whatif just-print": ("--dry-run", "--dry-run"),
    "gamma linear-light": ("--linear", "--linear"),
    "no-metadata strip-metadata noexif no-exif": ("--strip", "--strip"),
    "page pages": ("--frames", "--frames"),
    "cmap palette color-map colour-map colourmap": ("--colormap", "--colormap"),
    "montage contact-sheet grid": ("--sheet", "--sheet"),
    "plot show": ("--figure", "--figure"),
    "rotate angle": ("--kernel", "-k NAME@DEGREES"),
    "traceback verbose-errors": ("", "convcli --debug"),
}
"""Words of other tools, with what a command needs for the advice (an option of its own, or its name), and
the advice.

A word may stand in several entries; the first that fits the command counts.
"""

_OF_COMMANDS: Final[dict[str, dict[str, str]]] = {
    "shape": {
        "blur gaussian gaussian-blur gauss gblur sigma radius smooth soften sharpen unsharp usm edge edges "
        "sobel emboss laplacian laplace rotate angle": "",
        "size ksize kernel-size k-size ks window window-size": "-k ROWSxCOLUMNS",
        "input-size input shape": "the size is the first argument: ROWSxCOLUMNS[xCHANNELS]",
    },
    "explore": {
        "then": "the page shows one kernel; convcli explain --then follows a chain",
        "model until": "the page shows one kernel; for a layer of a network, use -k FILE:NODE --layer",
    },
    "explain": {"model until": "for a layer of a network, use -k FILE:NODE --layer"},
    "compare": {
        "tolerance tol atol threshold fuzz limit max-difference max-diff": "--fail-above",
        "metric metrics psnr mse rmse mae": "the report has all of them",
        "win-size window-size window gaussian-weights": "--ssim uniform or --ssim gaussian",
        "recurse": "--recursive",
        "alpha no-alpha drop-alpha": "--ignore-alpha",
        "normalize normalise auto-level gray grayscale": "",
    },
    "list": {
        "blur smooth": "--tag blur",
        "edge edges": "--tag edge",
        "sharpen": "--tag sharpen",
        "search find grep filter": "words to search for are arguments",
    },
    "batch": {
        "model until": "convcli apply takes --model, and several images",
        "json": "--report FILE.jsonl",
        "csv": "--report FILE.csv",
        "log logfile manifest report-file": "--report FILE",
    },
    "animate": {
        "model until": "for a layer of a network, use -k FILE:NODE --layer",
        "frames steps max-frames n": "--most",
        "delay duration speed rate": "--fps",
        "seed": "--numbers",
    },
}
"""Advice for a single command, which comes first; none where other advice would not fit."""


def option_hint(word: str, options: Iterable[str], command: str) -> str:
    """What to use instead of an unknown option, or nothing.

    Args:
        word: the option as typed, such as ``--blur``.
        options: those that the command has.
        command: its name.
    """
    known = list(options)
    if re.match(r"-\.?\d", word):
        return (
            " (quote a kernel of several numbers: it is one argument)"
            if word.split() == [word]
            else f"; write [{word}], in brackets"
        )
    plain = word.strip("-").casefold().replace("_", "-")
    advice = _advice(plain, known, command)
    if advice is None:
        return suggest(f"--{plain}", [name for name in known if name.startswith("--")])
    if not advice:
        return ""
    return f"; use {advice}" if advice.startswith("-") else f" ({advice})"


def _advice(word: str, options: list[str], command: str) -> str | None:
    """The advice for another tool's option, None if there is none."""
    for words, advice in _OF_COMMANDS.get(command, {}).items():
        if word in words.split():
            return advice
    for words, (needed, advice) in _OPTIONS.items():
        if word in words.split() and (not needed or needed in options or needed == command):
            return advice
    return None


_COMMANDS: Final = {
    "filter convolve convolution conv conv2d convert run blur gaussian sharpen edge edges sobel emboss": (
        "apply",
        "convcli apply IMAGE -k KERNEL",
    ),
    "mogrify bulk folder dir process": ("batch", "convcli batch SOURCE... DESTINATION -k KERNEL"),
    "show display cat imgcat open": ("view", "convcli view IMAGE"),
    "list ls presets kernel filters": ("kernels", "convcli kernels list"),
    "size output-shape layer layers network params": ("shape", "convcli shape"),
    "gif animation video movie slide": ("animate", "convcli animate"),
    "html page web interactive": ("explore", "convcli explore"),
    "why trace debug pixel": ("explain", "convcli explain"),
    "diff cmp difference psnr ssim": ("compare", "convcli compare A B"),
    "cost bench benchmark methods": ("plan", "convcli plan"),
    "help man usage": ("", "convcli --help"),
    "version": ("", "convcli --version"),
    "completions autocomplete complete": ("completion", "convcli completion bash|zsh|fish"),
}
"""Words that other tools have for a command, with the command that is meant, and how to call it."""


def command_hint(word: str, commands: Iterable[str]) -> str:
    """What to use instead of an unknown command, or nothing."""
    known, plain = list(commands), word.casefold().replace("_", "-")
    for words, (command, advice) in _COMMANDS.items():
        if plain in words.split() and (command in known or not command):
            return f"; use {advice}"
    if "show" in known and plain in WORDS["kernel"]:
        return f"; use convcli kernels show {plain}"
    if "apply" in known and ("." in word or "/" in word):
        return "; to filter an image, use convcli apply IMAGE -k KERNEL"
    return suggest(word, known)


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
    "cubehelix": "viridis",
    "inferno": "viridis",
    "magma": "viridis",
    "plasma": "viridis",
    "turbo": "viridis",
    "grays": "gray",
    "greys": "gray",
    "rdbu": "diverging",
    "jet": "viridis",
    "hot": "viridis",
    "coolwarm": "diverging",
    "seismic": "diverging",
    "bwr": "diverging",
    "float16": "half",
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
"""Values of other tools, and what convcli calls them."""


def value_hint(word: str, choices: Iterable[str]) -> str:
    """The choice that another tool's word means, or the nearest choices, or nothing."""
    known = list(choices)
    meant = _VALUES.get(word.casefold())
    return f" (did you mean {meant}?)" if meant in known else suggest(word, known)
