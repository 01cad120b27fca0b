"""Keys, rooms and rules of the gateway's caches."""

import json
from datetime import UTC, datetime

import pytest

from farthing.cache.settings import CacheSettings, NamespaceSettings
from farthing.core.facts import Operation, RequestFact, Source, Status
from farthing.core.nouns import Decision, Scope
from farthing.gateway.caching.answer import said
from farthing.gateway.caching.namespaces import Namespaces
from farthing.gateway.caching.question import Asked, asked
from farthing.gateway.caching.rules import why_asked, why_dropped, why_literal
from farthing.gateway.ports import Call, Caller, OwnTools, Route

NOW = datetime(2026, 11, 21, tzinfo=UTC)
RULES = NamespaceSettings(exact="on", semantic="on")
ROUTE = Route(targets=(), decision=Decision(asked="m", chosen="", reason=""), models=("openai/tiny",))
QUESTION = "How do I reset the boiler?"
CHAT = {"model": "m", "messages": [{"role": "system", "content": "Be kind"}, {"role": "user", "content": QUESTION}]}
OPERATIONS = {"openai": Operation.CHAT, "anthropic": Operation.MESSAGE}


def call(body: dict, *, dialect: str = "openai", operation: Operation | None = None, **more) -> Call:
    return Call(
        request_id="r", at=NOW, operation=operation or OPERATIONS[dialect], dialect=dialect, path="/", model="m",
        body=json.dumps(body).encode(), **more,
    )  # fmt: skip


def look(body: dict = CHAT, *, rules: NamespaceSettings = RULES, route: Route = ROUTE, **more) -> Asked:
    found = asked(call(body, **more), route, "default", rules)
    assert found is not None
    return found


def chat(**more) -> dict:
    return {**CHAT, **more}


def test_what_does_not_change_the_answer_does_not_change_the_key():
    plain = look()
    for same in (
        chat(user="u1", metadata={"a": "b"}, prompt_cache_key="x", service_tier="flex", safety_identifier="s"),
        chat(stream=False, temperature=None),
        dict(reversed(CHAT.items())),
        chat(model="another-name-for-the-same"),
    ):
        assert look(same).key == plain.key
    assert look(chat(temperature=0)).key == look(chat(temperature=0.0)).key


@pytest.mark.parametrize(
    "other",
    [
        chat(temperature=0.2),
        chat(seed=1),
        chat(top_p=0.5),
        chat(max_tokens=10),
        chat(stop=["x"]),
        chat(logit_bias={"1": 2}),
        chat(n=2),
        chat(stream=True),
        chat(response_format={"type": "json_object"}),
        chat(tools=[{"type": "function", "function": {"name": "f"}}]),
        chat(messages=[{"role": "system", "content": "Be kind."}, CHAT["messages"][1]]),
        chat(messages=[CHAT["messages"][1]]),
        chat(messages=[CHAT["messages"][0], {"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Hi"},
                       CHAT["messages"][1]]),
        chat(something_new=True),
    ],
)  # fmt: skip
def test_whatever_may_change_the_answer_leads_to_another_room(other):
    assert look(other).key != look().key
    assert look(other).room != look().room


def test_only_the_last_question_is_left_out_of_the_room():
    other = chat(messages=[CHAT["messages"][0], {"role": "user", "content": "How is the boiler reset?"}])
    assert look(other).room == look().room
    assert look(other).key != look().key
    assert look(other).question == "How is the boiler reset?"


@pytest.mark.parametrize(
    ("field", "value"),
    [("org", "o"), ("customer", "c"), ("team", "t")],
)
def test_tenants_have_keys_of_their_own(field, value):
    caller = Caller(scope=Scope(**{field: value}))
    assert look(caller=caller).key != look().key
    assert look(caller=caller).room != look().room
    assert look(caller=caller).tenant != look().tenant


