"""The command line compared with other tools, as whole processes: ``python benchmarks/files.py``, on Linux.

Every tool reads a file, computes the 3×3 mean and writes a file of the same format: PNG with its default
compression, JPEG with quality 95 and full chroma if there is a choice. All are started in the same way, on
the same processors, from this checkout; runs are interleaved, and the first of each is discarded. Tools
slower than `--patience` run once. Missing tools are left out.

The last rows are floors: Python that does nothing, that imports a decoder, and that decodes. This process
stays small and leaves pixels to ``images.py``: Linux counts the memory of the parent as a new program's own,
so no peak is below the 16 MB of this one.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import re
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from typing import Any, NamedTuple

ROOT = Path(__file__).resolve().parents[1]
IMAGES = Path(__file__).with_name("images.py")
MASK = "box3.mat"
DEFLATED = "[tile,compression=deflate,predictor=horizontal]"  # as convcli writes TIFF
ONES = ["1"] * 9
MOST_APART = 2.0  # of 255, within the border: rounding, and for JPEG its loss
SUFFIXES = {"gray": ".png", "rgb": ".png", "jpeg": ".jpg", "small": ".png", "tiff": ".tif"}
SIZES = {"gray": "4000x6000x1", "rgb": "4000x6000x3", "jpeg": "4000x6000x3", "small": "512x512x1"}
OPENCV = """
import sys, cv2
source, target = sys.argv[1:]
jpeg = [cv2.IMWRITE_JPEG_QUALITY, 95, cv2.IMWRITE_JPEG_SAMPLING_FACTOR, cv2.IMWRITE_JPEG_SAMPLING_FACTOR_444]
image = cv2.blur(cv2.imread(source, cv2.IMREAD_UNCHANGED), (3, 3))
sys.exit(not cv2.imwrite(target, image, jpeg if target.endswith(".jpg") else []))
"""
PILLOW = """
import sys
from PIL import Image, ImageFilter
Image.open(sys.argv[1]).filter(ImageFilter.{}).save(sys.argv[2], quality=95, subsampling=0)
"""
DECODING = """
import sys, numpy, imagecodecs
imagecodecs.{}_decode(open(sys.argv[1], "rb").read())
"""

Command = list[str]
Figures = dict[str, dict[str, Any]]  # of each tool in one case


class Case(NamedTuple):
    """One input image, and where its results go."""

    name: str
    folder: Path

    @property
    def suffix(self) -> str:
        """What the names of its files end in."""
        return SUFFIXES[self.name]

    @property
    def source(self) -> Path:
        """The input."""
        return self.folder / f"{self.name}{self.suffix}"

    def target(self, tool: str) -> Path:
        """The output of one tool."""
        return self.folder / f"{self.name}.{tool}{self.suffix}"


class Run(NamedTuple):
    """One process from its start to its end."""

    seconds: float
    peak: int  # bytes
    error: str


def convcli(case: Case, target: str) -> Command:
    """Convcli itself."""
    words = ["-m", "convcli", "apply", str(case.source), "-k", "box3", "-o", target, "--force", "-q"]
    return [sys.executable, *words]


def vips(case: Case, target: str, tiff: str = "[tile]") -> Command:
    """libvips, at its fastest setting, integer arithmetic that rounds."""
    choice = {".jpg": "[Q=95,subsample-mode=off]", ".tif": tiff}.get(case.suffix, "")
    mask = str(case.folder / MASK)
    return ["vips", "conv", str(case.source), target + choice, mask, "--precision", "integer"]


def magick(program: str, case: Case, target: str) -> Command:
    """ImageMagick 7 (magick) or 6 (convert)."""
    kernel = ["-define", "convolve:scale=!", "-morphology", "Convolve", "3x3:" + ",".join(ONES)]
    return [program, str(case.source), *kernel, *full_chroma(case), target]


def graphicsmagick(case: Case, target: str) -> Command:
    """GraphicsMagick, which normalizes kernels."""
    return ["gm", "convert", str(case.source), "-convolve", ",".join(ONES), *full_chroma(case), target]


def full_chroma(case: Case) -> Command:
    """The JPEG options of both Magicks."""
    return ["-quality", "95", "-sampling-factor", "1x1"] if case.suffix == ".jpg" else []


def gmic(case: Case, target: str) -> Command:
    """G'MIC, which computes in floats and truncates when it writes."""
    mean = ["(1,1,1;1,1,1;1,1,1)", "div[1]", "9", "convolve[0]", "[1]", "round[0]"]
    result = target + (",95" if case.suffix == ".jpg" else "")
    return ["gmic", "-v", "-1", str(case.source), *mean, "output[0]", result]


def ffmpeg(case: Case, target: str) -> Command:
    """FFmpeg, on the planes that its filter supports."""
    planes = range(1 if case.name in ("gray", "small") else 3)
    mean = ":".join(f"{plane}m='{' '.join(ONES)}':{plane}rdiv=1/9" for plane in planes)
    layout = "yuvj444p" if case.suffix == ".jpg" else "gray" if len(planes) == 1 else "gbrp"
    filters = ["-vf", f"format={layout},convolution={mean}"]
    one = ["-frames:v", "1", "-update", "1", *(["-qmin", "1", "-q:v", "1"] if case.suffix == ".jpg" else [])]
    return ["ffmpeg", "-nostdin", "-v", "error", "-y", "-i", str(case.source), *filters, *one, target]


