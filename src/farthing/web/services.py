"""The parts that the API's handlers use, handed to each of them by name."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from litestar.di import NamedDependency
from litestar.params import SkipValidation

from farthing.web.approval_views import ApprovalDesk, Links
from farthing.web.cache_views import Caches
from farthing.web.limits import Budgets
from farthing.web.live import Landings
from farthing.web.logins import Logins, People
from farthing.web.ports import AuditLog, Desk, Facts, Keys, Prices
from farthing.web.settings import LoginSettings, WebSettings

_LOGIN = LoginSettings()


@dataclass(frozen=True, kw_only=True)
class Services:
    """Everything the control API needs from outside.

    ``admin_token`` is the secret that lets a person in. ``gateway_url`` is shown to people. ``pages`` is the
    folder of the built dashboard. ``client_secret`` is what the identity provider knows this Farthing by.
    """

    facts: Facts
    keys: Keys
    prices: Prices
    desk: Desk
    budgets: Budgets
    caches: Caches
    landings: Landings
    clock: Callable[[], datetime]
    admin_token: str
    settings: WebSettings
    version: str
    gateway_url: str
    pages: Path
    people: People
    logins: Logins
    approvals: ApprovalDesk
    links: Links
    audit: AuditLog
    login: LoginSettings = _LOGIN
    client_secret: Callable[[], str] = str


Using = NamedDependency[SkipValidation[Services]]
