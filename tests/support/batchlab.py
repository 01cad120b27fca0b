"""An installation without its processes, and a provider that keeps batches, for tests of settling."""

import json
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import msgspec
from tests.support.gateway import snapshot

from farthing import config
from farthing.app.batches import Settling
from farthing.app.compile import write_snapshot
from farthing.app.local import Local
from farthing.core.batches import Holding, Lot
from farthing.core.nouns import Scope, Terms
from farthing.core.time import Window
from farthing.gateway.settings import ProviderSettings
from farthing.ledger.questions import RequestsQuestion
from farthing.state.audit import Change
from farthing.state.store import Store

NOW = datetime.now(UTC)
BY = Change(actor="key:k1", at=NOW)


class Provider:
    """Files and batches at a provider, over real HTTP. ``answers`` are by path; a missing one is a 404. ``versions`` are
    those of Anthropic's API that were asked for.
    """

    def __init__(self) -> None:
        answers: dict[str, bytes | int] = {}
        self.answers = answers
        self.asked: list[str] = []
        self.versions: set[str] = set()
        asked, versions = self.asked, self.versions

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                asked.append(self.path)
                versions.add(self.headers.get("anthropic-version", ""))
                found = answers.get(self.path, 404)
                body = b"{}" if isinstance(found, int) else found
                self.send_response(found if isinstance(found, int) else 200)
                self.send_header("content-length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: object) -> None:
                """Say nothing."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._thread = Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02})
        self._thread.start()
        self.url = f"http://127.0.0.1:{self._server.server_port}/v1"

    def close(self) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def has(self, batch: dict, **files: list[dict]) -> None:
        self.answers[f"/v1/batches/{batch['id']}"] = json.dumps(batch).encode()
        for name, lines in files.items():
            self.answers[f"/v1/files/{name}/content"] = jsonl(lines)


class Still(Local):
    """An installation whose clock stands, however long the tests take."""

    def now(self) -> datetime:
        return NOW


class Lab:
    """The installation: one model at ``a``, which speaks OpenAI's dialect, and at ``c``, which speaks Anthropic's."""

    def __init__(self, home: Path, provider: Provider) -> None:
        claude = ProviderSettings(vendor="anthropic", base_url=provider.url, prices="openai")
        known = snapshot({"a": provider.url}, providers={"c": claude})
        [offer] = known.offers
        half = tuple(msgspec.structs.replace(p, rate=msgspec.structs.replace(p.rate, amount=p.rate.amount / 2))
                     for p in offer.prices)  # fmt: skip
        batch = msgspec.structs.replace(offer, id="openai/tiny:batch", terms=Terms.BATCH, prices=half)
        settings = config.Settings(home=home)
        write_snapshot(msgspec.structs.replace(known, offers=(offer, batch)), settings.snapshot)
        self.local = Still(settings, {})
        self.store: Store = self.local.store()
        self.ledger = self.local.ledger()

    def settling(self) -> Settling:
        return Settling(lambda: self.local, self.store.batches, self.ledger)

    def facts(self) -> list:
        return list(self.ledger.requests(RequestsQuestion(window=Window(), limit=10_000)).rows)

    def order(self, **more: object) -> Holding:
        fields = {
            "id": "batch_1",
            "kind": "batch",
            "provider": "a",
            "owner": "o",
            "created": NOW - timedelta(hours=1),
            "lots": (Lot(model="tiny", requests=3),),
            "endpoint": "/v1/chat/completions",
            "input": "file-in",
            "scope": Scope(org="acme"),
            "key_id": "k1",
            "labels": {"category": "research"},
            **more,
        }
        holding = Holding(**fields)
        self.store.batches.add(BY, holding)
        return holding

    def close(self) -> None:
        self.store.close()
        self.ledger.close()


def jsonl(lines: list[dict]) -> bytes:
    return b"\n".join(json.dumps(line).encode() for line in lines)
