"""What each layer does."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from convcli.networks.keras.dense import dense
from convcli.networks.keras.elementwise import elementwise, prelu
from convcli.networks.keras.layer import Layer
from convcli.networks.keras.normalization import (
    batch_normalization,
    layer_normalization,
    normalization,
    softmax,
)
from convcli.networks.keras.shapes import (
    concatenate,
    cropping,
    flatten,
    padding,
    permute,
    reshape,
    upsampling,
)
from convcli.networks.keras.windows import convolution, depthwise, global_pool, pool, separable, transposed

_ELEMENTWISE: Final = (
    *("Activation", "ReLU", "LeakyReLU", "ELU", "ThresholdedReLU", "ActivityRegularization", "Identity"),
    *("Dropout", "SpatialDropout2D", "GaussianDropout", "GaussianNoise", "AlphaDropout", "Rescaling"),
    *("Add", "Subtract", "Multiply", "Average", "Maximum", "Minimum"),
    *("RandomFlip", "RandomRotation", "RandomZoom", "RandomTranslation", "RandomContrast"),
)
LAYERS: Final[Mapping[str, Layer]] = {
    **dict.fromkeys(_ELEMENTWISE, elementwise),
    **dict.fromkeys(("Conv2D", "Convolution2D"), convolution),
    "DepthwiseConv2D": depthwise,
    "SeparableConv2D": separable,
    "Conv2DTranspose": transposed,
    **dict.fromkeys(("MaxPooling2D", "AveragePooling2D"), pool),
    **dict.fromkeys(("GlobalMaxPooling2D", "GlobalAveragePooling2D"), global_pool),
    "Dense": dense,
    "BatchNormalization": batch_normalization,
    "LayerNormalization": layer_normalization,
    "Normalization": normalization,
    "Softmax": softmax,
    "PReLU": prelu,
    "Concatenate": concatenate,
    "Flatten": flatten,
    "Reshape": reshape,
    "Permute": permute,
    "UpSampling2D": upsampling,
    "ZeroPadding2D": padding,
    "Cropping2D": cropping,
}
"""Other layers are named in the table, and nothing after them is guessed."""
