"""Limits as people see and change them: what was set, what was counted, and what the ledger says, side by side."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any, cast

import msgspec

from farthing.app.reckoning import Reckoning, Sum, each
from farthing.app.standing import (
    Count,
    Said,
    by_limit,
    change_said,
    fullest,
    limit_view,
    notice_view,
    pot_view,
    said,
    scope_of,
    spender,
    unit_of,
)
from farthing.core.decode import convert
from farthing.core.errors import NotFoundError
from farthing.core.limits import EACH, Limit, Measure
from farthing.core.nouns import Scope
from farthing.core.time import Window
from farthing.governance import pacing
from farthing.governance.alerts import TargetSettings
from farthing.governance.approvals import commitment
from farthing.governance.gate import Act, Doer, Gate
from farthing.governance.roles import Role, Who
from farthing.web.limits import (
    Breakdown,
    BudgetDetail,
    BudgetsAnswer,
    BudgetView,
    LimitView,
    NoticesAnswer,
    TargetView,
)

if TYPE_CHECKING:
    from farthing.state.notices import Notice
    from farthing.state.pots import Pot
    from farthing.state.store import Store

POTS_LISTED = 20
POTS_SHOWN = 100
"""The most pots of one limit, in the list of all limits and on its own page."""

NOTICES_SHOWN = 20
SPENDERS_SHOWN = 10

_BREAKDOWNS = ("team", "project", "feature", "user", "key", "model")
_WORST: Sequence[pacing.Status] = ("ok", "warn", "at risk", "over")


class BudgetDesk:
    """Limits for the API and the command line. What changes them goes through the gate."""

    def __init__(
        self,
        store: "Store",
        reckoning: Reckoning,
        gate: Gate,
        *,
        clock: Callable[[], datetime],
        zone: Callable[[], str] = lambda: "UTC",
        targets: Callable[[], Sequence[TargetSettings]] = tuple,
    ) -> None:
        self._store = store
        self._reckoning = reckoning
        self._gate = gate
        self._clock = clock
        self._zone = zone
        self._targets = targets

    def all(self, who: Who) -> BudgetsAnswer:
        """Every limit that this person may see, the worst first."""
        now = self._clock()
        limits = [limit for limit in self._store.limits.list() if who.owns(scope_of(limit))]
        pots = by_limit(self._store.pots.list(now, [limit.id for limit in limits])) if limits else {}
        rows = [self._view(limit, pots.get(limit.id, ()), now, POTS_LISTED) for limit in limits]
        rows.sort(key=lambda row: (-_WORST.index(row.status), -fullest(row), row.limit.name))
        return BudgetsAnswer(now=now, through=self._reckoning.through(), rows=tuple(rows))

    def one(self, who: Who, ref: str) -> BudgetDetail:
        """One limit, and who and what used it."""
        now, limit = self._clock(), self._found(who, ref)
        pots = self._store.pots.list(now, [limit.id])
        about = [
            notice_view(n) for n in self._store.notices.list(limit=1000) if dict(n.body).get("limit") == limit.id
        ]  # fmt: skip
        return BudgetDetail(
            now=now,
            through=self._reckoning.through(),
            budget=self._view(limit, pots, now, POTS_SHOWN),
            breakdowns=tuple(self._breakdowns(limit, now)),
            notices=tuple(about[:NOTICES_SHOWN]),
        )

    def create(self, who: Who, fields: Mapping[str, Any]) -> LimitView:
        """A new limit. Raises ``InputError``, ``DeniedError``, ``ConflictError``, ``ApprovalNeededError``."""
        given: dict[str, Any] = {"id": "", "zone": self._zone(), **fields}
        limit = Limit(**given)
        payload = {"limit": msgspec.to_builtins(limit)}
        return _shown(self._do(who, _act("limit.create", None, limit, payload, f"Set {said(limit)}")))

    def change(self, who: Who, ref: str, fields: Mapping[str, Any]) -> LimitView:
        """Change some fields. A limit that then lets more be spent is raised, which others may have to agree to."""
        old = self._found(who, ref)
        new = msgspec.structs.replace(old, **fields)
        if new == old:
            return limit_view(old)
        who.must_own(scope_of(new), f"The scope of limit {new.name}")
        name = "limit.change" if commitment(old, new) is None else "limit.raise"
        plain: dict[str, Any] = msgspec.to_builtins(new)
        payload = {"id": old.id, "fields": {field: plain[field] for field in fields}}
        return _shown(self._do(who, _act(name, old, new, payload, change_said(old, new))))

    def remove(self, who: Who, ref: str) -> None:
        """End a limit."""
        old = self._found(who, ref)
        self._do(who, _act("limit.remove", old, None, {"id": old.id}, f"Remove {said(old)}"))

    def notices(self, who: Who, *, limit: int) -> NoticesAnswer:
        """Who was told what. Somebody who is confined sees what is about limits of their own."""
        found = [n for n in self._store.notices.list(limit=limit) if who.scope == Scope() or _is_about(who, n)]
        targets = [
            TargetView(name=t.label, url=t.url, events=t.events, min_severity=t.min_severity) for t in self._targets()
        ]
        unconfined = tuple(targets) if who.scope == Scope() else ()
        return NoticesAnswer(rows=tuple(map(notice_view, found)), targets=unconfined)

    def _do(self, who: Who, act: Act) -> Mapping[str, Any]:
        who.must_own(act.scope, f"The scope of limit {act.subject}")
        return cast("Mapping[str, Any]", self._gate.do(who, act))

    def _found(self, who: Who, ref: str) -> Limit:
        """A limit that this person may see; others' do not exist for them. Raises ``NotFoundError``."""
        own = [limit for limit in self._store.limits.list() if who.owns(scope_of(limit))]
        for limit in own:
            if ref in (limit.id, limit.name):
                return limit
        raise NotFoundError("limit", ref, known=[limit.name for limit in own], remedy="farthing budget list shows them")

    def _view(self, limit: Limit, pots: Iterable["Pot"], now: datetime, most: int) -> BudgetView:
        """A limit with its pots of the present span, the fullest first. One that nobody used has an empty pot."""
        window = pacing.present(limit, now)
        counts = sorted(
            (count for count in (Count.of(limit, pot, now) for pot in pots) if count is not None),
            key=lambda count: (-count.used, count.subject),
        )
        if not counts and not each(limit):
            counts = [Count()]
        ledger = Said.asked(self._reckoning, limit, window, now)
        views = [pot_view(limit, window, count, ledger, now) for count in counts[:most]]
        worst = max((_WORST.index(view.status) for view in views), default=0)
        return BudgetView(
            limit=limit_view(limit),
            unit=unit_of(limit),
            status=_WORST[worst],
            pots=tuple(views),
            pots_matching=len(counts),
        )

    def _breakdowns(self, limit: Limit, now: datetime) -> Iterable[Breakdown]:
        """By every field that the limit's scope leaves open."""
        if limit.measure is Measure.PARALLEL:
            return
        window = Window(start=pacing.present(limit, now).start, end=now)
        for name in _BREAKDOWNS:
            if limit.scope.get(name, EACH) != EACH:
                continue
            found = self._reckoning.split(limit, window, name)
            whole = sum(found.values(), Sum()).amount
            rows = sorted(found.items(), key=lambda pair: (-pair[1].amount, pair[0]))[:SPENDERS_SHOWN]
            if any(key for key, _ in rows):
                yield Breakdown(by=name, rows=tuple(spender(key, part, whole) for key, part in rows))


