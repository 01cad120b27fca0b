"""Every error Farthing raises on purpose.

::

    FarthingError                what happened, and what to do next
    ├── InputError               a value from outside cannot be used: names field, value, remedy
    │   ├── ConfigError          … in a settings file: adds the file and the line
    │   ├── UsageError           … token counts that no response can have
    │   └── CurrencyError        … two currencies in one sum
    ├── NotFoundError            a name that does not exist: names the nearest ones
    ├── DeniedError              authentication or a policy said no
    │   └── LimitError           … because a budget or a quota is used up: adds which, and when to come back
    ├── ConflictError            somebody else holds or changed it: retry, or look again
    ├── UnavailableError         a part of Farthing cannot work now: disk full, store locked, draining
    └── UpstreamError            a provider failed: adds the provider and how it failed
"""

import difflib
from collections.abc import Iterable


class FarthingError(Exception):
    """The root of the tree.

    ``message`` says what happened in the reader's terms; ``remedy`` says what to do next.
    """

    def __init__(self, message: str, *, remedy: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.remedy = remedy

    def __str__(self) -> str:
        return f"{self.message}. {self.remedy}" if self.remedy else self.message


class InputError(FarthingError):
    """A value that came from outside cannot be used; nothing was changed."""

    def __init__(self, message: str, *, field: str, value: object, remedy: str = "") -> None:
        super().__init__(message, remedy=remedy)
        self.field = field
        self.value = value

    def __str__(self) -> str:
        return f"{self.field}: {super().__str__()} (got {self.value!r})"


class ConfigError(InputError):
    """A settings file holds a value that cannot be used. ``line`` is 1-based, 0 when unknown."""

    def __init__(self, message: str, *, file: str, field: str, value: object, line: int = 0, remedy: str = "") -> None:
        super().__init__(message, field=field, value=value, remedy=remedy)
        self.file = file
        self.line = line

    def __str__(self) -> str:
        where = f"{self.file}:{self.line}" if self.line else self.file
        return f"{where}: {super().__str__()}"


class UsageError(InputError):
    """Token counts that contradict each other, such as more cached tokens than input tokens."""


class CurrencyError(InputError):
    """Two currencies met where one is needed; Farthing never converts silently."""


class NotFoundError(FarthingError):
    """A name that does not exist. ``nearest`` holds up to three names that look like it."""

    def __init__(self, kind: str, name: str, *, known: Iterable[str] = (), remedy: str = "") -> None:
        self.kind = kind
        self.name = name
        self.nearest = tuple(difflib.get_close_matches(name, list(known), n=3, cutoff=0.5))
        hint = f"Did you mean {' or '.join(self.nearest)}?" if self.nearest else remedy
        super().__init__(f"No {kind} named {name!r}", remedy=hint)


class DeniedError(FarthingError):
    """Who asked may not do this. ``reason`` is a stable word such as ``invalid_key``."""

    def __init__(self, message: str, *, reason: str, remedy: str = "") -> None:
        super().__init__(message, remedy=remedy)
        self.reason = reason


class LimitError(DeniedError):
    """A budget or a quota does not cover a request. ``reason`` is ``budget`` for money, ``rate_limit`` otherwise.

    ``limit`` is its id. ``retry_after`` is in seconds, ``None`` when waiting does not help.
    """

    def __init__(
        self, message: str, *, reason: str, limit: str, retry_after: float | None = None, remedy: str = ""
    ) -> None:
        super().__init__(message, reason=reason, remedy=remedy)
        self.limit = limit
        self.retry_after = retry_after


class ConflictError(FarthingError):
    """Somebody else holds the resource or changed it first."""


class UnavailableError(FarthingError):
    """A part of Farthing cannot work right now; nothing was begun."""


class UpstreamError(FarthingError):
    """A provider failed. ``kind`` is one of the stable words in ``core.facts.ErrorKind``."""

    def __init__(self, message: str, *, provider: str, kind: str, remedy: str = "") -> None:
        super().__init__(message, remedy=remedy)
        self.provider = provider
        self.kind = kind
