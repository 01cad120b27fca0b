"""``python -m farthing.web.openapi`` prints the OpenAPI document of the control API."""

import sys
from dataclasses import dataclass
from typing import cast

import msgspec

from farthing.web.api import application
from farthing.web.document import document
from farthing.web.services import Services


@dataclass(frozen=True)
class _Nobody:
    """Stands where the document needs a name and no work is done."""

    admin_token: str = ""
    clock: None = None


def printed() -> bytes:
    """The document as indented JSON. It depends on no settings and no data, so nothing is joined to serve it."""
    app = application(cast("Services", _Nobody()))
    return msgspec.json.format(msgspec.json.encode(document(app)), indent=2) + b"\n"


if __name__ == "__main__":
    sys.stdout.buffer.write(printed())
