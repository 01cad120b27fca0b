"""Reading an account's files and batches: what the control process asks of a provider, with every size bounded."""

from collections.abc import AsyncIterator

from farthing.core.batches import Holding
from farthing.core.errors import UpstreamError
from farthing.core.facts import ErrorKind
from farthing.gateway.ports import Provider
from farthing.gateway.shelf import request
from farthing.gateway.upstream import HttpUpstream

PIECE = 1_000
"""Lines of results that are read, and booked, at once."""

_LINE_BYTES = 32 * 1024 * 1024
_JSON_BYTES = 16 * 1024 * 1024
_GONE = (404, 410)


class Account:
    """One account at its provider."""

    def __init__(self, provider: Provider, upstream: HttpUpstream) -> None:
        self.provider = provider
        self._upstream = upstream

    async def get(self, suffix: str) -> bytes | None:
        """A small answer, ``None`` when there is nothing there. Raises ``UpstreamError``."""
        answer = await self._upstream.open(request(self.provider, "GET", suffix))
        try:
            body = b"".join([data async for data in self._bounded(answer.chunks())])
        finally:
            await answer.aclose()
        if answer.status in _GONE:
            return None
        self._good(answer.status)
        return body

    async def pieces(self, suffix: str) -> AsyncIterator[list[bytes] | None]:
        """The lines of a file, ``PIECE`` at a time; ``None`` when there is no such file. Raises ``UpstreamError``."""
        answer = await self._upstream.open(request(self.provider, "GET", suffix))
        try:
            if answer.status in _GONE:
                yield None
                return
            self._good(answer.status)
            piece: list[bytes] = []
            async for line in self._lines(answer.chunks()):
                piece.append(line)
                if len(piece) == PIECE:
                    yield piece
                    piece = []
            if piece:
                yield piece
        finally:
            await answer.aclose()

    def _good(self, status: int) -> None:
        if status not in range(200, 300):
            raise UpstreamError(
                f"{self.provider.name} answered {status} about a batch",
                provider=self.provider.name,
                kind=ErrorKind.SERVER,
                remedy="It is asked again",
            )

    async def _lines(self, chunks: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
        """Lines that hold something, as the bytes arrive. Raises ``UpstreamError`` for one that does not end."""
        rest = b""
        async for data in chunks:
            *lines, rest = (rest + data).split(b"\n")
            for line in lines:
                if line.strip():
                    yield line
            if len(rest) > _LINE_BYTES:
                raise self._too_long()
        if rest.strip():
            yield rest

    async def _bounded(self, chunks: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
        size = 0
        async for data in chunks:
            size += len(data)
            if size > _JSON_BYTES:
                raise self._too_long()
            yield data

    def _too_long(self) -> UpstreamError:
        name = self.provider.name
        return UpstreamError(f"{name}: its answer is too long", provider=name, kind=ErrorKind.BAD_BODY)


def results_of(batch: Holding) -> tuple[str, ...]:
    """Where the results of a batch that is done are, below its provider's address."""
    if batch.asks == "message_batch":
        return (f"{batch.place}/results",)
    return tuple(f"/files/{name}/content" for name in batch.results)


__all__ = ["PIECE", "Account", "results_of"]
