"""The official openai package: chat, stream, tools, embeddings, responses, models, its errors."""

import json
import os

import openai

client = openai.OpenAI(base_url=os.environ["GATEWAY"] + "/v1", api_key=os.environ["KEY"])
said = [{"role": "user", "content": "Where is my order?"}]
seen = []


def note(what, usage, text):
    seen.append({"what": what, "text": bool(text), "usage": usage})


chat = client.chat.completions.create(model="gpt-4o-mini", messages=said)
note("chat", [chat.usage.prompt_tokens, chat.usage.completion_tokens], chat.choices[0].message.content)

chunks = list(client.chat.completions.create(model="gpt-4o-mini", messages=said, stream=True))
assert not any(c.usage for c in chunks), "nobody asked for the usage chunk"
assert all(c.choices for c in chunks)
note("stream", None, "".join(c.choices[0].delta.content or "" for c in chunks))

options = {"include_usage": True}
chunks = list(client.chat.completions.create(model="gpt-4o-mini", messages=said, stream=True, stream_options=options))
usage = chunks[-1].usage
note("stream with usage", [usage.prompt_tokens, usage.completion_tokens], True)

tool = {"type": "function", "function": {"name": "look_up", "parameters": {"type": "object", "properties": {}}}}
called = client.chat.completions.create(model="gpt-4o-mini", messages=said, tools=[tool], tool_choice="required")
call = called.choices[0].message.tool_calls[0]
assert json.loads(call.function.arguments)
note("tools", [called.usage.prompt_tokens, called.usage.completion_tokens], call.function.name)
answered = [*said, called.choices[0].message, {"role": "tool", "tool_call_id": call.id, "content": "on its way"}]
after = client.chat.completions.create(model="gpt-4o-mini", messages=answered, tools=[tool])
note("tool result", [after.usage.prompt_tokens, after.usage.completion_tokens], after.choices[0].message.content)

vectors = client.embeddings.create(model="text-embedding-3-small", input=["one", "two"])
assert len(vectors.data) == 2
note("embeddings", [vectors.usage.prompt_tokens, 0], vectors.data[0].embedding)

answer = client.responses.create(model="gpt-5-mini", input="Where is my order?")
note("responses", [answer.usage.input_tokens, answer.usage.output_tokens], answer.output_text)
with client.responses.stream(model="gpt-5-mini", input="Where is my order?") as stream:
    deltas = [e.delta for e in stream if e.type == "response.output_text.delta"]
    final = stream.get_final_response()
assert "".join(deltas) == final.output_text
note("responses stream", [final.usage.input_tokens, final.usage.output_tokens], final.output_text)

text = client.completions.create(model="gpt-3.5-turbo-instruct", prompt="Once upon a time")
note("completions", [text.usage.prompt_tokens, text.usage.completion_tokens], text.choices[0].text)

for model in ("claude-anywhere", "gemini-anywhere"):
    other = client.chat.completions.create(model=model, messages=said, max_tokens=50)
    note(
        f"chat on {model}", [other.usage.prompt_tokens, other.usage.completion_tokens], other.choices[0].message.content
    )
    parts = list(client.chat.completions.create(model=model, messages=said, max_tokens=50, stream=True))
    note(f"stream on {model}", None, "".join(c.choices[0].delta.content or "" for c in parts if c.choices))

assert "small" in {m.id for m in client.models.list()}
for wrong, error in (
    (lambda: client.chat.completions.create(model="gpt-4o-mimi", messages=said), openai.NotFoundError),
    (lambda: client.with_options(api_key="fk-wrong").models.list(), openai.AuthenticationError),
):
    try:
        wrong()
    except error as refusal:
        seen.append({"what": f"error {refusal.status_code}", "text": True, "usage": None, "message": str(refusal)})
print(json.dumps(seen))
