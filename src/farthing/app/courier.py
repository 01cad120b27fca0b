"""Brings messages to people through Apprise, and lets no secret of an address out."""

import logging
from collections.abc import Callable, Mapping
from typing import Any, Protocol
from urllib.parse import parse_qsl, unquote, urlsplit

from farthing.core.errors import FarthingError
from farthing.governance.alerts import TargetSettings

_REDACTED = "********"
_SHORTEST_SECRET = 4


class Courier(Protocol):
    """Brings a message to an Apprise address."""

    def __call__(self, url: str, *, title: str, text: str, severity: str) -> str:
        """Why it did not arrive, without any secret of the address; empty when it did."""
        ...


class Message(Protocol):
    """What a courier brings."""

    @property
    def title(self) -> str: ...
    @property
    def body(self) -> Mapping[str, Any]: ...
    @property
    def severity(self) -> str: ...
    @property
    def same(self) -> str: ...


def deliver(
    courier: Courier, secret: Callable[[str], str], target: TargetSettings, message: Message, dashboard: str
) -> str:
    """Send one message to one target; why it did not arrive, or empty. Its reference lets a receiver that got it
    twice, because a sender died in between, know it.
    """
    try:
        url = secret(target.url)
    except FarthingError as problem:
        return str(problem)
    link = message.body.get("url", f"{dashboard.rstrip('/')}/budgets")
    lines = (str(message.body.get("text", "")), str(link), f"Reference: {message.same}")
    problem = courier(
        url, title=message.title, text="\n".join(line for line in lines if line), severity=message.severity
    )
    return without_secrets(problem, url)


def without_secrets(text: str, url: str) -> str:
    """The text without the address and without any part of it that could be a secret."""
    parts = urlsplit(url)
    query = [value for _, value in parse_qsl(parts.query)]
    found = [url, parts.netloc.rpartition("@")[0], parts.username, parts.password, *parts.path.split("/"), *query]
    if parts.scheme not in ("json", "jsons", "xml", "xmls", "form", "forms", "mailto", "mailtos"):
        found.append(parts.netloc)  # many services put a token where others have a host
    secrets = {form for part in found if part for form in (part, unquote(part)) if len(form) >= _SHORTEST_SECRET}
    for part in sorted(secrets, key=len, reverse=True):
        text = text.replace(part, _REDACTED)
    return text


class AppriseCourier:
    """Brings messages by the Apprise library: webhooks, Slack, e-mail and a hundred other services."""

    def __init__(self) -> None:
        import apprise

        logging.getLogger("apprise").propagate = False  # its messages hold addresses, which hold secrets
        self._apprise: Any = apprise
        self._asset = self._apprise.AppriseAsset(app_id="Farthing", app_desc="Farthing", async_mode=False)

    def __call__(self, url: str, *, title: str, text: str, severity: str) -> str:
        """Why it did not arrive; empty when it did."""
        apprise = self._apprise
        kinds = {
            "info": apprise.NotifyType.INFO, "warning": apprise.NotifyType.WARNING,
            "critical": apprise.NotifyType.FAILURE,
        }  # fmt: skip
        robot = apprise.Apprise(asset=self._asset)
        with apprise.LogCapture(level=logging.WARNING, fmt="%(message)s") as heard:
            if not robot.add(url):
                return "Apprise does not understand the address; see https://appriseit.com/services/"
            arrived = robot.notify(
                body=text, title=title, notify_type=kinds[severity], body_format=apprise.NotifyFormat.TEXT
            )
            said = " ".join(heard.getvalue().split())
        return "" if arrived else said or "The service did not take it, and did not say why"


__all__ = ["AppriseCourier", "Courier", "Message", "deliver", "without_secrets"]
