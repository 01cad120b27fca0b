"""``farthing cache``: what the caches save and how often they are wrong, and forgetting what they hold."""

from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import App, Parameter

from farthing.app.local import Local
from farthing.cli._cache import HITS, about, columns, hit_row, is_over, row_of, tell, tell_semantic, total
from farthing.cli._output import OK, THRESHOLD, Out
from farthing.cli._window import filters, window_of
from farthing.core.errors import InputError
from farthing.core.time import Window

if TYPE_CHECKING:
    from farthing.app.cachedesk import CacheDesk
    from farthing.governance.roles import Who

app = App(name="cache", help="See what the caches save and how often they are wrong; forget what they hold.")
app.command(f"{__package__}._cache_files:features_app", name="features", help="Keep results of your own code.")
app.command(f"{__package__}._cache_files:models_app", name="models", help="Keep model files, shared and verified.")
app.command(f"{__package__}._cache_embed:embed", name="embed")
app.command(f"{__package__}._cache_warm:warm", name="warm")
app.command(f"{__package__}._cache_warm:schedules", name="schedules")
app.command(f"{__package__}._cache_warm:unschedule", name="unschedule")


@app.command
def show(
    *,
    last: str = "7d",
    from_: Annotated[str, Parameter(name="--from")] = "",
    to: str = "",
    where: list[str] | None = None,
    zone: str = "",
    fail_wrong: bool = False,
    home: Path | None = None,
    out: Out,
) -> int:
    """Show what the caches did, by namespace: hits, what they saved net of checking, and how often they were wrong.

    Args:
        last: Window that ends now: 24h, 7d, 4w.
        from_: Start of the window instead: a date or an instant.
        to: End of the window, not included; default: now.
        where: Keep only requests with this value, dimension=value; may be repeated.
        zone: Time zone that days begin in; default: the configured one.
        fail_wrong: Exit with 1 when the bound on wrong answers of a namespace is above its target.
        home: Data folder; default: the configured one.
        out: Where the answer goes.
    """
    with _desk(home) as (desk, who, local):
        place, now = zone or local.settings.web.zone, local.now()
        asked = window_of(last=last, start=from_, end=to, everything=False, zone=place, now=now)
        start = asked.start or window_of(last=last, start="", end="", everything=False, zone=place, now=now).start
        window = Window(start=start, end=asked.end or now)
        answer = desk.stand(who, window, zone=place, where=filters(where or []))
    people = out.format in ("table", "md")
    rows = [row_of(row, people=people) for row in answer.namespaces]
    out.table(columns(people=people), rows, total=total(answer, people=people), about=about(answer))
    if people:
        tell(answer, out)
    over = [row.name for row in answer.namespaces if is_over(row)]
    if over:
        out.warn(f"more wrong answers than promised are possible: {', '.join(over)}")
    return THRESHOLD if fail_wrong and over else OK


@app.command
def hits(*, namespace: str = "", limit: int = 50, home: Path | None = None, out: Out) -> None:
    """List the latest semantic hits beside the questions they matched.

    Args:
        namespace: Only hits of this one.
        limit: So many, the newest first; 200 at most.
        home: Data folder; default: the configured one.
        out: Where the list goes.
    """
    with _desk(home) as (desk, who, _):
        answer = desk.hits(who, namespace=namespace, limit=max(1, limit))
    rows = [hit_row(hit, people=out.format in ("table", "md")) for hit in answer.rows]
    out.table(HITS, rows, empty="No semantic hits.")
    tell_semantic(answer.semantic, out)
    if rows:
        out.next("farthing cache wrong ENTRY --question TEXT", "a hit was wrong: forget it, and learn from it")


@app.command
def wrong(entry: str, *, question: str = "", home: Path | None = None, out: Out) -> None:
    """Say that a hit was wrong: its entry is removed everywhere, and the semantic cache learns from it.

    Args:
        entry: The entry's id, from x-farthing-cache-entry or farthing cache hits.
        question: The question that was answered with it; empty for a hit of an identical request.
        home: Data folder; default: the configured one.
        out: Where the answer goes.
    """
    _feedback(entry, question, wrong=True, home=home, out=out)


@app.command
def right(entry: str, *, question: str = "", home: Path | None = None, out: Out) -> None:
    """Say that a semantic hit was right, from which the semantic cache learns.

    Args:
        entry: The entry's id, from x-farthing-cache-entry or farthing cache hits.
        question: The question that was answered with it.
        home: Data folder; default: the configured one.
        out: Where the answer goes.
    """
    _feedback(entry, question, wrong=False, home=home, out=out)


@app.command
def purge(
    *,
    entry: str = "",
    namespace: str = "",
    epoch: str = "",
    org: str = "",
    team: str = "",
    project: str = "",
    environment: str = "",
    feature: str = "",
    customer: str = "",
    user: str = "",
    key: str = "",
    everything: bool = False,
    yes: bool = False,
    home: Path | None = None,
    out: Out,
) -> None:
    """Forget answers everywhere: memory, disk and index. Only counts them, unless --yes is given.

    What is said has to hold all together. A scope is that of who asked first.

    Args:
        entry: One entry, by its id.
        namespace: Everything of a namespace …
        epoch: … made in this epoch …
        org: … asked first by this organization …
        team: … team …
        project: … project …
        environment: … environment …
        feature: … feature …
        customer: … customer …
        user: … person …
        key: … key, by its name in the ledger.
        everything: All there is, without any of the above.
        yes: Do it.
        home: Data folder; default: the configured one.
        out: Where the answer goes.
    """
    from farthing.web.cache_views import CachePurge

    given = {"org": org, "team": team, "project": project, "environment": environment, "feature": feature,
             "customer": customer, "user": user, "key": key}  # fmt: skip
    what = CachePurge(
        entry=_id(entry) if entry else None,
        namespace=namespace,
        epoch=epoch,
        scope={name: value for name, value in given.items() if value},
        everything=everything,
        dry_run=not yes,
    )
    with _desk(home) as (desk, who, _):
        done = desk.purge(who, what)
    out.record(done)
    if done.dry_run:
        out.note(f"{done.entries:,} entries would be forgotten; nothing is removed yet.")
        out.next("the same command with --yes", "forget them")


@contextmanager
def _desk(home: Path | None) -> "Generator[tuple[CacheDesk, Who, Local]]":
    """The caches of the installation here. Whoever can write its state store is its admin."""
    from farthing.app.budgets import local_admin
    from farthing.app.cachedesk import CacheDesk

    local = Local.open(home=home)
    with local.store() as store:
        ledger = local.ledger()
        try:
            desk = CacheDesk(lambda: local, ledger, store.audit, clock=local.now)
            yield desk, local_admin(local.by().actor), local
        finally:
            ledger.close()


def _feedback(entry: str, question: str, *, wrong: bool, home: Path | None, out: Any) -> None:
    from farthing.web.cache_views import CacheFeedback

    said = CacheFeedback(entry=_id(entry), question=question, wrong=wrong)
    with _desk(home) as (desk, who, _):
        done = desk.feedback(who, said)
    out.record({"entry": said.entry, "wrong": wrong, "entries": done.entries})
    out.note("It is forgotten." if wrong else "Noted.")


def _id(text: str) -> str:
    """An entry's id. Raises ``InputError`` for what is none."""
    if len(text) != 2 * 32 or any(letter not in "0123456789abcdef" for letter in text.lower()):
        raise InputError(
            "not an entry's id", field="entry", value=text, remedy="Copy the 64 digits from farthing cache hits"
        )
    return text.lower()
