"""Request targets that name a place below a provider's address: taken apart, and refused unless they stay below it.

Servers disagree about dots, double slashes, encoded slashes and backslashes, so that a path which looks harmless here
may leave its folder there (RFC 3986, sections 5.2.4 and 6.2.2). None of these has a use in a model API.
"""

import re
from urllib.parse import unquote_to_bytes

import msgspec

from farthing.core.errors import InputError

ROOT = b"/passthrough/"

_PATH = re.compile(rb"(?:[A-Za-z0-9\-._~!$&'()*+,;=:@/]|%[0-9A-Fa-f]{2})+")
_QUERY = re.compile(rb"(?:[A-Za-z0-9\-._~!$&'()*+,;=:@/?\[\]|]|%[0-9A-Fa-f]{2})*")
_FORBIDDEN = re.compile(rb"[\x00-\x1f\x7f/\\%.]")
"""What an escape may not stand for in a path: controls, separators, dots, and the beginning of another escape."""

_ESCAPE = re.compile(rb"%[0-9A-Fa-f]{2}")
_KEYS = frozenset((b"key", b"api_key", b"api-key", b"apikey", b"access_token", b"token"))
"""Query parameters in which providers take a key: it would be used instead of the gateway's."""


class Place(msgspec.Struct, frozen=True):
    """A provider's name, the path below its address without a slash in front, and the query without its mark."""

    provider: str
    path: str
    query: str = ""

    @property
    def suffix(self) -> str:
        """What follows the provider's address."""
        return f"/{self.path}?{self.query}" if self.query else f"/{self.path}"


def read_place(target: bytes) -> Place:
    """The place that the target of a pass-through request names. Raises ``InputError`` for one that could leave it."""
    path, _, query = target.partition(b"?")
    if not path.startswith(ROOT):
        raise _bad("not a path below /passthrough/", target, "Ask for /passthrough/PROVIDER/PATH")
    name, _, rest = path.removeprefix(ROOT).partition(b"/")
    if not rest or not re.fullmatch(rb"[A-Za-z0-9_.-]+", name):
        raise _bad("it names no provider and path", target, "Ask for /passthrough/PROVIDER/PATH")
    check_path(rest)
    if _QUERY.fullmatch(query) is None:
        raise _bad("a character that has no place in a query", target, "Escape it, such as %20 for a space")
    if _keys(query):
        raise _bad("a key in the query", b"***", "Leave it out; the gateway adds the provider's")
    return Place(name.decode(), rest.decode(), query.decode())


def check_path(path: bytes) -> None:
    """Raises ``InputError`` for a relative path that some server could read as another one."""
    if _PATH.fullmatch(path) is None:
        raise _bad("a character that has no place in a path", path, "Escape it, such as %20 for a space")
    if any(_FORBIDDEN.match(unquote_to_bytes(escape)) for escape in _ESCAPE.findall(path)):
        raise _bad("an escaped separator, dot, percent or control character", path, "Write the path plainly")
    for segment in path.split(b"/"):
        if segment.partition(b";")[0] in (b"", b".", b".."):
            raise _bad("an empty or a dotted segment", path, "Write the path plainly")


def _keys(query: bytes) -> bool:
    names = (pair.partition(b"=")[0] for pair in re.split(rb"[&;]", query))
    return any(unquote_to_bytes(name).lower() in _KEYS for name in names)


def _bad(message: str, value: bytes, remedy: str) -> InputError:
    return InputError(message, field="path", value=value[:200].decode("latin-1"), remedy=remedy)