def doers(store: "Store") -> dict[str, Doer]:
    """How acts on limits are carried out, by the name of the act, for the gate."""
    from farthing.state.audit import Change
    from farthing.state.limits import public

    def create(payload: Mapping[str, Any], actor: str, at: datetime) -> Mapping[str, Any]:
        return public(store.limits.create(Change(actor=actor, at=at), convert(payload["limit"], Limit, what="limit")))

    def change(payload: Mapping[str, Any], actor: str, at: datetime) -> Mapping[str, Any]:
        old, fields = store.limits.get(payload["id"]), payload["fields"]
        new = convert({**public(old), **fields}, Limit, what="limit")
        changed = {name: getattr(new, name) for name in fields}
        return public(store.limits.change(Change(actor=actor, at=at), old.id, **changed))

    def remove(payload: Mapping[str, Any], actor: str, at: datetime) -> Mapping[str, Any]:
        return public(store.limits.remove(Change(actor=actor, at=at), payload["id"]))

    return {"limit.create": create, "limit.change": change, "limit.raise": change, "limit.remove": remove}


class OpenGate:
    """A gate that does everything at once: whoever can write the state store directly needs nobody's leave."""

    def __init__(self, doers: Mapping[str, Doer], clock: Callable[[], datetime]) -> None:
        self._doers = doers
        self._clock = clock

    def do(self, who: Who, act: Act) -> Any:
        """Carry it out."""
        return self._doers[act.name](act.payload, who.actor, self._clock())


def local_admin(actor: str) -> Who:
    """Who uses the command line on the machine that keeps the state store."""
    return Who(actor=actor, role=Role.ADMIN)


def _shown(result: Mapping[str, Any]) -> LimitView:
    return limit_view(convert(result, Limit, what="limit"))


def _act(name: str, old: Limit | None, new: Limit | None, payload: Mapping[str, Any], summary: str) -> Act:
    """``old`` is what holds until then, ``new`` what is to hold; ``None`` where there is none."""
    about = old or new
    assert about is not None  # noqa: S101 - one of them is always there
    category = about.scope.get("category", "")
    return Act(
        name=name,
        subject=about.id or about.name,
        summary=summary,
        payload={**payload, "before": msgspec.to_builtins(old), "after": msgspec.to_builtins(new)},
        scope=scope_of(about),
        category="" if category == EACH else category,
        amount=commitment(old, new),
    )


def _is_about(who: Who, notice: "Notice") -> bool:
    """Whether a notice is about a limit of somebody's tenant."""
    scope: Any = notice.body.get("scope")
    fields = Scope.__struct_fields__
    if not isinstance(scope, dict):
        return False
    named = cast("dict[str, str]", scope)
    return who.owns(Scope(**{name: value for name, value in named.items() if name in fields and value != EACH}))


__all__ = ["BudgetDesk", "OpenGate", "doers", "local_admin"]
