"""llama-index: chat, stream, tools, embeddings."""

import json
import os

from llama_index.core.llms import ChatMessage
from llama_index.core.tools import FunctionTool
from llama_index.embeddings.openai import OpenAIEmbedding
from llama_index.llms.openai import OpenAI

where = {"api_base": os.environ["GATEWAY"] + "/v1", "api_key": os.environ["KEY"]}
said = [ChatMessage(role="user", content="Where is my order?")]
seen = []
model = OpenAI(model="gpt-4o-mini", **where)

whole = model.chat(said)
usage = whole.raw.usage
seen.append(
    {"what": "chat", "text": bool(whole.message.content), "usage": [usage.prompt_tokens, usage.completion_tokens]}
)
seen.append({"what": "stream", "text": bool([c.delta for c in model.stream_chat(said)]), "usage": None})


def look_up(query: str) -> str:
    """Look something up."""
    return query


called = model.chat_with_tools([FunctionTool.from_defaults(look_up)], user_msg="Where?", tool_required=True)
seen.append({"what": "tools", "text": bool(model.get_tool_calls_from_response(called)), "usage": None})
vector = OpenAIEmbedding(model="text-embedding-3-small", **where).get_text_embedding("one")
seen.append({"what": "embeddings", "text": bool(vector), "usage": None})
print(json.dumps(seen))
