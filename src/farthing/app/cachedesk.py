"""The caches as people see them: the ledger's figures, what the semantic cache measured, and how much is kept."""

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation
from typing import TYPE_CHECKING

import msgspec

from farthing.app import forgetting
from farthing.app.cachefigures import EMBEDDING, JUDGE, WARM, Figures, less
from farthing.app.local import Local
from farthing.cache.entry import Amount, Purge
from farthing.cache.semantic.client import SemanticControl
from farthing.cache.settings import DEFAULT, NamespaceSettings
from farthing.config import Settings
from farthing.core.errors import DeniedError, FarthingError, InputError, NotFoundError, UnavailableError
from farthing.core.nouns import Scope
from farthing.core.time import Window
from farthing.governance.roles import Who
from farthing.state.audit import Change
from farthing.web.cache_views import (
    CacheAnswer,
    CacheDone,
    CacheFeedback,
    CacheHit,
    CacheHits,
    CachePurge,
    CacheSums,
    NamespaceView,
    SemanticView,
    StandingView,
    StoreView,
)
from farthing.web.ports import AuditLog, Facts
from farthing.web.tenant import TenantFacts, is_confined

if TYPE_CHECKING:
    from farthing.cache.semantic.ports import Standing
    from farthing.cache.semantic.wire import Hit, State

ANSWER_SECONDS = 3.0
"""How long a page waits for the semantic cache. It answers within milliseconds, or has a problem."""

MOST_HITS = 200
"""So many hits are looked through, long questions and all."""

_SCOPE = tuple(Scope.__struct_fields__)
_OFF = SemanticView(
    state="off",
    problem="No namespace asks for it",
    remedy='Set semantic = "shadow" under [cache.namespaces.default], and restart farthing up',
    embedding="",
    judging=0,
)


class CacheDesk:
    """What the API and the command line ask of the caches. ``local`` is the installation as its settings say now."""

    def __init__(
        self, local: Callable[[], Local], facts: Facts, audit: AuditLog, *, clock: Callable[[], datetime]
    ) -> None:
        self._local = local
        self._facts = facts
        self._audit = audit
        self._clock = clock

    def stand(
        self, who: Who, window: Window, *, zone: str, where: Mapping[str, tuple[str, ...]] | None = None
    ) -> CacheAnswer:
        """What the caches did in a bounded window, and how they stand now."""
        local, confined = self._local(), is_confined(who)
        settings = local.settings
        facts = TenantFacts(self._facts, who) if confined else self._facts
        figures = Figures.asked(facts, window, zone=zone, where=where)
        state, semantic = _semantic(settings)
        total, judging = figures.total(), figures.expense(JUDGE)
        embedding, warming = figures.expense(EMBEDDING), figures.expense(WARM)
        return CacheAnswer(
            window=window,
            zone=zone,
            grain=figures.grain,
            currency=figures.answer.currency,
            through=figures.answer.through,
            empty=figures.empty,
            total=total,
            judging=judging,
            embedding=embedding,
            warming=warming,
            net=less(total.saved, total.checking, judging.cost, embedding.cost, warming.cost),
            kinds=figures.kinds(),
            buckets=figures.buckets(),
            namespaces=_namespaces(settings, figures.by_namespace(), state, confined=confined),
            stores=() if confined else _stores(local, state),
            semantic=_less_told(semantic) if confined else semantic,
        )

    def hits(self, who: Who, *, namespace: str = "", limit: int = 100) -> CacheHits:
        """The latest semantic hits. Somebody who is confined sees those of which it is known that they are theirs."""
        settings, confined = self._local().settings, is_confined(who)
        view, rows = _OFF, list["Hit"]()
        if forgetting.compares(settings):
            try:
                with _control(settings) as control:
                    rows = _own_hits(control, who, namespace, MOST_HITS if confined else min(limit, MOST_HITS))
                    view = _running(control.status())
            except UnavailableError as problem:
                view = _away(problem)
        return CacheHits(rows=tuple(map(_hit, rows[:limit])), semantic=_less_told(view) if confined else view)

    def feedback(self, who: Who, said: CacheFeedback) -> CacheDone:
        """Hear that a hit was wrong, which removes its entry, or right.

        Raises ``NotFoundError`` when nothing is left of it, or it is another tenant's.
        """
        local = self._local()
        if is_confined(who) and not self._owns(who, local, said):
            raise NotFoundError("cache entry", said.entry, remedy="It expired, or was removed before")
        gone = forgetting.report_wrong(local.settings, local.env, said.entry.lower(), said.question, wrong=said.wrong)
        self._note(who, "cache.feedback", said.entry, {"wrong": said.wrong, "entries": gone})
        return CacheDone(entries=gone, dry_run=False)

    def purge(self, who: Who, what: CachePurge) -> CacheDone:
        """Forget entries everywhere, or count them. Raises ``InputError``, ``DeniedError``, ``UnavailableError``."""
        wanted = _purge(who, what)
        local = self._local()
        if what.dry_run:
            return CacheDone(entries=forgetting.would_forget(local.settings, local.env, wanted), dry_run=True)
        said = {name: value for name, value in msgspec.structs.asdict(wanted).items() if value} or {"everything": True}
        subject = what.entry or what.namespace or "cache"
        try:
            gone = forgetting.forget(local.settings, local.env, wanted)
        except FarthingError as problem:
            self._note(who, "cache.purge", subject, {**said, "failed": problem.message})
            raise
        self._note(who, "cache.purge", subject, {**said, "entries": gone})
        return CacheDone(entries=gone, dry_run=False)

    def _note(self, who: Who, action: str, subject: str, after: Mapping[str, object]) -> None:
        self._audit.note(Change(actor=who.actor, at=self._clock()), action, subject, after=after)

    def _owns(self, who: Who, local: Local, said: CacheFeedback) -> bool:
        """Whether an entry is known to be of somebody's tenant: they asked first, or only they can get it."""
        entry = said.entry.lower()
        if forgetting.would_forget(local.settings, local.env, Purge(entry=entry, scope=_fields(who.scope))):
            return True
        return any(hit.entry == entry and hit.question == said.question for hit in self.hits(who, limit=MOST_HITS).rows)


