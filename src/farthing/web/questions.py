"""Query parameters, read strictly into the ledger's questions. Every refusal names field, value and remedy."""

import re
import unicodedata
from collections.abc import Iterator, Sequence
from datetime import UTC, date, datetime, time, timedelta
from typing import Annotated, Literal, TypeVar, cast, get_args
from zoneinfo import ZoneInfo

import msgspec
from litestar.di import NamedDependency
from litestar.params import FromQuery, QueryParameter, SkipValidation

from farthing.core.errors import InputError, NotFoundError
from farthing.core.time import Window, parse_instant
from farthing.ledger.questions import DIMENSIONS, Basis, Grain, RequestsQuestion, SpendQuestion
from farthing.web.services import Services, Using

Order = Literal["newest", "cost", "latency"]
Word = TypeVar("Word", bound=str)

EARLIEST = datetime(2000, 1, 1, tzinfo=UTC)
LATEST = datetime(2200, 1, 1, tzinfo=UTC)
DEFAULT_DAYS = 30
MAX_GROUPINGS = 4
MAX_TEXT = 200

_TAG = "tag:[^:]{1,100}"
_DIMENSION = f"^({'|'.join(DIMENSIONS)}|{_TAG})$"
_CONDITION = re.compile(f"(?P<name>{'|'.join(DIMENSIONS)}|{_TAG}):(?P<value>.*)", re.DOTALL)
_ZONE = re.compile(r"[A-Za-z][A-Za-z0-9_+-]*(/[A-Za-z0-9_+-]+){0,2}")
_INSTANT_SCHEMA = {"anyOf": [{"type": "string", "format": "date"}, {"type": "string", "format": "date-time"}]}

Start = Annotated[
    str | None,
    QueryParameter(description="First instant, or a date in `zone`; 30 days ago", schema_extra=_INSTANT_SCHEMA),
]
End = Annotated[
    str | None,
    QueryParameter(description="End, not included: an instant, or a date in `zone`", schema_extra=_INSTANT_SCHEMA),
]
Zone = Annotated[
    str | None,
    QueryParameter(description="IANA time zone in which days begin", schema_extra={"pattern": f"^{_ZONE.pattern}$"}),
]
By = Annotated[
    list[str] | None,
    QueryParameter(
        description="Dimensions to group by, repeatable",
        schema_extra={"items": {"type": "string", "pattern": _DIMENSION}, "maxItems": MAX_GROUPINGS},
    ),
]
Where = Annotated[
    list[str] | None,
    QueryParameter(
        description="Filters such as `team:search`, repeatable; several values of one dimension mean any of them",
        schema_extra={"items": {"type": "string", "pattern": f"^({'|'.join(DIMENSIONS)}|{_TAG}):"}, "maxItems": 50},
    ),
]
GrainText = Annotated[
    str, QueryParameter(description="Length of time buckets", schema_extra={"enum": list(get_args(Grain))})
]
BasisText = Annotated[
    str | None, QueryParameter(description="FOCUS cost basis", schema_extra={"enum": list(get_args(Basis))})
]
OrderText = Annotated[str, QueryParameter(description="Order of rows", schema_extra={"enum": list(get_args(Order))})]
ByOne = Annotated[str, QueryParameter(description="Dimension of the groups", schema_extra={"pattern": _DIMENSION})]
Text = Annotated[str, QueryParameter(max_length=MAX_TEXT)]
Limit = Annotated[int, QueryParameter(ge=1, le=1000, description="At most this many rows")]


class Span(msgspec.Struct, frozen=True, kw_only=True):
    """The window and the zone of a question, and the moment it was asked."""

    window: Window
    zone: str
    now: datetime


Spanned = NamedDependency[SkipValidation[Span]]


def span(services: Using, start: Start = None, end: End = None, zone: Zone = None) -> Span:
    """The last 30 days where nothing is said, from a midnight of the zone."""
    now = services.clock()
    place = _zone(services.settings.zone if zone is None else zone)
    until = _instant(end, place, "end") if end is not None else now
    default = datetime.combine(until.astimezone(place).date() - timedelta(days=DEFAULT_DAYS - 1), time(), place)
    since = _instant(start, place, "start") if start is not None else default
    return Span(window=Window(start=since, end=until), zone=place.key, now=now)


