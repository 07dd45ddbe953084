"""Probes, which show whether workers see the files of this process: a path may name another disk elsewhere.

This process writes a file with random bytes, which every worker must read; and each worker writes one, which
this process must read.
"""

from __future__ import annotations

import secrets
from contextlib import suppress

from convcli.core.errors import ConvcliError, shown
from convcli.core.frozen import frozen
from convcli.storage.folder import open_folder

_ADVICE = "use a shared disk or a URL"


@frozen
class Probe:
    """A file that this process has written.

    Attributes:
        place: the folder, as workers get it: a local path, which may be relative, or a URL.
        token: its contents, and a part of its name.
    """

    place: str
    token: str

    @property
    def name(self) -> str:
        return f"probe-{self.token}"

    def answer_name(self, number: int) -> str:
        """The name of the file that a worker writes."""
        return f"{self.name}-{number}"


def begin(place: str) -> Probe:
    """Write a probe to a folder.

    Raises:
        ConvcliError: it cannot be written.
    """
    probe = Probe(place, secrets.token_hex(8))
    open_folder(place).write(probe.name, probe.token.encode())
    return probe


def fault(probe: Probe) -> str:
    """Why the probe cannot be read in this process, or nothing."""
    try:
        found = open_folder(probe.place).read(probe.name)
    except ConvcliError as error:
        return f"cannot read {shown(probe.place)}: {error}"
    if found != probe.token.encode():
        return f"cannot read {shown(probe.place)} of the machine that runs convcli: {_ADVICE}"
    return ""


def answer(probe: Probe, number: int) -> str:
    """Read the probe, and write an answer; what is returned is why this cannot be done, or nothing."""
    if reason := fault(probe):
        return reason
    try:
        open_folder(probe.place).write(probe.answer_name(number), probe.token.encode())
    except ConvcliError as error:
        return f"cannot write to {shown(probe.place)}: {error}"
    return ""


def answer_fault(probe: Probe, number: int) -> str:
    """Why an answer cannot be read in this process, or nothing; the answer is deleted."""
    folder, name = open_folder(probe.place), probe.answer_name(number)
    found = folder.read(name)
    folder.delete(name)
    if found != probe.token.encode():
        return f"writes to another {shown(probe.place)} than this machine reads: {_ADVICE}"
    return ""


def end(probe: Probe) -> None:
    """Delete a probe."""
    with suppress(ConvcliError):
        open_folder(probe.place).delete(probe.name)
