"""Turns questions into unit vectors."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Vectors = NDArray[np.float32]

WORDLLAMA_DIMENSIONS = 256
SCALE = 127


class Embedder(Protocol):
    """A model that places texts of like meaning near each other.

    ``name`` changes with the vectors: those of different names cannot be compared. ``dimensions`` is how long one is.
    """

    @property
    def name(self) -> str: ...

    @property
    def dimensions(self) -> int: ...

    async def embed(self, texts: Sequence[str]) -> "Vectors":
        """A row for each text, of length one; zero for a text without words.

        Raises ``UnavailableError`` when the model cannot be asked.
        """
        ...

    async def aclose(self) -> None: ...


class WordLlama:
    """A table of token vectors, averaged. Its weights are in the wheel: nothing is downloaded, nothing leaves.

    Some 0.05 ms a text (D. Lee Miller, WordLlama, https://github.com/dleemiller/WordLlama).
    """

    name = f"wordllama-{WORDLLAMA_DIMENSIONS}"
    dimensions = WORDLLAMA_DIMENSIONS

    def __init__(self) -> None:
        import wordllama

        # its own folder as cache: it looks for the tokenizer beneath it, and the wheel brings that along
        model: Any = wordllama.WordLlama.load(
            dim=WORDLLAMA_DIMENSIONS, cache_dir=Path(wordllama.__file__).parent, disable_download=True
        )
        self._tokenizer: Any = model.tokenizer
        self._tokenizer.no_padding()
        self._table: Any = model.embedding

    def similarity(self, a: str, b: str) -> float:
        """The cosine of two texts."""
        one, other = self._embedded((a, b))
        return float(one @ other)

    async def embed(self, texts: Sequence[str]) -> "Vectors":
        return self._embedded(texts)

    def _embedded(self, texts: Sequence[str]) -> "Vectors":
        import numpy as np

        # what the model's own embed does, without its padding: half the time for a short text
        rows = np.zeros((len(texts), WORDLLAMA_DIMENSIONS), dtype=np.float32)
        for row, encoding in zip(
            rows, self._tokenizer.encode_batch(list(texts), add_special_tokens=False), strict=True
        ):
            if encoding.ids:
                self._table.take(encoding.ids, axis=0, mode="clip").mean(axis=0, out=row)
        return normal(rows)

    async def aclose(self) -> None:
        """Nothing to close."""


def normal(vectors: "Vectors") -> "Vectors":
    """Rows of length one; a row of zeros stays one, and so does one that holds no numbers."""
    import numpy as np

    lengths = np.sqrt(np.einsum("ij,ij->i", vectors, vectors))
    known = np.isfinite(lengths) & (lengths > 0)
    if known.all():
        return vectors / lengths[:, None]
    lengths[~known] = 1
    return np.where(known[:, None], vectors / lengths[:, None], np.float32(0))


def small(vectors: "Vectors") -> "NDArray[np.int8]":
    """Vectors in a quarter of the space. Each is scaled by its largest component: the cosine does not see that."""
    import numpy as np

    largest: Any = np.abs(vectors).max(axis=-1, keepdims=True)
    return np.rint(vectors * (SCALE / np.where(largest > 0, largest, 1))).astype(np.int8)


def restored(kept: bytes) -> "NDArray[np.int8]":
    """A small vector that was written down."""
    import numpy as np

    return np.frombuffer(kept, dtype=np.int8)
