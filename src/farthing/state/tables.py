"""The tables of what changes. Migrations build them; this is how the code names them.

Times are stored in UTC and come back aware. ``audit`` is append-only: triggers refuse anything else.
"""

from datetime import UTC, datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.types import TypeDecorator


class Instant(TypeDecorator[datetime]):
    """A moment. SQLite keeps no zone, so UTC is written and read."""

    impl = sa.DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Any) -> datetime | None:
        """The moment in UTC."""
        _ = dialect
        return None if value is None else value.astimezone(UTC)

    def process_result_value(self, value: datetime | None, dialect: Any) -> datetime | None:
        """The moment, aware."""
        _ = dialect
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


metadata = sa.MetaData()

keys = sa.Table(
    "keys",
    metadata,
    sa.Column("id", sa.String(32), primary_key=True),
    sa.Column("hash", sa.String(64), nullable=False, unique=True),
    sa.Column("prefix", sa.String(16), nullable=False),
    sa.Column("name", sa.String(200), nullable=False),
    sa.Column("scope", sa.JSON, nullable=False),
    sa.Column("models", sa.JSON, nullable=False),
    sa.Column("category", sa.String(64), nullable=False),
    sa.Column("created", Instant, nullable=False),
    sa.Column("expires", Instant),
    sa.Column("revoked", Instant),
    sa.Column("rotated_from", sa.String(32), sa.ForeignKey("keys.id")),
    sa.Column("last_used", Instant),
)

settings = sa.Table(
    "settings",
    metadata,
    sa.Column("name", sa.String(200), primary_key=True),
    sa.Column("value", sa.JSON, nullable=False),
    sa.Column("changed", Instant, nullable=False),
)

providers = sa.Table(
    "providers",
    metadata,
    sa.Column("name", sa.String(200), primary_key=True),
    sa.Column("settings", sa.JSON, nullable=False),
    sa.Column("created", Instant, nullable=False),
)

audit = sa.Table(
    "audit",
    metadata,
    sa.Column("number", sa.Integer, primary_key=True, autoincrement=True),
    sa.Column("at", Instant, nullable=False),
    sa.Column("actor", sa.String(200), nullable=False),
    sa.Column("action", sa.String(64), nullable=False),
    sa.Column("subject", sa.String(200), nullable=False),
    sa.Column("before", sa.JSON),
    sa.Column("after", sa.JSON),
    sa.Column("hash", sa.String(64), nullable=False),
    sa.Index("audit_subject", "subject", "number"),
)
"""``hash`` chains the entries: see ``state.audit``. Empty in entries older than the chain."""

limits = sa.Table(
    "limits",
    metadata,
    sa.Column("id", sa.String(32), primary_key=True),
    sa.Column("name", sa.String(200), nullable=False),
    sa.Column("spec", sa.JSON, nullable=False),
    sa.Column("pieces", sa.BigInteger, nullable=False),
    sa.Column("hard", sa.Boolean, nullable=False),
    sa.Column("created", Instant, nullable=False),
    sa.Column("removed", Instant),
)
"""Budgets and quotas. ``pieces`` and ``hard`` repeat what ``spec`` says, for leasing."""

pots = sa.Table(
    "pots",
    metadata,
    sa.Column("id", sa.BigInteger().with_variant(sa.Integer, "sqlite"), primary_key=True, autoincrement=True),
    sa.Column("limit_id", sa.String(32), sa.ForeignKey("limits.id"), nullable=False),
    sa.Column("subject", sa.String(400), nullable=False),
    sa.Column("starts", Instant, nullable=False),
    sa.Column("ends", Instant),
    sa.Column("used", sa.BigInteger, nullable=False),
    sa.Column("doubt", sa.BigInteger, nullable=False),
    sa.Column("leased", sa.BigInteger, nullable=False),
    sa.Column("seeded", sa.BigInteger),
    sa.Column("wanted", Instant),
    sa.UniqueConstraint("limit_id", "subject", "starts"),
)
"""What of a limit was used in one span by one subject. ``used`` is settled, of which ``doubt`` was charged at its worst
case because nobody knows what the provider billed; ``leased`` is what holders have and have not reported as used.
``seeded`` comes from the ledger: what was used before the limit began to count, NULL until that is known. ``wanted``:
until then somebody waits for slices to come back."""

