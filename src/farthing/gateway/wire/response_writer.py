"""Writing a Responses answer: the object, and the sequence of typed events that SDKs assemble it from."""

from collections.abc import Iterable
from typing import Any

import msgspec

from farthing.core.units import Usage
from farthing.gateway.ports import Call, Meter
from farthing.gateway.wire.counts import response_usage
from farthing.gateway.wire.neutral import (
    Begin,
    End,
    Event,
    Finish,
    MoreArguments,
    MoreText,
    MoreThought,
    Text,
    Thought,
    ToolBegin,
    ToolUse,
)
from farthing.gateway.wire.sse import event

_ECHOED: dict[str, Any] = {
    "instructions": None,
    "max_output_tokens": None,
    "metadata": {},
    "parallel_tool_calls": True,
    "previous_response_id": None,
    "reasoning": {"effort": None, "summary": None},
    "temperature": None,
    "text": {"format": {"type": "text"}},
    "tool_choice": "auto",
    "tools": [],
    "top_p": None,
    "truncation": "disabled",
    "user": None,
}
"""Request fields that a response repeats, with what they are when the client left them out."""


def response_of(
    call: Call, model: str, output: list[dict[str, Any]], finish: Finish | None, usage: Usage | None
) -> dict[str, Any]:
    """A response object; without a ``finish`` it is still in progress."""
    given = msgspec.json.decode(call.body, type=dict[str, msgspec.Raw])
    cut = {"length": "max_output_tokens", "content_filter": "content_filter"}.get(finish or "")
    status = "in_progress" if finish is None else "incomplete" if cut else "completed"
    return {
        "id": f"resp_{call.request_id}",
        "object": "response",
        "created_at": int(call.at.timestamp()),
        "status": status,
        "error": None,
        "incomplete_details": {"reason": cut} if cut else None,
        "model": model or call.model,
        "output": output,
        "store": False,
        "usage": response_usage(usage) if finish is not None else None,
        **{name: given.get(name, default) for name, default in _ECHOED.items()},
    }


def item_of(part: Text | Thought | ToolUse, number: int, call: Call) -> dict[str, Any]:
    """An output item that is complete."""
    name = f"{call.request_id}_{number}"
    match part:
        case Text():
            return {**_message(name), "status": "completed", "content": [_text(part.text)]}
        case Thought():
            return {**_reasoning(name), "content": [{"type": "reasoning_text", "text": part.text}]}
        case ToolUse():
            return {**_function(name, part.id, part.name), "status": "completed", "arguments": part.arguments}


class ResponseWriter:
    """The events of a response: items one after the other, each announced, filled and closed."""

    def __init__(self, call: Call) -> None:
        self._call = call
        self._model = ""
        self._number = -1
        self._output: list[dict[str, Any]] = []
        self._item: dict[str, Any] | None = None
        self._tool = -1
        self._pieces: list[str] = []
        self._finish: Finish = "stop"

    def write(self, events: Iterable[Event]) -> bytes:
        return b"".join(self._one(said) for said in events)

    def end(self, meter: Meter) -> bytes:
        closed = self._close()
        whole = response_of(self._call, self._model, self._output, self._finish, meter.usage)
        return closed + self._event(f"response.{whole['status']}", response=whole)

    def _one(self, said: Event) -> bytes:
        match said:
            case Begin():
                self._model = self._model or said.model
                return self._begin() if self._number < 0 else b""
            case MoreText():
                return self._more("message", said.text)
            case MoreThought():
                return self._more("reasoning", said.text) if said.text else b""
            case ToolBegin():
                self._tool = said.index
                return self._close() + self._open(_function(self._next_id(), said.id, said.name))
            case MoreArguments():
                return self._more("function_call", said.text) if said.text else b""
            case End():
                self._finish = said.finish
                return self._close()

    def _begin(self) -> bytes:
        started = response_of(self._call, self._model, [], None, None)
        return self._event("response.created", response=started) + self._event("response.in_progress", response=started)

    def _more(self, type: str, text: str) -> bytes:
        opened = b""
        if self._item is None or self._item["type"] != type:
            opened = self._close()
            fresh = _message if type == "message" else _reasoning
            opened += self._open(fresh(self._next_id()))
        self._pieces.append(text)
        extra: dict[str, Any] = {"logprobs": []} if type == "message" else {}
        return opened + self._place(f"{_DELTAS[type]}.delta", part=type != "function_call", delta=text, **extra)

    def _open(self, item: dict[str, Any]) -> bytes:
        self._item = item
        added = self._event("response.output_item.added", output_index=len(self._output), item=item)
        if item["type"] == "function_call":
            return added
        return added + self._place("response.content_part.added", part=True, part_=_part(item, ""))

    def _close(self) -> bytes:
        item = self._item
        if item is None:
            return b""
        text = "".join(self._pieces)
        self._pieces.clear()
        if item["type"] == "function_call":
            item = {**item, "status": "completed", "arguments": text or "{}"}
            done = self._place(
                "response.function_call_arguments.done", part=False, arguments=item["arguments"], name=item["name"]
            )
        else:
            part = _part(item, text)
            extra: dict[str, Any] = {"logprobs": []} if item["type"] == "message" else {}
            done = self._place(f"{_DELTAS[item['type']]}.done", part=True, text=text, **extra)
            done += self._place("response.content_part.done", part=True, part_=part)
            item = {**item, "status": "completed", "content": [part]}
        done += self._event("response.output_item.done", output_index=len(self._output), item=item)
        self._output.append(item)
        self._item = None
        return done

    def _next_id(self) -> str:
        return f"{self._call.request_id}_{len(self._output) + (self._item is not None)}"

    def _place(self, type: str, *, part: bool, **fields: Any) -> bytes:
        """An event about the open item, or about its only part."""
        assert self._item is not None  # noqa: S101 - callers opened it
        where: dict[str, Any] = {"item_id": self._item["id"], "output_index": len(self._output)}
        if part:
            where["content_index"] = 0
        if "part_" in fields:
            fields["part"] = fields.pop("part_")
        return self._event(type, **where, **fields)

    def _event(self, type: str, **fields: Any) -> bytes:
        self._number += 1
        return event(msgspec.json.encode({"type": type, "sequence_number": self._number, **fields}), type)


_DELTAS = {
    "message": "response.output_text",
    "reasoning": "response.reasoning_text",
    "function_call": "response.function_call_arguments",
}


def _message(id: str) -> dict[str, Any]:
    return {"id": f"msg_{id}", "type": "message", "status": "in_progress", "role": "assistant", "content": []}


def _reasoning(id: str) -> dict[str, Any]:
    return {"id": f"rs_{id}", "type": "reasoning", "summary": [], "content": []}


def _function(id: str, call_id: str, name: str) -> dict[str, Any]:
    return {
        "id": f"fc_{id}",
        "type": "function_call",
        "status": "in_progress",
        "call_id": call_id,
        "name": name,
        "arguments": "",
    }


def _part(item: dict[str, Any], text: str) -> dict[str, Any]:
    return _text(text) if item["type"] == "message" else {"type": "reasoning_text", "text": text}


def _text(text: str) -> dict[str, Any]:
    return {"type": "output_text", "text": text, "annotations": [], "logprobs": []}
