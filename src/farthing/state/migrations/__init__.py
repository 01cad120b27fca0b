"""Alembic migrations of the state store, run when it is opened."""
