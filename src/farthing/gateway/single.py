"""Exchanges that go to one provider, once: a second try could store a file twice, or order a batch twice.

They pass the same stages as every other request (``pipeline.STAGES``); what differs is how they are read, where they
lead, and that the last stage makes one attempt.
"""

from collections.abc import Callable, Sequence

import msgspec

from farthing.core.errors import FarthingError, InputError, NotFoundError
from farthing.core.facts import RequestFact, Status
from farthing.core.nouns import Decision
from farthing.gateway.attempt import Attempt
from farthing.gateway.client import Reply
from farthing.gateway.eligibility import Need, sift_hard
from farthing.gateway.parts import Parts, World
from farthing.gateway.pipeline import Exchange, Stage, refuse
from farthing.gateway.ports import Call, Dialect, Provider, Route, Target
from farthing.gateway.route import encode


async def through(exchange: Exchange, parts: Parts, stages: Sequence[Stage]) -> None:
    """Take a request through its stages; the client gets an answer or a refusal."""
    try:
        for stage in stages:
            await stage(exchange, parts)
    except FarthingError as error:
        await refuse(exchange, parts, error)
    finally:
        exchange.client.unwatch()


async def attempt(
    exchange: Exchange, parts: Parts, dialect: Dialect, *, settle: Callable[[RequestFact], None] | None = None
) -> tuple[Reply | None, RequestFact]:
    """Make the one attempt: the reply that the client is still owed, and the fact.

    ``settle`` takes the place of the grant's, for calls whose cost is known only later.
    """
    target = exchange.route.targets[0]
    once = Attempt(
        wanted(exchange),
        exchange.route,
        target,
        1,
        dialect=dialect,
        worker=parts.worker,
        began=exchange.began,
        track=exchange.world.router.track(target),
    )
    try:
        outcome = await once.run(exchange.client, parts.upstream, parts.journal)
    finally:
        (settle or exchange.grant.settle)(once.fact)
        if once.fact.status is not Status.ABANDONED:
            exchange.world.router.observe(once.fact, once.retry_after)
            parts.observe(once.fact)
    return outcome.reply, once.fact


def wanted(exchange: Exchange) -> Call:
    """The call, which a stage before this one read."""
    assert exchange.call is not None  # noqa: S101 - it did, or it raised
    return exchange.call


def provider_named(world: World, name: str, known: Sequence[str]) -> Provider:
    """An account of that name that is ready. Raises ``NotFoundError``."""
    found = world.providers.get(name) if name in known else None
    if found is None:
        raise NotFoundError("provider", name, known=[n for n in known if n in world.providers])
    return found


def only(call: Call, target: Target, reason: str) -> Route:
    """The route with this one target. Raises when a tag or a region of the call rules it out, as the router does."""
    need = Need(call.model, frozenset(), call.tags, call.regions, frozenset(), call.operation)
    allowed, rejected = sift_hard((target,), need)
    if not allowed:
        reasons = "; ".join(rejection.reason for rejection in rejected)
        remedy = "Ask for less, or use another provider"
        raise InputError(f"it may not go there: {reasons}", field="provider", value=target.provider.name, remedy=remedy)
    decision = Decision(
        asked=call.model or target.provider.name, chosen=target.offer_id, reason=reason, baseline=target.offer_id
    )
    return Route(targets=(target,), decision=decision, record=encode(decision), baseline=target)


def priced_at(world: World, call: Call, provider: Provider, model: str) -> Target | None:
    """A provider's model as the router knows it with its offers; ``None`` when that provider has no such model.

    Raises as the router does when the key, a tag or a region rules it out.
    """
    try:
        found = world.router.route(msgspec.structs.replace(call, model=f"{provider.name}/{model}"))
    except NotFoundError:
        return None
    return next((target for target in found.targets if target.provider.name == provider.name), None)
