"""Server-sent events: splitting a byte stream at blank lines, whatever the chunks it comes in.

Line ends may be LF, CRLF or CR (WHATWG HTML, section 9.2.6). Blocks keep their own bytes, so that
joining them gives the stream back.
"""

import re

_BLANK = re.compile(rb"(?:\r\n|\n)(?:\r\n|\n|\r(?!\n))|\r(?!\n)(?:\r\n|\n|\r(?!\n))")
MAX_EVENT = 32 * 1024 * 1024
"""An event that grows longer is handed out in pieces, so that memory stays bounded."""


class Splitter:
    """Cuts a stream into blocks, each ending with its blank line."""

    __slots__ = ("_pieces", "_size")

    def __init__(self) -> None:
        self._pieces: list[bytes] = []
        self._size = 0

    def feed(self, data: bytes) -> list[bytes]:
        """The blocks that these bytes complete."""
        if b"\n" not in data and b"\r" not in data:
            return self._keep(data)
        if self._pieces:
            self._pieces.append(data)
            data = b"".join(self._pieces)
            self._pieces.clear()
            self._size = 0
        if b"\r" in data:
            return self._split_any(data)
        if data.find(b"\n\n") + 2 == len(data) > 1:
            return [data]
        *blocks, rest = data.split(b"\n\n")
        return [block + b"\n\n" for block in blocks] + self._keep(rest)

    def rest(self) -> bytes:
        """What came after the last blank line; the stream has ended."""
        rest = b"".join(self._pieces)
        self._pieces.clear()
        self._size = 0
        return rest

    def _split_any(self, data: bytes) -> list[bytes]:
        """With carriage returns about: a CR at the very end may be half of a CRLF, so it waits."""
        blocks: list[bytes] = []
        start = 0
        for blank in _BLANK.finditer(data):
            if blank.end() == len(data) and data.endswith(b"\r"):
                break
            blocks.append(data[start : blank.end()])
            start = blank.end()
        return blocks + self._keep(data[start:])

    def _keep(self, data: bytes) -> list[bytes]:
        if not data:
            return []
        self._size += len(data)
        self._pieces.append(data)
        return [self.rest()] if self._size > MAX_EVENT else []


def data_of(block: bytes) -> bytes:
    """The data of an event: its ``data`` lines joined by LF; empty for comments and bare fields."""
    if block.startswith(b"data: ") and block.find(b"\n") == len(block) - 2:
        return block[6:-2].strip()
    lines = block.replace(b"\r\n", b"\n").replace(b"\r", b"\n").split(b"\n")
    values = [line[5:] for line in lines if line.startswith(b"data:")]
    return b"\n".join(value.removeprefix(b" ") for value in values)


def event(data: bytes, name: str = "") -> bytes:
    """One event of one line of data."""
    head = b"event: " + name.encode() + b"\n" if name else b""
    return head + b"data: " + data + b"\n\n"
