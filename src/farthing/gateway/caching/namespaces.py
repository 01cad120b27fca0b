"""Which namespace a request belongs to."""

from farthing.cache.settings import DEFAULT, CacheSettings, NamespaceSettings
from farthing.core.nouns import Scope
from farthing.gateway.ports import Call

Rule = tuple[str, NamespaceSettings]


class Namespaces:
    """The one that says most of those that fit claims a request, the first by name among equals; ``default`` gets what
    is left.
    """

    def __init__(self, settings: CacheSettings) -> None:
        named = dict(settings.namespaces)
        self._rest: Rule = (DEFAULT, named.pop(DEFAULT, NamespaceSettings()))
        self._rules = tuple(sorted(named.items(), key=lambda rule: (-len(rule[1].where), rule[0])))
        self._known: dict[tuple[Scope, str], Rule] = {}

    def of(self, call: Call) -> Rule:
        """Its name and its rules."""
        if not self._rules:
            return self._rest
        key = (call.caller.scope, call.model)
        found = self._known.get(key)
        if found is None:
            if len(self._known) > MOST_KNOWN:
                self._known.clear()
            found = self._known[key] = next((rule for rule in self._rules if _fits(rule[1], call)), self._rest)
        return found


MOST_KNOWN = 10_000


def _fits(rules: NamespaceSettings, call: Call) -> bool:
    scope = call.caller.scope
    return all(
        (call.model if name == "model" else getattr(scope, name)) == value for name, value in rules.where.items()
    )
