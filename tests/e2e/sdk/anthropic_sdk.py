"""The official anthropic package: messages, stream, tools, count_tokens, its errors."""

import json
import os

import anthropic

client = anthropic.Anthropic(base_url=os.environ["GATEWAY"], api_key=os.environ["KEY"])
said = [{"role": "user", "content": "Where is my order?"}]
seen = []


def note(what, usage, text):
    counted = None if usage is None else [usage.input_tokens, usage.output_tokens]
    seen.append({"what": what, "text": bool(text), "usage": counted})


whole = client.messages.create(model="claude-haiku-4-5", max_tokens=60, messages=said)
note("chat", whole.usage, whole.content[0].text)

with client.messages.stream(model="claude-haiku-4-5", max_tokens=60, messages=said) as stream:
    text = "".join(stream.text_stream)
    final = stream.get_final_message()
assert text == final.content[0].text
note("stream", final.usage, text)

tool = {"name": "look_up", "description": "Look up", "input_schema": {"type": "object", "properties": {}}}
called = client.messages.create(
    model="claude-haiku-4-5", max_tokens=60, messages=said, tools=[tool], tool_choice={"type": "any"}
)
use = called.content[0]
assert called.stop_reason == "tool_use"
note("tools", called.usage, use.name)
result = {"type": "tool_result", "tool_use_id": use.id, "content": "on its way"}
turns = [*said, {"role": "assistant", "content": called.content}, {"role": "user", "content": [result]}]
after = client.messages.create(model="claude-haiku-4-5", max_tokens=60, messages=turns, tools=[tool])
note("tool result", after.usage, after.content[0].text)

system = [{"type": "text", "text": "Follow the policy. " * 400, "cache_control": {"type": "ephemeral"}}]
for what in ("cache write", "cache read"):
    cached = client.messages.create(model="claude-haiku-4-5", max_tokens=40, system=system, messages=said)
    note(what, None, cached.usage.cache_read_input_tokens or cached.usage.cache_creation_input_tokens)

count = client.messages.count_tokens(model="claude-haiku-4-5", messages=said)
note("count_tokens", None, count.input_tokens)

other = client.messages.create(model="gpt-4o-mini", max_tokens=60, messages=said)
note("chat on gpt-4o-mini", other.usage, other.content[0].text)
with client.messages.stream(model="gpt-4o-mini", max_tokens=60, messages=said) as stream:
    text = "".join(stream.text_stream)
    final = stream.get_final_message()
note("stream on gpt-4o-mini", final.usage, text)

for wrong, error in (
    (lambda: client.messages.create(model="claude-hiaku-4-5", max_tokens=9, messages=said), anthropic.NotFoundError),
    (
        lambda: client.with_options(api_key="fk-wrong").messages.create(
            model="claude-haiku-4-5", max_tokens=9, messages=said
        ),
        anthropic.AuthenticationError,
    ),
):
    try:
        wrong()
    except error as refusal:
        seen.append({"what": f"error {refusal.status_code}", "text": True, "usage": None, "message": str(refusal)})
print(json.dumps(seen))
