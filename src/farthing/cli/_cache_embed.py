"""``farthing cache embed``: vectors computed beforehand, in hours that are cheap or quiet."""

import time
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import TYPE_CHECKING, Any

from farthing.app.local import Local
from farthing.cli._output import OK, THRESHOLD, Out, Output
from farthing.core.errors import InputError

if TYPE_CHECKING:
    from farthing.app.precompute import Job, Sums

TELL_SECONDS = 10.0


def embed(
    file: Path,
    *,
    model: str,
    field: str = "text",
    key: str = "",
    between: str = "",
    zone: str = "",
    batch: int = 256,
    max_cost: str = "",
    dry_run: bool = False,
    home: Path | None = None,
    out: Out,
) -> int:
    """Compute the vectors of texts, so that the embedding cache knows them. What it knows already costs nothing.

    It may be stopped and begun again at any time. Exits with 1 when it stopped at its cost bound.

    Args:
        file: Texts: JSON lines (.jsonl), CSV (.csv), or lines of text.
        model: The embedding model, as clients name it.
        field: The field of JSON lines, or the column of CSV, that holds the text.
        key: The Farthing key that pays, as env:NAME, file:PATH or secret:NAME.
        between: Work only in these hours, such as 22:00-06:00, and wait outside them.
        zone: Time zone of these hours; default: the configured one.
        batch: Texts in one request, 2,048 at most.
        max_cost: Stop before more than so many USD are spent.
        dry_run: Read the file and count, and ask for nothing.
        home: Data folder; default: the configured one.
        out: Where the sums go.
    """
    from farthing.app.precompute import GatewayEmbeddings, distinct
    from farthing.app.precompute import embed as run
    from farthing.app.textfiles import texts_of

    local = Local.open(home=home)
    place = zone or local.settings.web.zone
    job, now = _job(batch, between, max_cost), _clock(local, place)
    texts, different, tokens = distinct(texts_of(file, field=field))
    if dry_run:
        out.record({"texts": texts, "distinct": different, "tokens_at_most": tokens})
        out.next("the same command without --dry-run", "compute what is not known yet")
        return OK
    _must_keep(local)
    ask = GatewayEmbeddings(_address(local), model=model, token=local.secret(key) if key else "", sleep=time.sleep)
    try:
        tell = _Telling(out, texts)
        sums = run(texts_of(file, field=field), ask, job, now=now, sleep=time.sleep, tell=tell)
    finally:
        ask.close()
    return _told(sums, texts, out)


def _job(batch: int, between: str, max_cost: str) -> "Job":
    from farthing.app.precompute import LARGEST_BATCH, Job
    from farthing.cache.schedules import hours_of

    if not 1 <= batch <= LARGEST_BATCH:
        raise InputError("not a batch", field="--batch", value=batch, remedy=f"1 to {LARGEST_BATCH:,}")
    hours = hours_of(between, field="--between") if between else None
    return Job(batch=batch, hours=hours, most_cost=_usd(max_cost) if max_cost else None)


def _usd(text: str) -> Decimal:
    try:
        amount = Decimal(text)
    except InvalidOperation:
        amount = Decimal(-1)
    if not amount.is_finite() or amount < 0:
        raise InputError("not an amount", field="--max-cost", value=text, remedy="Write 2.50")
    return amount


def _clock(local: Local, zone: str) -> Any:
    from farthing.cache.schedules import zone_of

    place = zone_of(zone, field="--zone")
    return lambda: local.now().astimezone(place)


def _must_keep(local: Local) -> None:
    modes = {name: rules.embeddings for name, rules in local.settings.cache.namespaces.items()}
    if "on" not in modes.values():
        raise InputError(
            "the embedding cache is off, so nothing would be kept", field="embeddings", value=modes,
            remedy='Set embeddings = "on" under [cache.namespaces.default], and try again',
        )  # fmt: skip


def _address(local: Local) -> str:
    from farthing.app.listen import url

    return url(local.settings.gateway.host, local.settings.gateway.port)


class _Telling:
    """Progress on stderr: now and then for people who watch, and once for each wait."""

    def __init__(self, out: Output, texts: int) -> None:
        self._out = out
        self._texts = texts
        self._told = time.monotonic()

    def __call__(self, sums: "Sums", wait: float) -> None:
        if wait:
            self._out.note(f"waits {wait / 3600:.1f} hours; {sums.texts:,} of {self._texts:,} texts are done")
        elif self._out.interactive and time.monotonic() > self._told + TELL_SECONDS:
            self._told = time.monotonic()
            self._out.note(f"{sums.texts:,} of {self._texts:,} texts, {sums.known:,} known, {sums.cost:f} USD")


def _told(sums: "Sums", texts: int, out: Output) -> int:
    left = texts - sums.texts
    out.record(
        {"texts": sums.texts, "known": sums.known, "tokens": sums.tokens, "cost": sums.cost, "unpriced": sums.unpriced,
         "left": left}
    )  # fmt: skip
    if sums.unpriced:
        out.warn(f"{sums.unpriced:,} texts have no known price and are not in the cost")
    if sums.stopped:
        out.warn(f"stopped: {sums.stopped}; {left:,} texts are left")
        out.next("the same command", "go on; what is done costs nothing")
        return THRESHOLD
    return OK
