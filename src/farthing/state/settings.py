"""The settings the state store owns: ``[state]``."""

import msgspec


class StateSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where keys, runtime settings and the audit log are kept.

    ``url`` is a SQLAlchemy address (``sqlite:///PATH`` or ``postgresql+psycopg://…``), or ``env:NAME`` or
    ``file:PATH`` when it holds a password. Empty: ``state.db`` in the data folder. ``busy_seconds`` is how
    long a write waits for another process's lock. ``seal_key`` is the envelope key that secrets are sealed with:
    ``env:NAME`` or ``file:PATH``, 32 bytes in base64; several lines while it is rotated, the new one first. Empty:
    ``seal.key`` in the data folder, made when the first secret is set.
    """

    url: str = ""
    busy_seconds: float = 5
    seal_key: str = ""
