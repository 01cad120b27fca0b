"""What a holder of slices and the state store tell each other.

A pot of a limit is cut into slices. A holder spends its slice without asking anybody and says now and then, in one
message, what it used, what it gives back, what it would like to have, and what single requests wait for. Amounts in
messages are totals over the life of a slice, never differences: a message that is heard twice, late or not at all
changes nothing that a later one does not put right.

Time moves no money. A slice is its holder's until the holder says what it used, or until the record that a dead
holder left says so; a slice that nobody speaks for stays taken.
"""

from datetime import datetime

import msgspec

from farthing.core.limits import Measure

PotName = tuple[str, str, datetime]
"""A pot: the limit's id, the subject, and when its span began (``FOREVER`` where that has no beginning)."""

LOST_SECONDS = 30.0
"""A holder that was not heard for so long is not waited for; its slices stay taken."""

WANTED_SECONDS = 5.0
"""How long after somebody could not get enough the other holders give back what they do not need."""


class Slice(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A holder's word on one slice.

    ``turn`` tells slices of one holder apart; it is never used again. ``spent`` is all that was used of it, of which
    ``doubt`` at its worst case; ``keep`` is what it holds or wants to have at hand beyond that, and everything else
    is given back. ``want`` is how much more it would like. ``ends``: when the pot's span is over. ``roll`` is the
    length of a rolling span in seconds, 0 for others. ``unseeded``: the pot was begun before its limit was.
    """

    turn: int
    pot: PotName
    spent: int = 0
    doubt: int = 0
    keep: int = 0
    want: int = 0
    ends: datetime | None = None
    roll: int = 0
    unseeded: bool = False


class Ask(msgspec.Struct, frozen=True, gc=False):
    """What one waiting request needs more of which slices, by turn: all of it, or nothing."""

    needs: tuple[tuple[int, int], ...]


class Message(msgspec.Struct, frozen=True, kw_only=True):
    """Everything a holder has to say. ``number`` grows with each message of a holder."""

    holder: str
    number: int
    slices: tuple[Slice, ...]
    asks: tuple[Ask, ...] = ()


class Granted(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """The store's word on one slice.

    ``granted`` is all that was ever given to it, less what came back. ``left`` is what nobody has taken. ``most`` is
    what there would be if every slice came back unused, except those of holders that are lost. ``tight``: somebody
    waits for some of it, so that nobody should keep what they do not need. ``cap`` and ``used`` are the pot's.
    ``open``: the limit still exists, and what was used before it began to count is known.
    """

    turn: int
    granted: int
    left: int
    most: int
    cap: int
    used: int
    tight: bool = False
    open: bool = True


class Reply(msgspec.Struct, frozen=True, kw_only=True):
    """The answer to a message: every slice that was named, and for each ask whether it was met."""

    slices: tuple[Granted, ...]
    met: tuple[bool, ...] = ()


class Remains(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """What the record of a dead holder says of one slice; ``held`` is the worst case of what was under way."""

    turn: int
    spent: int
    doubt: int
    held: int


class Charged(msgspec.Struct, frozen=True, kw_only=True):
    """What a pot was charged at its worst for something whose cost will be known later, such as a batch."""

    limit: str
    subject: str
    starts: datetime
    measure: Measure
    amount: int


__all__ = [
    "LOST_SECONDS", "WANTED_SECONDS", "Ask", "Charged", "Granted", "Message", "PotName", "Remains", "Reply", "Slice",
]  # fmt: skip
