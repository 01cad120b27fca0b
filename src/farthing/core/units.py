"""Billable units as points in a few dimensions, and usage as counts on that lattice.

A provider reports *nested* counts: 1,000 input tokens **of which** 800 were read from a cache and
100 were audio. A bill needs *disjoint* ones. ``Usage`` keeps what was reported and ``leaves()``
makes it disjoint, by Möbius inversion on the order "more specific than". The dimensions and their
names follow genai-prices (``units.yml``, MIT).
"""

from collections.abc import Mapping
from decimal import Decimal
from functools import lru_cache
from typing import Self, get_args

import msgspec

from farthing.core.errors import InputError, UsageError

MEASURES = (
    "token", "request", "image", "character", "page", "search", "second", "hour", "gb_month", "gb", "byte", "pixel",
    "message", "execution",
)  # fmt: skip
DIRECTIONS = ("input", "output")
MODALITIES = ("text", "audio", "image", "video", "document")
KINDS = (
    "cache_read", "cache_write", "reasoning", "tool_use", "citation", "annotated", "web", "social", "storage", "rerank",
)  # fmt: skip
TTLS = ("5m", "1h", "24h")


class Unit(msgspec.Struct, frozen=True, gc=False, order=True, cache_hash=True):
    """One kind of thing that is billed. An empty dimension means "any".

    ``measure``: what is counted. ``direction``: into or out of the model. ``modality``: what the
    tokens encode. ``kind``: how they were handled. ``ttl``: how long a cache write is kept.
    """

    measure: str = "token"
    direction: str = ""
    modality: str = ""
    kind: str = ""
    ttl: str = ""

    def __post_init__(self) -> None:
        for field, words in _VOCABULARY.items():
            value = getattr(self, field)
            if value not in words and not (value == "" and field != "measure"):
                raise InputError("unknown word", field=field, value=value, remedy=f"Use one of {', '.join(words)}")

    @property
    def name(self) -> str:
        """Dotted form such as ``token.input.cache_write.1h``; ``parse`` reads it back."""
        return ".".join(w for w in (self.measure, self.direction, self.modality, self.kind, self.ttl) if w)

    @classmethod
    def parse(cls, name: str) -> Self:
        """The unit of a dotted name. Raises ``InputError`` for words outside the vocabulary."""
        measure, *words = name.split(".")
        point = {"measure": measure}
        for word in words:
            field = next((f for f, known in _VOCABULARY.items() if f != "measure" and word in known), None)
            if field is None or field in point:
                raise InputError("not a unit", field="unit", value=name, remedy=f"{word!r} does not fit here")
            point[field] = word
        return cls(**point)

    def contains(self, other: "Unit") -> bool:
        """Whether everything counted as ``other`` is also counted as this (a unit contains itself)."""
        return (
            self.measure == other.measure
            and self.direction in ("", other.direction)
            and self.modality in ("", other.modality)
            and self.kind in ("", other.kind)
            and self.ttl in ("", other.ttl)
        )

    @property
    def depth(self) -> int:
        """How many dimensions are fixed; a more specific unit is deeper."""
        return sum(bool(w) for w in (self.direction, self.modality, self.kind, self.ttl))


_VOCABULARY: Mapping[str, tuple[str, ...]] = {
    "measure": MEASURES,
    "direction": DIRECTIONS,
    "modality": MODALITIES,
    "kind": KINDS,
    "ttl": TTLS,
}

INPUT = Unit(direction="input")
OUTPUT = Unit(direction="output")
CACHE_READ = Unit(direction="input", kind="cache_read")
CACHE_WRITE = Unit(direction="input", kind="cache_write")
CACHE_WRITE_5M = Unit(direction="input", kind="cache_write", ttl="5m")
CACHE_WRITE_1H = Unit(direction="input", kind="cache_write", ttl="1h")
REASONING = Unit(direction="output", kind="reasoning")
REQUEST = Unit(measure="request")
HOUR = Unit(measure="hour")

Count = int | Decimal


class Usage(msgspec.Struct, frozen=True, gc=False):
    """Counts as a provider reported them, nested: a unit includes the more specific ones below it.

    Two reported units that overlap without containing each other (audio and cache-read) are taken
    as disjoint unless their common part is reported too, which is how providers document them.
    """

    counts: Mapping[Unit, Count]

    def __post_init__(self) -> None:
        for unit, count in self.counts.items():
            if type(count) not in _COUNT_TYPES or count < 0:
                raise UsageError("a count is a whole or decimal number of zero or more", field=unit.name, value=count)

    @classmethod
    def tokens(
        cls, input: int = 0, output: int = 0, *, cache_read: int = 0, cache_write: int = 0, reasoning: int = 0
    ) -> Self:
        """Usage of one model call; cached tokens are part of ``input``, reasoning of ``output``."""
        parts = {INPUT: input, OUTPUT: output, CACHE_READ: cache_read, CACHE_WRITE: cache_write, REASONING: reasoning}
        return cls({u: n for u, n in parts.items() if n or u in (INPUT, OUTPUT)})

    def __getitem__(self, unit: Unit) -> Count:
        return self.counts.get(unit, 0)

    def leaves(self) -> dict[Unit, Count]:
        """Disjoint counts whose sum over the parts of any reported unit is its reported count.

        Zero leaves are left out. Raises ``UsageError`` naming both numbers when a part exceeds
        the whole it belongs to.
        """
        units = tuple(self.counts)
        left: dict[Unit, Count] = {}
        for i, parts in inside_out(units):
            unit = units[i]
            inside = sum((left[units[j]] for j in parts), 0)
            rest = self.counts[unit] - inside
            if rest < 0:
                self._refuse(unit, [units[j] for j in parts], inside)
            left[unit] = rest
        return {unit: count for unit, count in left.items() if count}

    def __add__(self, other: "Usage") -> "Usage":
        """Both usages together. Their leaves add up, because nesting is preserved unit by unit."""
        summed = dict(self.counts)
        for unit, count in other.counts.items():
            summed[unit] = summed.get(unit, 0) + count
        return Usage(summed)

    def _refuse(self, whole: Unit, parts: list[Unit], inside: Count) -> None:
        for part in parts:
            if self.counts[part] > self.counts[whole]:
                raise UsageError(
                    f"{self.counts[part]} cannot exceed {whole.name} of {self.counts[whole]}",
                    field=part.name,
                    value=self.counts[part],
                    remedy="The provider's report contradicts itself; the request stays unpriced",
                )
        named = " + ".join(f"{p.name} {self.counts[p]}" for p in parts)
        raise UsageError(
            f"its parts ({named}) add up to {inside}, more than its {self.counts[whole]}",
            field=whole.name,
            value=self.counts[whole],
            remedy="The parts overlap and the overlap was not reported; the request stays unpriced",
        )


_COUNT_TYPES = get_args(Count)


@lru_cache(maxsize=1024)
def inside_out(units: tuple[Unit, ...]) -> tuple[tuple[int, tuple[int, ...]], ...]:
    """How units nest: indices from the most specific unit outwards, each with the indices strictly inside it."""
    order = sorted(range(len(units)), key=lambda i: -units[i].depth)
    return tuple((i, tuple(j for j in order if j != i and units[i].contains(units[j]))) for i in order)
