"""What is not reused: why a request is asked afresh, or its answer not kept."""

import re

from farthing.cache.settings import NamespaceSettings
from farthing.core.facts import RequestFact, Status
from farthing.gateway.caching.answer import Said
from farthing.gateway.caching.question import Asked
from farthing.gateway.ports import Call

LONGEST_QUESTION = 4000
"""Characters. What is longer is a document, and two of them seldom mean the same."""

_NOW = re.compile(
    r"\b(now|today|tonight|tomorrow|yesterday|currently|current|latest|newest|recent|recently|upcoming|nowadays"
    r"|at the moment|right away|so far|up to date|this (?:morning|afternoon|evening|week|weekend|month|quarter|year)"
    r"|(?:next|last) (?:week|weekend|month|quarter|year|monday|tuesday|wednesday|thursday|friday|saturday|sunday)"
    r"|what(?:'s| is) the (?:time|date|weather|news|score|forecast)|what (?:time|day|date|year) is it"
    r"|weather|forecast|exchange rate|stock price|share price|breaking|headlines|live)\b",
    re.IGNORECASE,
)
"""Words of questions whose answer depends on when they are asked."""

_PERSONAL = re.compile(
    r"[\w.+-]+@[\w-]+\.\w{2,}"
    r"|(?<![\w.])\+?\d[\d ()/-]{7,}\d(?![\w.])"
    r"|\b(?:my name is|i am called|call me|i live (?:in|at|on)|my (?:address|birthday|date of birth|phone number|ssn"
    r"|social security|passport number|account number|card number|iban|e-?mail is|password is|salary|diagnosis|blood"
    r"|boss|wife|husband|partner|daughter|son|mother|father|doctor)\b"
    r"|(?:what(?:'s| is| are| was| were)|show(?: me)?|tell me|read(?: me)?|list|how (?:much|many)) (?:is |are )?"
    r"(?:on |in |of |about )?my\b"
    r"|who am i|do you (?:remember|know) (?:me|my)|did i (?:say|tell|mention|ask)|remember that i\b|about me\b)",
    re.IGNORECASE,
)
"""Marks of questions whose answer is about the one who asks, or that hold personal data."""

_REFUSAL = re.compile(
    r"^\W*(?:i(?:'|’)?m (?:really |very |so )?(?:sorry|afraid)|sorry|i apologi[sz]e|unfortunately|as an ai\b"
    r"|i (?:can(?:'|’)t|cannot|can not|won(?:'|’)t|am not able to|am unable to)|i(?:'|’)m (?:not able|unable) to)"
    r".{0,80}?\b(?:can(?:'|’)t|cannot|can not|won(?:'|’)t|unable|not able|not allowed|comply|assist|help|provide"
    r"|discuss|answer|share|do that|continue|fulfil|fulfill)\b",
    re.IGNORECASE | re.DOTALL,
)
"""How models begin when they decline."""


def why_asked(call: Call, wanted: Asked, rules: NamespaceSettings) -> str:
    """Why a request is neither answered from a cache nor kept; empty when nothing speaks against it."""
    if call.refers or wanted.stored:
        return "state"
    if call.own_tools is not None and "tools" not in rules.allow:
        return "tools"
    if wanted.temperature is not None and wanted.temperature > rules.max_temperature:
        return "temperature"
    return ""


def why_literal(wanted: Asked, rules: NamespaceSettings) -> str:
    """Why only the very same question may be answered, not one that means the same; empty when nothing does."""
    if not wanted.question.strip() or len(wanted.question) > LONGEST_QUESTION:
        return "no_question"
    if wanted.tools and "tools" not in rules.allow:
        return "tools"
    return why_time_or_person(wanted.question, rules)


def why_time_or_person(question: str, rules: NamespaceSettings) -> str:
    """Whether the answer depends on when, or by whom, the question is asked."""
    if "time" not in rules.allow and _NOW.search(question):
        return "time"
    if "personal" not in rules.allow and _PERSONAL.search(question):
        return "personal"
    return ""


def why_dropped(fact: RequestFact, said: Said, rules: NamespaceSettings) -> str:
    """Why an answer is not kept; empty when it is whole and was a success."""
    if fact.status is not Status.OK or fact.http_status != 200:  # noqa: PLR2004 - HTTP's word for success
        return "not_ok"
    if not said.whole:
        return "not_whole"
    if "refusals" not in rules.allow and (said.refused or _REFUSAL.search(said.text)):
        return "refusal"
    return ""