leases = sa.Table(
    "leases",
    metadata,
    sa.Column("holder", sa.String(100), primary_key=True),
    sa.Column("turn", sa.BigInteger, primary_key=True),
    sa.Column("pot_id", sa.BigInteger, sa.ForeignKey("pots.id"), nullable=False),
    sa.Column("granted", sa.BigInteger, nullable=False),
    sa.Column("spent", sa.BigInteger, nullable=False),
    sa.Column("doubt", sa.BigInteger, nullable=False),
    sa.Column("message", sa.BigInteger, nullable=False),
    sa.Column("renewed", Instant, nullable=False),
    sa.Index("leases_pot", "pot_id"),
)
"""A holder's slices of pots: ``granted`` and ``spent`` are totals over the life of the slice, ``message`` numbers the
last message that was heard about it."""

rolled = sa.Table(
    "rolled",
    metadata,
    sa.Column("pot_id", sa.BigInteger, sa.ForeignKey("pots.id"), primary_key=True),
    sa.Column("slot", sa.BigInteger, primary_key=True),
    sa.Column("used", sa.BigInteger, nullable=False),
)
"""When a rolling pot's use was reported, in sixtieths of its span, so that it can fall out of it again."""

batches = sa.Table(
    "batches",
    metadata,
    sa.Column("id", sa.String(200), primary_key=True),
    sa.Column("provider", sa.String(200), nullable=False),
    sa.Column("facts", sa.JSON, nullable=False),
    sa.Column("created", Instant, nullable=False),
    sa.Column("settled", Instant),
    sa.Column("kind", sa.String(16), nullable=False),
    sa.Column("owner", sa.String(64), nullable=False),
    sa.Index("batches_owner", "owner", "kind", "created"),
)
"""Batches, files and orders (of batches that no provider has confirmed yet): who owns them, by a digest of the key's
scope, and what they were charged, until they are settled."""

people = sa.Table(
    "people",
    metadata,
    sa.Column("id", sa.String(32), primary_key=True),
    sa.Column("email", sa.String(320), nullable=False, unique=True),
    sa.Column("name", sa.String(200), nullable=False),
    sa.Column("role", sa.String(32), nullable=False),
    sa.Column("scope", sa.JSON, nullable=False),
    sa.Column("duties", sa.JSON, nullable=False),
    sa.Column("password", sa.String(400)),
    sa.Column("subject", sa.String(400), unique=True),
    sa.Column("created", Instant, nullable=False),
    sa.Column("disabled", Instant),
    sa.Column("last_seen", Instant),
)
"""Who may use the control plane. ``scope`` is the tenant they are confined to, ``duties`` the approvals they may give,
``password`` a salted scrypt hash, ``subject`` their issuer and id at the identity provider."""

sessions = sa.Table(
    "sessions",
    metadata,
    sa.Column("hash", sa.String(64), primary_key=True),
    sa.Column("person", sa.String(32), sa.ForeignKey("people.id"), nullable=False),
    sa.Column("kind", sa.String(16), nullable=False),
    sa.Column("name", sa.String(200), nullable=False),
    sa.Column("created", Instant, nullable=False),
    sa.Column("expires", Instant, nullable=False),
    sa.Column("revoked", Instant),
)
"""Logins and service tokens, by the SHA-256 of what the holder has."""

