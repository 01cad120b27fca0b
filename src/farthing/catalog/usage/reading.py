"""How every flavor is read: typed decoding of one object, then counts on the unit lattice."""

from collections.abc import Callable, Iterable, Mapping
from decimal import Decimal
from typing import Any, Generic, TypeVar

import msgspec

from farthing.core.errors import InputError, UsageError
from farthing.core.money import Money
from farthing.core.units import Count, Unit, Usage

S = TypeVar("S", bound=msgspec.Struct)

Counts = dict[Unit, Count]

WEB_SEARCH = Unit(measure="search", kind="web")
FILE_SEARCH = Unit(measure="search", kind="storage")
SOCIAL_SEARCH = Unit(measure="search", kind="social")
RERANK = Unit(measure="search", kind="rerank")
EXECUTION = Unit(measure="execution")

MOST = 10**12
"""What no single answer can count or cost, in units or in dollars. A report beyond it is broken, and believing it
would burst the ledger's columns.
"""


def no_cost(_: Any) -> Money | None:
    """For flavors that never report money."""
    return None


class Reader(Generic[S]):
    """Reads one flavor.

    ``shape``: the usage object's type. ``counts``: nested counts out of it, ``None`` when there are
    none. ``paths``: where a whole answer or event keeps the object. ``extra``: counts that stand
    elsewhere in a whole answer. ``cost``: money that it reports.
    """

    def __init__(
        self,
        shape: type[S],
        counts: Callable[[S], Counts | None],
        *,
        paths: tuple[tuple[str, ...], ...],
        cost: Callable[[S], Money | None] = no_cost,
        extra: Callable[[Mapping[str, Any]], Counts] | None = None,
    ) -> None:
        self._shape = shape
        self._decoder = msgspec.json.Decoder(shape)
        self._counts = counts
        self._paths = paths
        self._cost = cost
        self._extra = extra

    def read(self, payload: bytes | Mapping[str, Any]) -> Usage | None:
        """Usage of a usage object."""
        reported = self._decoded(payload)
        return None if reported is None else _usage(self._counts(reported))

    def cost(self, payload: bytes | Mapping[str, Any]) -> Money | None:
        """Money of a usage object; ``None`` as well when it is no amount that an answer can cost."""
        reported = self._decoded(payload)
        return None if reported is None else self._charged(reported)

    def both(self, payload: bytes | Mapping[str, Any]) -> tuple[Usage | None, Money | None]:
        """Usage and money of a usage object, decoded once."""
        reported = self._decoded(payload)
        return (None, None) if reported is None else (_usage(self._counts(reported)), self._charged(reported))

    def find(self, answer: bytes | Mapping[str, Any]) -> Usage | None:
        """Usage of a whole answer or event."""
        whole = _mapping(answer)
        found = next((f for path in self._paths if (f := _at(whole, path)) is not None), None)
        usage = None if found is None else self.read(found)
        if usage is None or self._extra is None:
            return usage
        extra = {unit: count for unit, count in self._extra(whole).items() if unit not in usage.counts}
        return Usage({**usage.counts, **extra}) if extra else usage

    def _charged(self, reported: S) -> Money | None:
        try:
            money = self._cost(reported)
        except InputError:
            return None
        return money if money is not None and 0 <= money.amount <= MOST else None

    def _decoded(self, payload: bytes | Mapping[str, Any]) -> S | None:
        try:
            if isinstance(payload, bytes):
                return self._decoder.decode(payload)
            return msgspec.convert(payload, self._shape)
        except (msgspec.MsgspecError, UnicodeDecodeError):
            return self._lenient(payload)

    def _lenient(self, payload: bytes | Mapping[str, Any]) -> S | None:
        """The same once more for providers that write whole counts as floats (``12.0``)."""
        try:
            return msgspec.convert(_whole_floats(_mapping(payload)), self._shape)
        except msgspec.MsgspecError:
            return None


def put(counts: Counts, unit: Unit, count: int | Decimal | None) -> None:
    """Adds a count unless it is missing or zero."""
    if count:
        counts[unit] = counts.get(unit, 0) + count


def total(parts: Iterable[int | None]) -> int:
    """The sum of what is there."""
    return sum(part for part in parts if part)


def _usage(counts: Counts | None) -> Usage | None:
    if not counts or max(counts.values()) > MOST:
        return None
    try:
        return Usage(counts)
    except UsageError:
        return None


def _mapping(payload: bytes | Mapping[str, Any]) -> Mapping[str, Any]:
    if not isinstance(payload, bytes):
        return payload
    try:
        return msgspec.json.decode(payload, type=dict[str, Any])
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return {}


def _at(value: Any, path: tuple[str, ...]) -> Mapping[str, Any] | None:
    for step in path:
        value = value.get(step) if isinstance(value, Mapping) else None  # pyright: ignore[reportUnknownVariableType, reportUnknownMemberType] - decoded JSON
    return value if isinstance(value, Mapping) else None  # pyright: ignore[reportUnknownVariableType] - decoded JSON


def _whole_floats(value: Any) -> Any:
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if isinstance(value, Mapping):
        return {k: _whole_floats(v) for k, v in value.items()}  # pyright: ignore[reportUnknownVariableType] - decoded JSON
    if isinstance(value, list):
        return [_whole_floats(v) for v in value]  # pyright: ignore[reportUnknownVariableType] - decoded JSON
    return value
