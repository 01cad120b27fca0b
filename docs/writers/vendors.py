"""The table of vendors."""

from collections.abc import Iterator

from docs.writers.markdown import code, table
from farthing.gateway.vendors import Vendor
from farthing.gateway.vendors import table as vendors


def page() -> str:
    """Every row of ``vendors.toml``."""
    head = ("vendor", "dialect", "address", "key", "prices", "particulars")
    return (
        "# Vendors\n\nWho can be written as `vendor` of a provider. A vendor that speaks a known dialect is a row of "
        "`gateway/vendors.toml`; settings of the provider win over the row.\n\n"
        + table(head, (_row(name, row) for name, row in sorted(vendors().items())))
        + "\nWithout an address, `base_url` must be set. Where `prices` is empty nobody publishes a price: requests "
        "pass and are shown as unpriced, unless the provider reports its own cost or `prices` is set.\n"
    )


def _row(name: str, row: Vendor) -> tuple[str, ...]:
    return code(name), row.dialect, code(row.base_url), row.auth, row.prices, "; ".join(_particulars(row))


def _particulars(row: Vendor) -> Iterator[str]:
    if row.responses:
        yield "serves the Responses API itself"
    if row.files:
        yield "has files and batches"
    if row.message_batches:
        yield "has batches of messages"
    if not row.include_usage:
        yield "`stream_options.include_usage` is not sent"
    if row.max_tokens:
        yield f"the output cap is sent as `{row.max_tokens}`"
    if row.strip:
        yield f"{', '.join(map(code, sorted(row.strip)))} are left out"
    if row.usage:
        yield f"usage as {row.usage} writes it"
    if row.paths:
        yield "model in the path, `api-version` in the query"
    if row.on_disconnect == "drain":
        yield "an answer nobody waits for is read to its end, because it is billed anyway"
