"""Bytes from a path or an address."""

import urllib.error
import urllib.request
from pathlib import Path

from farthing.core.errors import InputError, UnavailableError

LIMIT_BYTES = 64 * 1024 * 1024
TIMEOUT_SECONDS = 30.0


def fetch(location: str) -> bytes:
    """The content of a file or of an ``https`` address.

    Raises ``InputError`` for other schemes and ``UnavailableError`` when it cannot be read or is
    larger than 64 MiB.
    """
    try:
        if "://" not in location:
            return Path(location).read_bytes()
        if not location.startswith("https://"):
            raise InputError("only https is fetched", field="location", value=location, remedy="Use https:// or a path")
        request = urllib.request.Request(location, headers={"user-agent": "farthing"})  # noqa: S310 - https only
        with urllib.request.urlopen(request, timeout=TIMEOUT_SECONDS) as answer:  # noqa: S310 - https only
            data: bytes = answer.read(LIMIT_BYTES + 1)
    except (OSError, urllib.error.URLError) as problem:
        raise UnavailableError(
            f"Cannot read prices from {location}: {problem}", remedy="Check the address, or fetch the file yourself"
        ) from None
    if len(data) > LIMIT_BYTES:
        raise UnavailableError(f"{location} is larger than {LIMIT_BYTES:,} bytes", remedy="Check the address")
    return data
