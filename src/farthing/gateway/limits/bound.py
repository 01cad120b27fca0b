"""The most that a call can be billed, before it is made.

Input tokens are bounded by the bytes of the request (no tokenizer makes two tokens of one byte) or, where the
request only refers to what the model will read, by the model's context; output tokens by the client's own cap or
the model's. Prices are read off quotes of ``catalog.price``: the dearest way each token can be counted.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from decimal import ROUND_CEILING, Decimal

import msgspec

from farthing.catalog.price import price_at, variant_at
from farthing.core.facts import Operation
from farthing.core.limits import NANO, counted
from farthing.core.money import EXACT, USD, Unpriced
from farthing.core.nouns import Offer
from farthing.core.units import INPUT, OUTPUT, REQUEST, Unit, Usage
from farthing.gateway.ports import Call, OwnTools, Part, Target
from farthing.gateway.ratecard import price_boundaries

UNKNOWN_CONTEXT = 2_097_152
"""Tokens that a model of unknown context may read: the longest context on offer (Gemini 1.5 Pro, ai.google.dev)."""

UNKNOWN_OUTPUT = 131_072
"""Tokens that a model of unknown limits may write; where it counts, the request is capped there explicitly."""

_FINE = 10**6
"""Prices per token are whole numbers of 10⁻¹⁵ dollars, this many to the counted piece."""

_SILENT = frozenset({Operation.EMBEDDING, Operation.COUNT_TOKENS})
_UNBILLED = frozenset({Operation.COUNT_TOKENS, Operation.FILE})
_MEDIA = ("image", "audio")
_EVERY_MEDIUM = frozenset(_MEDIA)


class Band(msgspec.Struct, frozen=True, gc=False):
    """The dearest input and output token and the price of a request while the input exceeds ``above`` tokens."""

    above: int
    input: int
    output: int | None
    request: int


class Ceiling(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """The most that tokens of some offers can cost until ``until``, from the longest context down."""

    until: datetime
    bands: tuple[Band, ...] = ()
    context: int = 0
    output: int = 0
    unpriced: str = ""

    @property
    def fee(self) -> int:
        """What a request costs beside its tokens."""
        return max((band.request for band in self.bands), default=0)

    def cost(self, input_tokens: int, output_tokens: int) -> int | None:
        """Counted pieces, rounded up. ``None`` when the output has no price."""
        dearest = 0
        for band in self.bands:
            if band.above and input_tokens <= band.above:
                continue
            if output_tokens and band.output is None:
                return None
            fine = input_tokens * band.input + output_tokens * (band.output or 0)
            dearest = max(dearest, -(-fine // _FINE) + band.request)
        return dearest

    def fitting(self, input_tokens: int, pieces: int) -> int:
        """How many output tokens these pieces cover beside the input; negative when not even that."""
        fitting = 2**40
        for band in self.bands:
            if (band.above and input_tokens <= band.above) or not band.output:
                continue
            left = (pieces - band.request) * _FINE - input_tokens * band.input
            fitting = min(fitting, left // band.output)
        return fitting


class Worst(msgspec.Struct, frozen=True, gc=False):
    """The worst case of one attempt: counted cost, tokens, and how many of those may be output.

    ``cost`` is ``None`` when nobody knows, and ``unpriced`` says why. ``capped``: the bound holds only if the request
    itself says how long its answer may be.
    """

    cost: int | None
    tokens: int
    input: int
    output: int
    unpriced: str = ""
    capped: bool = False


class Bounds:
    """Worst cases of calls at targets. Ceilings are worked out once per target and kept until a price changes."""

    def __init__(self) -> None:
        self._ceilings: dict[tuple[str, str, str, frozenset[str]], Ceiling] = {}

    def forget(self) -> None:
        """The catalogue changed."""
        self._ceilings.clear()

    def worst(self, call: Call, target: Target) -> Worst:
        """The most one attempt can be billed."""
        if call.operation in _UNBILLED:
            return _FREE
        if call.most is not None:
            return _counted(call, target)
        if call.parts:
            return self._batch(call.parts, call.at)
        if call.own_tools is not None:
            return self._with_tools(call, target, call.own_tools)
        ceiling = self.ceiling(call, target)
        read, written, known = self.tokens(call, ceiling)
        cost = None if ceiling.unpriced else ceiling.cost(read, written)
        reason = ""
        if cost is None:
            reason = ceiling.unpriced or f"no price is known for what {target.model} writes"
        return Worst(cost, read + written, read, written, reason, not known)

    def tokens(self, call: Call, ceiling: Ceiling) -> tuple[int, int, bool]:
        """The most tokens that can be read and written, and whether the provider keeps to that by itself."""
        context = ceiling.context or UNKNOWN_CONTEXT
        read = context if call.refers else min(call.input_estimate, context)
        if call.operation in _SILENT:
            return read, 0, True
        if call.output_limit:
            return read, call.output_limit, True
        longest = ceiling.output or ceiling.context
        return read, (longest or UNKNOWN_OUTPUT) * call.choices, bool(longest)

    def _with_tools(self, call: Call, target: Target, tools: OwnTools) -> Worst:
        """A call whose provider may use tools of its own: each use costs, and the model reads all over again."""
        ceiling = self.ceiling(call, target)
        _, written, known = self.tokens(call, ceiling)
        read = (ceiling.context or UNKNOWN_CONTEXT) * ((tools.uses or 0) + 1)
        cost, reason = None, ceiling.unpriced
        if tools.uses is None:
            reason = reason or "nobody bounds what the provider's own tools cost (max_uses, max_tool_calls)"
        elif not reason:
            cost, reason = _fees(tools.units, tools.uses, target.offers, call.at)
        rest = ceiling.cost(read, written) if cost is not None else None
        whole = None if cost is None or rest is None else cost + rest
        if whole is None:
            reason = reason or f"no price is known for what {target.model} writes"
        return Worst(whole, read + written, read, written, reason, not known)

    def _batch(self, parts: Sequence[Part], at: datetime) -> Worst:
        """All requests of a batch together, as if each read as much as all of them do."""
        cost, read, written, unpriced = 0, 0, 0, ""
        for part in parts:
            ceiling = _ceiling([part.offers], at, _EVERY_MEDIUM, part.model)
            longest = ceiling.output or ceiling.context or UNKNOWN_OUTPUT
            output = part.output_limit + part.uncapped * longest
            inputs = part.input_tokens + part.referring * (ceiling.context or UNKNOWN_CONTEXT)
            most = None if ceiling.unpriced else ceiling.cost(inputs, output)
            if most is None:
                unpriced = unpriced or ceiling.unpriced or f"no price is known for what {part.model} writes"
            if part.unbounded:
                unpriced = unpriced or "nobody bounds what the provider's own tools cost in a batch"
            cost += (most or 0) + (part.requests - 1) * ceiling.fee
            read, written = read + inputs, written + output
        known = None if unpriced else cost
        return Worst(cost=known, tokens=read + written, input=read, output=written, unpriced=unpriced)

    def ceiling(self, call: Call, target: Target) -> Ceiling:
        """The most that tokens cost there now."""
        media = call.needs.intersection(_MEDIA) if call.needs else call.needs
        key = (target.provider.name, target.model, target.offer_id, media)
        ceiling = self._ceilings.get(key)
        if ceiling is None or call.at >= ceiling.until:
            offers = target.offers
            if b'"service_tier"' in call.body:
                dearer = [dear for others in target.other_terms.values() for dear in others]
                return _ceiling([offers, *([o] for o in dearer)], call.at, media, target.model)
            ceiling = self._ceilings[key] = _ceiling([offers], call.at, media, target.model)
        return ceiling


_FREE = Worst(cost=0, tokens=0, input=0, output=0)


def _fees(units: Sequence[Unit], uses: int, offers: Sequence[Offer], at: datetime) -> tuple[int | None, str]:
    """What so many uses cost at most, whichever of the tools they are of; a reason where that is not known."""
    dearest = 0
    for unit in units if uses else ():
        fee = price_at(Usage({unit: uses}), offers, at).total
        if isinstance(fee, Unpriced):
            return None, fee.reason
        dearest = max(dearest, counted(fee.amount))
    return dearest, ""


def _counted(call: Call, target: Target) -> Worst:
    """The worst case of a call that says itself what can be counted at most."""
    most = call.most or Usage({})
    quote = price_at(most, target.offers, call.at)
    tokens = int(most[INPUT] + most[OUTPUT])
    read, written = int(most[INPUT]), int(most[OUTPUT])
    if isinstance(quote.total, Unpriced):
        return Worst(cost=None, tokens=tokens, input=read, output=written, unpriced=quote.total.reason)
    return Worst(cost=counted(quote.total.amount), tokens=tokens, input=read, output=written)


def _ceiling(sets: Sequence[Sequence[Offer]], at: datetime, media: frozenset[str], model: str) -> Ceiling:
    """The dearest of several sets of variants, each the variants of one offer."""
    found = [_of_one(offers, at, media, model) for offers in sets if offers]
    if not found:
        return Ceiling(until=_never(at), unpriced=f"no price is known for {model}")
    unpriced = next((c.unpriced for c in found if c.unpriced), "")
    return Ceiling(
        until=min(c.until for c in found),
        bands=tuple(band for c in found for band in c.bands),
        context=found[0].context,
        output=found[0].output,
        unpriced=unpriced,
    )


def _of_one(offers: Sequence[Offer], at: datetime, media: frozenset[str], model: str) -> Ceiling:
    until = min((edge for o in offers for edge in price_boundaries(o, at) if edge > at), default=_never(at))
    offer = variant_at(offers, at)
    if offer is None or not offer.prices:
        return Ceiling(until=until, unpriced=f"no price is known for {model}")
    bands: list[Band] = []
    for above in sorted({0, *(p.above for p in offer.prices)}, reverse=True):
        band = _band(offer, at, above, media)
        if isinstance(band, str):
            return Ceiling(until=until, unpriced=band)
        bands.append(band)
    able = offer.capability
    return Ceiling(until=until, bands=tuple(bands), context=able.context_tokens, output=able.output_tokens)


def _band(offer: Offer, at: datetime, above: int, media: frozenset[str]) -> Band | str:
    """One band, read off quotes for usages just inside it; a reason when plain input has no price."""
    many = above + 1
    quote = price_at(Usage({INPUT: many}), (offer,), at)
    plain = quote.total
    if isinstance(plain, Unpriced):
        return plain.reason
    if plain.currency != USD:
        return f"it is priced in {plain.currency}, and limits are counted in {USD}"
    once = sum((line.amount.amount for line in quote.lines if line.unit == REQUEST), Decimal(0))
    reads = [_amount(offer, at, {INPUT: many, unit: many}) for unit in _ways(offer, "input", media)]
    writes = [_amount(offer, at, {INPUT: many, OUTPUT: 1, unit: 1}) for unit in _ways(offer, "output", media)]
    dearest = max(amount for amount in (plain.amount, *reads) if amount is not None)
    answers = [EXACT.subtract(amount, plain.amount) for amount in writes if amount is not None]
    output = _each(max(answers), 1) if answers else None
    return Band(above, _each(EXACT.subtract(dearest, once), many), output, counted(once))


def _ways(offer: Offer, direction: str, media: frozenset[str]) -> list[Unit]:
    """The ways in which a token of this call may be counted."""
    known = {p.unit for p in offer.prices if p.unit.measure == "token" and p.unit.direction in ("", direction)}
    plain = {INPUT if direction == "input" else OUTPUT}
    return [
        unit
        for unit in known | plain
        if unit.direction == direction and (unit.modality in ("", "text") or unit.modality in media)
    ]


def _amount(offer: Offer, at: datetime, counts: Mapping[Unit, int]) -> Decimal | None:
    total = price_at(Usage(counts), (offer,), at).total
    return None if isinstance(total, Unpriced) else total.amount


def _each(amount: Decimal, many: int) -> int:
    """One token's price in 10⁻¹⁵ dollars, rounded up."""
    fine = EXACT.divide(EXACT.multiply(amount, NANO * _FINE), many)
    return int(fine.to_integral_value(rounding=ROUND_CEILING))


def _never(at: datetime) -> datetime:
    return datetime.max.replace(tzinfo=at.tzinfo)
