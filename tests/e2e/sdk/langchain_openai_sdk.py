"""langchain-openai: chat, stream, tools, embeddings (which it sends as token ids), responses."""

import json
import os

from langchain_core.embeddings import Embeddings
from langchain_openai import ChatOpenAI, OpenAIEmbeddings

where = {"base_url": os.environ["GATEWAY"] + "/v1", "api_key": os.environ["KEY"]}
seen = []


def note(what, meta, text):
    counted = None if meta is None else [meta["input_tokens"], meta["output_tokens"]]
    seen.append({"what": what, "text": bool(text), "usage": counted})


chat = ChatOpenAI(model="gpt-4o-mini", **where)
whole = chat.invoke("Where is my order?")
note("chat", whole.usage_metadata, whole.content)

parts = list(chat.stream("Where is my order?"))
note("stream", None, "".join(p.content for p in parts))

tool = {"type": "function", "function": {"name": "look_up", "parameters": {"type": "object", "properties": {}}}}
called = chat.bind_tools([tool], tool_choice="look_up").invoke("Where is my order?")
note("tools", called.usage_metadata, called.tool_calls)

answer = ChatOpenAI(model="gpt-5-mini", use_responses_api=True, **where).invoke("Where is my order?")
note("responses", answer.usage_metadata, answer.content)

embeddings: Embeddings = OpenAIEmbeddings(model="text-embedding-3-small", check_embedding_ctx_length=False, **where)
note("embeddings", None, embeddings.embed_documents(["one", "two"])[1])
print(json.dumps(seen))
