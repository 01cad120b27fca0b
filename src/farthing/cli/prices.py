"""``farthing prices``: what models and machines cost, since when, and who says so."""

from collections.abc import Iterable, Sequence
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import App, Parameter

from farthing.cli._output import OK, THRESHOLD, Column, Out, Output
from farthing.core.errors import FarthingError, InputError, UnavailableError
from farthing.core.nouns import Kind, Offer, Terms
from farthing.core.time import parse_instant
from farthing.core.units import HOUR, INPUT, OUTPUT

if TYPE_CHECKING:
    from farthing.app.local import Local
    from farthing.catalog.compare import Comparison
    from farthing.catalog.sources import Feed

app = App(name="prices", help="Look up what models and machines cost, and since when.")

_SHOWN = 40


@app.default
def prices(
    text: str = "",
    *,
    kind: Kind | None = None,
    provider: str = "",
    region: str = "",
    gpu: str = "",
    terms: Annotated[Terms | None, Parameter(name_transform=str.lower)] = None,
    tag: list[str] | None = None,
    max_price: str = "",
    at: str = "",
    all: bool = False,
    home: Path | None = None,
    out: Out,
) -> int:
    """List offers, the cheapest machines first.

    Args:
        text: Part of an offer's id, such as gpt-5 or p5.48xlarge.
        kind: tokens, machine or serverless.
        provider: Who sells it, such as openai, aws or lambda.
        region: A region or zone.
        gpu: Part of an accelerator's name, such as H100 or A100-80GB.
        terms: on_demand, spot, reserved_1y, reserved_3y, batch, flex or priority.
        tag: A tag it must carry, such as decentralized; may be repeated.
        max_price: At most so many dollars per million input tokens, or per hour.
        at: Prices as they were on this date or instant; default: now.
        all: Show every row on a terminal too, not the first 40.
        home: Data folder; default: the configured one.
        out: Where the answer goes.
    """
    from farthing.app.local import Local
    from farthing.catalog.catalog import Query

    local = Local.open(home=home)
    now = local.now()
    query = Query(
        text=text,
        kind=kind,
        provider=provider,
        region=region,
        tags=frozenset(tag or ()),
        accelerator=gpu,
        terms=terms,
        max_price=_amount(max_price),
    )
    found = sorted(local.catalog().find(query, parse_instant(at) if at else now), key=_order)
    few = out.format == "table" and not all
    rows = [_row(offer) for offer in (found[:_SHOWN] if few else found)]
    out.table(_columns(found), rows, empty="No offer fits.")
    if len(rows) < len(found):
        out.note(f"{len(found) - len(rows):,} more; --all shows them, or narrow the search")
    _warn(found, now.date(), out)
    if found:
        out.next(f"farthing prices show {found[0].id}", "every price of one offer, and its history")
    return OK


@app.command
def show(name: str, *, home: Path | None = None, out: Out) -> int:
    """Show every price of one offer, over time.

    Args:
        name: An offer's id, or a model's name as a bill or an SDK writes it.
        home: Data folder; default: the configured one.
        out: Where the answer goes.
    """
    from farthing.app.local import Local

    local = Local.open(home=home)
    variants = local.catalog().get(name)
    rows = [row for offer in variants for row in _price_rows(offer)]
    columns = ["unit", "price", "per", "above", "terms", "from", "to", "hours", "checked"]
    out.table(columns, rows, about={"offer": variants[0].id, "source": variants[0].source}, empty="No price is known.")
    out.note(f"{variants[0].id}: {variants[0].source}")
    _warn(variants, local.now().date(), out)
    return OK


@app.command
def compare(
    *,
    source: list[str] | None = None,
    file: Path | None = None,
    provider: str = "",
    home: Path | None = None,
    out: Out,
) -> int:
    """List where other price sources disagree with the catalog.

    Args:
        source: Feeds to compare with; default: litellm and history, those of them that were refreshed.
        file: Read the one source from this file instead of the refreshed copy.
        provider: Only models of this provider.
        home: Data folder; default: the configured one.
        out: Where the answer goes.
    """
    from farthing.app.local import Local

    local = Local.open(home=home)
    now = local.now()
    ours = [o for o in local.catalog().token_offers if provider in ("", o.provider)]
    found = [
        _compared(ours, name, file, local.settings.home / "prices", now) for name in source or ("litellm", "history")
    ]
    done = [c for c in found if c is not None]
    if not done:
        raise UnavailableError("There is nothing to compare with", remedy="farthing prices refresh litellm")
    rows = [_difference(d) for c in done for d in c.differences]
    about = {"sources": [{"source": c.source, "models": c.models, "prices": c.prices} for c in done]}
    out.table(
        ["offer", "unit", "above", "ours", "theirs", Column("change_pct", "change %"), "source"],
        rows,
        about=about,
        empty="All prices agree.",
    )
    for c in done:
        out.note(f"{c.source}: {c.models:,} models, {c.prices:,} prices compared, {len(c.differences):,} differ")
    return OK


