"""Uploads: bodies that are far larger than those of other requests."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

from farthing.core.errors import InputError
from farthing.gateway.client import Client

UPLOADS = 2
UPLOAD_SECONDS = 900.0
"""In which an upload must be complete; what is slower would keep others waiting."""


class Uploads:
    """Reads ``UPLOADS`` of them at once and lets the others wait with their bodies unread, so that they cannot fill a
    worker's memory. ``limit``: an upload's most bytes.
    """

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self._places = asyncio.Semaphore(UPLOADS)

    @asynccontextmanager
    async def body(self, client: Client, *, most: int = 0) -> AsyncGenerator[bytes]:
        """The whole body, while it is needed; ``most`` lowers the limit.

        Raises ``TooLargeError``, and ``InputError`` when it takes too long.
        """
        async with self._places:
            try:
                async with asyncio.timeout(UPLOAD_SECONDS):
                    body = await client.body(min(self.limit, most or self.limit))
            except TimeoutError:
                raise InputError(
                    "the upload took too long", field="body", value=f"{UPLOAD_SECONDS:g} s", remedy="Send less at once"
                ) from None
            yield body


__all__ = ["Uploads"]
