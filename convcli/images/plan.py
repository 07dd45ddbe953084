"""`plan`: how a feature map would be computed, and why."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Unpack

import numpy as np

from convcli.core import markup
from convcli.core.dtypes import DType
from convcli.core.frozen import replace
from convcli.engine.computers import Computation
from convcli.formats import opening
from convcli.formats.header import Header
from convcli.geometry.axes import LARGEST, parse_sizes, whole_numbers
from convcli.images.calls import single_settings
from convcli.images.inputs import Image, as_image
from convcli.images.keywords import KernelLike, Options, with_options
from convcli.pipeline.planning.convolution import convolution_of
from convcli.pipeline.reports.json_form import plan_dict


class Plan:
    """How a feature map would be computed: number types, method and the cost of every other one."""

    def __init__(self, planned: Computation) -> None:
        self._planned = planned

    @property
    def method(self) -> str:
        """The name of the method."""
        return self._planned.method

    @property
    def exact(self) -> bool:
        """Whether sums are exact, so that the result does not depend on the method."""
        return self._planned.exact

    @property
    def dtype(self) -> DType:
        """The type in which sums are computed."""
        return self._planned.dtype

    @property
    def report(self) -> dict[str, Any]:
        """The plan as ``convcli plan --report json`` prints it."""
        return plan_dict(self._planned)

    def __str__(self) -> str:
        return str(self._planned)

    def __repr__(self) -> str:
        exact = "exact" if self.exact else "rounded"
        return f"<{type(self).__name__}: {self.method}, {exact} in {self.dtype}>"

    def _repr_html_(self) -> str:
        rows = []
        for candidate in self._planned.candidates:
            chosen = candidate.method == self.method
            cost = "" if candidate.cost is None else f"{candidate.cost:.2f} ns per value"
            rows.append([("→ " if chosen else "") + candidate.method, cost or "—", candidate.refusal])
        title = str(self).split("\n", maxsplit=1)[0]
        return markup.table(rows, ("method", "cost", "not applicable because"), title)


@with_options
def plan(size: Any, kernel: KernelLike, *, dims: Any = None, **options: Unpack[Options]) -> Plan:
    """Return how a feature map would be computed, as ``convcli plan`` shows it.

    Args:
        size: of the image: (rows, columns[, channels]) or text such as ``"4000x6000"``, of 8 bits unless
            ``depth`` says otherwise; or an image, as for `apply`, of which only the header counts.
        kernel: as for `apply`.
        dims: as for `apply`.
        options: as for `apply`.

    Raises:
        ConvcliError: as for `apply`.
    """
    header, image = _header(size, dims)
    given = dict(options)
    if depth := given.get("depth"):
        kinds = {"8": np.uint8, "16": np.uint16, "float": np.float32}
        header = replace(header, dtype=np.dtype(kinds.get(str(depth), np.uint8)))
    settings = single_settings(image, kernel, given)
    return Plan(convolution_of(header, settings).plan)


def _header(size: Any, dims: Any) -> tuple[Header, Image | None]:
    """The header of an image, or that of an image of this size."""
    numbers: Sequence[int] | None = None
    if isinstance(size, str) and re.fullmatch(r"[\d\s,x×]+", size) and not Path(size).exists():
        numbers = parse_sizes("size", size, (2, 3), "x")
    elif isinstance(size, (tuple, list)) and all(isinstance(one, (int, np.integer)) for one in size):
        numbers = parse_sizes("size", "x".join(map(str, whole_numbers("size", size))), (2, 3), "x")
    if numbers is not None:
        rows, columns, channels = (*numbers, 1)[:3]
        return Header("", rows, columns, channels, np.dtype(np.uint8)), None
    image = as_image(size, dims)
    with image.errors():
        return opening.open_input(image.source, LARGEST)[0].header, image
