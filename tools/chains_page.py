"""Writes the images of chains in docs/chains.md and docs/visualize.md: ``python -m tools.chains_page``."""

from __future__ import annotations

from typing import Final

import numpy as np
from PIL import Image

from convcli.kernels.kernel import Kernel
from convcli.kernels.library import load_kernel
from convcli.layers.stage_text import parse_stage
from convcli.layers.stages import ConvolutionStage
from convcli.pipeline.settings import Settings
from convcli.visualize.display import Scale, without_gray_axis
from convcli.visualize.figure import figure as drawn
from convcli.visualize.map_set import DisplayMap, MapSet, compute_maps
from convcli.visualize.panels import Panel, kernel_badges, panel_page
from convcli.visualize.raster import raster
from tools.kernels_page import DOCS, SAMPLE

FIGURE: Final = DOCS / "images" / "chain.webp"
KERNEL: Final = "gaussian:2"
STAGES: Final = ("laplacian8", "relu", "maxpool4x4")
TILE: Final = 176
LAYERS: Final = DOCS / "images" / "chain-figure.webp"
BANK: Final = "sobel:stack"
AFTER_BANK: Final = ("relu", "maxpool4x4", "box3")


def figure() -> np.ndarray:
    """The sample and the maps after each stage of the chain, (rows, columns, 3) of uint8."""
    kernel = load_kernel(KERNEL)
    stages = tuple(parse_stage(text, load_kernel) for text in STAGES)
    chains = [Settings(kernel, then=stages[:count]) for count in range(len(stages) + 1)]
    maps = compute_maps(str(SAMPLE), chains)
    kernels = [kernel, *(stage.kernel if isinstance(stage, ConvolutionStage) else None for stage in stages)]
    names = (KERNEL, *STAGES)
    panels = [_input(maps), *map(_panel, maps.maps, names, kernels)]
    return raster(panel_page(panels, f"-k {' --then '.join(names)}", len(panels)))


def layers() -> np.ndarray:
    """The figure of two layers, (rows, columns, 3) of uint8."""
    stages = tuple(parse_stage(text, load_kernel) for text in AFTER_BANK)
    maps = compute_maps(str(SAMPLE), [Settings(load_kernel(BANK), then=stages)], stages=True)
    return raster(drawn(maps, 256))


def _input(maps: MapSet) -> Panel:
    rows, columns = maps.image.shape[:2]
    pixels = without_gray_axis(Scale.of(max(rows, columns), TILE).reduced(maps.image))
    return Panel(maps.name, pixels, f"{rows} × {columns}")


def _panel(map_: DisplayMap, name: str, kernel: Kernel | None) -> Panel:
    """The map after a stage, with its size, and the kernel of the stage if it has one."""
    rows, columns = map_.gray.shape[:2]
    scale = Scale.of(max(rows, columns), TILE)
    badges = kernel_badges(kernel, 0)[0] if kernel else ()
    return Panel(name, map_.pixels(scale), f"{rows} × {columns}", badges, scale.zoom, map_.bar)


def main() -> None:
    """Write the images."""
    for pixels, path in ((figure(), FIGURE), (layers(), LAYERS)):
        Image.fromarray(pixels).save(path, lossless=True, quality=100, method=6)


if __name__ == "__main__":
    main()
