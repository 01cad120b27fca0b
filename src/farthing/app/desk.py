"""What the control API asks for, made of the state store, the catalogue and the running chores."""

import builtins
import shutil
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any

import msgspec

from farthing.app.local import Local
from farthing.catalog.catalog import is_stale
from farthing.core.decode import convert
from farthing.core.errors import FarthingError
from farthing.core.nouns import Offer, Scope
from farthing.governance.approvals import KEY_CREATE, key_act
from farthing.governance.roles import Who
from farthing.web.views import (
    Check,
    HealthView,
    Hint,
    KeyCreated,
    KeyDraft,
    KeyView,
    PriceLine,
    PricesAnswer,
    PriceView,
    ProviderView,
)

if TYPE_CHECKING:
    from farthing.app.gate import ApprovalGate
    from farthing.state.audit import Change
    from farthing.state.keys import Key
    from farthing.state.store import Store

SCARCE_BYTES = 1 << 30
FULL_BYTES = 64 << 20
_WORST = ("ok", "warning", "failed")


class KeyDesk:
    """Keys as the API shows and changes them. Every change is written down as made by whoever asked."""

    def __init__(self, store: "Store", by: "Callable[[str], Change]", gate: "ApprovalGate") -> None:
        self._keys = store.keys
        self._by = by
        self._gate = gate
        self._limits = store.limits
        gate.register(KEY_CREATE, self._make, keep=lambda made: {"key": made.key.id})

    def list(self) -> builtins.list[KeyView]:
        """All keys, newest first."""
        now = self._by("web").at
        return [_key(key, now) for key in self._keys.list()]

    def create(self, who: Who, draft: KeyDraft) -> tuple[KeyView, str]:
        """A new key and its token. Raises ``ApprovalNeededError`` when somebody has to agree first."""
        scope = Scope(**msgspec.structs.asdict(draft.scope))
        payload: dict[str, Any] = msgspec.to_builtins(draft)
        act = key_act(draft.name, scope, self._limits.list(), payload=payload, category=draft.category)
        made: KeyCreated = self._gate.do(who, act)
        return made.key, made.token

    def _make(self, payload: Mapping[str, Any], actor: str, at: datetime) -> KeyCreated:
        draft = convert(payload, KeyDraft, what="key")
        change = msgspec.structs.replace(self._by(actor), at=at)
        scope = Scope(**msgspec.structs.asdict(draft.scope))
        key, token = self._keys.create(
            change,
            name=draft.name,
            scope=scope,
            models=draft.models,
            category=draft.category,
            expires=draft.expires,
        )
        return KeyCreated(key=_key(key, at), token=token)

    def rotate(self, who: Who, id: str) -> tuple[KeyView, str]:
        """A key in the place of another, and its token."""
        change = self._by(who.actor)
        key, token = self._keys.rotate(change, id)
        return _key(key, change.at), token

    def revoke(self, who: Who, id: str) -> None:
        """Stop a key at once."""
        self._keys.revoke(self._by(who.actor), id)


class PriceDesk:
    """Searches the catalogue's offers as they hold now. ``use`` replaces them when prices are refreshed."""

    def __init__(self, offers: Iterable[Offer], clock: Callable[[], datetime]) -> None:
        self._clock = clock
        self.use(offers)

    def use(self, offers: Iterable[Offer]) -> None:
        """Search these from now on."""
        self._offers = [(f"{o.id} {o.provider} {o.product} {o.region}".lower(), o) for o in offers]

    def search(self, text: str, *, limit: int) -> PricesAnswer:
        """Offers that hold every word of the text, those with the shortest names first."""
        now, words = self._clock(), text.lower().split()
        found = [
            offer
            for hay, offer in self._offers
            if all(word in hay for word in words) and now in offer.effective and (not offer.daily or now in offer.daily)
        ]
        found.sort(key=lambda offer: (len(offer.id), offer.id))
        return PricesAnswer(rows=tuple(_price(offer, now) for offer in found[:limit]), matching=len(found))

    def stale(self) -> int:
        """How many offers that hold now were not confirmed for too long."""
        now = self._clock()
        return sum(is_stale(offer, now.date()) for _, offer in self._offers if now in offer.effective)


class ControlDesk:
    """The control process about itself: providers, health, and what to do next."""

    def __init__(
        self,
        local: Callable[[], Local],
        store: "Store",
        *,
        checks: Callable[[], tuple[Check, ...]],
        has_facts: Callable[[], bool],
    ) -> None:
        self._local = local
        self._store = store
        self._checks = checks
        self._has_facts = has_facts

    def providers(self) -> Sequence[ProviderView]:
        """Accounts by name, from the settings and added at run time."""
        added = self._store.providers.list()
        return [
            ProviderView(
                name=name,
                vendor=account.vendor,
                base_url=account.base_url,
                api_key=account.api_key,
                region=account.region,
                tags=tuple(sorted(account.tags)),
                models=account.models,
                enabled=account.enabled,
                origin="added" if name in added else "settings",
            )
            for name, account in sorted(self._local().providers(self._store).items())
        ]

    def health(self) -> HealthView:
        """Everything that is watched, and the worst of it."""
        checks = (*self._checks(), self._disk(), *self._secrets())
        worst = max((_WORST.index(check.state) for check in checks), default=0)
        return HealthView(state=_WORST[worst], checks=checks)

    def hints(self) -> Sequence[Hint]:
        """The next steps of a fresh installation, in order."""
        steps = (
            (
                not self._local().providers(self._store),
                Hint(text="Add a provider", command="farthing provider add openai --api-key env:OPENAI_API_KEY"),
            ),
            (
                not any(key.status(self._local().now()) == "active" for key in self._store.keys.list()),
                Hint(text="Make a key for your application", command="farthing key create --name first", page="/keys"),
            ),
            (not self._has_facts(), Hint(text="Send a request through the gateway", command="farthing demo")),
        )
        return [hint for needed, hint in steps if needed]

    def _disk(self) -> Check:
        home = self._local().settings.home
        free = shutil.disk_usage(home).free
        state = "failed" if free < FULL_BYTES else "warning" if free < SCARCE_BYTES else "ok"
        return Check(
            name="disk",
            state=state,
            detail=f"{free / (1 << 30):.1f} GiB free in {home}",
            remedy="" if state == "ok" else "Free some space, or shorten retain_days under [ledger]",
        )

    def _secrets(self) -> Iterable[Check]:
        """Providers whose key cannot be had, which therefore cannot serve."""
        for name, account in sorted(self._local().providers(self._store).items()):
            try:
                self._local().secret(account.api_key, self._store)
            except FarthingError as problem:
                yield Check(name=f"provider {name}", state="warning", detail=problem.message, remedy=problem.remedy)


def _key(key: "Key", now: datetime) -> KeyView:
    return KeyView(
        id=key.id,
        name=key.name,
        scope=key.scope,
        models=tuple(sorted(key.models)),
        created=key.created,
        state=key.status(now),
        category=key.category,
        expires=key.expires,
        revoked=key.revoked,
        hint=key.prefix,
    )


def _price(offer: Offer, now: datetime) -> PriceView:
    return PriceView(
        offer=offer.id,
        kind=offer.kind,
        provider=offer.provider,
        product=offer.product,
        region=offer.region,
        terms=offer.terms,
        prices=tuple(
            PriceLine(
                unit=price.unit.name,
                amount=price.rate.amount,
                per=price.rate.per,
                currency=price.rate.currency,
                above=price.above,
            )
            for price in offer.prices
        ),
        effective=offer.effective,
        source=offer.source,
        checked=offer.checked,
        stale=is_stale(offer, now.date()),
    )
