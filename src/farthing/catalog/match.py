"""Names of models as bills, SDKs and people write them, resolved to offers.

The name is unwrapped (ARNs, paths, region prefixes, routing prefixes, versions), then tried as it is, by the
provider's own matching rules, and at last without its date or version suffix.
"""

import difflib
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

from farthing.catalog.sources import Rule

_ALIASES = {
    "azure_ai": "azure",
    "azure-openai": "azure",
    "bedrock": "aws",
    "bedrock_converse": "aws",
    "amazon": "aws",
    "amazon-bedrock": "aws",
    "vertex_ai": "google",
    "vertex": "google",
    "gemini": "google",
    "google-vertex": "google",
    "xai": "x-ai",
    "fireworks_ai": "fireworks",
    "together_ai": "together",
    "togethercomputer": "together",
    "moonshot": "moonshotai",
    "mistralai": "mistral",
    "claude": "anthropic",
    "cohere_chat": "cohere",
    "text-completion-openai": "openai",
}
_FALLBACKS: Mapping[str, tuple[str, ...]] = {
    "azure": ("openai", "anthropic", "deepseek", "x-ai", "moonshotai", "mistral", "cohere"),
    "google": ("anthropic", "mistral"),
    "aws": ("anthropic", "mistral", "cohere", "deepseek"),
}
"""Whose price applies where a cloud sells somebody else's model at the maker's price."""

_MAKERS: tuple[tuple[re.Pattern[str], str], ...] = tuple(
    (re.compile(pattern), maker)
    for pattern, maker in (
        (
            r"(?:chatgpt|gpt-(?!oss|j|neo)|o\d(?:-|$)|text-embedding-(?:3|ada)|davinci|babbage|dall-e|whisper-1|tts-1)",
            "openai",
        ),
        (r"claude", "anthropic"),
        (r"(?:gemini|text-embedding-00|text-bison|chat-bison)", "google"),
        (
            r"(?:mistral|open-mistral|mixtral|open-mixtral|codestral|ministral|pixtral|magistral|devstral|voxtral)",
            "mistral",
        ),
        (r"grok", "x-ai"),
        (r"deepseek", "deepseek"),
        (r"(?:command|embed-|rerank-|c4ai|aya)", "cohere"),
        (r"sonar", "perplexity"),
        (r"voyage", "voyageai"),
        (r"(?:kimi|moonshot)", "moonshotai"),
        (r"glm-", "zai"),
        (r"(?:amazon\.)?(?:nova|titan)-", "aws"),
    )
)
_SUFFIXES: tuple[re.Pattern[str], ...] = tuple(
    re.compile(pattern)
    for pattern in (
        r"-v\d+(?::\d+)?(?::\d+k)?$",
        r":\d+$",
        r"[-@]20\d{2}-?[01]\d-?[0-3]\d$",
        r"-[01]\d-[0-3]\d$",
        r"-[01]\d[0-3]\d$",
        r"-\d{3}$",
        r"-latest$",
        r"-[01]\d-20\d{2}$",
        r"-preview$",
    )
)
_TERMS = re.compile(r"\s*[(\[](batch|flex|priority|fast)(?: api)?[)\]]$|\s+(batch|flex|priority)$")
_ARN = re.compile(r"^arn:[\w-]+:bedrock:[\w-]*:\d*:[\w-]+/(.+)$")
_GEOGRAPHY = re.compile(r"^(?:us-gov|us|eu|apac|jp|au|ca|global)\.(?=\w+\.)")
_BEDROCK = re.compile(
    r"^(?:anthropic|amazon|meta|mistral|cohere|ai21|deepseek|openai|qwen|writer|stability|moonshot)\."
)
_PATHS = (
    (re.compile(r"^accounts/fireworks/(?:models|routers)/(.+)$"), "fireworks"),
    (re.compile(r"^(?:projects/[^/]+/locations/[^/]+/)?publishers/([^/]+)/models/(.+)$"), ""),
    (re.compile(r"^(?:tuned)?models/(.+)$"), "google"),
)


def sellers(provider: str) -> tuple[str, ...]:
    """Whose price lists may hold for what a provider sells: its own, then those of the makers it resells."""
    return (provider, *_FALLBACKS.get(provider, ()))


