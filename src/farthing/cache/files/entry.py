"""What a cache knows about one key: a small file of its own, which is the truth; the index is derived from it.

Layout of a record: four bytes of magic, eight bytes of the SHA-256 of the rest, and the ``Entry`` in MessagePack. A
record that was torn or damaged is recognized and counts as absent.
"""

import hashlib

import msgspec

from farthing.core.errors import InputError

_MAGIC = b"fth1"
_HEAD = 12


class Entry(msgspec.Struct, frozen=True, array_like=True):
    """A value under a key.

    ``blob`` is the value's SHA-256, ``size`` its length in bytes. ``written`` is in seconds since 1970. ``codec``
    says how the value became bytes. ``seconds`` is what it took to compute or to fetch the value, ``mtime`` the
    modification time of a model file's content in nanoseconds, ``origin`` where that came from.
    """

    key: str
    blob: bytes
    size: int
    written: float
    codec: str = "bytes"
    seconds: float = 0.0
    mtime: int = 0
    origin: str = ""

    @property
    def id(self) -> bytes:
        """The key's digest, by which the record is found."""
        return identity(self.key)


_decoder = msgspec.msgpack.Decoder(Entry)
_encoder = msgspec.msgpack.Encoder()


def identity(key: str) -> bytes:
    """A key's digest, 32 bytes. Raises ``InputError`` for a string that is no text, such as parts of odd file names."""
    try:
        return hashlib.sha256(key.encode()).digest()
    except UnicodeEncodeError:
        raise InputError(
            "a key has to be valid Unicode", field="key", value=key, remedy="Encode it, as with urllib.parse.quote"
        ) from None


def encode(entry: Entry) -> bytes:
    """The entry as a record."""
    body = _encoder.encode(entry)
    return _MAGIC + hashlib.sha256(body).digest()[:8] + body


def decode(record: bytes) -> Entry | None:
    """The entry of a record, or ``None`` if the record is torn, damaged or of another format."""
    body = record[_HEAD:]
    if record[:4] != _MAGIC or record[4:_HEAD] != hashlib.sha256(body).digest()[:8]:
        return None
    try:
        return _decoder.decode(body)
    except msgspec.MsgspecError:
        return None
