"""Color maps: 256 colors, one for each 8-bit pixel of a feature map.

- ``viridis``: by Nathaniel Smith, Stéfan van der Walt and Eric Firing for matplotlib 1.5 (2015), in the
  public domain (CC0); the 256 colors of matplotlib's table, rounded to 8 bits. Brightness rises evenly.
- ``diverging``: the nine classes of RdBu by Cynthia Brewer (ColorBrewer 2.0, 2002), reversed, interpolated
  linearly in sRGB. Pixel 128, which is 0 under the mapping ``signed``, has the middle color; 1 and 255 have
  those at the ends.
- ``wheel``: directions as hues of HSV, red to the right and then counterclockwise, and magnitudes as their
  brightness, from black.
"""

from __future__ import annotations

from functools import cache
from typing import Final

import numpy as np

from convcli.core.dtypes import Array
from convcli.core.rational import FloatArray

COLORMAPS: Final = ("gray", "viridis", "diverging", "wheel")
HUES: Final = 256
"""Directions that ``wheel`` tells apart."""
DIVERGING_MIDDLE: Final = 128
"""The pixel that the mapping ``signed`` makes of 0, and the middle of ``diverging``."""

_SAMPLES: Final = 4
"""Samples of a disk's pixel along each side, which smooth its edge."""

_RDBU: Final = "2166ac 4393c3 92c5de d1e5f0 f7f7f7 fddbc7 f4a582 d6604d b2182b"
_VIRIDIS: Final = (
    "44015444025645045745055946075a46085c460a5d460b5e470d60470e61471063471164471365481467481668481769"
    "48186a481a6c481b6d481c6e481d6f481f70482071482173482374482475482576482677482878482979472a7a472c7a"
    "472d7b472e7c472f7d46307e46327e46337f463480453581453781453882443983443a83443b84433d84433e85423f85"
    "4240864241864142874144874045884046883f47883f48893e49893e4a893e4c8a3d4d8a3d4e8a3c4f8a3c508b3b518b"
    "3b528b3a538b3a548c39558c39568c38588c38598c375a8c375b8d365c8d365d8d355e8d355f8d34608d34618d33628d"
    "33638d32648e32658e31668e31678e31688e30698e306a8e2f6b8e2f6c8e2e6d8e2e6e8e2e6f8e2d708e2d718e2c718e"
    "2c728e2c738e2b748e2b758e2a768e2a778e2a788e29798e297a8e297b8e287c8e287d8e277e8e277f8e27808e26818e"
    "26828e26828e25838e25848e25858e24868e24878e23888e23898e238a8d228b8d228c8d228d8d218e8d218f8d21908d"
    "21918c20928c20928c20938c1f948c1f958b1f968b1f978b1f988b1f998a1f9a8a1e9b8a1e9c891e9d891f9e891f9f88"
    "1fa0881fa1881fa1871fa28720a38620a48621a58521a68522a78522a88423a98324aa8325ab8225ac8226ad8127ad81"
    "28ae8029af7f2ab07f2cb17e2db27d2eb37c2fb47c31b57b32b67a34b67935b77937b87838b9773aba763bbb753dbc74"
    "3fbc7340bd7242be7144bf7046c06f48c16e4ac16d4cc26c4ec36b50c46a52c56954c56856c66758c7655ac8645cc863"
    "5ec96260ca6063cb5f65cb5e67cc5c69cd5b6ccd5a6ece5870cf5773d05675d05477d1537ad1517cd2507fd34e81d34d"
    "84d44b86d54989d5488bd6468ed64590d74393d74195d84098d83e9bd93c9dd93ba0da39a2da37a5db36a8db34aadc32"
    "addc30b0dd2fb2dd2db5de2bb8de29bade28bddf26c0df25c2df23c5e021c8e020cae11fcde11dd0e11cd2e21bd5e21a"
    "d8e219dae319dde318dfe318e2e418e5e419e7e419eae51aece51befe51cf1e51df4e61ef6e620f8e621fbe723fde725"
)


@cache
def color_table(name: str) -> Array:
    """The colors of one of `COLORMAPS`, (256, 3) of uint8, read-only; of ``wheel``, (`HUES`, 256, 3)."""
    colors = {"gray": _gray, "viridis": _viridis, "diverging": _diverging, "wheel": _wheel}[name]()
    colors.setflags(write=False)
    return colors


def _gray() -> Array:
    return np.repeat(np.arange(256, dtype=np.uint8)[:, None], 3, 1)


def _viridis() -> Array:
    return np.frombuffer(bytes.fromhex(_VIRIDIS), np.uint8).reshape(256, 3).copy()


def _diverging() -> Array:
    classes = np.frombuffer(bytes.fromhex(_RDBU), np.uint8).reshape(-1, 3)
    share = (np.arange(256).clip(1) - 1) / 254 * (len(classes) - 1)
    colors = [np.interp(share, np.arange(len(classes)), channel) for channel in classes.T]
    return np.rint(np.stack(colors, -1)).astype(np.uint8)


def _wheel() -> Array:
    """The hues of HSV at full saturation (Smith, "Color gamut transform pairs", 1978), by brightness."""
    sixths = np.arange(HUES) * (6 / HUES)
    distance = [np.abs((sixths - peak + 3) % 6 - 3) for peak in (0, 2, 4)]
    full = np.clip(2 - np.stack(distance, -1), 0, 1)
    table: Array = np.rint(full[:, None] * np.arange(256)[:, None]).astype(np.uint8)
    return table


def hues(degrees: FloatArray) -> Array:
    """Directions from 0 to 360 degrees as the first index of ``wheel``; NaN as 0."""
    with np.errstate(invalid="ignore"):
        steps = np.rint(np.nan_to_num(degrees) * (HUES / 360))
    found: Array = steps.astype(np.intp) % HUES
    return found


def wheel_disk(diameter: int, ground: tuple[int, int, int]) -> Array:
    """The legend of ``wheel``: a disk in which a color lies in its direction, darker toward the center.

    Args:
        ground: the color around the disk.

    Returns:
        (diameter, diameter, 3) of uint8.
    """
    side = diameter * _SAMPLES
    across = (np.arange(side) + 0.5) / side * 2 - 1
    x, y = across[None], -across[:, None]
    radius = np.hypot(x, y)
    shades = np.rint(np.clip(radius, 0, 1) * 255).astype(np.intp)
    colors = color_table("wheel")[hues(np.degrees(np.arctan2(y, x)) % 360), shades].astype(np.float64)
    colors[radius > 1] = ground
    boxes = colors.reshape(diameter, _SAMPLES, diameter, _SAMPLES, 3)
    disk: Array = np.rint(boxes.mean(axis=(1, 3))).astype(np.uint8)
    return disk


def diverging(values: FloatArray, limit: float) -> Array:
    """Values as colors of ``diverging``, (…, 3) of uint8; 0 is its middle, ±``limit`` are its ends."""
    return color_table("diverging")[to_shades(values, limit)]


def to_shades(values: FloatArray, limit: float) -> Array:
    """Values as pixels for ``diverging``, uint8: 0 as `DIVERGING_MIDDLE`, ±``limit`` as 1 and 255."""
    share = np.clip(values / (limit or 1), -1, 1)
    return np.rint(DIVERGING_MIDDLE + share * (DIVERGING_MIDDLE - 1)).astype(np.uint8)
