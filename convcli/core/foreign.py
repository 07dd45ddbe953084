"""Arrays of other libraries as NumPy arrays: by their own methods, by DLPack, or by ``__array__``."""

from __future__ import annotations

from typing import Any

import numpy as np

from convcli.core.dtypes import Array


def library_of(value: Any) -> str:
    """The library that a value's class comes from, such as ``torch``."""
    return type(value).__module__.partition(".")[0]


def in_memory(value: Any) -> Array:
    """A value as a NumPy array, copied from another device or computed if need be.

    Tensors of PyTorch are detached from their graph; bfloat16, which NumPy does not have, becomes float32.

    Raises:
        Exception: of any kind, from a class that cannot be converted.
    """
    if isinstance(value, np.ndarray):
        return np.asarray(value)  # without the rules of a subclass, as that of matrices to keep two axes
    library = library_of(value)
    if library == "torch" and hasattr(value, "detach"):
        return _of_torch(value)
    if library == "cupy" and hasattr(value, "get"):
        return np.asarray(value.get())
    if hasattr(value, "__dlpack__") and not hasattr(value, "__array__"):
        return np.from_dlpack(value)
    return np.asarray(value)


def _of_torch(tensor: Any) -> Array:
    plain = tensor.detach().cpu().resolve_conj().resolve_neg()
    if str(plain.dtype) == "torch.bfloat16":
        plain = plain.float()
    return np.asarray(plain.to_dense() if plain.is_sparse else plain)
