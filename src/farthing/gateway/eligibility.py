"""Which targets may serve a call: one ordered list of small filters, each of which can say why not.

Hard filters are promises (who may use it, where it may run): a target that fails one is out, and a call for
which none is left is refused. Soft filters are predictions (can it do this, will it fit, is it well, is it
fast enough): when one would leave nobody, it is overruled, because the provider knows better and trying beats
refusing.
"""

from collections.abc import Callable, Sequence
from decimal import Decimal
from typing import Generic, TypeVar

import msgspec

from farthing.core.facts import Operation
from farthing.core.nouns import Capability, Objective, Rejection, Terms
from farthing.gateway.experience import Track
from farthing.gateway.ports import Target


class Need(msgspec.Struct, frozen=True):
    """What does not change between two calls of the same kind. ``regions`` empty means anywhere, ``None`` nowhere."""

    asked: str
    models: frozenset[str]
    tags: frozenset[str]
    regions: frozenset[str] | None
    words: frozenset[str]
    operation: Operation


class Prospect(msgspec.Struct, kw_only=True):
    """A target at the moment of one call: its record and what this call would come to.

    ``input`` and ``output`` are expected tokens, ``cost`` the exact price of just those in USD.
    """

    target: Target
    name: str
    track: Track
    now: float
    objective: Objective
    input: int
    output: int
    output_limit: int
    cost: Decimal | None = None
    unpriced: str = ""


Subject = TypeVar("Subject")
About = TypeVar("About")


class Filter(msgspec.Struct, Generic[Subject, About], frozen=True):
    """A stage by name. ``against`` is the sentence that speaks against a subject, empty if none does."""

    stage: str
    against: Callable[[Subject, About], str]


def target_name(target: Target) -> str:
    """How decisions name a target: provider and model, and the terms unless they are on demand."""
    name = f"{target.provider.name}/{target.model}"
    return name if target.terms is Terms.ON_DEMAND else f"{name}:{target.terms}"


def not_allowed(target: Target, need: Need) -> str:
    """The key's own list of models: the name asked for, the target's, or the model's must be in it."""
    models = need.models
    if not models or models & {need.asked, target_name(target), target.model, target.offer_id}:
        return ""
    return f"the key may use {_some(models)} only"


def lacks_tags(target: Target, need: Need) -> str:
    """Every tag that the call, the key or the alias asks for, on the account or on the offer."""
    missing = need.tags - target.provider.tags
    for offer in target.offers[:1]:
        missing -= offer.tags
    return f"it lacks the tag {_some(missing)}" if missing else ""


def elsewhere(target: Target, need: Need) -> str:
    """Residency. ``eu`` covers ``eu`` and ``eu-west-1``; an account of unknown region is nowhere allowed."""
    if need.regions is None:
        return "the regions of the call and of the alias exclude each other"
    if not need.regions:
        return ""
    region = target.provider.region or next((o.region for o in target.offers), "")
    if not region:
        return f"its region is not known, and {_some(need.regions)} is required"
    if any(region == r or region.startswith(f"{r}-") for r in need.regions):
        return ""
    return f"it runs in {region}, and {_some(need.regions)} is required"


def incapable(target: Target, need: Need) -> str:
    """Modalities and features, as far as the catalogue knows them; unknown ones are not held against it."""
    able = target.offers[0].capability if target.offers else Capability()
    if need.operation is Operation.EMBEDDING:
        wanted, known = frozenset({"embedding"}), able.features
    else:
        modalities = need.words & _MODALITIES
        missing = modalities - able.input_modalities if able.input_modalities else frozenset[str]()
        if missing:
            return f"it does not take {_some(missing)}, only {_some(able.input_modalities)}"
        wanted, known = need.words - _MODALITIES, able.features
    lacking = wanted - known if known else frozenset[str]()
    return f"it is not known to do {_some(lacking)}" if lacking else ""


def too_long(prospect: Prospect, _: None) -> str:
    """The context window, against the tokens to expect and the output asked for."""
    able = prospect.target.offers[0].capability if prospect.target.offers else None
    if able is None or not able.context_tokens:
        return ""
    needed = prospect.input + prospect.output_limit
    if needed <= able.context_tokens:
        return ""
    expected = f"{prospect.input:,} + {prospect.output_limit:,} tokens"
    return f"{expected} are expected, and its context holds {able.context_tokens:,}"