def test_others_share_unless_the_namespace_isolates_them():
    caller = Caller(scope=Scope(user="u", feature="f"))
    assert look(caller=caller).key == look().key
    alone = NamespaceSettings(exact="on", isolate=frozenset({"user"}))
    assert look(caller=caller, rules=alone).key != look(rules=alone).key
    customer = Caller(scope=Scope(customer="c"))
    assert look(caller=customer, rules=alone).key != look(rules=alone).key


def test_models_tags_regions_epoch_and_versions_are_in_the_key():
    plain = look()
    assert look(route=Route(targets=(), decision=ROUTE.decision, models=("openai/tiny", "x/y"))).key != plain.key
    assert look(tags=frozenset({"eu"})).key != plain.key
    assert look(regions=frozenset({"eu"})).key != plain.key
    assert look(rules=NamespaceSettings(exact="on", epoch="2")).key != plain.key
    assert look(headers=[(b"openai-beta", b"x")]).key != plain.key
    locale = look(headers=[(b"accept-language", b"de")])
    assert (locale.key, locale.room != plain.room) == (plain.key, True)


def test_the_question_is_the_text_of_the_last_user_message():
    parts = [{"type": "text", "text": "How"}, {"type": "text", "text": "so?", "cache_control": {"type": "ephemeral"}}]
    body = {"model": "m", "max_tokens": 5, "messages": [{"role": "user", "content": parts}]}
    assert look(body, dialect="anthropic").question == "How\nso?"
    picture = [{"type": "text", "text": "What is this?"}, {"type": "image_url", "image_url": {"url": "data:,x"}}]
    assert look({"model": "m", "messages": [{"role": "user", "content": picture}]}).question == ""
    assert look(chat(messages=[*CHAT["messages"], {"role": "assistant", "content": "So"}])).question == ""
    responses = {"model": "m", "input": "How so?"}
    assert look(responses, operation=Operation.RESPONSE).question == "How so?"
    turns = {"model": "m", "input": [{"role": "user", "content": [{"type": "input_text", "text": "How so?"}]}]}
    assert look(turns, operation=Operation.RESPONSE).question == "How so?"


def test_results_of_tools_are_noticed_wherever_they_stand():
    openai = [{"role": "user", "content": "x"}, {"role": "tool", "tool_call_id": "1", "content": "42"}]
    assert look(chat(messages=[*openai, {"role": "user", "content": "so?"}])).tools
    result = [{"type": "tool_result", "tool_use_id": "1", "content": "42"}]
    claude = {"model": "m", "max_tokens": 1, "messages": [{"role": "user", "content": result}]}
    assert look(claude, dialect="anthropic").tools
    items = {"model": "m", "input": [{"type": "function_call_output", "call_id": "1", "output": "42"}]}
    assert look(items, operation=Operation.RESPONSE).tools
    assert not look().tools


def test_what_is_not_an_object_has_no_key():
    listed = call(CHAT)
    listed.body = b"[]"
    assert asked(listed, ROUTE, "default", RULES) is None


@pytest.mark.parametrize(
    ("more", "fields", "why"),
    [
        ({}, {}, ""),
        ({"temperature": 0.7}, {}, ""),
        ({"temperature": 0.71}, {}, "temperature"),
        ({"store": True}, {}, "state"),
        ({}, {"refers": True}, "state"),
        ({}, {"own_tools": OwnTools(uses=1)}, "tools"),
    ],
)
def test_requests_that_are_always_asked(more, fields, why):
    wanted = look(chat(**more))
    assert why_asked(call(chat(**more), **fields), wanted, RULES) == why


@pytest.mark.parametrize(
    ("question", "why"),
    [
        ("How do I reset the boiler?", ""),
        ("Can I return an item that I bought as a gift?", ""),
        ("What time does the museum open on Sundays?", ""),
        ("What is the weather in Bonn?", "time"),
        ("Who is the current mayor?", "time"),
        ("How did our team do last week?", "time"),
        ("My name is Ada, what does it mean?", "personal"),
        ("What is my balance?", "personal"),
        ("Write to ada@example.org for me", "personal"),
        ("Is +49 228 123 4567 a landline?", "personal"),
        ("   ", "no_question"),
        ("x" * 4001, "no_question"),
    ],
)
def test_questions_that_only_the_very_same_may_answer(question, why):
    wanted = look(chat(messages=[{"role": "user", "content": question}]))
    assert why_literal(wanted, RULES) == why
    allowed = NamespaceSettings(allow=frozenset({"time", "personal"}))
    assert why_literal(wanted, allowed) == (why if why == "no_question" else "")


