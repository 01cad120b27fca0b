"""Decides where a call goes: the cheapest target that is allowed, able, well and fast enough.

What cannot change between two calls of the same kind (names, keys, tags, regions, abilities) is worked out
once and kept; context, health, latency and cost are looked at for every call. Calls that are expected to
come to the same tokens get the same route for a moment (``KEPT``), unless a target's health or speed changes
in it. Every target that is not chosen appears in the decision once, with the stage that it fell at and the
numbers.
"""

from bisect import bisect_right
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from decimal import Decimal
from itertools import count
from math import inf, log
from typing import Literal

import msgspec

from farthing.core.errors import DeniedError, InputError, NotFoundError
from farthing.core.facts import Operation, RequestFact
from farthing.core.money import Money, Unpriced
from farthing.core.nouns import Decision, Objective, Rejection
from farthing.gateway.breaker import State
from farthing.gateway.eligibility import Need, Prospect, sift_able, sift_hard, sift_soft, strictest, target_name
from farthing.gateway.experience import OUTPUT_TOKENS, TOKENS_PER_BYTE, Expectation, Experience, Key, Track
from farthing.gateway.hedge import Purse
from farthing.gateway.meter import fixed
from farthing.gateway.ports import Call, Caller, Provider, Route, Target
from farthing.gateway.ratecard import RateCard, rate_card
from farthing.gateway.resolve import Resolved, Resolver, on_demand
from farthing.gateway.settings import HedgeSettings
from farthing.gateway.snapshot import Snapshot

KEPT = timedelta(milliseconds=100)
"""How long a route is given to equal calls. Quantiles in it may be that old; a failure is never."""

_MOST_PLANS = 2048
_MOST_ROUTES = 2048
_ENOUGH = 5
"""Observations of a name at one target before they count more than those of the name anywhere."""

Tokens = tuple[int, int]
"""Expected input and output tokens."""

_SILENT = frozenset({Operation.EMBEDDING, Operation.COUNT_TOKENS})
"""Operations whose answers hold no output tokens."""


class Candidate:
    """A target with its names and the rate card that holds now."""

    __slots__ = ("_card", "key", "name", "target")

    def __init__(self, target: Target) -> None:
        self.target = target
        self.name = target_name(target)
        self.key: Key = (target.provider.name, target.model, target.offer_id)
        self._card: RateCard | None = None

    def card(self, at: datetime) -> RateCard:
        """The rate card at an instant, compiled again when a price may have changed."""
        card = self._card
        if card is None or not card.since <= at < card.until:
            card = self._card = rate_card(self.target.offers, at, self.target.model)
        return card


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """What is settled for every call of one kind. ``baseline`` is the first target that was named and may serve."""

    number: int
    asked: str
    candidates: tuple[Candidate, ...]
    rejected: tuple[Rejection, ...]
    overruled: str
    baseline: Candidate
    strategy: Literal["cheapest", "weighted"]
    objective: Objective
    hedge: HedgeSettings | None
    cliffs: tuple[int, ...]
    """Input tokens above which somebody's price changes."""
    models: tuple[str, ...]
    """Vendors' models that may answer, whichever account serves them."""


class Kept(msgspec.Struct, frozen=True):
    """A route, and while what it was decided on holds."""

    route: Route
    changes: int
    since: datetime
    until: datetime


