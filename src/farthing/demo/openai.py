"""OpenAI's wire dialect, simulated: chat completions, completions, responses, embeddings, models.

Shapes follow the API reference of platform.openai.com (November 2026).
"""

import base64
import hashlib
import itertools
import struct
from collections.abc import Iterator
from typing import Any, cast

from farthing.demo.mind import Reply, Turn, as_text, tokens_of
from farthing.demo.wire import Body, Refusal, Wire, inner, named_event, rows, sse

JSON = dict[str, Any]
_FINISH = {"stop": "stop", "length": "length", "tool": "tool_calls"}


class OpenAI(Wire):
    """Every vendor that speaks OpenAI's dialect."""

    def handle(self, path: str, body: JSON, created: int) -> Body:
        route = path.rsplit("/v1/", 1)[-1]
        if route == "models":
            return {"object": "list", "data": [self._model(m, created) for m in self.models]}
        self.known(body)
        match route:
            case "chat/completions":
                return self._chat(body, created)
            case "completions":
                return self._completion(body, created)
            case "responses":
                return self._response(body, created)
            case "embeddings":
                return _embeddings(body)
            case "images/generations":
                return _pictures(body, created)
            case _:
                raise Refusal(404, "not_found", f"Invalid URL (POST /v1/{route})")

    def refuse(self, refusal: Refusal) -> JSON:
        kind = {429: "rate_limit_exceeded", 401: "invalid_api_key", 404: "model_not_found"}.get(refusal.status)
        return {"error": {"message": refusal.message, "type": refusal.kind, "param": None, "code": kind}}

    def _model(self, name: str, created: int) -> JSON:
        return {"id": name, "object": "model", "created": created, "owned_by": self.vendor}

    def _chat(self, body: JSON, created: int) -> Body:
        reply = self.mind.answer(_turn(body))
        head = {"id": f"chatcmpl-{reply.id}", "created": created, "model": body["model"], "service_tier": "default"}
        if body.get("stream"):
            return _chat_stream(head, reply, bool(inner(body, "stream_options").get("include_usage")))
        message: JSON = {"role": "assistant", "content": reply.text or None, "refusal": None, "annotations": []}
        if reply.tool:
            message["tool_calls"] = [_tool_call(reply)]
        choice = {"index": 0, "message": message, "logprobs": None, "finish_reason": _FINISH[reply.finish]}
        return {**head, "object": "chat.completion", "choices": [choice], "usage": _usage(reply)}

    def _completion(self, body: JSON, created: int) -> Body:
        reply = self.mind.answer(_turn(body))
        head = {"id": f"cmpl-{reply.id}", "object": "text_completion", "created": created, "model": body["model"]}
        if not body.get("stream"):
            choice = {"index": 0, "text": reply.text, "logprobs": None, "finish_reason": _FINISH[reply.finish]}
            return {**head, "choices": [choice], "usage": _usage(reply)}
        chunks = [{**head, "choices": [{"index": 0, "text": p, "finish_reason": None}]} for p in reply.pieces]
        chunks.append({**head, "choices": [{"index": 0, "text": "", "finish_reason": _FINISH[reply.finish]}]})
        if inner(body, "stream_options").get("include_usage"):
            chunks.append({**head, "choices": [], "usage": _usage(reply)})
        return itertools.chain(map(sse, chunks), [b"data: [DONE]\n\n"])

    def _response(self, body: JSON, created: int) -> Body:
        reply = self.mind.answer(_turn(body))
        item: JSON = {
            "id": f"msg_{reply.id}", "type": "message", "status": "completed", "role": "assistant",
            "content": [{"type": "output_text", "text": reply.text, "annotations": []}],
        }  # fmt: skip
        whole: JSON = {
            "id": f"resp_{reply.id}", "object": "response", "created_at": created, "status": "completed",
            "model": body["model"], "output": [item], "parallel_tool_calls": True, "tool_choice": "auto", "tools": [],
            "error": None, "incomplete_details": None, "instructions": body.get("instructions"), "metadata": {},
            "temperature": 1.0, "top_p": 1.0, "usage": _response_usage(reply),
        }  # fmt: skip
        return _response_stream(whole, item, reply) if body.get("stream") else whole


def _turn(body: JSON) -> Turn:
    tools = rows(body, "tools")
    wanted = body.get("tool_choice") not in (None, "auto", "none") or "use the tool" in as_text(body).lower()
    return Turn(
        model=body["model"],
        prompt=as_text(body),
        limit=body.get("max_completion_tokens") or body.get("max_tokens") or body.get("max_output_tokens") or 0,
        tool=tools[0].get("function", tools[0])["name"] if tools and wanted else "",
        reasons=body["model"].startswith(("o", "gpt-5")),
    )


def _usage(reply: Reply) -> JSON:
    return {
        "prompt_tokens": reply.input_tokens,
        "completion_tokens": reply.output_tokens,
        "total_tokens": reply.input_tokens + reply.output_tokens,
        "prompt_tokens_details": {"cached_tokens": reply.cached_tokens, "audio_tokens": 0},
        "completion_tokens_details": {
            "reasoning_tokens": reply.reasoning_tokens, "audio_tokens": 0,
            "accepted_prediction_tokens": 0, "rejected_prediction_tokens": 0,
        },
    }  # fmt: skip


