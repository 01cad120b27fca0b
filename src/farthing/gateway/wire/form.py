"""Forms as browsers and SDKs upload them (``multipart/form-data``, RFC 7578), read strictly and in place.

A lenient reader would see another form than the provider does, and price another model than the one that runs. So
what is unusual is refused: text before the first part or behind the last, nested encodings, names that need
decoding, a field that is written twice where one is expected.
"""

import re
from collections.abc import Iterator

import msgspec

from farthing.core.errors import InputError

MOST_PARTS = 64
MOST_HEADER_BYTES = 8 * 1024
MOST_TEXT_BYTES = 1024 * 1024

_TYPE = re.compile(
    rb'multipart/form-data\s*;\s*boundary=(?:"([^"\\]{1,70})"|([!#$%&\'*+.^_`|~0-9A-Za-z-]{1,70}))\s*', re.IGNORECASE
)
_DISPOSITION = re.compile(
    rb'form-data;\s*name="([^"\\\r\n%]{1,200})"(?:;\s*filename="((?:[^"\\\r\n]|\\.)*)")?'
    rb"(?:;\s*filename\*=[!#$%&'*+.^_`|~0-9A-Za-z-]+)?",
    re.IGNORECASE,
)
_PLAIN_ENCODINGS = (b"7bit", b"8bit", b"binary")


class Field(msgspec.Struct, frozen=True, gc=False):
    """One part of a form: its name, whether it is a file, and where its content begins and ends in the body."""

    name: str
    file: bool
    start: int
    end: int


class Form(msgspec.Struct, frozen=True):
    """A form and the body that it stands in."""

    body: bytes
    fields: tuple[Field, ...]

    def text(self, name: str) -> str | None:
        """The one value of a field, ``None`` when it is not there. Raises ``InputError`` for two of them."""
        field = self.one(name)
        if field is None:
            return None
        if field.end - field.start > MOST_TEXT_BYTES:
            raise _bad(f"longer than {MOST_TEXT_BYTES:,} bytes", name, "Send a shorter value")
        try:
            return self.body[field.start : field.end].decode()
        except UnicodeDecodeError:
            raise _bad("not UTF-8", name, "Encode as UTF-8") from None

    def one(self, name: str) -> Field | None:
        """The one field of a name, ``None`` when it is not there. Raises ``InputError`` for two of them."""
        found = [field for field in self.fields if field.name == name]
        if len(found) > 1:
            raise _bad("given more than once", name, "Give it once")
        return found[0] if found else None

    def with_text(self, name: str, value: str) -> bytes:
        """The body with another value in a field that it has."""
        field = self.one(name)
        assert field is not None  # noqa: S101 - whoever changes a field has read it
        return b"".join((self.body[: field.start], value.encode(), self.body[field.end :]))


def read_form(body: bytes, content_type: bytes) -> Form:
    """The form in a body. Raises ``InputError`` for anything but a plain one."""
    kind = _TYPE.fullmatch(content_type.strip())
    if kind is None:
        raise _bad("not a form", "content-type", "Send multipart/form-data with its boundary", content_type)
    return Form(body, tuple(_fields(body, b"--" + (kind[1] or kind[2]))))


def _fields(body: bytes, delimiter: bytes) -> Iterator[Field]:
    if not body.startswith(delimiter + b"\r\n"):
        raise _bad("the form does not begin with its boundary", "body", "Send it as an SDK does")
    at = len(delimiter) + 2
    for _ in range(MOST_PARTS):
        head_end = body.find(b"\r\n\r\n", at, at + MOST_HEADER_BYTES)
        if head_end < 0:
            raise _bad("a part has no head, or one that is too long", "body", "Send it as an SDK does")
        start = head_end + 4
        end = body.find(b"\r\n" + delimiter, start)
        if end < 0:
            raise _bad("the form ends within a part", "body", "Send all of it")
        yield _field(body[at:head_end], start, end)
        at = end + 2 + len(delimiter)
        if body.startswith(b"--", at):
            if body[at + 2 :] not in (b"", b"\r\n"):
                raise _bad("something follows the form", "body", "Send the form alone")
            return
        if not body.startswith(b"\r\n", at):
            raise _bad("a boundary within a part", "body", "Use a boundary that occurs nowhere in the content")
        at += 2
    raise _bad(f"more than {MOST_PARTS} parts", "body", "Send fewer")


def _field(head: bytes, start: int, end: int) -> Field:
    found: re.Match[bytes] | None = None
    for line in head.split(b"\r\n"):
        name, colon, value = line.partition(b":")
        lower, value = name.lower(), value.strip()
        if not colon or lower != lower.strip() or (lower == b"content-disposition" and found is not None):
            raise _bad("a part's head cannot be read", "body", "Send it as an SDK does", line)
        if lower == b"content-disposition":
            found = _DISPOSITION.fullmatch(value)
        elif lower == b"content-transfer-encoding" and value.lower() not in _PLAIN_ENCODINGS:
            raise _bad("a part is encoded", "body", "Send it as it is", value)
    if found is None:
        raise _bad("a part's name cannot be read", "body", 'Write content-disposition: form-data; name="…"', head)
    try:
        return Field(found[1].decode(), found[2] is not None, start, end)
    except UnicodeDecodeError:
        raise _bad("a part's name is not UTF-8", "body", "Encode as UTF-8", head) from None


def _bad(message: str, field: str, remedy: str, value: bytes = b"") -> InputError:
    return InputError(message, field=field, value=value[:80].decode("latin-1") or field, remedy=remedy)
