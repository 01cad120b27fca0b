"""Features and the prior on pairs of questions; traps and paraphrases end to end; conversations."""

import asyncio
import json
import math
from datetime import UTC, datetime

import pytest

from farthing.cache.semantic.embed import WordLlama
from farthing.cache.semantic.lexical import LEXICAL_FEATURES, lexical_features
from farthing.cache.semantic.prior import PRIOR_FEATURES, fitted, prior_probability, probability, weighed_features
from farthing.cache.semantic.text import analyze
from farthing.cache.semantic.vetoes import veto
from farthing.cache.settings import NamespaceSettings
from farthing.core.facts import Operation
from farthing.core.nouns import Decision
from farthing.gateway.caching.question import Asked, asked
from farthing.gateway.ports import Call, Route

SERVED = 0.6

TRAPS = [
    ("How do I mute notifications on my watch?", "How do I unmute notifications on my watch?"),
    ("Who won the women's final in 2019?", "Who won the men's final in 2019?"),
    ("Can I bring a dog into the shop?", "Can I bring a bicycle into the shop?"),
    ("How do I merge two branches?", "How do I merge three branches?"),
    ("Is the ferry cheaper than the train?", "Is the train cheaper than the ferry?"),
    ("Do I need a licence to fish in a lake?", "Do I need a licence to fish in the sea?"),
    ("Where can I park near the stadium?", "Where can I park near the hospital?"),
    ("How do I add a column in pandas?", "How do I drop a column in pandas?"),
    ("Which vaccines do adults need?", "Which vaccines do babies need?"),
    ("Explain recursion", "Explain recursion to a five year old"),
    ("What are the symptoms of an iron deficiency?", "What are the symptoms of a zinc deficiency?"),
    ("How do I host a static site on S3?", "How do I host a static site on Netlify?"),
    ("Which bus goes to the airport?", "Which bus comes from the airport?"),
    ("What does a plumber charge per hour?", "What does an electrician charge per hour?"),
    ("Tell me about the history of Lisbon", "Tell me about the economy of Lisbon"),
    ("Is this cream suitable for dry skin?", "Is this cream suitable for oily skin?"),
    ("How do I book a table?", "How do I book a table for a large group?"),
    ("What's the refund policy?", "What's the refund policy for sale items?"),
    ("Does the warranty cover water damage?", "Does the warranty cover accidental drops?"),
    ("How do I get to the station on foot?", "How do I get to the station by car?"),
    ("When was the bridge built?", "When was the bridge closed?"),
]

PARAPHRASES = [
    ("How do I mute notifications on my watch?", "What's the way to mute notifications on my watch?"),
    ("How do I delete my profile?", "How can I remove my profile?"),
    ("What time does the museum open on Tuesday?", "When does the museum open Tuesdays?"),
    ("Where can I leave my luggage?", "Where can I leave my bags?"),
    ("How much does a haircut cost?", "What's the price of a haircut?"),
    ("How do I merge two branches?", "what's the best way to merge 2 branches"),
    ("Could you explain what a monad is?", "What is a monad?"),
    ("How do I fix a flat tyre?", "How do I repair a flat tire?"),
    ("Where is the nearest pharmacy?", "Where's the closest chemist?"),
    ("I lost my wallet, what should I do?", "What should I do if I lose my wallet?"),
    ("What does HTTP stand for?", "what does http stand for??"),
    ("How do I upload a profile picture?", "how do i uplaod a profile pictrue"),
    ("Do I need a visa for Japan?", "Is a visa required for Japan?"),
    ("How do I install numpy?", "Good morning! How do I install numpy? Many thanks"),
    ("Who wrote Dune?", "Who is the author of Dune?"),
    ("How do I turn off dark mode?", "How do I disable dark mode?"),
    ("How do I reset my PIN?", "um hi how do i reset my pin"),
    ("In Excel, how do I freeze the top row?", "How do I freeze the top row in Excel?"),
    ("How many people can the hall hold?", "What's the capacity of the hall?"),
    ("How do I make pancakes?", "Pancake recipe"),
]

RULES = NamespaceSettings(exact="on", semantic="on")
ROUTE = Route(targets=(), decision=Decision(asked="m", chosen="", reason=""), models=("openai/tiny",))


def similarity(pairs: list[tuple[str, str]]) -> list[float]:
    vectors = asyncio.run(WordLlama().embed([text for pair in pairs for text in pair]))
    return [float(one @ other) for one, other in zip(vectors[::2], vectors[1::2], strict=True)]


