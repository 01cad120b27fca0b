"""What a scrape shows when several workers share a port, and what of it survives a worker."""

import re
from decimal import Decimal
from pathlib import Path

import msgspec
import pytest

from farthing.core.facts import RequestFact, Status
from farthing.gateway.metrics import Metrics, exposition
from farthing.gateway.siblings import Siblings
from support.journals import fact


class Fleet:
    """Workers' counters over one folder; a name in ``living`` is a running process."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.living: set[str] = set()

    def start(self, index: int, name: str) -> tuple[Metrics, Siblings]:
        self.living.add(name)
        metrics = Metrics(str(index), name)
        return metrics, Siblings(self.folder, metrics, alive=self.living.__contains__)


def scraped(metrics: Metrics, siblings: Siblings) -> dict[str, int]:
    """Attempts by worker, as the worker that was asked shows them."""
    text = exposition(siblings.beside(metrics.tally({}))).decode()
    found = re.findall(r'^farthing_attempts_total{worker="(\d+)".*} (\S+)$', text, re.MULTILINE)
    return {worker: int(float(count)) for worker, count in found}


def paid(request_id: str) -> RequestFact:
    return msgspec.structs.replace(
        fact(request_id), cost=Decimal("0.000450000001"), input_tokens=7, output_tokens=3, total_ms=40.0, ttft_ms=20.0
    )


@pytest.fixture
def fleet(tmp_path):
    return Fleet(tmp_path / "run" / "metrics")


def test_whoever_is_asked_shows_everybody(fleet):
    (first, one), (second, two) = fleet.start(0, "a"), fleet.start(1, "b")
    for _ in range(3):
        first.observe(fact("r"))
    second.observe(fact("r"))
    one.save(first.tally({}))
    assert scraped(second, two) == {"0": 3, "1": 1}
    assert scraped(first, one) == {"0": 3, "1": 1}


def test_what_was_shown_is_shown_by_the_next_too(fleet):
    (first, one), (second, two) = fleet.start(0, "a"), fleet.start(1, "b")
    shown = []
    for metrics, siblings in ((first, one), (second, two)) * 3:
        first.observe(fact("r"))
        shown.append(scraped(metrics, siblings)["0"])
    assert shown == sorted(shown)
    assert shown[-2:] == [5, 5]


def test_a_worker_that_is_started_again_goes_on_counting(fleet):
    metrics, siblings = fleet.start(0, "a")
    metrics.observe(paid("r"))
    metrics.refuse(404)
    before = exposition(siblings.beside(metrics.tally({})))
    fleet.living.clear()
    again, resumed = fleet.start(0, "a2")
    assert resumed.resume()
    assert exposition(resumed.beside(again.tally({}))) == before
    again.observe(paid("r2"))
    again.refuse(404)
    text = exposition(resumed.beside(again.tally({}))).decode()
    labels = 'worker="0",operation="chat",provider="",offer="",status="ok",error=""'
    for line in (
        f"farthing_attempts_total{{{labels}}} 2.000000",
        f"farthing_cost_usd_total{{{labels}}} 0.000900000002",
        f'farthing_tokens_total{{{labels},class="input"}} 14.000000',
        f'farthing_duration_seconds_bucket{{{labels},le="0.05"}} 2',
        f"farthing_first_byte_seconds_count{{{labels}}} 2",
        'farthing_refused_total{worker="0",code="404"} 2.000000',
    ):
        assert line in text.splitlines()


def test_the_dead_and_the_dismissed_are_not_shown(fleet):
    (first, one), (second, two) = fleet.start(0, "a"), fleet.start(1, "b")
    for metrics, siblings in ((first, one), (second, two)):
        metrics.observe(fact("r"))
        siblings.save(metrics.tally({}))
    fleet.living.remove("b")
    assert scraped(first, one) == {"0": 1}


def test_a_number_that_somebody_living_has_is_left_to_them(fleet):
    first, one = fleet.start(0, "a")
    first.observe(fact("r"))
    one.save(first.tally({}))
    kept = (fleet.folder / "0").read_bytes()
    second, two = fleet.start(0, "late")
    second.observe(fact("r"))
    assert not two.resume()
    assert scraped(second, two) == {"0": 1}
    assert (fleet.folder / "0").read_bytes() == kept
    fleet.living.remove("a")
    assert two.resume()
    assert scraped(second, two) == {"0": 2}


@pytest.mark.parametrize("damage", [b"", b"\xc1", msgspec.msgpack.encode({"name": "a", "of another release": 1})])
def test_a_file_that_cannot_be_read_is_no_file(fleet, damage):
    fleet.folder.mkdir(parents=True)
    (fleet.folder / "0").write_bytes(damage)
    (fleet.folder / "1").write_bytes(damage)
    metrics, siblings = fleet.start(0, "a")
    metrics.observe(fact("r"))
    assert scraped(metrics, siblings) == {"0": 1}


def test_nothing_is_written_while_nothing_changes(fleet):
    metrics, siblings = fleet.start(0, "a")
    metrics.observe(fact("r"))
    siblings.save(metrics.tally({}))
    (fleet.folder / "0").unlink()
    siblings.save(metrics.tally({}))
    assert not (fleet.folder / "0").exists()
    metrics.observe(fact("r", Status.ERROR))
    siblings.save(metrics.tally({}))
    assert (fleet.folder / "0").exists()


def test_a_disk_that_refuses_is_logged_once_and_costs_only_the_sharing(fleet, caplog):
    fleet.folder.parent.mkdir(parents=True)
    fleet.folder.write_text("a file in the way")
    metrics, siblings = fleet.start(0, "a")
    metrics.observe(fact("r"))
    assert [scraped(metrics, siblings) for _ in range(2)] == [{"0": 1}] * 2
    assert len(caplog.records) == 1


def test_every_metric_stands_in_one_group(fleet):
    (first, one), (second, two) = fleet.start(0, "a"), fleet.start(1, "b")
    for metrics in (first, second):
        metrics.observe(paid("r"))
        metrics.refuse(401)
    one.save(first.tally({"resident_bytes": 5.0}))
    text = exposition(two.beside(second.tally({"resident_bytes": 6.0}))).decode()
    names = re.findall(r"^# TYPE (\w+)", text, re.MULTILINE)
    assert len(names) == len(set(names))
    groups = re.split(r"^# TYPE (\w+) \w+\n", text, flags=re.MULTILINE)[1:]
    for name, samples in zip(groups[::2], groups[1::2], strict=True):
        assert all(line.startswith(name) for line in samples.splitlines())
        assert {f'worker="{n}"' in samples for n in "01"} == {True}
