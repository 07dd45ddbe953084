"""An image as the engine reads it: channels summed or as lanes, frames as a batch or as depth."""

from __future__ import annotations

import numpy as np

from convcli.core.dtypes import Array, DType
from convcli.core.frozen import frozen
from convcli.engine.computers import Computation
from convcli.engine.plan import Problem
from convcli.engine.source import ArraySource, Source
from convcli.formats.readers import InMemoryReader, Reader


@frozen(eq=False)
class ImageSource:
    """A `Source` of the channels of images, each summed or a lane of its own; each frame is a batch entry."""

    reader: Reader
    plan: Computation

    @property
    def dtype(self) -> DType:
        """Type of the values that the engine reads."""
        return self.plan.problem.dtype

    def rows(self, batch: int, first: int, last: int) -> Array:
        """Rows of a frame, (1, rows, columns, channels, lanes), without alpha that is not filtered.

        Channels that are summed share the weights of their pixels, the last channel of the reader. Half
        floats become single floats, the narrowest that the engine reads.
        """
        problem, values = self.plan.problem, self.reader.rows(batch, first, last)
        if values.dtype == np.float16:
            values = values.astype(problem.dtype)
        if problem.channels > 1 and problem.lanes > 1:
            weights = np.broadcast_to(values[..., -1:], values[..., :-1].shape)
            return np.stack([values[..., :-1], weights], -1)[None]
        colors = values[..., : problem.channels * problem.lanes]
        shaped: Array = colors.reshape(1, *colors.shape[:2], problem.channels, problem.lanes)
        return shaped


def volume_source(
    source: Source, reader: Reader, problem: Problem, alpha: bool
) -> tuple[ArraySource, Reader]:
    """All frames as one array, because every depth of the result reads several of them.

    Args:
        source: the values of the frames.
        reader: the stored pixels of the frames.
        alpha: whether their alpha is wanted.

    Returns:
        A source of the volume, and a reader of the frames' alpha; each frame is read once.
    """
    frames, rows, columns = (axis.size for axis in problem.axes)
    values = np.empty((frames, rows, columns, problem.channels, problem.lanes), problem.dtype)
    planes = []
    for frame in range(frames):
        values[frame] = source.rows(frame, 0, rows)[0]
        if alpha:
            planes.append(reader.rows(frame, 0, rows)[..., -1:].copy())
    return ArraySource(values[None]), InMemoryReader(planes)