class Matcher:
    """Resolves names against the offers of one catalogue. ``ids`` are those of on-demand token offers."""

    def __init__(self, ids: Iterable[str], rules: Sequence[Rule]) -> None:
        self._ids = {i.lower(): i for i in ids}
        self._rules: dict[str, list[Rule]] = {}
        for rule in rules:
            self._rules.setdefault(rule.provider, []).append(rule)
        self._providers = {i.split("/", 1)[0] for i in self._ids}
        self._makers: dict[str, list[str]] = {}
        for low in self._ids:
            self._makers.setdefault(low.split("/", 1)[1], []).append(low.split("/", 1)[0])

    def match(self, name: str, provider: str = "") -> str | None:
        """The id of the offer that a name means; ``None`` when none can be told.

        ``provider`` says who billed or served it, where that is known.
        """
        wanted, terms = _terms(name.strip().lower())
        seller, model = self._unwrapped(wanted, self._canonical(provider.lower()))
        found = self._found(seller, model)
        if found is None:
            return None
        special = f"{found}:{terms}".lower()
        return self._ids.get(special, found) if terms else found

    def nearest(self, name: str, count: int = 3) -> list[str]:
        """Ids that look like a name, the most alike first."""
        low = name.strip().lower()
        pool = {i: i for i in self._ids} | {model: self._maker_first(model) for model in self._makers}
        close = difflib.get_close_matches(low, pool, n=count * 2, cutoff=0.5)
        return [self._ids[i] for i in dict.fromkeys(pool[c] for c in close)][:count]

    def _maker_first(self, model: str) -> str:
        """The id of a model at its maker, where the maker sells it, else at whoever is listed first."""
        sold = self._makers[model]
        makers = (maker for maker in self._sellers("", model) if maker in sold)
        return f"{next(makers, sold[0])}/{model}"

    def _unwrapped(self, name: str, provider: str) -> tuple[str, str]:
        """Who sells it (empty if the name does not say) and the bare model name."""
        arn = _ARN.match(name)
        if arn:
            name, provider = arn[1], "aws"
        for pattern, seller in _PATHS:
            found = pattern.match(name)
            if found:
                provider, name = provider or seller or self._canonical(found[1]), found[found.lastindex or 1]
        if f"{provider}/{name}" in self._ids:
            return provider, name
        head, _, rest = name.partition("/")
        prefix = self._canonical(head)
        if rest and (prefix in self._providers or head in _ALIASES):
            if not provider or provider == prefix:
                return self._unwrapped(rest, prefix) if prefix != "openrouter" else (prefix, rest)
            return provider, name if f"{provider}/{name}" in self._ids else self._unwrapped(rest, provider)[1]
        if _GEOGRAPHY.match(name) or _BEDROCK.match(name):
            return provider or "aws", name
        return provider, name

    def _canonical(self, provider: str) -> str:
        return _ALIASES.get(provider, provider)

    def _found(self, seller: str, model: str) -> str | None:
        spellings = list(dict.fromkeys(_spellings(model)))
        for provider in self._sellers(seller, spellings[0]):
            for spelling in spellings:
                if f"{provider}/{spelling}" in self._ids:
                    return self._ids[f"{provider}/{spelling}"]
                ruled = self._ruled(provider, spelling)
                if ruled is not None:
                    return ruled
        if seller:
            return None
        known = next((s for s in spellings if s in self._makers), None)
        return self._ids[f"{self._makers[known][0]}/{known}"] if known else None

    def _sellers(self, seller: str, model: str) -> Iterator[str]:
        if seller:
            yield seller
            yield from _FALLBACKS.get(seller, ())
            return
        bare = _BEDROCK.sub("", _GEOGRAPHY.sub("", model)).replace(" ", "-")
        yield from (maker for pattern, maker in _MAKERS if pattern.match(bare))

    def _ruled(self, provider: str, name: str) -> str | None:
        for rule in self._rules.get(provider, ()):
            if _FITS[rule.how](name, rule.text):
                return self._ids.get(f"{provider}/{rule.model}".lower())
        return None


_FITS: Mapping[str, Callable[[str, str], bool]] = {
    "equals": str.__eq__,
    "starts": str.startswith,
    "ends": str.endswith,
    "contains": str.__contains__,
    "regex": lambda name, pattern: re.search(pattern, name) is not None,
}


def _terms(name: str) -> tuple[str, str]:
    found = _TERMS.search(name)
    if found is None:
        return name, ""
    return name[: found.start()], found[1] or found[2]


def _spellings(name: str) -> Iterator[str]:
    """Ways to write a name, from the one given to ever plainer ones."""
    plain = re.sub(r"[\s_]+", "-", name)
    yield name
    yield plain
    yield from _dotted(plain)
    plain = _GEOGRAPHY.sub("", plain)
    yield plain
    without = _BEDROCK.sub("", plain)
    if without != plain:
        yield without
    seen = without
    for _ in _SUFFIXES:
        shorter = next((s for p in _SUFFIXES if (s := p.sub("", seen)) != seen), seen)
        if shorter == seen:
            return
        seen = shorter
        yield seen
        yield from _dotted(seen)


def _dotted(name: str) -> Iterator[str]:
    """Versions are written with a dot or a dash: ``claude-3.5-sonnet`` and ``claude-3-5-sonnet``."""
    yield re.sub(r"(?<=\d)\.(?=\d)", "-", name)
    yield re.sub(r"(?<=-\d)-(?=\d(?:-|$))", ".", name)


__all__ = ["Matcher", "sellers"]