def served(pairs: list[tuple[str, str]]) -> list[tuple[str, str]]:
    near = zip(pairs, similarity(pairs), strict=True)
    return [(a, b) for (a, b), cosine in near if not veto(a, b) and prior_probability(a, b, cosine) >= SERVED]


def test_traps_are_not_served_and_most_paraphrases_are():
    assert served(TRAPS) == []
    assert len(served(PARAPHRASES)) >= 0.8 * len(PARAPHRASES)


@pytest.mark.parametrize(("a", "b"), [*TRAPS, *PARAPHRASES, ("", ""), ("", "How deep is it?"), ("?", "!")])
def test_features_are_symmetric_and_as_many_as_their_names(a, b):
    features = lexical_features(a, b)
    assert len(features) == len(LEXICAL_FEATURES)
    assert all(math.isfinite(value) for value in features)
    assert lexical_features(b, a) == pytest.approx(features)
    assert lexical_features(analyze(a), analyze(b)) == features


def test_features_tell_what_is_left_over():
    def told(a: str, b: str) -> dict[str, float]:
        return dict(zip(LEXICAL_FEATURES, lexical_features(a, b), strict=True))

    swapped = told("How do I wax the table legs?", "How do I wax the table rim?")
    assert (swapped["swapped"], swapped["inserted"], swapped["replaced"]) == (1, 0, 1)
    added = told("How do I wax skis?", "How do I wax skis against wet snow?")
    assert (added["swapped"], added["inserted"], added["less_only"]) == (0, 1, 0)
    assert told("Repair the couch", "Mend the sofa")["synonyms"] == 2
    assert told("How do I polish skis?", "How do I polihs skis?")["slips"] == 1
    assert told("Wax the skis!", "wax the skis")["same_words"] == 1
    assert told("Can I camp here?", "Can I camp here until 9?")["figures_only"] == 1


def test_the_prior_is_a_probability_that_rises_with_similarity():
    a, b = "How do I wax skis?", "How can I wax my skis?"
    rising = [prior_probability(a, b, s / 10) for s in range(-10, 11)]
    assert all(0 < p < 1 for p in rising)
    assert rising[10:] == sorted(rising[10:])
    assert prior_probability(a, b, 0.9) == prior_probability(b, a, 0.9) == probability(0.9, lexical_features(a, b))


def test_what_the_words_say_together_is_the_log_odds_without_the_similarity():
    a, b = "How do I wax skis?", "How do I wax skis against wet snow?"
    *lexical, together = weighed_features(a, b)
    assert tuple(lexical) == lexical_features(a, b)
    odds = prior_probability(a, b, 0.0) / (1 - prior_probability(a, b, 0.0))
    assert together + fitted().intercept == pytest.approx(math.log(odds))


def test_what_has_nothing_to_do_with_it_is_improbable():
    assert prior_probability("How do I wax skis?", "Which moth eats wool?", 0.2) < 0.05
    assert prior_probability("How do I wax skis?", "How do I wax skis?", 1.0) > 0.9


def test_the_shipped_file_weighs_every_feature_the_way_it_points():
    weights = fitted().weights
    assert tuple(weights) == PRIOR_FEATURES
    assert all(weights[name] >= 0 for name in ("similarity", "overlap", "same_words", "same_ask"))
    assert all(weights[name] <= 0 for name in ("less_only", "more_only", "names_only", "swapped", "inserted"))


def conversation(*turns: str) -> Asked:
    roles = ("user", "assistant")
    messages = [{"role": roles[i % 2], "content": text} for i, text in enumerate(turns)]
    body = json.dumps({"model": "m", "messages": messages}).encode()
    at = datetime(2026, 11, 21, tzinfo=UTC)
    call = Call(request_id="r", at=at, operation=Operation.CHAT, dialect="openai", path="/", model="m", body=body)
    found = asked(call, ROUTE, "default", RULES)
    assert found is not None
    return found


def test_a_last_message_after_other_turns_is_in_another_room():
    """Alike as the last questions are, or the same: what came before decides, so neither can find the other."""
    last = ["And on Sunday?", "How much is it?", "Why?", "Do it in Rust", "What about the second one?"]
    before = [
        ("When is the baths' sauna open?", "From nine."),
        ("When is the baths' sauna open?", "From ten."),
        ("When is the baths' sauna shut?", "From nine."),
        ("When is the baths' sauna open? ", "From nine."),
        (),
    ]
    for message in last:
        found = [conversation(*turns, message) for turns in before]
        assert {one.question for one in found} == {message}
        assert len({one.room for one in found}) == len(before)
        assert conversation(*before[0], message).room == found[0].room
    assert len({conversation(*before[0], message).room for message in last}) == 1
