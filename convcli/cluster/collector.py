"""Waits for futures and fetches what they have returned, without waiting for workers that do not answer."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from contextlib import suppress
from queue import Empty, SimpleQueue
from typing import Final

from distributed import Future

from convcli.cluster.connection import Connection
from convcli.cluster.worker import Reply

_TOGETHER: Final = 1.0
"""Seconds for which futures wait for the others to be fetched, so that many are fetched at once."""

_Event = tuple[Future, Reply | None, bool]
"""A future, its reply if there is one, and whether this is the last that is heard of it."""


class Collector:
    """Futures on their way, and their replies.

    Args:
        seconds: after which a worker has failed to hand over a reply.
    """

    def __init__(self, connection: Connection, seconds: float) -> None:
        self.connection, self.seconds = connection, seconds
        self.events = SimpleQueue[_Event]()
        self.ready: list[Future] = []
        self.fetched, self.fetching = 0.0, 0

    def expect(self, future: Future) -> None:
        """Wait for a future."""
        future.add_done_callback(self._is_done)

    def _is_done(self, future: Future) -> None:
        self.events.put((future, None, False))

    def ended(self, seconds: float) -> list[tuple[Future, Reply | None]]:
        """Futures that have ended, which are waited for for some seconds.

        Those that have no reply have failed, were cancelled, or their worker did not hand it over.
        """
        ended = []
        for future, reply, is_last in self._events(seconds):
            if is_last:
                self.fetching -= 1
            if is_last or future.status != "finished":
                ended.append((future, reply))
            else:
                self.ready.append(future)
        if self.ready and (not self.fetching or time.monotonic() - self.fetched > _TOGETHER):
            self.connection.client.loop.add_callback(self._fetch, self.ready)
            self.fetched, self.fetching, self.ready = time.monotonic(), self.fetching + len(self.ready), []
        return ended

    def _events(self, seconds: float) -> list[_Event]:
        events = []
        with suppress(Empty):
            events.append(self.events.get(timeout=seconds))
            while True:
                events.append(self.events.get_nowait())
        return events

    async def _fetch(self, futures: Sequence[Future]) -> None:
        """Fetch replies, together or else one by one."""
        replies: Sequence[Reply | None] = [None]
        with suppress(Exception):
            gathered = self.connection.client.gather(list(futures), asynchronous=True)
            replies = await asyncio.wait_for(gathered, self.seconds)
        if len(replies) == len(futures):
            for future, reply in zip(futures, replies, strict=True):
                self.events.put((future, reply, True))
            return
        for future in futures:
            await self._fetch([future])
