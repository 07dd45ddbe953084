"""Which names are those of the same file, where a file system folds case or Unicode forms."""

from __future__ import annotations

import os
from contextlib import suppress
from unicodedata import normalize

from convcli.storage.urls import is_url


def folded(name: str, case: bool, form: bool) -> str:
    """One text for all names that differ only in case, or only in Unicode form, as far as asked for."""
    name = normalize("NFC", name) if form else name
    return name.casefold() if case else name


def name_folding(folder: str) -> tuple[bool, bool]:
    """Whether names in a folder that differ only in case, or only in Unicode form, are the same file.

    Tested with a temporary file. A folder that does not exist yet is assumed to behave like its parent;
    where no file can be made, the answer is no.
    """
    if is_url(folder):
        return False, False
    while not os.path.isdir(folder) and folder != os.path.dirname(folder):  # noqa: PTH112, PTH120
        folder = os.path.dirname(folder)  # noqa: PTH120
    name = os.path.join(folder, f".convcli-\u00e9{os.urandom(6).hex()}.tmp")  # noqa: PTH118
    try:
        os.close(os.open(name, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
    except OSError:
        return False, False
    try:
        return os.path.lexists(name.replace(".convcli", ".CONVCLI")), os.path.lexists(normalize("NFD", name))
    finally:
        with suppress(FileNotFoundError):
            os.unlink(name)
