"""``/metrics`` of two worker processes on one port: every scrape shows both, and a killed one goes on counting."""

import asyncio
import re
import signal
from pathlib import Path

from support.gateway import CHAT, answers, chat, send, upstream
from support.workers import Process, worker


async def scrape(port: int) -> dict[str, int]:
    """Attempts by worker, as whichever worker the kernel chose shows them."""
    text = (await send(port, "/metrics", method="GET")).body.decode()
    found = re.findall(r'^farthing_attempts_total{worker="(\d+)".*} (\S+)$', text, re.MULTILINE)
    return {number: int(float(count)) for number, count in found}


async def until_total(port: int, wanted: int) -> None:
    """Wait until scrapes, whoever answers, show that many attempts."""
    async with asyncio.timeout(15):
        for _ in range(6):
            while sum((await scrape(port)).values()) != wanted:
                await asyncio.sleep(0.05)


async def second(home: Path, port: int) -> Process:
    """Another worker on the port, once it has opened its journal."""
    before = set((home / "journal").glob("1-*"))
    process = Process(home, port, "--index", "1")
    async with asyncio.timeout(20):
        while set((home / "journal").glob("1-*")) <= before:
            await asyncio.sleep(0.05)
    await asyncio.sleep(0.5)
    return process


def test_every_scrape_shows_both_workers_and_no_total_goes_back(tmp_path):
    async def run() -> tuple[dict[str, int], dict[str, int], dict[str, int]]:
        async with upstream(answers) as server:
            with worker(tmp_path, {"up": server.url}) as first:
                other = await second(tmp_path, first.port)
                try:
                    for _ in range(40):
                        assert (await send(first.port, CHAT, chat())).status == 200
                    await until_total(first.port, 40)
                    both = await scrape(first.port)
                    other.stop(signal.SIGKILL)
                    alone = await scrape(first.port)
                    other = await second(tmp_path, first.port)
                    await until_total(first.port, 40)
                    return both, alone, await scrape(first.port)
                finally:
                    other.stop()

    both, alone, again = asyncio.run(run())
    assert set(both) == {"0", "1"}
    assert alone == {"0": both["0"]}
    assert again == both
