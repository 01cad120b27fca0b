"""Requests that may be asked ahead, in the store that all workers share: what recurs, what is scheduled, what is due.

A row is a request: ``ask`` is all that is needed to make it again in its caller's name, ``uses`` the instants at which
it was made. ``due`` is when it is to be asked, 0 for not; ``claimed`` until when a worker has taken it on, so that one
that dies loses nothing but that turn. ``plan`` is the schedule of a stored request, ``problem`` why its last turn
failed. Rows have the columns by which entries are purged, and go with them; ``cache_warmth`` counts purges, so that
what was noted before one is not written after it.
"""

import array
from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal
from typing import Any, Protocol, TypeVar

import msgspec

from farthing.cache.rows import SCOPE
from farthing.cache.schedules import Plan
from farthing.cache.warming import LEAST_DAYS, Pattern, Proposal, days_of, lead, thinned
from farthing.core.nouns import Scope

T = TypeVar("T")

MOST_ASKS = 20_000
"""Requests that are remembered; the one that was not asked for longest goes first."""

MOST_ASK_BYTES = 32 * 1024
"""Longer requests are not asked ahead."""

FORGOTTEN_SECONDS = 8 * 86400.0
"""What nobody asked for so long is not remembered any more."""

CLAIM_SECONDS = 600.0
"""A turn that did not end within it is taken on again. No request of the gateway's takes longer by default."""

LOOKED_AT = 2_000
"""So many requests are judged in one go, the most urgent first."""

_DAY = 86400.0
_COLUMNS = ("id", "key", "namespace", "tenant", "epoch", *(f"of_{name}" for name in SCOPE),
            "made", "since", "used", "days", "ttl", "expires", "renew", "tried", "due", "claimed",
            "cost", "name", "plan", "problem", "uses", "ask")  # fmt: skip

SCHEMA = """
create table if not exists cache_asks (
    id blob primary key, key blob not null, namespace text not null, tenant text not null, epoch text not null,
    of_org text not null, of_team text not null, of_project text not null, of_environment text not null,
    of_feature text not null, of_customer text not null, of_user text not null, of_key text not null,
    made real not null, since real not null, used real not null, days integer not null, ttl real not null,
    expires real not null, renew real not null, tried real not null, due real not null, claimed real not null,
    cost text not null, name text not null, plan text not null, problem text not null,
    uses blob not null, ask blob not null
);
create index if not exists cache_asks_due on cache_asks (due) where due > 0;
create index if not exists cache_asks_renew on cache_asks (renew) where plan = '';
create index if not exists cache_asks_used on cache_asks (used) where plan = '';
create table if not exists cache_renewals (at real not null, cost text not null);
create table if not exists cache_warmth (purges integer not null);
insert into cache_warmth select 0 where not exists (select 1 from cache_warmth);
"""
"""The tables, in SQLite's words."""


def on_postgres(schema: str) -> str:
    """The same tables in Postgres' words."""
    return schema.replace(" blob", " bytea").replace(" real", " float8")


Execute = Callable[[str, Sequence[Any]], list[Any]]
"""Runs a statement with ``?`` as marks, and gives its rows."""


class Transactions(Protocol):
    """A store that runs work in a transaction of its own, or just looks. Raises ``UnavailableError``."""

    def within(self, work: Callable[[Execute], T]) -> T: ...

    def look(self, query: str, values: Sequence[Any]) -> list[Any]: ...


