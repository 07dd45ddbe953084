"""The manifest of a batch on a cluster: a folder of shards, or one file that shards are joined to at the end.

Until then, the shards of ``out.jsonl`` are in ``out.jsonl.parts``. A file that is resumed is divided into
shards again, so it may also come from a batch without a cluster, and may go on without one.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from convcli.batch.manifest import FORMS, Manifest, header_line
from convcli.batch.records import csv_cells, encode, read_recipes
from convcli.batch.rows import NAME_COLUMNS
from convcli.batch.shards import Shard, Shards, divide
from convcli.batch.work_lists import SIZE
from convcli.core.errors import ArgumentError, OutputError, one_line
from convcli.core.paths import ends_as_folder
from convcli.files.input import STREAM, Input
from convcli.files.outputs import open_draft
from convcli.jobs.journal import Journal
from convcli.storage.urls import is_remote, local, place_of

_DIVIDED: Final = "divided"
_LONGEST: Final = 2**24  # bytes of a line


class ClusterManifest:
    """The manifest of a batch on a cluster.

    Args:
        target: a file whose suffix gives the form; or a folder, local or in a bucket, which ends with ``/``.
        resume: continue an existing one.
        force: replace an existing one.

    Raises:
        ArgumentError: an unknown suffix, or standard output.
        OutputError: it exists.
    """

    def __init__(self, target: str, resume: bool, force: bool) -> None:
        if target == STREAM:
            raise ArgumentError(
                "--report - cannot be used with --cluster; choose a file, or a folder such as rows/"
            )
        self.shown, self.resume, self.force = one_line(target), resume, force
        is_folder = ends_as_folder(target) or (not is_remote(target) and Path(local(target)).is_dir())
        self.file = None if is_folder else target
        form = "jsonl" if is_folder else FORMS.get(Path(target).suffix.casefold(), "")
        if not form:
            raise ArgumentError(
                f"{self.shown}: unknown manifest suffix; "
                f"allowed: {', '.join(FORMS)}, or a folder such as rows/"
            )
        self.place = target.rstrip("/") if is_folder else f"{target}.parts"
        self.shards = Shards(self.place, form)
        self.is_joined = False
        self.exists = self.file is not None and _exists(self.file)
        if not (resume or force) and (self.exists or self.shards.all()):
            raise OutputError(f"{self.shown}: already exists (--resume continues it, --force replaces it)")

    @property
    def form(self) -> str:
        """``jsonl`` or ``csv``."""
        return self.shards.form

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Keep other runs from writing to it.

        Raises:
            OutputError: another run does.
        """
        with Journal(self.place).locked():
            yield
        if self.is_joined:
            self.shards.folder.remove()

    def earlier(self) -> list[Shard]:
        """The shards of earlier runs, which are removed if the manifest is to be replaced.

        Raises:
            ArgumentError: the file is not a manifest.
        """
        if not self.resume:
            self._clear()
            return []
        if self.exists and self.shards.folder.read(_DIVIDED) is None:
            assert self.file is not None
            self._clear()
            with tempfile.NamedTemporaryFile() as copy:
                with Input.open(self.file) as opened:
                    shutil.copyfileobj(opened.handle(), copy)
                copy.flush()
                self._check(copy.name)
                divide(Path(copy.name), self.shards, SIZE)
            self.shards.folder.write(_DIVIDED, b"")
        return self.shards.all()

    def _check(self, path: str) -> None:
        with Path(path).open("rb") as file:
            line = file.readline(_LONGEST)
        is_known = (
            bool(read_recipes(line)) if self.form == "jsonl" else set(NAME_COLUMNS) <= {*csv_cells(line)}
        )
        if not is_known:
            raise ArgumentError(f"{self.shown}: is not a batch manifest; nothing was changed")

    def _clear(self) -> None:
        for shard in self.shards.all():
            self.shards.delete(shard)

    def finish(self) -> None:
        """Join the shards to one file, if that is the manifest, in the order of the images.

        Raises:
            OutputError: it cannot be written.
        """
        if self.file is None:
            return
        recipes: dict[str, Any] = {}
        with tempfile.TemporaryFile() as rows, open_draft(place_of(self.file), force=True) as draft:
            for shard in self.shards.all():
                recipes |= self.shards.recipes([shard])
                rows.writelines(self.shards.lines([shard]))
            rows.seek(0)
            with draft.refusals():
                draft.file.write(encode(header_line(self.form, recipes)))
                shutil.copyfileobj(rows, draft.file)
            draft.commit()
        self.is_joined = True


def _exists(name: str) -> bool:
    if not is_remote(name):
        Manifest(name, resume=True)  # refuses what is no regular file
        return Path(local(name)).exists()
    from convcli.storage.stores import exists

    return exists(name)
