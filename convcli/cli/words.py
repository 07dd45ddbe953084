"""Words that options complete, by the option's name; written by `python -m share.make`."""

from __future__ import annotations

from typing import Final

WORDS: Final = {
    "kernel": {
        "box3": "Mean of 3×3 neighbours",
        "box5": "Mean of 5×5 neighbours",
        "emboss": "Light from the upper left; keeps the brightness",
        "gaussian3": "Binomial 3×3, a Gaussian of σ² = 1/2",
        "gaussian5": "Binomial 5×5, a Gaussian of σ² = 1",
        "gaussian7": "Binomial 7×7, a Gaussian of σ² = 3/2",
        "identity": "The picture itself",
        "laplacian4": "Curvature from four neighbours; negative centre",
        "laplacian8": "Curvature from eight neighbours; negative centre",
        "ones3": "A window of ones: the sum of the neighbours",
        "outline": "Minus laplacian8, positive on bright lines",
        "prewitt": "Steepness, the root of prewitt-x squared plus prewitt-y squared",
        "prewitt-x": "Slope along x, positive where it gets brighter to the right; finds ve…",
        "prewitt-y": "Slope along y, positive where it gets brighter downward; finds horizo…",
        "scharr": "Steepness, the root of scharr-x squared plus scharr-y squared",
        "scharr-x": "Slope along x, positive where it gets brighter to the right; finds ve…",
        "scharr-y": "Slope along y, positive where it gets brighter downward; finds horizo…",
        "sharpen": "Sharper edges; identity minus laplacian4",
        "sharpen8": "Sharper edges in all eight directions; identity minus laplacian8",
        "sobel": "Steepness, the root of sobel-x squared plus sobel-y squared",
        "sobel-x": "Slope along x, positive where it gets brighter to the right; finds ve…",
        "sobel-y": "Slope along y, positive where it gets brighter downward; finds horizo…",
        "box:": "boxN or box:ROWSxCOLUMNS",
        "ones:": "onesN or ones:ROWSxCOLUMNS",
        "gaussian:": "gaussianN (N odd) or gaussian:SIGMA[,size=N][,truncate=4]",
        "random:": "random:ROWSxCOLUMNS[xINxOUT][,seed=N]",
    },
    "padding": {
        "valid": "",
        "same": "",
        "same-lower": "",
        "full": "",
    },
    "map": {
        "auto": "",
        "clip": "",
        "abs": "",
        "signed": "",
        "stretch": "",
        "raw": "",
    },
    "method": {
        "auto": "",
        "shift": "",
        "separable": "",
        "box": "",
        "toeplitz": "",
        "im2col": "",
        "fft": "",
    },
    "format": {
        "png": "",
        "jpeg": "",
        "tiff": "",
        "webp": "",
        "bmp": "",
        "gif": "",
        "pnm": "",
        "pfm": "",
        "npy": "",
        "avif": "",
        "mkv": "",
        "mp4": "",
    },
    "tag": {
        "blur": "",
        "edge": "",
        "effect": "",
        "gradient": "",
        "laplacian": "",
        "lesson": "",
        "sharpen": "",
    },
}
FILLS: Final = ("zero", "edge", "reflect", "symmetric", "wrap")
"""What stands behind the colon of a padding."""