def _purge(who: Who, what: CachePurge) -> Purge:
    """What is asked, within the asker's tenant. Raises ``InputError``, ``DeniedError``."""
    scope = dict(what.scope)
    for name, value in scope.items():
        if name not in _SCOPE:
            raise InputError("not a field of a scope", field="scope", value=name, remedy=f"Use {', '.join(_SCOPE)}")
        if not value:
            raise InputError("no value", field=f"scope.{name}", value="", remedy=f"Name a {name}, or leave it out")
    named = bool(what.entry or what.namespace or what.epoch or scope)
    if named is what.everything:
        raise InputError(
            "it has to say either what is forgotten, or everything",
            field="everything",
            value=str(what.everything).lower(),
            remedy="Name an entry, a namespace, an epoch or a scope, or set everything and nothing else",
        )
    for name, value in _fields(who.scope).items():
        if scope.setdefault(name, value) != value:
            raise DeniedError(
                f"What the {name} {scope[name]!r} asked is not yours to forget", reason="tenant",
                remedy=f"Leave {name} out: it is {value!r} then",
            )  # fmt: skip
    return Purge(entry=(what.entry or "").lower(), namespace=what.namespace, epoch=what.epoch, scope=scope)


def _namespaces(
    settings: Settings, sums: Mapping[str, CacheSums], state: "State | None", *, confined: bool
) -> tuple[NamespaceView, ...]:
    """Those of the settings and those that requests were in, the busiest first; for a tenant only the latter."""
    known = {DEFAULT: NamespaceSettings(), **settings.cache.namespaces}
    names = list(sums) if confined else list({**dict.fromkeys(known), **sums})
    views = [
        _namespace(name, known.get(name), sums.get(name, _NOTHING), state, confined=confined) for name in names
    ]  # fmt: skip
    return tuple(sorted(views, key=lambda view: (-view.sums.requests, view.name)))


def _namespace(
    name: str, rules: NamespaceSettings | None, sums: CacheSums, state: "State | None", *, confined: bool
) -> NamespaceView:
    measured = state.namespaces.get(name) if state is not None else None
    return NamespaceView(
        name=name,
        exact=rules.exact if rules else None,
        semantic=rules.semantic if rules else None,
        embeddings=rules.embeddings if rules else None,
        policy=rules.policy if rules and rules.semantic != "off" else "",
        sums=sums,
        net=less(sums.saved, sums.checking),
        standing=_standing(measured.standing, confined=confined) if measured else None,
        entries=measured.entries if measured and not confined else None,
    )


