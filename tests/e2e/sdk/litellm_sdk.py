"""LiteLLM's SDK with Farthing as its OpenAI and its Anthropic endpoint."""

import json
import os

os.environ["LITELLM_LOCAL_MODEL_COST_MAP"] = "True"
import litellm

litellm.telemetry = False
gateway, key = os.environ["GATEWAY"], os.environ["KEY"]
said = [{"role": "user", "content": "Where is my order?"}]
openai = {"model": "openai/gpt-4o-mini", "api_base": gateway + "/v1", "api_key": key}
seen = []

whole = litellm.completion(messages=said, **openai)
usage = [whole.usage.prompt_tokens, whole.usage.completion_tokens]
seen.append({"what": "chat", "text": bool(whole.choices[0].message.content), "usage": usage})
parts = list(litellm.completion(messages=said, stream=True, **openai))
seen.append({"what": "stream", "text": bool("".join(p.choices[0].delta.content or "" for p in parts)), "usage": None})
tool = {"type": "function", "function": {"name": "look_up", "parameters": {"type": "object", "properties": {}}}}
called = litellm.completion(messages=said, tools=[tool], tool_choice="required", **openai)
seen.append({"what": "tools", "text": bool(called.choices[0].message.tool_calls), "usage": None})
vectors = litellm.embedding(model="openai/text-embedding-3-small", input=["one"], api_base=gateway + "/v1", api_key=key)
seen.append({"what": "embeddings", "text": bool(vectors.data), "usage": [vectors.usage.prompt_tokens, 0]})
claude = litellm.completion(
    model="anthropic/claude-haiku-4-5", messages=said, max_tokens=60, api_base=gateway, api_key=key
)
usage = [claude.usage.prompt_tokens, claude.usage.completion_tokens]
seen.append({"what": "messages", "text": bool(claude.choices[0].message.content), "usage": usage})
answer = litellm.responses(model="openai/gpt-5-mini", input="Where?", api_base=gateway + "/v1", api_key=key)
seen.append({"what": "responses", "text": bool(answer.output), "usage": None})
print(json.dumps(seen))
