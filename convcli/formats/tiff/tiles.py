"""Decoded tiles that several workers share: each is decoded once while it is kept, the latest ones are."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Sequence
from threading import Condition

from convcli.core.dtypes import Array

Key = tuple[int, int]
"""(band, column) of a tile."""

_WAITING, _STARTED, _DONE = range(3)


class Tiles:
    """A cache of tiles.

    Args:
        decode: makes a tile.
    """

    def __init__(self, decode: Callable[[Key], Array]) -> None:
        self.decode = decode
        self.kept: OrderedDict[Key, _Tile] = OrderedDict()
        self.changed = Condition()

    def get(self, keys: Sequence[Key], most: int) -> list[Array]:
        """The tiles of these keys; those that are not kept are decoded by all workers that wait for them.

        Args:
            most: tiles that are kept afterwards, the latest ones; at least as many as are asked for.

        Raises:
            ImageError: one of them is damaged.
        """
        with self.changed:
            tiles = [self._entry(key) for key in keys]
            while len(self.kept) > most:
                self.kept.popitem(last=False)
        for tile in tiles:
            if self._claim(tile):
                self._fill(tile)
        with self.changed:
            self.changed.wait_for(lambda: all(tile.state == _DONE for tile in tiles))
        return [tile.result() for tile in tiles]

    def forget(self) -> None:
        """Keep none."""
        with self.changed:
            self.kept.clear()

    def _entry(self, key: Key) -> _Tile:
        tile = self.kept.get(key)
        if tile is None:
            tile = self.kept[key] = _Tile(key)
        self.kept.move_to_end(key)
        return tile

    def _claim(self, tile: _Tile) -> bool:
        """Whether the tile is this worker's to decode."""
        with self.changed:
            is_free = tile.state == _WAITING
            tile.state = max(tile.state, _STARTED)
            return is_free

    def _fill(self, tile: _Tile) -> None:
        try:
            tile.pixels = self.decode(tile.key)
        except BaseException as error:
            tile.failure = error
            raise
        finally:
            with self.changed:
                tile.state = _DONE
                self.changed.notify_all()


class _Tile:
    """A tile, how far it is, and why it could not be decoded."""

    def __init__(self, key: Key) -> None:
        self.key, self.state = key, _WAITING
        self.pixels: Array | None = None
        self.failure: BaseException | None = None

    def result(self) -> Array:
        if self.failure is not None:
            raise self.failure
        assert self.pixels is not None
        return self.pixels
