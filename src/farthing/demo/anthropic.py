"""Anthropic's wire dialect, simulated: messages and count_tokens.

Shapes follow docs.anthropic.com (November 2026). ``input_tokens`` excludes what the cache served.
"""

from collections.abc import Iterator
from typing import Any

from farthing.demo.mind import Reply, Turn, as_text, tokens_of
from farthing.demo.wire import Body, Refusal, Wire, inner, named_event, rows

JSON = dict[str, Any]
_FINISH = {"stop": "end_turn", "length": "max_tokens", "tool": "tool_use"}


class Anthropic(Wire):
    """``/v1/messages``, ``/v1/messages/count_tokens`` and ``/v1/models``."""

    def handle(self, path: str, body: JSON, created: int) -> Body:
        del created
        if path.endswith("/v1/models"):
            models = [
                {"type": "model", "id": m, "display_name": m, "created_at": "2026-01-01T00:00:00Z"} for m in self.models
            ]
            return {"data": models, "has_more": False, "first_id": models[0]["id"], "last_id": models[-1]["id"]}
        self.known(body)
        if path.endswith("/count_tokens"):
            return {"input_tokens": tokens_of(as_text(body))}
        if "max_tokens" not in body:
            raise Refusal(400, "invalid_request_error", "max_tokens: Field required")
        reply = self.mind.answer(_turn(body))
        message = _message(body, reply)
        return _stream(message, reply) if body.get("stream") else message

    def refuse(self, refusal: Refusal) -> JSON:
        kinds = {401: "authentication_error", 404: "not_found_error", 429: "rate_limit_error", 529: "overloaded_error"}
        kind = kinds.get(refusal.status, "api_error" if refusal.status >= 500 else "invalid_request_error")  # noqa: PLR2004
        return {"type": "error", "error": {"type": kind, "message": refusal.message}, "request_id": "req_simulated"}


def _turn(body: JSON) -> Turn:
    tools = rows(body, "tools")
    forced = inner(body, "tool_choice").get("type") in ("any", "tool")
    wanted = forced or "use the tool" in as_text(body).lower()
    return Turn(
        model=body["model"],
        prompt=as_text(body),
        limit=body["max_tokens"],
        tool=tools[0]["name"] if tools and wanted else "",
        caches="cache_control" in str(body),
    )


def _message(body: JSON, reply: Reply) -> JSON:
    content: JSON = {"type": "text", "text": reply.text}
    if reply.tool:
        content = {
            "type": "tool_use",
            "id": f"toolu_{reply.id}",
            "name": reply.tool,
            "input": {"query": "status of the order"},
        }
    written = (
        reply.input_tokens - reply.cached_tokens if "cache_control" in str(body) and not reply.cached_tokens else 0
    )
    return {
        "id": f"msg_{reply.id}",
        "type": "message",
        "role": "assistant",
        "model": body["model"],
        "content": [content],
        "stop_reason": _FINISH[reply.finish],
        "stop_sequence": None,
        "usage": {
            "input_tokens": reply.input_tokens - reply.cached_tokens - written,
            "cache_creation_input_tokens": written,
            "cache_read_input_tokens": reply.cached_tokens,
            "cache_creation": {"ephemeral_5m_input_tokens": written, "ephemeral_1h_input_tokens": 0},
            "output_tokens": reply.output_tokens,
            "service_tier": "standard",
        },
    }


def _stream(message: JSON, reply: Reply) -> Iterator[bytes]:
    def event(kind: str, **fields: Any) -> bytes:
        return named_event(kind, {"type": kind, **fields})

    begun: JSON = {**message, "content": [], "stop_reason": None, "usage": {**message["usage"], "output_tokens": 1}}
    block = message["content"][0]
    yield event("message_start", message=begun)
    yield event(
        "content_block_start", index=0, content_block={**block, **({"input": {}} if reply.tool else {"text": ""})}
    )
    yield event("ping")
    if reply.tool:
        delta = {"type": "input_json_delta", "partial_json": '{"query": "status of the order"}'}
        yield event("content_block_delta", index=0, delta=delta)
    for piece in reply.pieces:
        yield event("content_block_delta", index=0, delta={"type": "text_delta", "text": piece})
    yield event("content_block_stop", index=0)
    ending = {"stop_reason": message["stop_reason"], "stop_sequence": None}
    yield event("message_delta", delta=ending, usage={"output_tokens": reply.output_tokens})
    yield event("message_stop")