def script(code: str, case: Case, *target: str) -> Command:
    """A few lines of Python."""
    return [sys.executable, "-c", code, str(case.source), *target]


def decoding(case: Case, _target: str) -> Command:
    """Python that decodes with the library that convcli uses."""
    codec = {".jpg": "jpeg8", ".tif": "tiff"}.get(case.suffix, "png")
    return script(DECODING.format(codec), case)


class Tool(NamedTuple):
    """A program: the commands for its version and for filtering an image."""

    version: Command
    command: Callable[[Case, str], Command]
    cases: tuple[str, ...] = ("gray", "rgb", "jpeg", "small")


def imported(package: str) -> Command:
    """The command for the version of a Python package."""
    return [sys.executable, "-c", f"import {package}; print({package}.__version__)"]


def pillow(kind: str) -> Tool:
    """Pillow with one of its filters."""
    code = PILLOW.format(kind)
    return Tool(imported("PIL"), lambda case, target: script(code, case, target))


def floor(command: Callable[[Case, str], Command]) -> Tool:
    """A part of the work, which writes no file."""
    return Tool(imported("imagecodecs"), command, tuple(SUFFIXES))


CONVCLI = Tool([sys.executable, "-m", "convcli", "--version"], convcli, tuple(SUFFIXES))
PEERS = {
    "vips": Tool(["vips", "--version"], vips, tuple(SUFFIXES)),
    "vips-deflate": Tool(["vips", "--version"], lambda case, target: vips(case, target, DEFLATED), ("tiff",)),
    "magick": Tool(["magick", "-version"], lambda *options: magick("magick", *options)),
    "convert": Tool(["convert", "-version"], lambda *options: magick("convert", *options)),
    "gm": Tool(["gm", "version"], graphicsmagick),
    "gmic": Tool(["gmic", "version"], gmic),
    "ffmpeg": Tool(["ffmpeg", "-version"], ffmpeg),
    "opencv": Tool(imported("cv2"), lambda case, target: script(OPENCV, case, target)),
    "pillow-box": pillow("BoxBlur(1)"),
    "pillow-kernel": pillow("Kernel((3, 3), [1] * 9)"),
}
FLOORS = {
    "python, nothing": floor(lambda case, _target: [sys.executable, "-c", "pass"]),
    "python, imports": floor(lambda case, _target: [sys.executable, "-c", "import numpy, imagecodecs"]),
    "python, imports and decoding": floor(decoding),
}


def version(command: Command) -> str:
    """The version number that a tool prints; empty if it is missing."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, check=True)
    except (OSError, subprocess.CalledProcessError):
        return ""
    found = re.search(r"\d+\.\d[\w.+-]*", done.stdout + done.stderr)
    return found[0] if found else ""


def present(names: list[str]) -> dict[str, str]:
    """Versions of the installed tools by name; convert only if magick is missing."""
    found = {name: version(PEERS[name].version) for name in names}
    if found.get("magick"):
        found.pop("convert", None)
    return {name: said for name, said in found.items() if said}


def machine(peers: dict[str, str]) -> str:
    """The machine and the versions."""
    parts = [f"{len(os.sched_getaffinity(0))} processors ({platform.machine()})"]
    parts += [f"Python {platform.python_version()}", f"convcli {version(CONVCLI.version)}"]
    parts += [f"{package} {version(imported(package))}" for package in ("numpy", "imagecodecs")]
    return ", ".join(parts + [f"{name} {said}" for name, said in peers.items()])


def timed(command: Command, target: Path, log: Path) -> Run:
    """Run a process and return its time and peak memory; the previous output is removed first."""
    target.unlink(missing_ok=True)
    with log.open("wb") as errors:
        begun = time.perf_counter()
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=errors, cwd=ROOT)
        _, status, usage = os.wait4(process.pid, 0)
        seconds = time.perf_counter() - begun
    process.returncode = os.waitstatus_to_exitcode(status)
    said = log.read_text(errors="replace").splitlines() or ["no message"]
    error = f"ended with {process.returncode}: {said[-1]}" if process.returncode else ""
    return Run(seconds, usage.ru_maxrss * 1024, error)


def interleaved(case: Case, tools: dict[str, Tool], runs: int, patience: float) -> dict[str, list[Run]]:
    """The runs of each tool; the first is a warm-up, and the only one of tools that fail or are slow."""
    found: dict[str, list[Run]] = {name: [] for name in tools}
    for _ in range(runs + 1):
        for name, tool in tools.items():
            if found[name] and (found[name][-1].error or found[name][0].seconds > patience):
                continue
            target = case.target(name)
            found[name].append(timed(tool.command(case, str(target)), target, case.folder / "log"))
    return found


def pixels_of(verb: str, *words: str | Path) -> list[str]:
    """The output of ``images.py``."""
    command = [sys.executable, str(IMAGES), verb, *map(str, words)]
    return subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout.split()


def measured(case: Case, found: dict[str, list[Run]]) -> Figures:
    """All figures of each tool in one case, for the JSON file."""
    made = [name for name, runs in found.items() if case.target(name).exists() and not runs[-1].error]
    if "convcli" not in made:
        sys.exit(f"convcli, {case.name}: {found['convcli'][-1].error}")
    apart = pixels_of("compare", *(case.target(name) for name in ["convcli", *made]))
    differences = dict(zip(made, map(float, apart), strict=True))
    return {
        name: {
            "seconds": [run.seconds for run in runs],
            "median": statistics.median(run.seconds for run in runs[1:] or runs),
            "peak": max(run.peak for run in runs),
            "bytes": case.target(name).stat().st_size if name in made else None,
            "difference": differences.get(name),
            "error": runs[-1].error,
        }
        for name, runs in found.items()
    }


def table(title: str, cases: dict[str, Figures], key: str, unit: float, digits: int) -> None:
    """Print one property: a row per tool, a column per case, relative to convcli in parentheses."""
    names = list(dict.fromkeys(name for tools in cases.values() for name in tools))
    print(f"\n| {title} | {' | '.join(cases)} |\n|{'---|' * (len(cases) + 1)}")
    for name in names:
        cells = [cell(tools, name, key, unit, digits) for tools in cases.values()]
        if any(cells):
            print(f"| {name} | {' | '.join(cells)} |")


def cell(tools: Figures, name: str, key: str, unit: float, digits: int) -> str:
    """One figure, with convcli's relative to it in parentheses."""
    figures = tools.get(name, {})
    if figures.get("error"):
        return "failed"
    value, own = figures.get(key), tools["convcli"][key]
    if value is None:
        return ""
    text = f"{value / unit:.{digits}f}"
    return text if name == "convcli" or not own else f"{text} ({own / value:.2f})"


