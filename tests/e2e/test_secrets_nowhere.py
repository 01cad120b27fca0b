"""Planted secrets are found nowhere: a whole installation is driven and provoked, and then everything it left is read."""

import json
import threading
import urllib.error
import urllib.request
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from tests.support.product import Product, post

PLANTED = "sk-planted-8c2e5f90d1b7a364"
PASSWORD = "correct horse battery"
ASK = {"model": "gpt-4o-mini", "messages": [{"role": "user", "content": "hello"}]}


@contextmanager
def telltale():
    """An upstream that repeats the key that it got: in error messages, in headers, in the middle of a text."""
    answers = iter([401, 400, 500, 429, 403] * 20)

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self):
            self.rfile.read(int(self.headers.get("content-length", 0)))
            key = self.headers.get("authorization", "").removeprefix("Bearer ")
            seen.append(key)
            error = {"message": f"Incorrect API key provided: {key}.", "type": "invalid_request_error", "code": key}
            body = json.dumps({"error": error}).encode()
            self.send_response(next(answers))
            self.send_header("content-type", "application/json")
            self.send_header("x-key", key)
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def do_GET(self):
            self.do_POST()

        def log_message(self, *_):
            pass

    seen: list[str] = []
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}/v1", seen
    finally:
        server.shutdown()
        server.server_close()
        thread.join(5)


def fetch(product: Product, path: str, token: str) -> str:
    request = urllib.request.Request(f"{product.web_url}/api/v1/{path}", headers={"authorization": f"Bearer {token}"})
    try:
        with urllib.request.urlopen(request, timeout=20) as answer:
            return answer.read().decode()
    except urllib.error.HTTPError as refusal:
        with refusal:
            return refusal.read().decode()


@pytest.mark.timeout(180)
def test_planted_secrets_are_found_nowhere(tmp_path):
    with telltale() as (address, seen):
        settings = f'[providers.openai]\nvendor = "openai"\nbase_url = "{address}"\napi_key = "secret:openai"\n'
        product = Product(tmp_path, settings)
        typed = piped(product, "secret", "set", "openai", text=PLANTED)
        said = [typed]
        with product:
            key = product.key("--team", "search")
            made = piped(product, "person", "create", "ann@example.com", "--role", "admin", "--password", text=PASSWORD)
            product.cli("person", "create", "ci", "--role", "service")
            service = product.cli("person", "token", "ci").stdout.strip()
            said.append(made)
            for _ in range(5):
                status, headers, body = post(
                    f"{product.url}/v1/chat/completions", ASK, {"authorization": f"Bearer {key}"}
                )
                assert status >= 400
                said += [str(headers), body.decode()]
            assert set(seen) == {PLANTED}, (said[-1], product.log.read_text())
            product.requests(at_least=5)
            for path in (
                "requests",
                "providers",
                "keys",
                "people",
                "audit",
                "health",
                "session",
                "spend.csv",
                "x",
                "spend?x=y",
            ):
                said += [
                    fetch(product, path, product.admin_token),
                    fetch(product, path, service),
                    fetch(product, path, PLANTED),
                ]
            login = {"email": "ann@example.com", "password": PASSWORD + "!"}
            said.append(str(post(f"{product.web_url}/api/v1/login", login, {})))
            for arguments in (
                ("provider", "test"),
                ("doctor",),
                ("secret", "list"),
                ("config", "show"),
                ("provider", "list"),
            ):
                done = product.cli(*arguments, check=False)
                said += [done.stdout, done.stderr]
            said.append(piped(product, "secret", "rotate-key", text=""))
        secrets = [PLANTED, PASSWORD, key, service, product.admin_token]
        for text in said:
            assert not [secret for secret in secrets if secret in text], text[:2000]
        allowed = {product.home / "admin.token"}
        for file in product.home.rglob("*"):
            if file.is_file() and file not in allowed:
                raw = file.read_bytes()
                if file == product.log:  # the first start shows the admin token once, to log in with
                    raw = raw.replace(f"/login#token={product.admin_token}".encode(), b"", 1)
                assert not [secret for secret in secrets if secret.encode() in raw], file
        stored = product.home / "seal.key"
        assert stored.stat().st_mode & 0o077 == 0
        envelope = stored.read_bytes().strip()
        for file in product.home.rglob("*"):
            assert not file.is_file() or file == stored or envelope not in file.read_bytes(), file


def piped(product: Product, *arguments: str, text: str) -> str:
    """A command that reads a secret from standard input, and all that it says."""
    import subprocess
    import sys

    done = subprocess.run(
        [sys.executable, "-m", "farthing", *arguments],
        input=text, env=product.env, capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout + done.stderr