def fact(**more) -> RequestFact:
    fields = {"status": Status.OK, "http_status": 200, "cost_source": Source.CATALOG}
    return RequestFact(
        request_id="r", attempt=1, at=NOW, operation=Operation.CHAT, dialect="openai", scope=Scope(),
        requested_model="m", worker="w", **{**fields, **more},
    )  # fmt: skip


def answer(text: str, end: str = "stop", **more) -> bytes:
    message = {"role": "assistant", "content": text, **more}
    return json.dumps({"choices": [{"index": 0, "message": message, "finish_reason": end}]}).encode()


@pytest.mark.parametrize(
    ("body", "why"),
    [
        (answer("Press the red button."), ""),
        (answer("Press", "length"), "not_whole"),
        (answer("", "content_filter"), "not_whole"),
        (answer("I'm sorry, but I can't help with that."), "refusal"),
        (answer("I cannot provide medical advice."), "refusal"),
        (answer("", refusal="No."), "refusal"),
        (answer("Sorry to hear that! Press the red button and hold it."), ""),
        (b"not json", "not_whole"),
        (b'{"choices": []}', "not_whole"),
    ],
)
def test_only_whole_and_willing_answers_are_kept(body, why):
    told = said(Operation.CHAT, body, stream=False)
    assert why_dropped(fact(), told, RULES) == why


def test_failures_are_not_kept():
    told = said(Operation.CHAT, answer("x"), stream=False)
    assert why_dropped(fact(status=Status.ERROR), told, RULES) == "not_ok"
    assert why_dropped(fact(http_status=206), told, RULES) == "not_ok"


def events(*documents: dict | str) -> bytes:
    return b"".join(b"data: " + (d if isinstance(d, str) else json.dumps(d)).encode() + b"\n\n" for d in documents)


def test_streams_are_read_to_their_end():
    parts = [{"choices": [{"index": 0, "delta": {"content": text}}]} for text in ("Press ", "it")]
    end = {"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]}
    whole = said(Operation.CHAT, events(*parts, end, {"choices": [], "usage": {}}, "[DONE]"), stream=True)
    assert (whole.text, whole.whole) == ("Press it", True)
    assert not said(Operation.CHAT, events(*parts), stream=True).whole
    claude = [
        {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}},
        {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "Press it"}},
        {"type": "message_delta", "delta": {"stop_reason": "end_turn"}},
        {"type": "message_stop"},
    ]
    told = said(Operation.MESSAGE, events(*claude), stream=True)
    assert (told.text, told.whole) == ("Press it", True)
    assert not said(Operation.MESSAGE, events(*claude[:-1]), stream=True).whole
    answer = {
        "status": "completed",
        "output": [{"type": "message", "content": [{"type": "output_text", "text": "Hm"}]}],
    }
    response = said(Operation.RESPONSE, events({"type": "response.completed", "response": answer}), stream=True)
    assert (response.text, response.whole) == ("Hm", True)
    assert not said(Operation.RESPONSE, events({"type": "response.created", "response": {}}), stream=True).whole


def test_the_namespace_that_says_most_claims_a_request():
    names = Namespaces(
        CacheSettings(
            namespaces={
                "wide": NamespaceSettings(where={"team": "a"}),
                "narrow": NamespaceSettings(where={"team": "a", "model": "m"}),
                "default": NamespaceSettings(exact="off"),
            }
        )
    )
    caller = Caller(scope=Scope(team="a"))
    assert names.of(call(CHAT, caller=caller))[0] == "narrow"
    other = call(CHAT, caller=caller)
    other.model = "n"
    assert names.of(other)[0] == "wide"
    assert names.of(call(CHAT)) == ("default", NamespaceSettings(exact="off"))
