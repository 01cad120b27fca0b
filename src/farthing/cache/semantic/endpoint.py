"""An embedding model behind an address, usually one of the gateway's own."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Self

import aiohttp
import msgspec

from farthing.cache.semantic.embed import normal
from farthing.core.errors import UnavailableError

if TYPE_CHECKING:
    from farthing.cache.semantic.embed import Vectors

SECONDS = 10.0


class Endpoint:
    """A model behind ``POST {address}/v1/embeddings``, as OpenAI defines it.

    https://platform.openai.com/docs/api-reference/embeddings (read 2026-11-21)
    """

    def __init__(self, address: str, *, model: str, key: str, dimensions: int) -> None:
        self._url = f"{address.rstrip('/')}/v1/embeddings"
        self._model = model
        self._headers = {"x-farthing-label-cache": "embedding"}
        if key:
            self._headers["authorization"] = f"Bearer {key}"
        self._session: aiohttp.ClientSession | None = None
        self.name = f"endpoint-{model}-{dimensions}"
        self.dimensions = dimensions

    @classmethod
    async def opened(cls, address: str, *, model: str, key: str) -> Self:
        """The model, asked once how long its vectors are. Raises ``UnavailableError`` when it does not answer."""
        first = cls(address, model=model, key=key, dimensions=0)
        try:
            first.dimensions = len((await first._rows(["How long is a vector?"]))[0])
        except UnavailableError:
            await first.aclose()
            raise
        first.name = f"endpoint-{model}-{first.dimensions}"
        return first

    async def embed(self, texts: Sequence[str]) -> "Vectors":
        import numpy as np

        rows = await self._rows(texts)
        if any(len(row) != self.dimensions for row in rows):
            raise self._problem("its vectors changed their length")
        return normal(np.asarray(rows, dtype=np.float32))

    async def aclose(self) -> None:
        if self._session is not None:
            await self._session.close()

    async def _rows(self, texts: Sequence[str]) -> list[list[float]]:
        if self._session is None:
            self._session = aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(SECONDS))
        ask = {"model": self._model, "input": list(texts), "encoding_format": "float"}
        try:
            async with self._session.post(self._url, json=ask, headers=self._headers) as answer:
                if not answer.ok:
                    raise self._problem(f"status {answer.status}")
                rows = _Answer.rows(await answer.read())
        except (TimeoutError, aiohttp.ClientError, msgspec.DecodeError) as problem:
            raise self._problem(str(problem) or type(problem).__name__) from problem
        if len(rows) != len(texts) or not rows[0]:
            raise self._problem("an answer without a vector for each text")
        return rows

    def _problem(self, why: str) -> UnavailableError:
        return UnavailableError(
            f"The embedding model {self._model} cannot be asked ({why})",
            remedy="Correct embedding_model or embedding_key under [cache]",
        )


class _Row(msgspec.Struct, frozen=True):
    index: int
    embedding: list[float]


class _Answer(msgspec.Struct, frozen=True):
    data: list[_Row]

    @classmethod
    def rows(cls, body: bytes) -> list[list[float]]:
        """The vectors in the order of the texts."""
        return [row.embedding for row in sorted(msgspec.json.decode(body, type=cls).data, key=lambda row: row.index)]
