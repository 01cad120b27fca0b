"""The parts of the control process that need no process: lock, token, ports, chores."""

import asyncio
import os
import socket
import stat
import subprocess
import sys
from datetime import UTC, datetime

import pytest

from farthing.app.chores import Chore, Chores
from farthing.app.folder import FolderLock, admin_token
from farthing.app.listen import bound, free_port, url
from farthing.core.errors import ConflictError, UnavailableError

NOW = datetime(2026, 11, 20, tzinfo=UTC)


def test_a_folder_has_one_holder_and_the_other_learns_who(tmp_path):
    path = tmp_path / "run" / "lock"
    with FolderLock.take(path), pytest.raises(ConflictError, match=f"process {os.getpid()}") as refused:
        FolderLock.take(path)
    assert "--home" in refused.value.remedy
    FolderLock.take(path).close()


def test_the_lock_lives_as_long_as_a_child_that_inherited_it(tmp_path):
    path = tmp_path / "run" / "lock"
    lock = FolderLock.take(path)
    command = [sys.executable, "-c", "import sys; sys.stdin.read()"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, pass_fds=(lock.descriptor,)) as child:
        lock.close()
        with pytest.raises(ConflictError):
            FolderLock.take(path)
        child.stdin.close()
        child.wait(10)
    FolderLock.take(path).close()


def test_a_folder_that_cannot_be_written_is_named(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(UnavailableError, match="Cannot write to"):
        FolderLock.take(tmp_path / "file" / "run" / "lock")
    with pytest.raises(UnavailableError, match=r"admin\.token"):
        admin_token(tmp_path / "file" / "admin.token")


def test_the_admin_token_is_made_once_and_only_the_owner_reads_it(tmp_path):
    path = tmp_path / "home" / "admin.token"
    token, new = admin_token(path)
    assert (new, len(token) >= 43) == (True, True)
    path.chmod(0o644)
    assert admin_token(path) == (token, False)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_an_empty_token_file_never_lets_anybody_in(tmp_path):
    path = tmp_path / "admin.token"
    path.write_text("\n")
    token, new = admin_token(path)
    assert new
    assert len(token) >= 43
    assert path.read_text() == token + "\n"


def test_a_taken_port_is_named_with_its_setting():
    with bound("127.0.0.1", 0, setting="--port") as sock:
        port = sock.getsockname()[1]
        with pytest.raises(UnavailableError, match=str(port)) as refused:
            free_port("127.0.0.1", port, setting="--port")
    assert "--port" in refused.value.remedy
    assert free_port("127.0.0.1", port, setting="--port") == port
    with pytest.raises(UnavailableError, match=r"nowhere\.invalid"):
        free_port("nowhere.invalid", 0, setting="--port")


def test_a_port_shared_by_reuse_is_taken_all_the_same():
    with socket.socket() as worker:
        worker.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        worker.bind(("127.0.0.1", 0))
        worker.listen()
        with pytest.raises(UnavailableError):
            free_port("127.0.0.1", worker.getsockname()[1], setting="--port")


@pytest.mark.parametrize(
    ("host", "address"),
    [("0.0.0.0", "http://127.0.0.1:1"), ("::1", "http://[::1]:1"), ("::", "http://[::1]:1"), ("a.b", "http://a.b:1")],
)
def test_an_address_can_be_opened_from_here(host, address):
    assert url(host, 1) == address


def run(chores: Chores, until) -> None:
    async def whole() -> None:
        task = asyncio.create_task(chores.run())
        async with asyncio.timeout(20):
            while not until():
                await asyncio.sleep(0.01)
            chores.stop()
            await task

    asyncio.run(whole())


def test_a_chore_that_fails_is_shown_and_tried_again_while_others_go_on(caplog):
    answers = iter([UnavailableError("disk full", remedy="free some"), ValueError("odd"), "fine"])
    others = []

    def work() -> str:
        answer = next(answers, "fine")
        seen.append(chores.checks()[0])
        if isinstance(answer, Exception):
            raise answer
        return answer

    seen: list = []
    chores = Chores(
        (
            Chore(name="shaky", every=0.01, work=work, remedy="look at the log"),
            Chore(name="steady", every=0.01, work=lambda: others.append(1) or "", remedy=""),
        ),
        lambda: NOW,
    )
    run(chores, lambda: len(seen) > 3)
    assert (seen[1].state, seen[1].remedy) == ("failed", "free some")
    assert (seen[2].state, seen[2].detail, seen[2].remedy) == ("failed", "ValueError: odd", "look at the log")
    assert (chores.checks()[0].state, chores.checks()[0].detail) == ("ok", "fine")
    assert len(others) > 3
    assert "disk full" in caplog.text
    assert "Traceback" in caplog.text


def test_stopping_waits_for_what_is_under_way():
    begun, ended = [], []

    def slow() -> str:
        begun.append(1)
        import time

        time.sleep(0.2)
        ended.append(1)
        return ""

    run(Chores((Chore(name="slow", every=60, work=slow, remedy=""),), lambda: NOW), lambda: bool(begun))
    assert ended == [1]