class Ask(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A request as it can be made again: whose key, and what was sent, without the key itself."""

    path: str
    body: bytes
    key_id: str = ""
    headers: tuple[tuple[bytes, bytes], ...] = ()


class Answered(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A request whose answer was kept under ``key``. ``used`` is when somebody asked, 0 where nobody did."""

    key: bytes
    namespace: str
    tenant: str
    epoch: str
    scope: Scope
    made: float
    expires: float
    cost: str
    ask: Ask
    used: float = 0.0


class Noted(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """What a worker has seen since it last said so: requests answered afresh, and when kept answers were used."""

    answered: Mapping[bytes, Answered] = {}
    uses: Mapping[bytes, Sequence[float]] = {}


class Job(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A request to be made now."""

    id: bytes
    ask: Ask
    plan: Plan | None = None


class Done(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """How a job ended. ``key``, ``namespace`` and ``scope`` are those of the entry, empty where none was made.

    ``gone``: it is not to be tried again, because whose request it was may not ask any more.
    """

    key: bytes = b""
    namespace: str = ""
    scope: Scope = Scope()
    problem: str = ""
    gone: bool = False


class Scheduled(msgspec.Struct, frozen=True, kw_only=True):
    """A stored request as people see it."""

    id: str
    name: str
    plan: Plan
    key_id: str
    path: str
    due: float
    tried: float
    problem: str


class Asks:
    """The requests of one store."""

    def __init__(self, store: Transactions) -> None:
        self._store = store

    def purges(self) -> int:
        """How often something was purged."""
        return int(self._store.look("select purges from cache_warmth", ())[0][0])

    def note(self, noted: Noted, now: float, *, since: int) -> bool:
        """Write down what was seen; false when something was purged meanwhile, and nothing was written.

        ``since`` is the count of purges before the first of it was seen.
        """

        def work(execute: Execute) -> bool:
            if _held_purges(execute) != since:
                return False
            for one in noted.answered.values():
                _answered(execute, one, noted.uses.get(one.key, ()), now)
            for key, uses in noted.uses.items():
                if key not in noted.answered:
                    _used(execute, key, uses, now)
            return True

        return self._store.within(work)

    def expiring(self, now: float) -> tuple[Pattern, ...]:
        """Requests whose answer is about to expire."""
        where = f"renew <= ? and expires > ? order by renew limit {LOOKED_AT}"
        return self._patterns(where, (now, now))

    def habitual(self, now: float) -> tuple[Pattern, ...]:
        """Requests whose answer expired, and that were asked on several days."""
        where = f"expires <= ? and days >= ? order by used desc limit {LOOKED_AT}"
        return self._patterns(where, (now, LEAST_DAYS))

    def _patterns(self, where: str, values: Sequence[Any]) -> tuple[Pattern, ...]:
        fields = "id, ttl, since, uses, made, expires, tried, cost"
        query = f"select {fields} from cache_asks where plan = '' and due = 0 and {where}"  # noqa: S608 - fixed
        return tuple(map(_pattern, self._store.look(query, values)))

    def spent(self, now: float) -> tuple[int, Decimal]:
        """Calls made ahead within the last hour, and what those of the last day cost."""
        rows = self._store.look("select at, cost from cache_renewals where at > ?", (now - _DAY,))
        lately = sum(1 for at, _ in rows if at > now - 3600)
        return lately, sum((Decimal(cost) for _, cost in rows), Decimal(0))

    def propose(self, chosen: Sequence[Proposal], now: float) -> int:
        """Make them due; how many were not before. What each is thought to cost counts as spent from now on."""

        def work(execute: Execute) -> int:
            fresh = 0
            for one in chosen:
                query = "update cache_asks set due = ?, tried = ? where id = ? and due = 0 returning id"
                if execute(query, (now, now, one.key)):
                    execute("insert into cache_renewals (at, cost) values (?, ?)", (now, f"{one.cost:f}"))
                    fresh += 1
            return fresh

        return self._store.within(work)

    def claim(self, now: float, most: int) -> tuple[Job, ...]:
        """Take on what is due; nobody else gets it before the claim ends."""
        waiting = "due > 0 and due <= ? and claimed <= ?"
        if not self._store.look(f"select 1 from cache_asks where {waiting} limit 1", (now, now)):  # noqa: S608 - fixed
            return ()
        query = (
            f"update cache_asks set claimed = ? where id in (select id from cache_asks where {waiting}"  # noqa: S608 - fixed
            " order by due limit ?) and claimed <= ? returning id, due, plan, ask, ttl, renew"
        )
        values = (now + CLAIM_SECONDS, now, now, most, now)
        rows = self._store.within(lambda run: run(query, values))
        return tuple(job for row in rows if (job := self._job(row, now)) is not None)

    def end(self, job: Job, done: Done, now: float) -> None:
        """A job is over."""

        def work(execute: Execute) -> None:
            if job.plan is not None:
                _turn_over(execute, job, done, now)
            elif done.gone:
                execute("delete from cache_asks where id = ?", (job.id,))
            else:
                execute("update cache_asks set due = 0, claimed = 0, problem = ? where id = ?", (done.problem, job.id))

        self._store.within(work)

    def schedule(self, jobs: Sequence[Job], *, name: str, scope: Scope, now: float) -> None:
        """Store requests to be asked by a plan, in the place of those of the same name."""

        def work(execute: Execute) -> None:
            execute("delete from cache_asks where plan <> '' and name = ?", (name,))
            for job in jobs:
                if job.plan is not None:
                    row = _row(job.id, job.ask, scope, now=now) | {
                        "name": name, "plan": _JSON.encode(job.plan).decode(), "due": job.plan.next(now),
                    }  # fmt: skip
                    _put(execute, row)

        self._store.within(work)

    def scheduled(self) -> tuple[Scheduled, ...]:
        """All stored requests, by when they are due."""
        query = "select id, name, plan, ask, due, tried, problem from cache_asks where plan <> '' order by due, id"
        return tuple(_scheduled(row) for row in self._store.look(query, ()))

    def unschedule(self, name: str) -> int:
        """Forget the stored requests of a name; how many those were."""
        query = "delete from cache_asks where plan <> '' and name = ? returning id"
        return len(self._store.within(lambda run: run(query, (name,))))

    def forget_old(self, now: float) -> int:
        """Let go of what nobody asks any more, and of what is too much; how many that were."""

        def work(execute: Execute) -> int:
            execute("delete from cache_renewals where at <= ?", (now - _DAY,))
            old = "delete from cache_asks where plan = '' and used < ? returning id"
            gone = len(execute(old, (now - FORGOTTEN_SECONDS,)))
            ((held,),) = execute("select count(*) from cache_asks where plan = ''", ())
            if held > MOST_ASKS:
                rest = "select id from cache_asks where plan = '' order by used limit ?"
                query = f"delete from cache_asks where id in ({rest}) returning id"  # noqa: S608 - fixed
                gone += len(execute(query, (held - MOST_ASKS,)))
            return gone

        return self._store.within(work)

    def _job(self, row: Any, now: float) -> Job | None:
        """The job of a claimed row. A turn that was missed for long is left out, and so is what was asked meanwhile."""
        name, due, plan, ask, ttl, renew = row
        job = Job(id=bytes(name), ask=_ASK.decode(bytes(ask)), plan=_PLAN.decode(plan) if plan else None)
        late = now - due > (LATE_SECONDS if job.plan else max(ttl, CLAIM_SECONDS))
        if not late and (job.plan or renew <= now):
            return job
        self.end(job, Done(problem="missed: nothing ran at its time" if late else ""), now)
        return None


LATE_SECONDS = 3600.0
"""A scheduled turn that was missed for longer, because nothing ran, is left out."""


def purge(execute: Execute, where: str, values: Sequence[Any]) -> None:
    """Remove the requests of purged entries, and void what workers have noted but not written."""
    execute(f"delete from cache_asks where {where}", values)  # noqa: S608 - fixed text, values by mark
    execute("update cache_warmth set purges = purges + 1", ())


def _held_purges(execute: Execute) -> int:
    """The count of purges, which stays as it is until the transaction ends."""
    return int(execute("update cache_warmth set purges = purges returning purges", ())[0][0])


def _answered(execute: Execute, one: Answered, further: Sequence[float], now: float) -> None:
    rows = execute("select since, uses, tried, due, claimed from cache_asks where id = ?", (one.key,))
    first = one.used or now
    since, old, tried, due, claimed = rows[0] if rows else (first, b"", 0.0, 0.0, 0.0)
    uses = thinned((*_unpacked(old), *further, *((one.used,) if one.used else ())), now)
    ttl = one.expires - one.made
    _put(
        execute,
        _row(one.key, one.ask, one.scope, now=one.made)
        | {
            "namespace": one.namespace, "tenant": one.tenant, "epoch": one.epoch, "since": since,
            "used": max(uses, default=first), "days": days_of(uses), "ttl": ttl, "expires": one.expires,
            "renew": one.expires - lead(ttl), "tried": tried, "due": due, "claimed": claimed, "cost": one.cost,
            "uses": _packed(uses),
        },
    )  # fmt: skip


def _used(execute: Execute, key: bytes, further: Sequence[float], now: float) -> None:
    rows = execute("select uses from cache_asks where id = ?", (key,))
    if rows:
        uses = thinned((*_unpacked(rows[0][0]), *further), now)
        query = "update cache_asks set uses = ?, used = ?, days = ? where id = ?"
        execute(query, (_packed(uses), max(uses, default=now), days_of(uses), key))


def _turn_over(execute: Execute, job: Job, done: Done, now: float) -> None:
    """A stored request is due again at its next turn. Its row is purged from now on with the entry that it made."""
    assert job.plan is not None  # noqa: S101 - the caller asked
    fields: dict[str, Any] = {"due": job.plan.next(now), "claimed": 0.0, "tried": now, "problem": done.problem}
    if done.key:
        fields |= {"key": done.key, "namespace": done.namespace, "made": now, **_who(done.scope)}
    marks = ", ".join(f"{name} = ?" for name in fields)
    execute(f"update cache_asks set {marks} where id = ?", (*fields.values(), job.id))  # noqa: S608 - fixed names


def _row(id: bytes, ask: Ask, scope: Scope, *, now: float) -> dict[str, Any]:
    numbers = dict.fromkeys(("used", "ttl", "expires", "renew", "tried", "due", "claimed"), 0.0)
    texts = dict.fromkeys(("namespace", "tenant", "epoch", "cost", "name", "plan", "problem"), "")
    own = {"id": id, "key": id, "made": now, "since": now, "days": 0, "uses": b"", "ask": _PACK.encode(ask)}
    return {**numbers, **texts, **_who(scope), **own}


def _who(scope: Scope) -> dict[str, str]:
    return {f"of_{name}": getattr(scope, name) for name in SCOPE}


def _put(execute: Execute, row: Mapping[str, Any]) -> None:
    execute(_PUT, [row[name] for name in _COLUMNS])


def _pattern(row: Any) -> Pattern:
    key, ttl, since, uses, made, expires, tried, cost = row
    return Pattern(
        key=bytes(key), ttl=ttl, since=since, uses=_unpacked(uses), made=made, expires=expires, tried=tried,
        cost=Decimal(cost) if cost else None,
    )  # fmt: skip


def _scheduled(row: Any) -> Scheduled:
    key, name, plan, packed, due, tried, problem = row
    ask = _ASK.decode(bytes(packed))
    return Scheduled(
        id=bytes(key).hex(), name=name, plan=_PLAN.decode(plan), key_id=ask.key_id, path=ask.path, due=due, tried=tried,
        problem=problem,
    )  # fmt: skip


def _packed(uses: Sequence[float]) -> bytes:
    return array.array("d", uses).tobytes()


def _unpacked(data: bytes) -> tuple[float, ...]:
    return tuple(array.array("d", bytes(data)))


_JSON = msgspec.json.Encoder()
_PLAN = msgspec.json.Decoder(Plan)
_PACK = msgspec.msgpack.Encoder()
_ASK = msgspec.msgpack.Decoder(Ask)
_PUT = (
    f"insert into cache_asks ({', '.join(_COLUMNS)}) values ({', '.join('?' * len(_COLUMNS))})"  # noqa: S608 - fixed
    f" on conflict (id) do update set {', '.join(f'{name} = excluded.{name}' for name in _COLUMNS[1:])}"
)
