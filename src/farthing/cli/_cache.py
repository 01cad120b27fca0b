"""How ``farthing cache`` shows figures, hits and what speaks against them."""

from typing import TYPE_CHECKING, Any

from farthing.cli._output import Column, Output

if TYPE_CHECKING:
    from farthing.web.cache_views import (
        CacheAnswer,
        CacheHit,
        CacheSums,
        Expense,
        NamespaceView,
        SemanticView,
        StandingView,
        StoreView,
    )

HITS = (
    Column("at"), Column("namespace"), Column("question"), Column("matched", "was answered as"), Column("probability"),
    Column("similarity"), Column("saved"), Column("who"), Column("wrong", "said to be"), Column("entry"),
)  # fmt: skip
_SHOWN = (
    Column("namespace"), Column("modes"), Column("requests"), Column("hits"), Column("percent", "%"), Column("saved"),
    Column("checking", "checks cost"), Column("net", "net saved"), Column("would_save", "would save"),
    Column("wrong", "wrong answers"), Column("entries"),
)  # fmt: skip
_MODES = ("exact", "semantic", "embeddings")
_SUMS = (
    "requests", "hits", "hit_rate", "exact", "semantic", "embeddings", "would", "sampled", "missed", "skipped",
    "saved", "checking", "unpriced", "would_save", "would_unpriced",
)  # fmt: skip
_STANDING = ("wrong", "bound", "target", "threshold", "closed", "labels")
_LONGEST = 60


def columns(*, people: bool) -> tuple[Column, ...]:
    """The columns of namespaces; programs get everything."""
    if people:
        return _SHOWN
    modes = tuple(f"{name}_mode" for name in _MODES)
    return tuple(Column(name) for name in ("namespace", *modes, *_SUMS, "net", *_STANDING, "entries"))


def row_of(row: "NamespaceView", *, people: bool) -> dict[str, Any]:
    """A namespace as a row."""
    modes = {name: getattr(row, name) for name in _MODES}
    figures = {**_figures(row.sums), "namespace": row.name, "net": row.net, "entries": row.entries}
    if not people:
        measured = {name: getattr(row.standing, name, None) for name in _STANDING}
        return {**figures, **{f"{name}_mode": mode for name, mode in modes.items()}, **measured}
    words = [f"{name} {mode}" for name, mode in modes.items() if mode not in ("off", None)]
    return {**figures, "modes": ", ".join(words) or "off", "wrong": _measured(row.standing)}


def total(answer: "CacheAnswer", *, people: bool) -> dict[str, Any]:
    """The row under the namespaces. Its net is less what the judge and the embedding model cost, too."""
    return {**_figures(answer.total), "net": answer.net, **({"namespace": "Total"} if people else {})}


def about(answer: "CacheAnswer") -> dict[str, Any]:
    """What stands beside the rows for programs."""
    return {
        "currency": answer.currency, "zone": answer.zone, "from": answer.window.start, "to": answer.window.end,
        "through": answer.through, "judging": answer.judging, "embedding": answer.embedding, "warming": answer.warming,
        "stores": answer.stores, "semantic": answer.semantic,
    }  # fmt: skip


def hit_row(hit: "CacheHit", *, people: bool) -> dict[str, Any]:
    """A hit as a row; for people texts are cut to a line."""
    row = {name: getattr(hit, name) for name in hit.__struct_fields__}
    if not people:
        return row
    said = {None: "", True: "wrong", False: "right"}[hit.wrong]
    return {**row, "question": _cut(hit.question), "matched": _cut(hit.matched), "wrong": said}


def tell(answer: "CacheAnswer", out: Output) -> None:
    """What people should know beside the figures."""
    for name, spent in _expenses(answer):
        if spent.requests:
            out.note(
                f"The {name} cost {spent.cost:f} {answer.currency}, {spent.requests:,} requests; the net is less it."
            )
    unpriced = answer.total.unpriced + sum(spent.unpriced for _, spent in _expenses(answer))
    if unpriced:
        out.warn(f"{unpriced:,} requests that only measured have no known price and are not in the net")
    for store in answer.stores:
        out.note(_held(store))
    tell_semantic(answer.semantic, out)
    if answer.empty:
        out.next("farthing cache show --last 4w", "look further back")


def tell_semantic(view: "SemanticView", out: Output) -> None:
    """Why the semantic cache says nothing, if it does not."""
    if view.state == "off":
        out.note(f"The semantic cache is off. {view.remedy}.")
    elif view.state == "away":
        out.warn(f"{view.problem}. {view.remedy}.")


def is_over(row: "NamespaceView") -> bool:
    """Whether a namespace answers although more answers may be wrong than was promised."""
    found = row.standing
    return found is not None and found.bound is not None and not found.closed and found.bound > found.target


def _expenses(answer: "CacheAnswer") -> tuple[tuple[str, "Expense"], ...]:
    return ("judge", answer.judging), ("embedding model", answer.embedding), ("warming", answer.warming)


def _figures(sums: "CacheSums") -> dict[str, Any]:
    figures = {name: getattr(sums, name) for name in _SUMS}
    return {**figures, "percent": None if sums.hit_rate is None else round(100 * sums.hit_rate, 1)}


def _measured(standing: "StandingView | None") -> str:
    if standing is None:
        return ""
    closed = f", closed: {standing.closed}" if standing.closed else ""
    if standing.wrong is None or standing.bound is None:
        return f"not measured yet{closed}"
    return f"{standing.wrong:.2%}, at most {standing.bound:.2%} of {standing.target:.2%}{closed}"


def _held(store: "StoreView") -> str:
    most = "" if store.most_bytes is None else f", {store.most_bytes:,} at most"
    entries = "unknown" if store.entries is None else f"{store.entries:,} entries"
    bound = "" if store.most_entries is None else f" of {store.most_entries:,}"
    size = "" if store.bytes is None else f", {store.bytes:,} bytes{most}"
    return f"{store.name.capitalize()} kept: {entries}{bound}{size}"


def _cut(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= _LONGEST else f"{line[: _LONGEST - 1]}…"