class SnapshotRouter:
    """The router of one snapshot. Give the ``experience`` of the old one to the router of the next.

    ``draw`` gives random numbers in [0, 1) for weighted aliases.
    """

    def __init__(
        self,
        snapshot: Snapshot,
        providers: Mapping[str, Provider],
        *,
        draw: Callable[[], float],
        experience: Experience | None = None,
    ) -> None:
        self.experience = experience or Experience()
        self._resolver = Resolver(snapshot, providers)
        self._draw = draw
        self._plans: dict[tuple[object, ...], Plan] = {}
        self._kept: dict[tuple[object, ...], Kept] = {}
        self._numbers = count()
        self._names: list[str] = []

    def route(self, call: Call) -> Route:
        """The targets to try, best first, and why.

        Raises ``NotFoundError`` for an unknown model, ``DeniedError`` when the key may use none of its targets
        and ``InputError`` when none is eligible for another reason.
        """
        plan = self._plan(call)
        tokens = self._tokens(call, plan)
        self.experience.promise(call.request_id, call.model, call.input_estimate)
        if plan.strategy == "weighted":
            return self._routed(call, plan, tokens)
        key = (plan.number, call.output_limit, *tokens)
        kept = self._kept.get(key)
        if kept is None or kept.changes != self.experience.changes or not kept.since <= call.at < kept.until:
            kept = self._keep(key, call, plan, self._routed(call, plan, tokens))
        return kept.route

    def _keep(self, key: tuple[object, ...], call: Call, plan: Plan, route: Route) -> Kept:
        """Note a route for as long as no price in it can change."""
        if len(self._kept) >= _MOST_ROUTES:
            self._kept.clear()
        until = min(call.at + KEPT, *(c.card(call.at).until for c in (*plan.candidates, plan.baseline)))
        kept = self._kept[key] = Kept(route, self.experience.changes, call.at, until)
        return kept

    def _routed(self, call: Call, plan: Plan, tokens: list[Tokens]) -> Route:
        prospects, rejected, overruled = sift_soft(self._prospects(call, plan, tokens))
        ordered = self._drawn(prospects) if plan.strategy == "weighted" else _by_cost(prospects)
        rejected += _losers(ordered, plan.strategy)
        decision = _decision(call, plan, ordered, (*plan.rejected, *rejected), overruled)
        return Route(
            targets=tuple([p.target for p in ordered]),
            decision=decision,
            record=encode(decision),
            baseline=plan.baseline.target,
            hedge=plan.hedge,
            models=plan.models,
        )

    def observe(self, fact: RequestFact, retry_after: float = 0.0) -> None:
        """Learn latency, health and token counts from an attempt."""
        self.experience.observe(fact, retry_after)

    def track(self, target: Target) -> Track:
        """What was learned about a target."""
        return self.experience.track((target.provider.name, target.model, target.offer_id))

    def clear(self, target: Target, now: float) -> Track | None:
        """The record of a target that nothing speaks against, ``None`` otherwise."""
        return self.experience.clear((target.provider.name, target.model, target.offer_id), now)

    def sending(self, track: Track, now: float) -> bool:
        """A call is about to be sent to this target; whether it is a probe."""
        return self.experience.sending(track, now)

    def outpaced(self, fact: RequestFact) -> None:
        """An attempt lost to a hedge."""
        self.experience.outpaced(fact)

    def purse(self, alias: str) -> Purse:
        """What an alias spends, and has spent on hedges."""
        return self.experience.purse(alias)

    def breakers(self, now: float) -> Mapping[tuple[str, str], State]:
        """The state of every breaker by provider and model."""
        return self.experience.breakers(now)

    def models(self, caller: Caller) -> list[str]:
        """Names this caller may ask for, sorted."""
        if caller.models:
            return sorted(name for name in caller.models if self._resolver.resolve(name) is not None)
        if not self._names:
            self._names = self._resolver.names()
        return list(self._names)

    def _plan(self, call: Call) -> Plan:
        key = (call.model, call.caller.models, call.tags, call.regions, call.needs, call.operation, call.objective)
        plan = self._plans.get(key)
        if plan is None:
            if len(self._plans) >= _MOST_PLANS:
                self._plans.clear()
            plan = self._plans[key] = self._planned(call)
        return plan

    def _planned(self, call: Call) -> Plan:
        resolved = self._resolver.resolve(call.model)
        if resolved is None:
            remedy = "Ask for provider/model, add an alias under [models], or list it under the provider's models"
            raise NotFoundError("model", call.model, known=self.models(call.caller), remedy=remedy)
        need = _need(call, resolved)
        targets, rejected = sift_hard(resolved.targets, need)
        rejected = resolved.out + rejected
        if not targets:
            raise _refusal(call, rejected)
        able, unable, overruled = sift_able(targets, need)
        return Plan(
            number=next(self._numbers),
            asked=call.model,
            candidates=tuple(map(Candidate, able)),
            rejected=rejected + unable,
            overruled=overruled,
            baseline=Candidate(on_demand(able[0])),
            strategy=resolved.strategy,
            objective=strictest(call.objective, resolved.objective),
            hedge=resolved.hedge,
            cliffs=tuple(sorted({p.above for target in able for o in target.offers for p in o.prices if p.above})),
            models=tuple(sorted({f"{target.provider.vendor}/{target.model}" for target in able})),
        )

    def _tokens(self, call: Call, plan: Plan) -> list[Tokens]:
        """Expected tokens at every candidate, after what was seen there or, until that is enough, anywhere."""
        experience, anywhere = self.experience, None
        found: list[Tokens] = []
        for candidate in plan.candidates:
            expected = experience.expectation(call.model, candidate.key)
            if expected.output.count < _ENOUGH:
                anywhere = expected = anywhere or experience.expectation(call.model)
            found.append(expected_tokens(call, expected, plan.cliffs))
        return found

    def _prospects(self, call: Call, plan: Plan, tokens: list[Tokens]) -> list[Prospect]:
        now = call.at.timestamp()
        prospects: list[Prospect] = []
        for candidate, (input_tokens, output_tokens) in zip(plan.candidates, tokens, strict=True):
            card = candidate.card(call.at)
            prospects.append(
                Prospect(
                    target=candidate.target,
                    name=candidate.name,
                    track=self.experience.track(candidate.key),
                    now=now,
                    objective=plan.objective,
                    input=input_tokens,
                    output=output_tokens,
                    output_limit=call.output_limit,
                    cost=card.cost(input_tokens, output_tokens),
                    unpriced=card.unpriced,
                )
            )
        return prospects

    def _drawn(self, prospects: list[Prospect]) -> list[Prospect]:
        """In random order by weight (Efraimidis and Spirakis, 2006); weight 0 comes last."""
        tickets = [log(self._draw() or 1e-300) / p.target.weight if p.target.weight > 0 else -inf for p in prospects]
        order = sorted(range(len(prospects)), key=lambda i: (-tickets[i], i))
        return [prospects[i] for i in order]


