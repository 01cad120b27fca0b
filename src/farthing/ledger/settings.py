"""The settings the ledger owns: ``[ledger]``."""

import msgspec


class LedgerSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where facts are kept, and for how long.

    ``url`` is a folder or an object-store address (``s3://…``, ``gs://…``, ``az://…``); empty: ``ledger/`` in
    the data folder. ``storage`` are options for the object store; a value may be ``env:NAME`` or ``file:PATH``.
    ``retain_days`` is how long single requests are kept, 0 for ever (hourly sums always are);
    ``compact_minutes`` how often small files are merged.
    """

    url: str = ""
    storage: dict[str, str] = {}
    retain_days: int = 0
    compact_minutes: int = 5
