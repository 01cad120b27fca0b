"""How values become bytes and come back.

Bytes stay as they are, numpy arrays become the npy format, everything else MessagePack. Pickle is not used: loading
it runs whatever code stands in the file, so anybody who can write to the folder, or to a backup of it, could run
programs as its readers, and what was pickled under one version of a library is often not readable under another.
"""

import io
from typing import Any, Protocol, cast

import msgspec

from farthing.core.errors import InputError


class Codec(Protocol):
    """A serializer of your own. ``name`` is kept with each value, so that no other one reads it."""

    @property
    def name(self) -> str: ...

    def encode(self, value: Any, /) -> bytes: ...

    def decode(self, data: bytes, /) -> Any: ...


class Packed:
    """MessagePack, typed if ``type`` is given: a msgspec Struct, a dataclass, ``dict[str, list[float]]`` and so on.

    Without a type tuples and sets come back as lists. ``get_or_compute`` returns what comes back, the first time too,
    so that a hit never differs from a miss.
    """

    name = "msgpack"

    def __init__(self, type: Any = Any) -> None:
        self._decoder = msgspec.msgpack.Decoder(type)

    def encode(self, value: Any, /) -> bytes:
        try:
            return msgspec.msgpack.encode(value)
        except (TypeError, OverflowError) as problem:
            raise InputError(
                f"MessagePack cannot hold this value: {problem}",
                field="value", value=type(value).__name__,
                remedy="Return plain data, or give the cache a codec",
            ) from problem  # fmt: skip

    def decode(self, data: bytes, /) -> Any:
        return self._decoder.decode(data)


def encode(value: Any, codec: Codec) -> tuple[str, bytes]:
    """A value's bytes, and the name of how they were made."""
    if isinstance(value, bytes):
        return "bytes", value
    if isinstance(value, (bytearray, memoryview)):
        return "bytes", bytes(cast("bytearray", value))
    if _is_array(value):
        return "npy", _array_bytes(value)
    return codec.name, codec.encode(value)


def decode(name: str, data: bytes, codec: Codec) -> Any:
    """The value that was encoded under ``name``. Raises ``InputError`` if only another codec can read it."""
    match name:
        case "bytes":
            return data
        case "npy":
            import numpy as np

            return np.load(io.BytesIO(data), allow_pickle=False)
        case codec.name:
            return codec.decode(data)
        case _:
            raise InputError(
                "the value was kept by another codec", field="codec", value=codec.name,
                remedy=f"Open the cache with codec {name!r}",
            )  # fmt: skip


def _is_array(value: object) -> bool:
    """Whether it is a numpy array, without importing numpy: who has an array has imported it."""
    kind = type(value)
    return kind.__name__ == "ndarray" and kind.__module__ == "numpy"


def _array_bytes(value: Any) -> bytes:
    import numpy as np

    data = io.BytesIO()
    try:
        np.save(data, value, allow_pickle=False)
    except ValueError as problem:
        raise InputError(
            f"the npy format cannot hold this array: {problem}", field="value", value=str(value.dtype),
            remedy="Give it a dtype without Python objects",
        ) from problem  # fmt: skip
    return data.getvalue()
