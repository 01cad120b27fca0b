"""The parts that the API's handlers use, handed to each of them by name."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from litestar.di import NamedDependency
from litestar.params import SkipValidation

from farthing.web.live import Landings
from farthing.web.ports import Desk, Facts, Keys, Prices
from farthing.web.settings import WebSettings


@dataclass(frozen=True, kw_only=True)
class Services:
    """Everything the control API needs from outside.

    ``admin_token`` is the secret that lets a person in. ``gateway_url`` is shown to people. ``pages`` is the
    folder of the built dashboard.
    """

    facts: Facts
    keys: Keys
    prices: Prices
    desk: Desk
    landings: Landings
    clock: Callable[[], datetime]
    admin_token: str
    settings: WebSettings
    version: str
    gateway_url: str
    pages: Path


Using = NamedDependency[SkipValidation[Services]]