secrets = sa.Table(
    "secrets",
    metadata,
    sa.Column("name", sa.String(200), primary_key=True),
    sa.Column("sealed", sa.Text, nullable=False),
    sa.Column("sealed_by", sa.String(64), nullable=False),
    sa.Column("created", Instant, nullable=False),
    sa.Column("changed", Instant, nullable=False),
)
"""Secrets, each sealed with a key of its own, which is sealed with the envelope key named by ``sealed_by``."""

approvals = sa.Table(
    "approvals",
    metadata,
    sa.Column("id", sa.String(32), primary_key=True),
    sa.Column("action", sa.String(64), nullable=False),
    sa.Column("subject", sa.String(200), nullable=False),
    sa.Column("summary", sa.String(500), nullable=False),
    sa.Column("category", sa.String(64), nullable=False),
    sa.Column("amount", sa.String(40)),
    sa.Column("scope", sa.JSON, nullable=False),
    sa.Column("payload", sa.JSON, nullable=False),
    sa.Column("digest", sa.String(64), nullable=False),
    sa.Column("collected", sa.Boolean, nullable=False),
    sa.Column("duty", sa.String(64), nullable=False),
    sa.Column("instead", sa.JSON, nullable=False),
    sa.Column("wanted", sa.Integer, nullable=False),
    sa.Column("reason", sa.String(500), nullable=False),
    sa.Column("asker", sa.String(200), nullable=False),
    sa.Column("asked_by", sa.String(200), nullable=False),
    sa.Column("asked", Instant, nullable=False),
    sa.Column("expires", Instant, nullable=False),
    sa.Column("state", sa.String(16), nullable=False),
    sa.Column("tries", sa.Integer, nullable=False),
    sa.Column("begun", Instant),
    sa.Column("closed", Instant),
    sa.Column("result", sa.JSON),
    sa.Index("approvals_state", "state", "asked"),
    sa.Index("approvals_digest", "digest"),
)
"""What somebody has to agree to. ``digest`` says what was asked, ``asker`` the person who asked and ``asked_by`` their
name; any of the duties ``duty`` and ``instead`` may agree, ``wanted`` people of them. ``collected``: the asker fetches
the result in person. ``tries`` and ``begun`` are of carrying it out."""

votes = sa.Table(
    "votes",
    metadata,
    sa.Column("approval", sa.String(32), sa.ForeignKey("approvals.id"), primary_key=True),
    sa.Column("person", sa.String(200), primary_key=True),
    sa.Column("name", sa.String(200), nullable=False),
    sa.Column("verdict", sa.String(16), nullable=False),
    sa.Column("comment", sa.String(2000), nullable=False),
    sa.Column("at", Instant, nullable=False),
)

notices = sa.Table(
    "notices",
    metadata,
    sa.Column("id", sa.BigInteger().with_variant(sa.Integer, "sqlite"), primary_key=True, autoincrement=True),
    sa.Column("same", sa.String(300), nullable=False, unique=True),
    sa.Column("kind", sa.String(64), nullable=False),
    sa.Column("severity", sa.String(16), nullable=False),
    sa.Column("title", sa.String(300), nullable=False),
    sa.Column("body", sa.JSON, nullable=False),
    sa.Column("raised", Instant, nullable=False),
)
"""What somebody is to be told: once per ``same``."""

deliveries = sa.Table(
    "deliveries",
    metadata,
    sa.Column("notice", sa.BigInteger, sa.ForeignKey("notices.id"), primary_key=True),
    sa.Column("target", sa.String(200), primary_key=True),
    sa.Column("due", Instant),
    sa.Column("attempts", sa.Integer, nullable=False),
    sa.Column("delivered", Instant),
    sa.Column("error", sa.String(1000), nullable=False),
    sa.Index("deliveries_due", "due"),
)
"""A notice on its way to one target: tried again at ``due`` until it is delivered. Without both it was given up."""

changes = sa.Table("changes", metadata, sa.Column("number", sa.BigInteger, nullable=False))
"""One row: how many changes were committed. Watching it is how other processes notice one."""
