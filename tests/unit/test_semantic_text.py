"""Reading a question: what is found in it, and what all ways to write it share."""

import pytest

from farthing.cache.semantic.stems import stem
from farthing.cache.semantic.text import Analysis, analyze, read, take_apart


def numbers(text: str) -> list[tuple[float, str, str]]:
    return [(q.value, q.dimension, q.text) for q in analyze(text).quantities]


@pytest.mark.parametrize(
    "forms",
    [
        "renew renews renewed renewing renewal",
        "install installs installed installing installation",
        "activate activates activated activating activation",
        "organise organised organizing organisation organization",
        "colour color colors colours",
        "policy policies",
        "buy buys bought buying",
        "city cities",
        "cancel cancels cancelled canceling cancellation",
        "quick quickest quicker quickly",
        "big bigger biggest",
        "centre center centers",
    ],
)
def test_forms_of_a_word_share_a_stem(forms):
    assert len({stem(form) for form in forms.split()}) == 1


@pytest.mark.parametrize("pair", ["bus boss", "must most", "new news", "import export", "paid pain", "week weak"])
def test_other_words_do_not(pair):
    one, other = pair.split()
    assert stem(one) != stem(other)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Ship 12 crates", [(12, "", "")]),
        ("Ship twelve crates", [(12, "", "")]),
        ("Is twenty five percent off £1,250.50?", [(25, "percent", ""), (1250.5, "gbp", "")]),
        ("It takes 2 hours", [(7200, "time", "")]),
        ("It takes 120 mins", [(7200, "time", "")]),
        ("Ride 3km", [(3000, "length", "")]),
        ("Heat it to 180C", [(180, "celsius", "")]),
        ("Wake me at 6am", [(6, "am", "")]),
        ("A budget of 3k", [(3000, "", "")]),
        ("A budget of three thousand", [(3000, "", "")]),
        ("Back on the 21st of June", [(21, "", "")]),
        ("The 8:45 bus", [(0, "", "8:45")]),
        ("Table for two at seven this evening", [(2, "", ""), (7, "pm", "")]),
        ("At 18:00 sharp", [(18, "", "")]),
        ("Which one is it?", []),
        ("No numbers here", []),
    ],
)
def test_numbers_are_values_with_units(text, expected):
    assert numbers(text) == expected


def test_a_week_is_a_number_only_beside_another():
    (quantity,) = analyze("Pause it for a week").quantities
    assert (quantity.value, quantity.dimension, quantity.weak) == (604800, "time", True)


@pytest.mark.parametrize(
    ("text", "ids"),
    [
        ("Where is parcel ZX-99812?", {"zx-99812"}),
        ("Upgrade to v2.4.1 now", {"v2.4.1"}),
        ("Write to jo@example.org about it", {"jo@example.org"}),
        ("Open https://example.org/a?b=1 please", {"https://example.org/a?b=1"}),
        ('What does "segmentation fault" mean?', {"segmentation fault"}),
        ("Is max_tokens a limit?", {"max_tokens"}),
        ("Nothing of the kind", set()),
    ],
)
def test_codes_addresses_and_quotes_stand_as_they_are(text, ids):
    assert analyze(text).ids == ids


@pytest.mark.parametrize(
    "said",
    [
        "Hi there, could you please tell me how to prune a rose? Thanks in advance!",
        "um so how do i prune a rose",
        "What's the best way to prune a rose?",
        "What is the process for pruning roses",
        "HOW DO I PRUNE A ROSE???",
        "Good morning. How can I prune the roses?",
    ],
)
def test_politeness_and_ways_of_asking_change_nothing(said):
    plain, other = analyze("How do I prune a rose?"), analyze(said)
    assert other.content == plain.content
    assert other.ask == plain.ask or {other.ask, plain.ask} == {"howto", "cani"}


def test_contractions_are_taken_apart():
    assert analyze("It doesn't print").negated
    assert analyze("It doesnt print").negated
    assert analyze("It won’t print").negated
    assert not analyze("It isn't that it doesn't print").negated
    assert analyze("What's Anna's room?").words == analyze("What is Anna room").words


def test_what_is_denied_is_known():
    assert analyze("Which films do not need a ticket?").denied == {"need"}
    assert not analyze("Which films need a ticket?").denied


def test_names_are_written_with_a_capital_inside_a_sentence():
    assert analyze("Can Ludwig meet Amalia in Ghent?").capital == {"ludwig", "amalia", "ghent"}
    assert not analyze("CAN LUDWIG MEET AMALIA?").capital
    assert not analyze("Bring bread").capital
    assert analyze("is it warm in lisbon").names == {"lisbon"}


@pytest.mark.parametrize(
    ("text", "ask"),
    [
        ("At what time is lunch?", "when"),
        ("Whereabouts is the depot?", "where"),
        ("What is the price of a stamp?", "howmuch"),
        ("How come it rains?", "why"),
        ("Is it possible to pay later?", "cani"),
        ("Do I have to sign it?", "mustask"),
        ("Is the pool heated?", "yesno"),
        ("Draw a cat", ""),
    ],
)
def test_the_kind_of_question(text, ask):
    assert analyze(text).ask == ask


def test_roles_are_those_of_the_preposition_before():
    roles = analyze("Drive from the quarry to the harbor").roles
    assert (roles["quarry"], roles["harbor"]) == ("from", "to")
    assert analyze("I want to drive").roles["driv"] == ""


def test_wishes_for_the_form_of_the_answer():
    assert analyze("Explain tides in one sentence").styles == {"in one sentence"}
    assert not analyze("Explain tides").styles


@pytest.mark.parametrize(
    "text",
    ["", " ", "?!", "...", "#", "'", "''s", "$", "1", "\x00", "\U0001f600", "日本語", "a" * 5000, "1:" * 40, "n't"],
)
def test_any_text_can_be_read(text):
    assert isinstance(take_apart(text), Analysis)


def test_an_analysis_is_itself():
    analysis = analyze("How deep is the lake?")
    assert read(analysis) is analysis
    assert read("How deep is the lake?") == analysis
