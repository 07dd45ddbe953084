"""Measures the memory of convcli for several files, each in its own process; run by `test_memory`."""

from __future__ import annotations

import io
import json
import os
import sys
from pathlib import Path

import numpy as np
from PIL import Image

from convcli import load_kernel
from convcli.files.input import Input
from convcli.formats import opening
from convcli.formats.header import Coding, Layout, Metadata, Timing
from convcli.formats.registry import format_named
from convcli.pipeline import job
from convcli.pipeline.naming import OutputSpec
from convcli.pipeline.planning.memory import PROCESS
from convcli.pipeline.settings import Settings

ROWS, COLUMNS = 700, 800
QUICK = Coding(quality=80)  # lossless WebP takes a second an image


def film(frames: int, channels: int) -> np.ndarray:
    """(frames, rows, columns, channels) of waves that move."""
    rows, columns = np.mgrid[:ROWS, :COLUMNS]
    waves = 90 * np.sin(rows / 37) * np.cos(columns / 53) + 120
    planes = [waves, waves[::-1], waves[:, ::-1]][:channels]
    still = np.stack(planes, axis=-1).astype(np.uint8)
    return np.stack([np.roll(still, 9 * frame, axis=1) for frame in range(frames)])


def write(path: Path, name: str, frames: int) -> None:
    """Write a file of RGB, or of gray for GIF."""
    pixels = film(frames, 1 if name == "gif" else 3)
    if name == "avif" and frames > 1:
        first, *others = map(Image.fromarray, pixels)
        first.save(path, "AVIF", save_all=True, append_images=others, duration=40, speed=10)
        return
    timing = Timing.steady(frames) if frames > 1 else None
    layout = Layout(ROWS, COLUMNS, pixels.shape[3], pixels.dtype, frames)
    encoder = format_named(name).encoder(layout, Metadata(timing=timing, coding=QUICK))
    pieces = []
    for frame, image in enumerate(pixels):
        destination = encoder.destination(frame, 0, ROWS)
        if destination is not None:
            destination[...] = image
        pieces.append(encoder.strip(0, image))
    file = io.BytesIO()
    encoder.write(file, pieces)
    path.write_bytes(file.getvalue())


def status(key: str) -> int:
    """A value of /proc/self/status, in bytes."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(key))


def measure(path: Path, case: tuple[str, str, int]) -> None:
    """Print the case with its estimated and measured megabytes, excluding the program itself."""
    settings = settings_for(path, case[1])
    with Input.open(str(path)) as opened:
        ((_, [task]),) = job.planned_results(str(path), opened, [settings])
        estimated = task.memory - PROCESS
    Path("/proc/self/clear_refs").write_text("5")  # resets the peak
    start = status("VmRSS")
    job.apply(str(path), settings)
    print(json.dumps([case, estimated / 1e6, (status("VmHWM") - start) / 1e6]))


def settings_for(path: Path, name: str) -> Settings:
    """Settings that blur a file into another format."""
    output = OutputSpec(str(path.with_name(f"out.{name}")))
    return Settings(load_kernel("box3"), threads=2, output=output, force=True)


def in_a_process(function, *arguments) -> None:
    """Call a function in a forked process."""
    sys.stdout.flush()
    child = os.fork()
    if not child:
        code = 1
        try:
            function(*arguments)
            code = 0
        finally:
            sys.stdout.flush()
            os._exit(code)
    _, ended = os.waitpid(child, 0)
    if ended:
        sys.exit(1)


def main() -> None:
    """Print the measurements, one case per line."""
    folder, cases = Path(sys.argv[1]), json.loads(sys.argv[2])
    opening._CACHED_BYTES = 0  # as if frames were large
    first = folder / "first.png"
    write(first, "png", 1)
    job.apply(str(first), settings_for(first, "png"))  # so that imports count as the program
    for case in cases:
        name, _, frames = case
        path = folder / f"{name}-{frames}.{name}"
        if not path.exists():
            in_a_process(write, path, name, frames)
        in_a_process(measure, path, case)


if __name__ == "__main__":
    main()
