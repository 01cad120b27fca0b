"""Which accounts a request falls under."""

import itertools
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import UTC, datetime

import msgspec

from farthing.core.leases import PotName
from farthing.core.limits import Limit, Measure
from farthing.core.nouns import Scope
from farthing.gateway.limits.account import Account, Tally
from farthing.gateway.limits.hold import Group
from farthing.gateway.ports import Call

FOREVER = datetime(1970, 1, 1, tzinfo=UTC)
"""Where a span without beginning is said to begin."""

_NEVER = datetime.max.replace(tzinfo=UTC)
_MOST_GROUPS = 20_000

_Kind = tuple[Scope, str, str]


class Book:
    """The accounts of one worker, found by who asks for what. Groups of accounts are kept until a span is over."""

    def __init__(self, limits: Iterable[Limit], tally: Tally, clock: Callable[[], float]) -> None:
        self.limits: tuple[Limit, ...] = tuple(limits)
        self._tally = tally
        self._clock = clock
        self._turns = itertools.count(1)
        self._accounts: dict[PotName, Account] = {}
        self._groups: dict[_Kind, Group | None] = {}
        self._checked = _NEVER

    def __iter__(self) -> Iterator[Account]:
        return iter(self._accounts.values())

    def __len__(self) -> int:
        return len(self._accounts)

    def use(self, limits: Iterable[Limit]) -> None:
        """Go by these limits from now on. Slices of those that are gone are given back like those of past spans."""
        self.limits = tuple(limits)
        known = {limit.id: limit for limit in self.limits}
        for account in self._accounts.values():
            limit = known.get(account.limit.id)
            if limit is None:
                account.ends = FOREVER
            elif limit != account.limit:
                account.follow(limit)
        self._groups.clear()

    def group(self, call: Call, at: datetime) -> Group | None:
        """The accounts of a call at some time, opened where they are new; ``None`` when no limit is about it."""
        if not self.limits:
            return None
        caller = call.caller
        kind = (caller.scope, call.model, call.labels.get("category", ""))
        try:
            group = self._groups[kind]
        except KeyError:
            group = self._open(kind, at)
        if at >= (self._checked if group is None else group.until):
            self._groups.clear()
            group = self._open(kind, at)
        return group

    def drop(self, account: Account) -> None:
        """Forget an account that is closed."""
        self._groups.clear()
        self._accounts.pop(account.pot, None)
        self._tally.leave(account.room)
        account.close()

    def _open(self, kind: _Kind, at: datetime) -> Group | None:
        scope, model, category = kind
        who: Mapping[str, str] = {**msgspec.structs.asdict(scope), "model": model, "category": category}
        found: list[Account] = []
        for limit in self.limits:
            subject = limit.subject(who)
            if subject is not None:
                account = self._account(limit, subject, at)
                if account is not None:
                    found.append(account)
        if len(self._groups) >= _MOST_GROUPS:
            self._groups.clear()
        starts = (limit.window.start for limit in self.limits)
        self._checked = min((start for start in starts if start is not None and start > at), default=_NEVER)
        group = self._groups[kind] = _grouped(found, self._checked) if found else None
        return group

    def _account(self, limit: Limit, subject: str, at: datetime) -> Account | None:
        """The account of a limit's pot now; ``None`` before and after the window of one that exists once."""
        window = limit.opened(at)
        if at not in window:
            return None
        name = (limit.id, subject, window.start or FOREVER)
        account = self._accounts.get(name)
        if account is None:
            account = Account(limit, name, window.end, next(self._turns), self._tally, now=self._clock())
            self._accounts[name] = account
        return account


def _grouped(accounts: list[Account], until: datetime) -> Group:
    hard = tuple(account for account in accounts if account.hard)
    known: frozenset[str] | None = None
    for account in hard:
        if account.measure is Measure.COST:
            known = account.limit.unpriced if known is None else known & account.limit.unpriced
    return Group(
        until=min([until, *(account.ends for account in accounts if account.ends is not None)]),
        cost=tuple(account for account in accounts if account.measure is Measure.COST),
        tokens=tuple(account for account in accounts if account.measure is Measure.TOKENS),
        requests=tuple(account for account in accounts if account.measure is Measure.REQUESTS),
        parallel=tuple(account for account in accounts if account.measure is Measure.PARALLEL),
        hard=hard,
        known=known,
    )