def _standing(standing: "Standing", *, confined: bool) -> StandingView:
    return StandingView(
        wrong=standing.wrong,
        bound=standing.bound,
        target=standing.target,
        threshold=standing.threshold,
        closed=standing.closed,
        labels=None if confined else standing.labels,
    )


def _stores(local: Local, state: "State | None") -> tuple[StoreView, ...]:
    """How much there is of answers, and of questions where the semantic cache says so."""
    limits, held = local.settings.cache, _held(local)
    answers = StoreView(
        name="answers",
        entries=held.entries if held else None,
        bytes=held.bytes if held else None,
        most_entries=None,
        most_bytes=limits.max_bytes,
    )
    if state is None:
        return (answers,)
    questions = StoreView(
        name="questions", entries=state.entries, bytes=state.disk, most_entries=limits.entries, most_bytes=None
    )
    return answers, questions


def _held(local: Local) -> Amount | None:
    """What the store of answers holds; ``None`` when it cannot be reached."""
    try:
        with forgetting.answers(local.settings, local.env) as store:
            return Amount() if store is None else store.amount()
    except UnavailableError:
        return None


def _control(settings: Settings) -> SemanticControl:
    return SemanticControl(settings.cache_socket, timeout=ANSWER_SECONDS)


def _semantic(settings: Settings) -> "tuple[State | None, SemanticView]":
    """What the process says of itself."""
    if not forgetting.compares(settings):
        return None, _OFF
    try:
        with _control(settings) as control:
            state = control.status()
    except UnavailableError as problem:
        return None, _away(problem)
    return state, _running(state)


def _running(state: "State") -> SemanticView:
    return SemanticView(state="running", problem="", remedy="", embedding=state.embedding, judging=state.judging)


def _away(problem: UnavailableError) -> SemanticView:
    return SemanticView(state="away", problem=problem.message, remedy=problem.remedy, embedding="", judging=0)


def _less_told(view: SemanticView) -> SemanticView:
    """For a tenant: whether it runs, and nothing of what runs."""
    return msgspec.structs.replace(view, embedding="", judging=0)


def _own_hits(control: SemanticControl, who: Who, namespace: str, limit: int) -> "list[Hit]":
    own = _fields(who.scope)
    tenant = next((f"{name}={value}" for name, value in own.items()), "")
    rows = control.recent(tenant=tenant, namespace=namespace, limit=limit)
    return [hit for hit in rows if own.items() <= _tenant(hit.tenant).items()]


def _tenant(text: str) -> dict[str, str]:
    """The scope fields that a hit and what it matched have in common; nothing where they cannot be read."""
    try:
        return dict(msgspec.json.decode(text, type=list[tuple[str, str]]))
    except msgspec.MsgspecError:
        return {}


def _hit(hit: "Hit") -> CacheHit:
    shared = {name: value for name, value in _tenant(hit.tenant).items() if value}
    return CacheHit(
        at=datetime.fromtimestamp(hit.at, UTC),
        namespace=hit.namespace,
        who={**shared, **({"user": hit.user} if hit.user else {})},
        question=hit.question,
        matched=hit.matched,
        entry=hit.key.hex(),
        probability=hit.probability,
        similarity=hit.similarity,
        saved=_amount(hit.saved),
        wrong=hit.wrong,
    )


def _amount(text: str) -> Decimal | None:
    try:
        return Decimal(text) if text else None
    except InvalidOperation:
        return None


def _fields(scope: Scope) -> dict[str, str]:
    return {name: value for name, value in msgspec.structs.asdict(scope).items() if value}


_NOTHING = CacheSums(
    requests=0, hits=0, hit_rate=None, exact=0, semantic=0, embeddings=0, would=0, sampled=0, missed=0, skipped=0,
    saved=Decimal(0), checking=Decimal(0), unpriced=0, would_save=Decimal(0), would_unpriced=0,
)  # fmt: skip
"""A namespace without requests in the window."""


__all__ = ["CacheDesk"]
