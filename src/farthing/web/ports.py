"""What the control API asks of the rest of Farthing. ``app/`` joins these with what fits them.

All methods are synchronous and are called from a few worker threads at once.
"""

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any, Protocol

from farthing.core.facts import RequestFact
from farthing.core.time import Window
from farthing.governance.roles import Who
from farthing.ledger.questions import RequestsAnswer, RequestsQuestion, SpendAnswer, SpendQuestion
from farthing.state.audit import AuditQuestion, Change, Entry, Verdict
from farthing.web.views import HealthView, Hint, KeyDraft, KeyView, PricesAnswer, ProviderView


class Facts(Protocol):
    """The ledger, for reading."""

    def spend(self, question: SpendQuestion) -> SpendAnswer: ...

    def requests(self, question: RequestsQuestion) -> RequestsAnswer: ...

    def request(self, request_id: str) -> Sequence[RequestFact]:
        """The attempts of one request in order; empty when there is none of that name."""
        ...

    def values(
        self, dimension: str, window: Window, *, where: Mapping[str, tuple[str, ...]] | None = None
    ) -> Sequence[str]: ...

    def through(self) -> datetime | None: ...


class Keys(Protocol):
    """Farthing keys: what clients of the gateway authenticate with."""

    def list(self) -> Sequence[KeyView]: ...

    def create(self, who: Who, draft: KeyDraft) -> tuple[KeyView, str]:
        """The new key and its token. Raises ``InputError`` or ``ConflictError``."""
        ...

    def rotate(self, who: Who, id: str) -> tuple[KeyView, str]:
        """A new token for a key; the old one stops working. Raises ``NotFoundError``, ``ConflictError``."""
        ...

    def revoke(self, who: Who, id: str) -> None:
        """Raises ``NotFoundError``."""
        ...


class Prices(Protocol):
    """The catalogue, for searching."""

    def search(self, text: str, *, limit: int) -> PricesAnswer:
        """Offers whose provider or product resembles the text, as they hold now; all of them for no text."""
        ...


class Desk(Protocol):
    """What the control process knows about itself and its settings."""

    def providers(self) -> Sequence[ProviderView]: ...

    def health(self) -> HealthView: ...

    def hints(self) -> Sequence[Hint]:
        """What to do next on a fresh installation; empty once requests flow."""
        ...


class AuditLog(Protocol):
    """The log: to be read, and to be added to."""

    def note(self, change: Change, action: str, subject: str, *, after: Mapping[str, Any] | None = None) -> None: ...

    def list(self, question: AuditQuestion) -> Sequence[Entry]: ...

    def pages(self, question: AuditQuestion) -> Iterator[Entry]: ...

    def verify(self, *, expect: str = "") -> Verdict: ...
