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
        prepare: is told which tiles are made next, ``at_once`` at most.
    """

    def __init__(
        self, decode: Callable[[Key], Array], prepare: Callable[[Sequence[Key]], None], at_once: int
    ) -> None:
        self.decode, self.prepare, self.at_once = decode, prepare, at_once
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
        for start in range(0, len(tiles), self.at_once):
            self._fill([tile for tile in tiles[start : start + self.at_once] if self._claim(tile)])
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

    def _fill(self, tiles: Sequence[_Tile]) -> None:
        """Decode tiles; one that is damaged does not keep the others from being decoded."""
        end: BaseException | None = None
        try:
            self.prepare([tile.key for tile in tiles])
        except BaseException as error:
            end = error
        for tile in tiles:
            try:
                if end is not None:
                    raise end
                tile.pixels = self.decode(tile.key)
            except Exception as error:
                tile.failure = error
            except BaseException as error:
                tile.failure = end = error
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
