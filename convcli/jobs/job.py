"""A job: everything that pieces of a result have in common, as a JSON document without secrets."""

from __future__ import annotations

import hashlib
import json
from typing import Any, Final, Self

from convcli.core.errors import ArgumentError, ImageError, OutputError, one_line
from convcli.core.frozen import contents, frozen
from convcli.formats.zarr.spec import ArraySpec
from convcli.jobs.grid import Grid
from convcli.jobs.settings_json import settings_of_json, settings_to_json
from convcli.jobs.source import is_same
from convcli.pipeline.fingerprint import fingerprint
from convcli.pipeline.settings import Settings

VERSION: Final = 1
"""Of the document; a job of another version is refused."""

SUFFIX: Final = ".convcli"
"""Of the folder of a journal, after the name of the target."""

_DIGITS: Final = 16


@frozen(eq=False)
class Job:
    """An image, what is computed of it, and how the result is cut into pieces.

    Attributes:
        source: name or URL of the image; absolute, without a password or a query.
        identity: of the source's content, which changes with it.
        targets: of each feature map, where it goes, and what is written there.
        settings: as JSON.
        method: that all pieces use.
        grid: of the pieces.
        fingerprint: of the settings.
        program: the version of convcli.
        memory: about how many bytes a piece takes with one thread.
        pyramid: whether the levels of a pyramid are made as well.
    """

    source: str
    identity: str
    targets: tuple[dict[str, Any], ...]
    settings: dict[str, Any]
    method: str
    grid: Grid
    fingerprint: str
    program: str
    memory: int
    pyramid: bool = False

    @property
    def journal(self) -> str:
        """The folder with what is known of the job's progress, beside its first target."""
        return journal_of(self.targets[0]["place"])

    @property
    def made(self) -> dict[str, str]:
        """What a complete target says about how it was made, as far as the job knows the source."""
        return made_by(self.fingerprint, self.identity)

    def settings_with(self, **changes: Any) -> Settings:
        """The settings, whose method is the job's."""
        return settings_of_json(self.settings, **{"method": self.method, **changes})

    def to_text(self) -> str:
        """The document."""
        fields = contents(self) | {"grid": contents(self.grid), "targets": list(self.targets)}
        return json.dumps({"convcli job": VERSION, **fields}, indent=1) + "\n"

    @classmethod
    def of_text(cls, text: str, name: str) -> Self:
        """The job of a document.

        Args:
            name: of the document, for messages.

        Raises:
            ArgumentError: it is no job, or one of another version.
        """
        try:
            fields = json.loads(text)
            version = fields.pop("convcli job")
        except (ValueError, KeyError, AttributeError, TypeError, RecursionError) as error:
            raise ArgumentError(f"{one_line(name)}: not a job of convcli") from error
        if version != VERSION:
            raise ArgumentError(
                f"{one_line(name)}: a job of version {version}; this convcli runs version {VERSION}"
            )
        try:
            grid = Grid(**{key: _tupled(value) for key, value in fields.pop("grid").items()})
            job = cls(**{**fields, "grid": grid, "targets": tuple(fields["targets"])})
            _check(job)
            return job
        except (TypeError, KeyError, AttributeError, ValueError, ImageError, OutputError) as error:
            raise ArgumentError(f"{one_line(name)}: a damaged job: {one_line(str(error))}") from error

    @property
    def digest(self) -> str:
        """Of the document."""
        return digest_of(self.to_text().encode())

    def difference(self, other: Job) -> str:
        """Why an unfinished job cannot go on as ``other``, in words; empty if it can."""
        if self.program != other.program:
            return f"it was started by convcli {self.program}, and this is {other.program}"
        if self.source != other.source:
            return f"it was started for another image, {one_line(self.source)}"
        if not is_same(self.identity, other.identity):
            return "the image has changed since it was started"
        if self.fingerprint != other.fingerprint:
            return "it was started with another kernel or other settings"
        return "" if self.targets == other.targets else "its targets differ"


def digest_of(document: bytes) -> str:
    """What distinguishes the document of a job from those of others."""
    return hashlib.sha256(document).hexdigest()[:_DIGITS]


def journal_of(place: str) -> str:
    """The folder of the journal of a job whose first target is at a place."""
    return place.rstrip("/") + SUFFIX


def made_by(fingerprint: str, identity: str) -> dict[str, str]:
    """What distinguishes the results of jobs that write arrays of the same size."""
    return {"fingerprint": fingerprint, "source": identity}


def specs_of(job: Job) -> list[tuple[str, ArraySpec]]:
    """The place of each target of a job, and what is written there."""
    return [(target["place"], ArraySpec.of_json(target["spec"])) for target in job.targets]


def job_fields(settings: Settings) -> dict[str, Any]:
    """The fields of a job that its settings decide.

    Raises:
        ArgumentError: a setting that only one process can apply to a whole image.
    """
    return {"settings": settings_to_json(settings), "fingerprint": fingerprint(settings)}


_TYPES: Final = {
    "source": str,
    "identity": str,
    "settings": dict,
    "method": str,
    "fingerprint": str,
    "program": str,
    "memory": int,
}


def _check(job: Job) -> None:
    """Refuse a document whose fields have other types or sizes than those of a job.

    Raises:
        ValueError: with the field.
        TypeError, KeyError: a field is missing.
    """
    for name, kind in _TYPES.items():
        if type(getattr(job, name)) is not kind:
            raise ValueError(f"{name} is not of type {kind.__name__}")
    if not job.targets or not all(type(target["place"]) is str for target in job.targets):
        raise ValueError("targets without a place")
    job.grid.check()
    specs_of(job)


def _tupled(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value
