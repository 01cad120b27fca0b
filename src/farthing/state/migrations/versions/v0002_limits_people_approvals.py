"""Limits and their pots, people, secrets, approvals and notices."""

import sqlalchemy as sa
from alembic import op  # noqa: TID253 - only Alembic imports this file

revision = "0002"
down_revision = "0001"

_MOMENT = sa.DateTime(timezone=True)
_NUMBER = sa.BigInteger().with_variant(sa.Integer, "sqlite")


def upgrade() -> None:
    """What hard limits, approvals and roles need."""
    op.add_column("audit", sa.Column("hash", sa.String(64), nullable=False, server_default=""))
    op.add_column("keys", sa.Column("category", sa.String(64), nullable=False, server_default=""))
    _limits()
    _people()


def _limits() -> None:
    op.create_table(
        "limits",
        sa.Column("id", sa.String(32), primary_key=True),
        sa.Column("name", sa.String(200), nullable=False),
        sa.Column("spec", sa.JSON, nullable=False),
        sa.Column("pieces", sa.BigInteger, nullable=False),
        sa.Column("hard", sa.Boolean, nullable=False),
        sa.Column("created", _MOMENT, nullable=False),
        sa.Column("removed", _MOMENT),
    )
    op.create_table(
        "pots",
        sa.Column("id", _NUMBER, primary_key=True, autoincrement=True),
        sa.Column("limit_id", sa.String(32), sa.ForeignKey("limits.id"), nullable=False),
        sa.Column("subject", sa.String(400), nullable=False),
        sa.Column("starts", _MOMENT, nullable=False),
        sa.Column("ends", _MOMENT),
        sa.Column("used", sa.BigInteger, nullable=False),
        sa.Column("doubt", sa.BigInteger, nullable=False),
        sa.Column("leased", sa.BigInteger, nullable=False),
        sa.Column("seeded", sa.BigInteger),
        sa.Column("wanted", _MOMENT),
        sa.UniqueConstraint("limit_id", "subject", "starts"),
    )
    op.create_table(
        "leases",
        sa.Column("holder", sa.String(100), primary_key=True),
        sa.Column("turn", sa.BigInteger, primary_key=True),
        sa.Column("pot_id", sa.BigInteger, sa.ForeignKey("pots.id"), nullable=False),
        sa.Column("granted", sa.BigInteger, nullable=False),
        sa.Column("spent", sa.BigInteger, nullable=False),
        sa.Column("doubt", sa.BigInteger, nullable=False),
        sa.Column("message", sa.BigInteger, nullable=False),
        sa.Column("renewed", _MOMENT, nullable=False),
    )
    op.create_index("leases_pot", "leases", ["pot_id"])
    op.create_table(
        "rolled",
        sa.Column("pot_id", sa.BigInteger, sa.ForeignKey("pots.id"), primary_key=True),
        sa.Column("slot", sa.BigInteger, primary_key=True),
        sa.Column("used", sa.BigInteger, nullable=False),
    )
    op.create_table(
        "batches",
        sa.Column("id", sa.String(200), primary_key=True),
        sa.Column("provider", sa.String(200), nullable=False),
        sa.Column("facts", sa.JSON, nullable=False),
        sa.Column("created", _MOMENT, nullable=False),
        sa.Column("settled", _MOMENT),
        sa.Column("kind", sa.String(16), nullable=False),
        sa.Column("owner", sa.String(64), nullable=False),
        sa.Index("batches_owner", "owner", "kind", "created"),
    )


def _people() -> None:
    op.create_table(
        "people",
        sa.Column("id", sa.String(32), primary_key=True),
        sa.Column("email", sa.String(320), nullable=False, unique=True),
        sa.Column("name", sa.String(200), nullable=False),
        sa.Column("role", sa.String(32), nullable=False),
        sa.Column("scope", sa.JSON, nullable=False),
        sa.Column("duties", sa.JSON, nullable=False),
        sa.Column("password", sa.String(400)),
        sa.Column("subject", sa.String(400), unique=True),
        sa.Column("created", _MOMENT, nullable=False),
        sa.Column("disabled", _MOMENT),
        sa.Column("last_seen", _MOMENT),
    )
    op.create_table(
        "sessions",
        sa.Column("hash", sa.String(64), primary_key=True),
        sa.Column("person", sa.String(32), sa.ForeignKey("people.id"), nullable=False),
        sa.Column("kind", sa.String(16), nullable=False),
        sa.Column("name", sa.String(200), nullable=False),
        sa.Column("created", _MOMENT, nullable=False),
        sa.Column("expires", _MOMENT, nullable=False),
        sa.Column("revoked", _MOMENT),
    )
    op.create_table(
        "secrets",
        sa.Column("name", sa.String(200), primary_key=True),
        sa.Column("sealed", sa.Text, nullable=False),
        sa.Column("sealed_by", sa.String(64), nullable=False),
        sa.Column("created", _MOMENT, nullable=False),
        sa.Column("changed", _MOMENT, nullable=False),
    )
    op.create_table(
        "approvals",
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
        sa.Column("asked", _MOMENT, nullable=False),
        sa.Column("expires", _MOMENT, nullable=False),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("tries", sa.Integer, nullable=False),
        sa.Column("begun", _MOMENT),
        sa.Column("closed", _MOMENT),
        sa.Column("result", sa.JSON),
    )
    op.create_index("approvals_state", "approvals", ["state", "asked"])
    op.create_index("approvals_digest", "approvals", ["digest"])
    op.create_table(
        "votes",
        sa.Column("approval", sa.String(32), sa.ForeignKey("approvals.id"), primary_key=True),
        sa.Column("person", sa.String(200), primary_key=True),
        sa.Column("name", sa.String(200), nullable=False),
        sa.Column("verdict", sa.String(16), nullable=False),
        sa.Column("comment", sa.String(2000), nullable=False),
        sa.Column("at", _MOMENT, nullable=False),
    )
    op.create_table(
        "notices",
        sa.Column("id", _NUMBER, primary_key=True, autoincrement=True),
        sa.Column("same", sa.String(300), nullable=False, unique=True),
        sa.Column("kind", sa.String(64), nullable=False),
        sa.Column("severity", sa.String(16), nullable=False),
        sa.Column("title", sa.String(300), nullable=False),
        sa.Column("body", sa.JSON, nullable=False),
        sa.Column("raised", _MOMENT, nullable=False),
    )
    op.create_table(
        "deliveries",
        sa.Column("notice", sa.BigInteger, sa.ForeignKey("notices.id"), primary_key=True),
        sa.Column("target", sa.String(200), primary_key=True),
        sa.Column("due", _MOMENT),
        sa.Column("attempts", sa.Integer, nullable=False),
        sa.Column("delivered", _MOMENT),
        sa.Column("error", sa.String(1000), nullable=False),
    )
    op.create_index("deliveries_due", "deliveries", ["due"])
