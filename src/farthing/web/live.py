"""News of the ledger for open pages: one version that grows whenever facts land."""

import asyncio
from collections.abc import AsyncIterator
from datetime import datetime

from farthing.web.views import Landed
from farthing.web.wire import encode

HEARTBEAT_SECONDS = 15.0


class Landings:
    """Tells any number of listeners that facts landed. Belongs to one event loop.

    A slow listener misses intermediate versions, never the latest one.
    """

    def __init__(self, *, heartbeat: float = HEARTBEAT_SECONDS) -> None:
        self.latest = Landed(through=None, version=0)
        self._heartbeat = heartbeat
        self._changed = asyncio.Event()
        self._closed = False

    def publish(self, through: datetime | None, version: int) -> None:
        """Facts up to ``through`` are in the ledger now."""
        self.latest = Landed(through=through, version=version)
        self._wake()

    def close(self) -> None:
        """End every stream, so that the server can stop."""
        self._closed = True
        self._wake()

    async def stream(self) -> AsyncIterator[bytes]:
        """Server-sent events: the latest version at once, then each newer one; comments keep it alive."""
        sent: Landed | None = None
        while not self._closed:
            changed = self._changed
            if self.latest != sent:
                sent = self.latest
                yield b"event: landed\nid: %d\ndata: %s\n\n" % (sent.version, encode(sent))
                continue
            try:
                await asyncio.wait_for(changed.wait(), self._heartbeat)
            except TimeoutError:
                yield b": still here\n\n"

    def _wake(self) -> None:
        """Wake all who wait on the present event, and give those to come a new one."""
        self._changed.set()
        self._changed = asyncio.Event()
