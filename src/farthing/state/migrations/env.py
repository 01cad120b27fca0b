"""Runs the steps on the connection, and in the transaction, that ``state.schema`` hands over."""

from alembic import context  # noqa: TID253 - only Alembic imports this file

from farthing.state import tables

context.configure(connection=context.config.attributes["connection"], target_metadata=tables.metadata)
context.run_migrations()