def expected_tokens(call: Call, expected: Expectation, cliffs: tuple[int, ...] = ()) -> Tokens:
    """Input and output tokens to expect of a call, after what was observed under its name.

    Both are ``rounded``, but never across one of the ``cliffs``.
    """
    exact = call.input_estimate * (expected.input.value if expected.input.count else TOKENS_PER_BYTE)
    input_tokens = rounded(exact)
    if cliffs and any((exact > cliff) != (input_tokens > cliff) for cliff in cliffs):
        input_tokens = round(exact)
    if call.operation in _SILENT:
        return input_tokens, 0
    output = rounded(expected.output.value) if expected.output.count else OUTPUT_TOKENS
    return input_tokens, min(output, call.output_limit) if call.output_limit else output


def rounded(tokens: float) -> int:
    """Tokens as exactly as an expectation is worth: to 2.5 %, on steps of 1, 2 or 5 times a power of ten.

    So calls of about the same size are expected to cost the same, and can share a decision.
    """
    whole = round(tokens)
    step = _STEPS[bisect_right(_STEPS_FROM, whole)]
    return (whole + step // 2) // step * step


_STEPS = tuple(digit * 10**power for power in range(10) for digit in (1, 2, 5))
_STEPS_FROM = tuple(20 * step for step in _STEPS[1:])
"""Where each longer step begins; every one is a multiple of the step before, so that rounding keeps the order."""


def encode(decision: Decision) -> str:
    """A decision as JSON text with decimals in fixed-point form."""
    return _ENCODER.encode(
        _Record(
            asked=decision.asked,
            chosen=decision.chosen,
            reason=decision.reason,
            rejected=decision.rejected,
            expected_cost=_written(decision.expected_cost),
            expected_ms=decision.expected_ms,
            baseline=decision.baseline,
            baseline_cost=_written(decision.baseline_cost),
        )
    ).decode()


class _Amount(msgspec.Struct, frozen=True, gc=False):
    amount: str
    currency: str


class _Record(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """``Decision`` as it is written."""

    asked: str
    chosen: str
    reason: str
    rejected: tuple[Rejection, ...]
    expected_cost: _Amount | Unpriced
    expected_ms: float | None
    baseline: str
    baseline_cost: _Amount | Unpriced


_ENCODER = msgspec.json.Encoder()


def _written(cost: Money | Unpriced) -> _Amount | Unpriced:
    return cost if isinstance(cost, Unpriced) else _Amount(fixed(cost.amount), cost.currency)


def _need(call: Call, resolved: Resolved) -> Need:
    both = call.regions & resolved.regions
    return Need(
        asked=call.model,
        models=call.caller.models,
        tags=call.tags | resolved.tags,
        regions=(both or None) if call.regions and resolved.regions else call.regions | resolved.regions,
        words=call.needs,
        operation=call.operation,
    )


def _refusal(call: Call, rejected: tuple[Rejection, ...]) -> DeniedError | InputError:
    reasons = "; ".join(f"{r.offer}: {r.reason}" for r in rejected)
    if all(r.stage == "key" for r in rejected):
        remedy = "Ask for a model of this key, or have the key changed"
        return DeniedError(f"{call.model} is not allowed: {reasons}", reason="model_not_allowed", remedy=remedy)
    return InputError(
        f"no target is eligible ({reasons})",
        field="model",
        value=call.model,
        remedy="Ask for less, or add a target that can serve this",
    )


def _by_cost(prospects: list[Prospect]) -> list[Prospect]:
    """The cheapest first, the faster of equals; what has no known price comes last."""
    if len(prospects) == 1:
        return prospects
    return sorted(prospects, key=lambda p: (p.cost is None, p.cost or _FREE, p.track.total.p50))


def _losers(ordered: list[Prospect], strategy: str) -> list[Rejection]:
    if len(ordered) == 1:
        return []
    best, *others = ordered
    if strategy == "weighted":
        total = sum(p.target.weight for p in ordered)
        return [Rejection(p.name, "weight", f"not drawn, with weight {p.target.weight:g} of {total:g}") for p in others]
    return [Rejection(p.name, "cost", _dearer(p, best)) for p in others]


def _dearer(loser: Prospect, best: Prospect) -> str:
    if loser.cost is None or best.cost is None:
        return f"its cost cannot be compared: {loser.unpriced or 'its output has no price'}"
    if loser.cost == best.cost:
        return f"{fixed(loser.cost)} USD is expected too, and it is not faster or comes later in the settings"
    return f"{fixed(loser.cost)} USD is expected, {fixed(loser.cost - best.cost)} USD more"


def _decision(
    call: Call, plan: Plan, ordered: list[Prospect], rejected: tuple[Rejection, ...], overruled: str
) -> Decision:
    best = ordered[0]
    baseline = plan.baseline
    return Decision(
        asked=call.model,
        chosen=best.name,
        reason=_why(ordered, plan.strategy) + plan.overruled + overruled,
        rejected=rejected,
        expected_cost=_money(best.cost, best.unpriced),
        expected_ms=best.track.total.p50 or None,
        baseline=baseline.target.offer_id,
        baseline_cost=_money(baseline.card(call.at).cost(best.input, best.output), baseline.card(call.at).unpriced),
    )


def _why(ordered: list[Prospect], strategy: str) -> str:
    best = ordered[0]
    if len(ordered) == 1:
        return f"the only eligible target, for {best.input:,} + {best.output:,} expected tokens"
    if strategy == "weighted":
        return f"drawn by its weight of {best.target.weight:g} from {len(ordered)} eligible targets"
    if best.cost is None:
        return f"the first of {len(ordered)} eligible targets, none of which has a known price"
    return f"the cheapest of {len(ordered)} eligible targets for {best.input:,} + {best.output:,} expected tokens"


def _money(cost: Decimal | None, unpriced: str) -> Money | Unpriced:
    return Unpriced(unpriced or "its output has no price") if cost is None else Money(cost)


_FREE = Decimal(0)

__all__ = ["SnapshotRouter", "encode", "expected_tokens"]
