"""A job in words and numbers, before it runs: pieces, what they read and write, and the memory they take."""

from __future__ import annotations

from math import prod
from typing import Any

from convcli.cluster.base import Engine
from convcli.core.numerals import counted, volume_text
from convcli.jobs.planning import PlannedJob
from convcli.jobs.sizing import Sizing, fetched


def job_facts(planned: PlannedJob, engine: Engine) -> dict[str, Any]:
    """The numbers of a job; sizes in bytes are those of decoded pixels."""
    (grid, needed), sizing, memory = planned.grid(engine), planned.sizing(engine), planned.memory(engine)
    header = sizing.header
    amplification = fetched(grid, sizing)
    source = header.rows * header.columns * header.channels * header.dtype.itemsize * _frames(sizing)
    block = sizing.block or (1, header.columns)
    blocks = -(-header.rows // block[0]) * -(-header.columns // block[1]) * _frames(sizing)
    layout = sizing.layout
    passes = 2 if planned.task.mapping.needs_range else 1
    return {
        "pieces": grid.count,
        "piece": [*map(min, grid.piece, (grid.group, *grid.shape[1:]))],
        "limited_by": sizing.limit(engine.workers, memory, planned.options.piece),
        "passes": passes,
        "workers": engine.workers,
        "threads": planned.threads(engine),
        "read_blocks": round(blocks * amplification) * passes,
        "block": list(block),
        "read_bytes": round(source * amplification) * passes,
        "amplification": round(amplification, 3),
        "written_objects": grid.shards * sizing.maps,
        "shard": list(grid.shard),
        "written_bytes": prod(grid.shape) * layout.channels * layout.dtype.itemsize * sizing.maps,
        "worker_memory": needed,
        "worker_limit": memory,
    }


def job_text(facts: dict[str, Any]) -> str:
    """The numbers of `job_facts` as lines."""
    frames, rows, columns = facts["piece"]
    deep, high, wide = facts["shard"]
    size = f"{rows}×{columns} pixels" + (f" of {frames} frames" if frames > 1 else "")
    passes = " in 2 passes, the first for the range of values" if facts["passes"] == 2 else ""
    limit, objects = facts["worker_limit"], counted(facts["written_objects"], "object")
    shard = f"{high}×{wide}" + (f" of {deep} frames" if deep > 1 else "")
    workers = f"{counted(facts['workers'], 'worker')} with {counted(facts['threads'], 'thread')}"
    return "\n".join(
        [
            f"  pieces   {facts['pieces']} of {size} on {workers} each{passes}",
            f"           size set by {facts['limited_by']}",
            f"  reads    {volume_text(facts['read_bytes'])} in {counted(facts['read_blocks'], 'block')} of "
            f"{facts['block'][0]}×{facts['block'][1]}, {facts['amplification']:g}× the source",
            f"  writes   {volume_text(facts['written_bytes'])} in {objects} of {shard}",
            f"  memory   about {volume_text(facts['worker_memory'])} for each worker"
            + (f", of {volume_text(limit)}" if limit else ""),
            "           bytes are those of pixels, before compression",
        ]
    )


def _frames(sizing: Sizing) -> int:
    """Frames of the source that are read."""
    depth = sizing.plan.axes[0]
    groups = sizing.frames // sizing.group
    return depth.size * groups if depth.size > 1 else sizing.header.frames