def unwell(prospect: Prospect, _: None) -> str:
    """Targets that rest after failures or because they asked for it, and those that have no calls or tokens left."""
    return prospect.track.against(prospect.now, prospect.input + prospect.output)


def too_slow(prospect: Prospect, _: None) -> str:
    """The latency objective, against observed quantiles; a target that was seen too little gets its chance."""
    promise = prospect.objective
    if promise is _NO_PROMISE:
        return ""
    track, now = prospect.track, prospect.now
    total, first = track.total, track.ttft
    checks = (
        (total, 0.50, total.p50, promise.p50_ms, "p50"),
        (total, 0.95, total.p95, promise.p95_ms, "p95"),
        (total, 0.99, total.p99, promise.p99_ms, "p99"),
        (first, 0.95, first.p95, promise.ttft_p95_ms, "p95 to the first token"),
    )
    for seen, q, observed, limit, what in checks:
        if limit and observed > limit:
            samples = seen.samples(now)
            if samples >= max(_FEWEST, 1 / (1 - q)):
                return f"its {what} is {observed:,.0f} ms over {samples:,.0f} requests, {limit:,.0f} ms is the limit"
    return ""


HARD: tuple[Filter[Target, Need], ...] = (
    Filter("key", not_allowed),
    Filter("tags", lacks_tags),
    Filter("region", elsewhere),
)
ABLE = Filter("capability", incapable)
"""Soft, and settled once for all calls of a kind."""

SOFT: tuple[Filter[Prospect, None], ...] = (
    Filter("context", too_long),
    Filter("health", unwell),
    Filter("latency", too_slow),
)


def sift_hard(targets: Sequence[Target], need: Need) -> tuple[tuple[Target, ...], tuple[Rejection, ...]]:
    """Targets that pass every hard filter, and the first reason against each other one."""
    rejected: list[Rejection] = []
    for stage in HARD:
        passed: list[Target] = []
        for target in targets:
            why = stage.against(target, need)
            if why:
                rejected.append(Rejection(target_name(target), stage.stage, why))
            else:
                passed.append(target)
        targets = passed
    return tuple(targets), tuple(rejected)


def sift_able(targets: Sequence[Target], need: Need) -> tuple[tuple[Target, ...], tuple[Rejection, ...], str]:
    """Targets that are able as far as is known, the reasons against the others, and whether that was overruled."""
    reasons = [ABLE.against(target, need) for target in targets]
    if all(reasons):
        return tuple(targets), (), _overruled(ABLE.stage, reasons)
    judged = list(zip(targets, reasons, strict=True))
    rejected = tuple(Rejection(target_name(target), ABLE.stage, why) for target, why in judged if why)
    return tuple(target for target, why in judged if not why), rejected, ""


def sift_soft(prospects: list[Prospect]) -> tuple[list[Prospect], list[Rejection], str]:
    """Prospects that pass every soft filter, the reasons against the others, and the stages that were overruled."""
    rejected: list[Rejection] = []
    overruled = ""
    for stage in SOFT:
        against = stage.against
        reasons = [against(prospect, None) for prospect in prospects]
        if not any(reasons):
            continue
        if all(reasons):
            overruled += _overruled(stage.stage, reasons)
            continue
        rejected += [Rejection(p.name, stage.stage, why) for p, why in zip(prospects, reasons, strict=True) if why]
        prospects = [p for p, why in zip(prospects, reasons, strict=True) if not why]
    return prospects, rejected, overruled


def strictest(one: Objective, other: Objective) -> Objective:
    """The promise that keeps both."""
    if one == _NO_PROMISE:
        return _NO_PROMISE if other == _NO_PROMISE else other
    if other == _NO_PROMISE:
        return one
    pairs = zip(msgspec.structs.astuple(one), msgspec.structs.astuple(other), strict=True)
    limits: list[float] = [min(a, b) if a and b else a or b for a, b in pairs]
    return Objective(p50_ms=limits[0], p95_ms=limits[1], p99_ms=limits[2], ttft_p95_ms=limits[3])


def _overruled(stage: str, reasons: Sequence[str]) -> str:
    return f"; {stage} was overruled, as it speaks against every target: {reasons[0]}"


def _some(words: frozenset[str]) -> str:
    return ", ".join(sorted(words))


_NO_PROMISE = Objective()
_MODALITIES = frozenset({"image", "audio", "video", "document"})
_FEWEST = 10
"""Samples below which no quantile is trusted; higher ones need 1/(1 - q), so that one sample lies beyond them."""
