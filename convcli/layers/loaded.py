"""Kernels and stages with the names of the files that they were read from."""

from __future__ import annotations

from typing import TYPE_CHECKING

from convcli.core.frozen import frozen

if TYPE_CHECKING:
    from convcli.kernels.kernel import Kernel
    from convcli.layers.stages import Stage


@frozen(eq=False)
class LoadedKernel:
    """A kernel with the names of the files that it was read from."""

    kernel: Kernel
    files: tuple[str, ...] = ()


@frozen(eq=False)
class LoadedStage:
    """A stage with the names of the files that its kernel was read from."""

    stage: Stage
    files: tuple[str, ...] = ()


def files_of(*parts: LoadedKernel | LoadedStage) -> list[str]:
    """The files that kernels were read from."""
    return [file for part in parts for file in part.files]
