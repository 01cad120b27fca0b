"""A provider for benchmarks: OpenAI's chat completions at the speed of a hand-written asyncio protocol.

Answers 1 KB of JSON, or forty-one events when the body asks for a stream, after ``--delay`` milliseconds.
"""

import argparse
import asyncio
import json

import httptools
import uvloop

TEXT = "The refund was approved on the same day. " * 14
READ, WRITTEN = 180, 140
"""Tokens that every answer counts."""

USAGE = {
    "prompt_tokens": READ,
    "completion_tokens": WRITTEN,
    "total_tokens": READ + WRITTEN,
    "prompt_tokens_details": {"cached_tokens": 0, "audio_tokens": 0},
    "completion_tokens_details": {"reasoning_tokens": 0, "audio_tokens": 0},
}
HEAD = {"id": "chatcmpl-bench0000000000000000", "created": 1763700000, "model": "gpt-4o-mini-2024-07-18"}
EVENTS = 41


def _whole() -> bytes:
    choice = {"index": 0, "message": {"role": "assistant", "content": TEXT, "refusal": None}, "finish_reason": "stop"}
    body = json.dumps({**HEAD, "object": "chat.completion", "choices": [choice], "usage": USAGE}).encode()
    return b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n%s" % (len(body), body)


def _events() -> list[bytes]:
    def event(choices: list[object], **more: object) -> bytes:
        data = json.dumps({**HEAD, "object": "chat.completion.chunk", "choices": choices, **more}).encode()
        line = b"data: " + data + b"\n\n"
        return b"%x\r\n%s\r\n" % (len(line), line)

    words = [
        event([{"index": 0, "delta": {"content": f"word {i} "}, "finish_reason": None}]) for i in range(EVENTS - 3)
    ]
    stop = event([{"index": 0, "delta": {}, "finish_reason": "stop"}])
    done = b"e\r\ndata: [DONE]\n\n\r\n"
    return [*words, stop, event([], usage=USAGE), done + b"0\r\n\r\n"]


WHOLE = _whole()
STREAM = _events()
STREAM_HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"


class Provider(asyncio.Protocol):
    """One connection. ``delay`` is in seconds; ``gap`` is the time between two events of a stream."""

    def __init__(self, delay: float, gap: float) -> None:
        self.delay = delay
        self.gap = gap
        self.loop = asyncio.get_running_loop()
        self.parser = httptools.HttpRequestParser(self)
        self.streams = False

    def connection_made(self, transport: asyncio.Transport) -> None:
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        self.parser.feed_data(data)

    def on_message_begin(self) -> None:
        self.streams = False

    def on_body(self, body: bytes) -> None:
        self.streams = self.streams or b'"stream":true' in body or b'"stream": true' in body

    def on_message_complete(self) -> None:
        answer = self.begin_stream if self.streams else self.write_whole
        if self.delay:
            self.loop.call_later(self.delay, answer)
        else:
            answer()

    def write_whole(self) -> None:
        self.transport.write(WHOLE)

    def begin_stream(self) -> None:
        self.transport.write(STREAM_HEAD)
        self.next_event(0)

    def next_event(self, i: int) -> None:
        if self.transport.is_closing():
            return
        self.transport.write(STREAM[i])
        if i + 1 < len(STREAM):
            self.loop.call_later(self.gap, self.next_event, i + 1)


async def serve(port: int, delay: float, gap: float) -> None:
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: Provider(delay, gap), "127.0.0.1", port, backlog=1024)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    arguments = argparse.ArgumentParser()
    arguments.add_argument("--port", type=int, default=0)
    arguments.add_argument("--delay", type=float, default=0, help="milliseconds before the answer")
    arguments.add_argument("--gap", type=float, default=2, help="milliseconds between two events")
    chosen = arguments.parse_args()
    uvloop.run(serve(chosen.port, chosen.delay / 1000, chosen.gap / 1000))
