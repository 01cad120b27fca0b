"""Receivers of notices for tests: a webhook and a mail server, both real servers on loopback ports."""

import email
import email.policy
import json
import socketserver
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class Webhook(ThreadingHTTPServer):
    """Takes JSON. ``answers`` are the statuses of the next requests, 200 after them; ``heard`` what it was sent."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Hook)
        self.answers: list[int] = []
        self.heard: list[tuple[int, dict]] = []

    @property
    def url(self) -> str:
        """Its Apprise address, with a secret in it."""
        return f"json://hook:s3cret-word@127.0.0.1:{self.server_port}/token-in-path"

    def took(self) -> list[str]:
        """The titles it accepted."""
        return [message["title"] for status, message in self.heard if status == 200]


class _Hook(BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        message = json.loads(self.rfile.read(int(self.headers["content-length"])))
        status = self.server.answers.pop(0) if self.server.answers else 200
        self.server.heard.append((status, message))
        self.send_response(status)
        self.send_header("content-length", "0")
        self.end_headers()

    def log_message(self, *_: object) -> None: ...


class Mailbox(socketserver.ThreadingTCPServer):
    """Takes mail by SMTP (RFC 5321, the commands that every client needs). ``refuse``: so many mails are refused."""

    daemon_threads = True
    allow_reuse_address = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Session)
        self.refuse = 0
        self.mails: list[email.message.EmailMessage] = []

    @property
    def url(self) -> str:
        port = self.server_address[1]
        return f"mailto://127.0.0.1:{port}?mode=insecure&from=farthing@example.com&to=ops@example.com"


class _Session(socketserver.StreamRequestHandler):
    def handle(self) -> None:
        self._say("220 mailbox")
        while line := self.rfile.readline():
            verb = line.decode().strip().upper().partition(" ")[0]
            if verb == "DATA":
                self._data()
            elif verb == "QUIT":
                self._say("221 bye")
                return
            elif verb == "RCPT" and self.server.refuse:
                self.server.refuse -= 1
                self._say("450 not now")
            else:
                self._say("250 fine")

    def _data(self) -> None:
        self._say("354 go on")
        lines: list[bytes] = []
        while (line := self.rfile.readline()) not in (b".\r\n", b""):
            lines.append(line.removeprefix(b".") if line.startswith(b"..") else line)
        self.server.mails.append(email.message_from_bytes(b"".join(lines), policy=email.policy.default))
        self._say("250 taken")

    def _say(self, text: str) -> None:
        self.wfile.write(text.encode() + b"\r\n")


@contextmanager
def running(server: socketserver.BaseServer) -> Iterator:
    """The server, serving until the block ends."""
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        thread.join(5)
        server.server_close()
