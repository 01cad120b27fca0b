"""Gemini's wire dialect, simulated: generateContent and streamGenerateContent.

Shapes follow ai.google.dev (November 2026): thinking is counted beside the candidates, cache inside the prompt.
"""

from collections.abc import Iterator
from typing import Any

from farthing.demo.mind import Reply, Turn, as_text
from farthing.demo.wire import Body, Refusal, Wire, inner, rows, sse

JSON = dict[str, Any]
_FINISH = {"stop": "STOP", "length": "MAX_TOKENS", "tool": "STOP"}


class Gemini(Wire):
    """``/v1beta/models/MODEL:METHOD``."""

    def handle(self, path: str, body: JSON, created: int) -> Body:
        del created
        if path.endswith("/models"):
            return {"models": [{"name": f"models/{m}", "displayName": m} for m in self.models]}
        model, _, method = path.rsplit("/", 1)[-1].partition(":")
        self.known({"model": model})
        tools = [f for t in rows(body, "tools") for f in rows(t, "functionDeclarations")]
        wanted = bool(tools) and "use the tool" in as_text(body).lower()
        limit = inner(body, "generationConfig").get("maxOutputTokens") or 0
        reply = self.mind.answer(
            Turn(
                model=model,
                prompt=as_text(body),
                limit=limit,
                tool=tools[0]["name"] if wanted else "",
                reasons="2.5-pro" in model,
            )
        )
        if method == "streamGenerateContent":
            return _stream(model, reply)
        if method == "generateContent":
            return _answer(model, reply, _parts(reply), last=True)
        raise Refusal(404, "NOT_FOUND", f"Unknown method {method!r}")

    def refuse(self, refusal: Refusal) -> JSON:
        words = {
            400: "INVALID_ARGUMENT",
            401: "UNAUTHENTICATED",
            404: "NOT_FOUND",
            429: "RESOURCE_EXHAUSTED",
            503: "UNAVAILABLE",
        }
        status = words.get(refusal.status, "INTERNAL")
        return {"error": {"code": refusal.status, "message": refusal.message, "status": status}}


def _parts(reply: Reply) -> list[JSON]:
    if reply.tool:
        return [{"functionCall": {"name": reply.tool, "args": {"query": "status of the order"}}}]
    return [{"text": reply.text}]


def _answer(model: str, reply: Reply, parts: list[JSON], *, last: bool) -> JSON:
    candidate: JSON = {"content": {"role": "model", "parts": parts}, "index": 0}
    usage: JSON = {"promptTokenCount": reply.input_tokens, "totalTokenCount": reply.input_tokens}
    if last:
        candidate["finishReason"] = _FINISH[reply.finish]
        usage = {
            "promptTokenCount": reply.input_tokens,
            "candidatesTokenCount": reply.output_tokens - reply.reasoning_tokens,
            "totalTokenCount": reply.input_tokens + reply.output_tokens,
            "promptTokensDetails": [{"modality": "TEXT", "tokenCount": reply.input_tokens}],
        }
        if reply.reasoning_tokens:
            usage["thoughtsTokenCount"] = reply.reasoning_tokens
        if reply.cached_tokens:
            usage["cachedContentTokenCount"] = reply.cached_tokens
    return {"candidates": [candidate], "usageMetadata": usage, "modelVersion": model, "responseId": reply.id}


def _stream(model: str, reply: Reply) -> Iterator[bytes]:
    for piece in reply.pieces:
        yield sse(_answer(model, reply, [{"text": piece}], last=False))
    yield sse(_answer(model, reply, _parts(reply) if reply.tool else [{"text": ""}], last=True))