def _response_usage(reply: Reply) -> JSON:
    return {
        "input_tokens": reply.input_tokens,
        "input_tokens_details": {"cached_tokens": reply.cached_tokens},
        "output_tokens": reply.output_tokens,
        "output_tokens_details": {"reasoning_tokens": reply.reasoning_tokens},
        "total_tokens": reply.input_tokens + reply.output_tokens,
    }


def _tool_call(reply: Reply) -> JSON:
    return {
        "id": f"call_{reply.id[:20]}",
        "type": "function",
        "function": {"name": reply.tool, "arguments": '{"query":"status of the order"}'},
    }


def _chat_stream(head: JSON, reply: Reply, wants_usage: bool) -> Iterator[bytes]:  # noqa: FBT001
    def chunk(delta: JSON, finish: str | None = None) -> bytes:
        choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish}
        return sse({**head, "object": "chat.completion.chunk", "choices": [choice]})

    yield chunk({"role": "assistant", "content": "", "refusal": None})
    for piece in reply.pieces:
        yield chunk({"content": piece})
    if reply.tool:
        yield chunk({"tool_calls": [{"index": 0, **_tool_call(reply)}]})
    yield chunk({}, _FINISH[reply.finish])
    if wants_usage:
        yield sse({**head, "object": "chat.completion.chunk", "choices": [], "usage": _usage(reply)})
    yield b"data: [DONE]\n\n"


def _response_stream(whole: JSON, item: JSON, reply: Reply) -> Iterator[bytes]:
    number = itertools.count()

    def event(kind: str, **fields: Any) -> bytes:
        return named_event(kind, {"type": kind, "sequence_number": next(number), **fields})

    begun: JSON = {**whole, "status": "in_progress", "output": [], "usage": None}
    place = {"item_id": item["id"], "output_index": 0, "content_index": 0}
    part: JSON = {"type": "output_text", "text": "", "annotations": []}
    yield event("response.created", response=begun)
    yield event("response.in_progress", response=begun)
    yield event("response.output_item.added", output_index=0, item={**item, "status": "in_progress", "content": []})
    yield event("response.content_part.added", **place, part=part)
    for piece in reply.pieces:
        yield event("response.output_text.delta", **place, delta=piece, logprobs=[])
    yield event("response.output_text.done", **place, text=reply.text, logprobs=[])
    yield event("response.content_part.done", **place, part={**part, "text": reply.text})
    yield event("response.output_item.done", output_index=0, item=item)
    yield event("response.completed", response=whole)


def _embeddings(body: JSON) -> Body:
    asked = body["input"]
    texts = cast("list[Any]", asked) if isinstance(asked, list) else [asked]
    if texts and isinstance(texts[0], int):
        texts = [texts]
    size = body.get("dimensions") or 256
    rows = [{"object": "embedding", "index": i, "embedding": _vector(t, size, body)} for i, t in enumerate(texts)]
    count = sum(tokens_of(t) if isinstance(t, str) else len(t) for t in texts)
    usage = {"prompt_tokens": count, "total_tokens": count}
    return {"object": "list", "data": rows, "model": body["model"], "usage": usage}


_PICTURE_TOKENS = {"low": 272, "medium": 1056, "high": 4160}
"""Output tokens of a square gpt-image-1 picture by quality (platform.openai.com, Image generation, November 2026)."""

_PIXEL = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
"""A picture of one pixel, as base64."""


def _pictures(body: JSON, created: int) -> Body:
    """Pictures. Only gpt-image models count tokens, and only they stream."""
    many = int(body.get("n") or 1)
    answer: JSON = {"created": created, "data": [{"b64_json": _PIXEL} for _ in range(many)]}
    if body["model"].startswith("dall-e"):
        return answer
    text, out = tokens_of(as_text(body)), many * _PICTURE_TOKENS.get(str(body.get("quality")), 1056)
    usage: JSON = {
        "input_tokens": text,
        "input_tokens_details": {"text_tokens": text, "image_tokens": 0},
        "output_tokens": out,
        "total_tokens": text + out,
    }
    if not body.get("stream"):
        return {**answer, "usage": usage}
    head: JSON = {"b64_json": _PIXEL, "created_at": created}
    partial: JSON = {"type": "image_generation.partial_image", "partial_image_index": 0, **head}
    whole: JSON = {"type": "image_generation.completed", **head, "usage": usage}
    return iter([named_event(event["type"], event) for event in (partial, whole)])


def _vector(text: object, size: int, body: JSON) -> list[float] | str:
    """A unit-free vector that depends on the text alone, as floats or little-endian base64."""
    raw = hashlib.shake_256(repr(text).encode()).digest(size)
    numbers = [(b - 127.5) / 127.5 / size**0.5 for b in raw]
    if body.get("encoding_format") != "base64":
        return numbers
    return base64.b64encode(struct.pack(f"<{size}f", *numbers)).decode()
