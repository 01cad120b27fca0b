"""Which target is to be tried next for one call, why, and after what wait.

Targets are tried in the route's order, each once, with no wait between them. Those whose record speaks against
them now (an open breaker, a used-up rate limit) come after the others. Only when all have failed is one tried
again, if its failure may pass, its retry budget has room, and the wait fits into what the request has left of its
patience.
"""

from collections.abc import Callable, Iterator
from typing import Literal, NamedTuple

from farthing.core.facts import RequestFact
from farthing.gateway.experience import Track
from farthing.gateway.failure import is_of_account, may_pass
from farthing.gateway.ports import Target
from farthing.gateway.retry import Retries, backoff

Role = Literal["", "retry", "failover", "hedge"]
"""Why there is an attempt beyond the first; empty for the first."""

_SPREAD_S = 0.1
"""Requests that wait for the same reset are sent spread over this."""


class Step(NamedTuple):
    """The next attempt: its target and that target's record, why it is made, and seconds to wait before."""

    place: int
    target: Target
    track: Track
    role: Role
    wait: float = 0.0


class Failed(NamedTuple):
    """How the last attempt at a target failed, and until when the provider asked to be left alone."""

    fact: RequestFact
    until: float


class Course:
    """The way of one call over the targets of its route. Times are seconds since 1970.

    ``track`` finds a target's record, ``draw`` gives random numbers in [0, 1).
    """

    __slots__ = ("_draw", "_failed", "_patience", "_retries", "_targets", "_track", "_tries", "made")

    def __init__(
        self,
        targets: tuple[Target, ...],
        retries: Retries,
        *,
        track: Callable[[Target], Track],
        draw: Callable[[], float],
    ) -> None:
        self.made = 0
        self._targets = targets
        self._retries = retries
        self._track = track
        self._draw = draw
        self._patience = retries.patience
        self._tries: dict[int, int] = {}
        self._failed: dict[int, Failed] = {}

    def next(self, now: float) -> Step | None:
        """The next attempt, one after the other; ``None`` when there is to be none."""
        if self.made >= self._retries.attempts:
            return None
        last_resort: Step | None = None
        for step in self._untried("failover" if self.made else ""):
            if not step.track.against(now):
                return step
            last_resort = last_resort or step
        if last_resort is None:
            return self._again(now)
        return last_resort if self.made else self._patiently(last_resort, now)

    def beside(self, now: float) -> Step | None:
        """A further attempt while the first one is still waited for; ``None`` when no other target is well."""
        if self.made >= self._retries.attempts:
            return None
        return next((step for step in self._untried("hedge") if not step.track.against(now)), None)

    def begun(self, step: Step) -> None:
        """The attempt is being made."""
        self.made += 1
        self._tries[step.place] = self._tries.get(step.place, 0) + 1
        self._patience -= step.wait

    def unfit(self, step: Step) -> None:
        """The target cannot carry this call at all."""
        self._tries[step.place] = 0

    def failed(self, step: Step, fact: RequestFact, *, at: float, retry_after: float) -> None:
        """How the attempt ended, which did not answer."""
        self._failed[step.place] = Failed(fact, at + retry_after)

    def _untried(self, role: Role) -> Iterator[Step]:
        """Targets not tried yet, without those of an account that has just proved useless."""
        useless = {failed.fact.provider for failed in self._failed.values() if is_of_account(failed.fact)}
        for place, target in enumerate(self._targets):
            if place not in self._tries and target.provider.name not in useless:
                yield Step(place, target, self._track(target), role)

    def _again(self, now: float) -> Step | None:
        """The target that may be tried again soonest, if that is within the patience and its retry budget."""
        soonest: Step | None = None
        for place, (fact, until) in self._failed.items():
            if not may_pass(fact):
                continue
            track = self._track(self._targets[place])
            wait = max(backoff(self._tries[place], self._draw), until - now)
            if soonest is None or wait < soonest.wait:
                soonest = Step(place, self._targets[place], track, "retry", wait)
        if soonest is None or soonest.wait > self._patience or not soonest.track.budget.take(now):
            return None
        return soonest

    def _patiently(self, step: Step, now: float) -> Step:
        """The first attempt where every target has something against it: it waits for a rate limit to reset soon."""
        wait = step.track.pace.free_at(now) - now
        if not 0 < wait <= self._patience:
            return step
        return step._replace(wait=wait + _SPREAD_S * self._draw())
