"""Identical requests at the same time run once, whoever dies on the way."""

import asyncio
import os
import signal
import subprocess
import sys
import time

import pytest

from farthing.cache.entry import Entry
from farthing.cache.flights import Flights, Lead

KEY = b"k" * 32
ENTRY = Entry(key=KEY, namespace="n", tenant="t", made=0.0)


async def nothing() -> None:
    return None


def board(flights: Flights, *, look=nothing, patience: float = 5):
    return asyncio.create_task(flights.board(KEY, look, patience=patience))


def test_those_that_wait_get_what_the_first_one_brings():
    async def work():
        flights = Flights()
        lead = await board(flights)
        assert isinstance(lead, Lead)
        waiting = [board(flights) for _ in range(5)]
        await asyncio.sleep(0.01)
        lead.land(ENTRY)
        assert await asyncio.gather(*waiting) == [ENTRY] * 5
        assert len(flights) == 0

    asyncio.run(work())


def test_when_its_answer_may_not_be_kept_all_go_on_alone():
    async def work():
        flights = Flights()
        lead = await board(flights)
        waiting = [board(flights) for _ in range(3)]
        await asyncio.sleep(0.01)
        lead.land(None)
        assert await asyncio.gather(*waiting) == [None] * 3

    asyncio.run(work())


def test_when_its_client_leaves_another_one_leads():
    async def work():
        flights = Flights()
        first = await board(flights)
        waiting = [board(flights) for _ in range(3)]
        await asyncio.sleep(0.01)
        first.land(None, again=True)
        done, _ = await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
        (second,) = (task.result() for task in done)
        assert isinstance(second, Lead)
        second.land(ENTRY)
        others = [await t for t in waiting if t not in done]
        assert others == [ENTRY] * 2

    asyncio.run(work())


def test_an_answer_that_is_asked_afresh_is_waited_for_like_any_other():
    async def work():
        flights = Flights()
        lead = flights.begin(KEY)
        assert isinstance(lead, Lead)
        assert flights.begin(KEY) is None
        waiting = board(flights)
        await asyncio.sleep(0.01)
        lead.land(ENTRY)
        assert await waiting == ENTRY

    asyncio.run(work())


def test_nobody_waits_longer_than_it_is_patient():
    async def work():
        flights = Flights()
        lead = await board(flights)
        assert await board(flights, patience=0.05) is None
        lead.land(ENTRY)

    asyncio.run(work())


def test_who_is_cancelled_while_it_looks_lets_the_others_go_on():
    async def work():
        flights = Flights()
        stuck = asyncio.Event()

        async def look() -> None:
            await stuck.wait()

        first = board(flights, look=look)
        second = board(flights)
        await asyncio.sleep(0.01)
        first.cancel()
        assert isinstance(await second, Lead)

    asyncio.run(work())


OTHER = """
import asyncio, sys
from pathlib import Path
from farthing.cache.flights import Flights
async def nothing(): return None
async def main():
    lead = await Flights(Path(sys.argv[1])).board(b"k" * 32, nothing, patience=5)
    print("leads", flush=True)
    await asyncio.sleep(60)
asyncio.run(main())
"""


@pytest.fixture
def other(tmp_path):
    file = tmp_path / "flights"
    process = subprocess.Popen([sys.executable, "-c", OTHER, str(file)], stdout=subprocess.PIPE)
    assert process.stdout.readline() == b"leads\n"
    yield file, process
    process.kill()
    process.wait(10)
    process.stdout.close()


def test_another_workers_answer_is_waited_for_and_its_death_noticed(other):
    file, process = other

    async def work():
        flights = Flights(file)
        task = board(flights)
        await asyncio.sleep(0.2)
        assert not task.done()
        os.kill(process.pid, signal.SIGKILL)
        began = time.monotonic()
        lead = await task
        assert isinstance(lead, Lead)
        assert time.monotonic() - began < 5
        lead.land(None)
        flights.close()

    asyncio.run(work())


def test_what_another_worker_brought_is_found_once_it_lets_go(other):
    file, process = other
    brought = False

    async def look() -> Entry | None:
        return ENTRY if brought else None

    async def work():
        nonlocal brought
        flights = Flights(file)
        tasks = [board(flights, look=look) for _ in range(3)]
        await asyncio.sleep(0.1)
        brought = True
        process.kill()
        assert await asyncio.gather(*tasks) == [ENTRY] * 3
        flights.close()

    asyncio.run(work())