@app.command
def refresh(
    feed: str = "",
    *,
    from_: Annotated[str, Parameter(name="--from")] = "",
    force: bool = False,
    home: Path | None = None,
    out: Out,
) -> int:
    """Fetch newer prices. What is there stays unless the new list is whole and not much shorter.

    Args:
        feed: The feed: genai_prices, litellm or history. Default: all that know an address.
        from_: A path or an https address instead of the feed's own.
        force: Accept a list that is much shorter than the last one.
        home: Data folder; default: the configured one.
        out: Where the answer goes.
    """
    from farthing.app.local import Local
    from farthing.catalog.sources import FEEDS

    if from_ and not feed:
        raise InputError(
            "which feed is it", field="--from", value=from_, remedy="farthing prices refresh FEED --from …"
        )
    local = Local.open(home=home)
    wanted = [FEEDS.get(feed)] if feed else [f for f in FEEDS.load().values() if f.location]
    folder = local.settings.home / "prices"
    if len(wanted) == 1:
        rows = [_refreshed(wanted[0], folder, local, from_, out, force=force)]
        failed = 0
    else:
        rows, failed = _refresh_all(wanted, folder, local, out, force=force)
    out.table(["feed", "offers", "before", "changed", "location"], rows, empty="Nothing was refreshed.")
    return THRESHOLD if failed else OK


def _refresh_all(
    feeds: Sequence["Feed"], folder: Path, local: "Local", out: Output, *, force: bool
) -> tuple[list[dict[str, Any]], int]:
    rows: list[dict[str, Any]] = []
    failed = 0
    for each in feeds:
        try:
            rows.append(_refreshed(each, folder, local, "", out, force=force))
        except FarthingError as problem:
            failed += 1
            out.warn(f"{each.name}: {problem}")
    return rows, failed


def _refreshed(
    feed: "Feed", folder: Path, local: "Local", location: str, out: Output, *, force: bool
) -> dict[str, Any]:
    from farthing.app.noticing import notice_prices
    from farthing.catalog.refresh import refresh as fetch

    done = fetch(feed, folder, local.now(), location=location, force=force)
    if problem := notice_prices(local, done):
        out.warn(f"{feed.name} is refreshed, and not in the audit log: {problem}")
    return {
        "feed": done.feed,
        "offers": done.after,
        "before": done.before,
        "changed": done.changed,
        "location": done.location,
    }


def _compared(ours: Sequence[Offer], name: str, file: Path | None, folder: Path, now: datetime) -> "Comparison | None":
    from farthing.catalog.compare import compare as against
    from farthing.catalog.refresh import listing, stored
    from farthing.catalog.sources import FEEDS

    feed = FEEDS.get(name)
    if file is not None:
        return against(ours, feed.read(feed.fetch(str(file))).offers, name, now)
    last = stored(name, folder)
    return against(ours, listing(feed, last).offers, name, now) if last else None


def _difference(found: Any) -> dict[str, Any]:
    return {
        "offer": found.offer,
        "unit": found.unit.name,
        "above": found.above,
        "ours": found.primary,
        "theirs": found.other,
        "change_pct": found.percent,
        "source": found.source,
    }


def _columns(offers: Iterable[Offer]) -> list[Column]:
    kinds = {o.kind for o in offers}
    tokens = [Column("input_usd", "$/M input"), Column("output_usd", "$/M output")] if Kind.TOKENS in kinds else []
    machines = (
        [Column("hour_usd", "$/hour"), Column("gpu_hour_usd", "$/GPU hour"), Column("gpu"), Column("gpus")]
        if kinds - {Kind.TOKENS}
        else []
    )
    return [Column("offer"), *tokens, *machines, Column("terms"), Column("region"), Column("checked"), Column("source")]


def _row(offer: Offer) -> dict[str, Any]:
    from farthing.catalog.catalog import headline

    quoted = headline(offer)
    hour = quoted.get(HOUR)
    gpus = offer.capability.accelerators
    return {
        "offer": offer.id,
        "input_usd": _plain(quoted.get(INPUT)),
        "output_usd": _plain(quoted.get(OUTPUT)),
        "hour_usd": _plain(hour),
        "gpu_hour_usd": round(hour / gpus, 4) if hour is not None and gpus else None,
        "gpu": offer.capability.accelerator,
        "gpus": gpus or None,
        "terms": offer.terms,
        "region": offer.zone or offer.region,
        "checked": offer.checked,
        "source": offer.source,
    }


def _price_rows(offer: Offer) -> list[dict[str, Any]]:
    hours = f"{offer.daily.start:%H:%M}–{offer.daily.end:%H:%M} UTC" if offer.daily else ""
    return [
        {
            "unit": p.unit.name,
            "price": p.rate.amount,
            "per": p.rate.per,
            "above": p.above or None,
            "terms": offer.terms,
            "from": offer.effective.start,
            "to": offer.effective.end,
            "hours": hours,
            "checked": offer.checked,
        }
        for p in offer.prices
    ]


def _order(offer: Offer) -> tuple[bool, Decimal, str]:
    from farthing.catalog.catalog import headline

    hour = headline(offer).get(HOUR)
    each = hour / (offer.capability.accelerators or 1) if hour is not None else Decimal(0)
    return offer.kind is not Kind.TOKENS, each, offer.id


def _plain(amount: Decimal | None) -> Decimal | None:
    """Without the zeros that exact products end in."""
    return None if amount is None else Decimal(f"{amount.normalize():f}")


def _amount(text: str) -> Decimal | None:
    from farthing.core.money import decimal_of

    return decimal_of(text, field="--max-price") if text else None


def _warn(offers: Sequence[Offer], today: date, out: Output) -> None:
    from farthing.catalog.catalog import STALE_AFTER, is_stale

    old = [o for o in offers if is_stale(o, today)]
    if old:
        oldest = min((o.checked for o in old if o.checked), default=None)
        since = f", the oldest on {oldest}" if oldest else ""
        out.warn(
            f"{len(old):,} of {len(offers):,} prices were not confirmed within {STALE_AFTER.days} days{since};"
            " farthing prices refresh fetches newer ones"
        )