def warnings(cases: dict[str, Figures]) -> None:
    """Print a row for each tool that failed or whose result differs."""
    for case, tools in cases.items():
        for name, figures in tools.items():
            if figures.get("error"):
                print(f"| warning: {name}, {case}: {figures['error']} |")
            elif (figures.get("difference") or 0) > MOST_APART:
                print(f"| warning: {name}, {case}: the image differs by {figures['difference']:g} |")


def one_case(case: Case, peers: dict[str, str], options: argparse.Namespace) -> Figures:
    """Create the image and measure every tool with it."""
    side = options.tiff_side
    pixels_of("make", case.source, SIZES.get(case.name, f"{side}x{side}x1"))
    tools = {"convcli": CONVCLI, **{name: PEERS[name] for name in peers}, **FLOORS}
    tools = {name: tool for name, tool in tools.items() if case.name in tool.cases}
    found = measured(case, interleaved(case, tools, options.runs, options.patience))
    if case.suffix == ".png":
        reference = case.target("level6")
        pixels_of("level6", case.target("convcli"), reference)
        found["libpng, level 6"] = {"bytes": reference.stat().st_size}
    return found


def arguments() -> argparse.Namespace:
    """The command line of the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cases", nargs="*", choices=SUFFIXES, default=list(SIZES))
    parser.add_argument("--peers", nargs="*", choices=PEERS, default=list(PEERS))
    parser.add_argument("--runs", type=int, default=7)
    parser.add_argument("--threads", type=int, help="processors for all; default: all")
    parser.add_argument("--patience", type=float, default=5.0, help="seconds")
    parser.add_argument("--tiff-side", type=int, default=16384, help="pixels, for the case tiff")
    parser.add_argument("--keep", type=Path, metavar="FOLDER", help="leave all images there")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write every run's figures there")
    return parser.parse_args()


def main() -> None:
    """Print the tables."""
    options = arguments()
    subprocess.run([sys.executable, "-m", "compileall", "-q", "convcli"], cwd=ROOT, check=True)  # as pip does
    if options.threads:
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[: options.threads])
    peers = present(options.peers)
    about = f"box3, medians of {options.runs} runs; {machine(peers)}"
    print(about, flush=True)
    with nullcontext(options.keep) if options.keep else tempfile.TemporaryDirectory() as place:
        folder = Path(place).resolve()
        folder.mkdir(parents=True, exist_ok=True)
        (folder / MASK).write_text("3 3 9 0\n1 1 1\n1 1 1\n1 1 1\n")
        cases = {name: one_case(Case(name, folder), peers, options) for name in options.cases}
    table("milliseconds (convcli / peer)", cases, "median", 1e-3, 0)
    warnings(cases)
    table("bytes written (convcli / peer)", cases, "bytes", 1, 0)
    table("peak memory in MB (convcli / peer)", cases, "peak", 1e6, 0)
    if options.json:
        options.json.write_text(json.dumps({"about": about, "cases": cases}, indent=1) + "\n")


if __name__ == "__main__":
    main()
