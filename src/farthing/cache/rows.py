"""An entry as a row of a table, in SQLite and in Postgres, and a purge as a condition on such rows."""

from collections.abc import Mapping
from typing import Any

import msgspec

from farthing.cache.entry import Entry, Purge
from farthing.core.errors import InputError

SCOPE = ("org", "team", "project", "environment", "feature", "customer", "user", "key")
COLUMNS = (
    "key", "kind", "namespace", "tenant", "epoch", *(f"of_{name}" for name in SCOPE),
    "made", "expires", "used", "size", "about", "body",
)  # fmt: skip


def row_of(entry: Entry, now: float) -> tuple[Any, ...]:
    """The values of ``COLUMNS``. ``now`` is when it was used last."""
    bare = msgspec.structs.replace(entry, body=b"")
    scope: Mapping[str, str] = msgspec.structs.asdict(entry.scope)
    who = [scope[name] for name in SCOPE]
    return (
        entry.key, entry.kind.value, entry.namespace, entry.tenant, entry.epoch, *who,
        entry.made, entry.expires, now, entry.size, _ABOUT.encode(bare), entry.body,
    )  # fmt: skip


def entry_of(about: bytes, body: bytes) -> Entry | None:
    """The entry in a row; ``None`` for one that another release wrote."""
    try:
        return msgspec.structs.replace(msgspec.msgpack.decode(about, type=Entry), body=body)
    except msgspec.DecodeError:
        return None


def conditions(what: Purge) -> tuple[str, tuple[Any, ...]]:
    """A purge as SQL: its condition with ``?`` as marks, and their values.

    Raises ``InputError`` for what makes no sense.
    """
    parts, values = ["1 = 1"], list[Any]()
    if what.entry:
        parts.append("key = ?")
        values.append(entry_key(what.entry))
    for name in ("namespace", "epoch"):
        if getattr(what, name):
            parts.append(f"{name} = ?")
            values.append(getattr(what, name))
    for name, value in what.scope.items():
        if name not in SCOPE:
            raise InputError(
                "not a field of a scope", field="scope", value=name, remedy=f"Known are {', '.join(SCOPE)}"
            )
        parts.append(f"of_{name} = ?")
        values.append(value)
    if what.before:
        parts.append("made < ?")
        values.append(what.before)
    return " and ".join(parts), tuple(values)


def entry_key(text: str) -> bytes:
    """The key that people write as hex. Raises ``InputError`` for what is none."""
    try:
        return bytes.fromhex(text)
    except ValueError:
        remedy = "Copy the entry's id from the request or from the Cache page"
        raise InputError("not an entry's id", field="entry", value=text, remedy=remedy) from None


_ABOUT = msgspec.msgpack.Encoder()
