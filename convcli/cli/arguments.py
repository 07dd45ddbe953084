"""What a command line says, as frozen values: the one place that reads click's parameters.

A command's callback gets its parameters by name and immediately turns them into these values; everything
after it is typed. Options that a command does not have keep their defaults.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, TypeVar

import click

from convcli.core.frozen import frozen

T = TypeVar("T")
TERMINAL: Final = "term:"
"""What ``-o`` begins with where maps are shown in the terminal."""


def parse(kind: type[T], parameters: Mapping[str, Any]) -> T:
    """A value of ``kind`` whose fields are the parameters of the same names.

    A field ``explicit`` gets the names of the parameters that the command line gives.
    """
    available = {**parameters, "explicit": explicit_parameters()}
    fields: tuple[str, ...] = kind.__match_args__  # type: ignore[attr-defined]
    return kind(**{name: available[name] for name in fields if name in available})


def explicit_parameters() -> frozenset[str]:
    """Names of the running command's parameters that the command line gives, rather than a default."""
    context = click.get_current_context()
    sources = {name: context.get_parameter_source(name) for name in context.params}
    return frozenset(name for name, source in sources.items() if source and source.name != "DEFAULT")


@frozen
class OutputOptions:
    """Where results go, and how they are drawn.

    Attributes:
        output: file, folder, template, ``-`` or ``term:``; None for a name next to each input.
        value_range: ``each`` map has its own range, or all have a ``common`` one.
        tile: pixels of a drawn map's longer side.
    """

    output: str | None = None
    format_name: str | None = None
    sheet: bool = False
    figure: bool = False
    value_range: str = "each"
    tile: int = 256

    @property
    def terminal(self) -> str | None:
        """What follows ``term:``, the way maps are shown in the terminal; None where they go to files."""
        spec = self.output or ""
        return spec.removeprefix(TERMINAL) if spec.startswith(TERMINAL) else None

    @property
    def draws(self) -> bool:
        """Whether maps are drawn or shown, rather than written as they are."""
        return self.sheet or self.figure or self.terminal is not None

    @property
    def shares_range(self) -> bool:
        return self.value_range == "common"


@frozen
class PieceOptions:
    """How a result is made in pieces.

    Attributes:
        cluster: its address; None for this process.
        resume_job: whether an unfinished result is continued.
        job_file: where the job is written, instead of running it.
        piece_size, chunk, shard: one number for both, or (rows, columns).
        pyramid: whether the levels of a pyramid are made as well.
        worker_memory: bytes.
    """

    cluster: str | None = None
    resume_job: bool = False
    job_file: str | None = None
    piece_size: tuple[int, ...] | None = None
    chunk: tuple[int, ...] | None = None
    shard: tuple[int, ...] | None = None
    pyramid: bool = False
    worker_memory: int | None = None

    @property
    def requests_pieces(self) -> bool:
        """Whether an option only makes sense for a result in pieces."""
        sizes = self.piece_size, self.chunk, self.shard, self.worker_memory
        return bool(self.cluster or self.resume_job or self.job_file or self.pyramid) or any(sizes)


@frozen
class ReportOptions:
    """Which report goes where."""

    report: str | None = None
    report_file: str | None = None
    verbose: bool = False
    quiet: bool = False
    force: bool = False


@frozen
class BatchOptions:
    """What a batch reads and writes, and how it runs.

    Attributes:
        from_file: a list of names; ``null`` ends them with NUL instead of a line feed.
        report: the manifest.
        cluster: the address of a cluster; None for worker processes of this machine.
        max_memory: bytes for all workers combined.
    """

    destination: str | None = None
    format_name: str | None = None
    recursive: bool = False
    from_file: str | None = None
    null: bool = False
    dry_run: bool = False
    report: str | None = None
    resume: bool = False
    on_error: str = "continue"
    jobs: int | None = None
    cluster: str | None = None
    max_memory: int | None = None
    quiet: bool = False
    force: bool = False