def spend_question(
    *,
    services: Using,
    span: Spanned,
    by: By = None,
    where: Where = None,
    grain: GrainText = "none",
    basis: BasisText = None,
    compare: FromQuery[bool] = False,
    limit: Annotated[int, QueryParameter(ge=0, le=10_000, description="Fold further groups into `other`; 0: none")] = 0,
) -> SpendQuestion:
    """How much was spent, as the query asks."""
    return SpendQuestion(
        window=span.window,
        by=tuple(dimension(name, "by") for name in _few(by or [])),
        grain=cast("Grain", one_of(grain, get_args(Grain), "grain")),
        where=conditions(where or []),
        basis=chosen_basis(basis, services),
        zone=span.zone,
        compare=compare,
        limit=limit,
    )


def requests_question(
    *,
    span: Spanned,
    where: Where = None,
    search: Text = "",
    order: OrderText = "newest",
    after: Annotated[str, QueryParameter(max_length=400, description="`next` of the page before")] = "",
    limit: Limit = 100,
) -> RequestsQuestion:
    """Which requests, as the query asks."""
    return RequestsQuestion(
        window=span.window,
        where=conditions(where or []),
        search=clean(search, "search"),
        order=cast("Order", one_of(order, get_args(Order), "order")),
        after=clean(after, "after"),
        limit=limit,
    )


def chosen_basis(text: str | None, services: Services) -> Basis:
    """The basis asked for, or the one that reports use."""
    return cast("Basis", one_of(services.settings.basis if text is None else text, get_args(Basis), "basis"))


def one_of(text: str, words: Sequence[Word], field: str) -> Word:
    """One of a few words. Raises ``InputError`` listing them."""
    for word in words:
        if text == word:
            return word
    raise InputError("not one of the words allowed here", field=field, value=text, remedy=f"Use {', '.join(words)}")


def dimension(name: str, field: str) -> str:
    """A known dimension or ``tag:NAME``. Raises ``InputError`` naming the nearest."""
    if name in DIMENSIONS or re.fullmatch(_TAG, name):
        return clean(name, field)
    nearest = NotFoundError("dimension", name, known=DIMENSIONS).remedy
    remedy = nearest or f"Use tag:NAME or one of {', '.join(DIMENSIONS)}"
    raise InputError("no such dimension", field=field, value=name, remedy=remedy)


def conditions(texts: Sequence[str]) -> dict[str, tuple[str, ...]]:
    """``team:search`` texts as values by dimension."""
    found: dict[str, tuple[str, ...]] = {}
    for text in texts:
        match = _CONDITION.fullmatch(text)
        if match is None:
            dimension(text.partition(":")[0], "where")
            raise InputError("a filter is DIMENSION:VALUE", field="where", value=text, remedy='Write "team:search"')
        name = clean(match["name"], "where")
        found[name] = (*found.get(name, ()), clean(match["value"], "where"))
    return found


def clean(text: str, field: str) -> str:
    """The text itself. Raises ``InputError`` for control characters, which no name or search holds."""
    if any(unicodedata.category(letter) in ("Cc", "Cs") for letter in text):
        raise InputError("control characters are not allowed", field=field, value=text, remedy="Remove them")
    return text


def texts(value: object, field: str = "") -> Iterator[tuple[str, str]]:
    """Every text inside a body, with the dotted name of its field."""
    if isinstance(value, str):
        yield field, value
    elif isinstance(value, msgspec.Struct):
        for name in value.__struct_fields__:
            yield from texts(getattr(value, name), f"{field}.{name}".lstrip("."))
    elif isinstance(value, list):
        for item in cast("list[object]", value):
            yield from texts(item, field)


def _few(names: list[str]) -> list[str]:
    if len(names) > MAX_GROUPINGS:
        raise InputError("too many groupings", field="by", value=names, remedy=f"Use at most {MAX_GROUPINGS}")
    if len(set(names)) < len(names):
        raise InputError("a dimension is named twice", field="by", value=names, remedy="Name it once")
    return names


def _zone(name: str) -> ZoneInfo:
    try:
        if _ZONE.fullmatch(name):
            return ZoneInfo(name)
    except (OSError, ValueError):  # no such zone is a KeyError below; folders of the database are these
        pass
    except KeyError:
        pass
    raise InputError("unknown time zone", field="zone", value=name, remedy='Use an IANA name such as "Europe/Berlin"')


def _instant(text: str, zone: ZoneInfo, field: str) -> datetime:
    """An instant, or the midnight in the zone with which a date begins, within the years that make sense."""
    try:
        at = parse_instant(text, field=field)
        if re.fullmatch(r"\d{4}-\d\d-\d\d", text):
            at = datetime.combine(date.fromisoformat(text), time(), zone).astimezone(UTC)
    except OverflowError:
        at = EARLIEST - timedelta(days=1)
    if not EARLIEST <= at <= LATEST:
        raise InputError(
            "out of range", field=field, value=text, remedy=f"Use a time from {EARLIEST.year} to {LATEST.year}"
        )
    return at
