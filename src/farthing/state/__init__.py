"""What changes: keys, settings, providers. SQLAlchemy Core on SQLite or Postgres."""
