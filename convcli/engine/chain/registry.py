"""Every kind of stage by name.

A new kind is a class of `layers.stages` with that name as ``kind``, a module of this package with a function
``planned``, and one line below.
"""

from __future__ import annotations

from typing import Any, Final

from convcli.engine.chain import activation, convolution, pool
from convcli.engine.chain.stage import PlannedStage, StageOptions
from convcli.engine.chain.values import Values
from convcli.layers.stages import Stage

_KINDS: Final[dict[str, Any]] = {
    "convolution": convolution.planned,
    "pool": pool.planned,
    "activation": activation.planned,
}


def planned(stage: Stage, values: Values, options: StageOptions) -> PlannedStage:
    """A stage over the output of the one before.

    Raises:
        ArgumentError: the stage does not fit.
    """
    made: PlannedStage = _KINDS[stage.kind](stage, values, options)
    return made
