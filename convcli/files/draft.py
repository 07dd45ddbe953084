"""The contract of a result that is being written: it appears under its name when it is complete, or never."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager
from typing import BinaryIO, Self

from convcli.core.errors import OutputError, StorageError


class Draft(ABC):
    """A result without a name; use it as a context, and leaving that without `commit` discards everything.

    Attributes:
        file: open for writing and reading: TIFF reads back what precedes a further page.
        shown: where the result will be, for messages.
    """

    file: BinaryIO
    shown: str

    @abstractmethod
    def __enter__(self) -> Self: ...

    @abstractmethod
    def __exit__(self, *_: object) -> None: ...

    @abstractmethod
    def commit(self, sync_folder: bool = True) -> int:
        """Put the complete result in its place.

        Args:
            sync_folder: also make its name durable at once; else call `handles.sync` later.

        Returns:
            The size in bytes.

        Raises:
            OutputError: the target exists and may not be replaced, or the system or store refuses.
        """

    @contextmanager
    def refusals(self) -> Iterator[None]:
        """Turn an OSError, and an error of a store, into an `OutputError` that names the target."""
        try:
            yield
        except FileExistsError as error:
            raise OutputError(f"{self.shown}: already exists (--force replaces it)") from error
        except StorageError as error:
            raise OutputError(str(error)) from error
        except OSError as error:
            raise OutputError(f"{self.shown}: {error.strerror or error}") from error
