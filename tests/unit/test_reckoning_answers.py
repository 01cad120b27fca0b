"""What the ledger is asked about limits, and how long an answer is used again."""

from datetime import UTC, datetime
from decimal import Decimal

from farthing.app.reckoning import Reckoning
from farthing.core.limits import Limit, Measure, Span
from farthing.core.time import Window
from farthing.ledger.questions import SpendAnswer, SpendQuestion, SpendRow

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
LIMIT = Limit(id="lim_1", name="all", measure=Measure.COST, amount=Decimal(9), per=Span.DAY)


class Hours:
    """A ledger where every hour costs a dollar."""

    def __init__(self) -> None:
        self.asked = 0

    def spend(self, question: SpendQuestion) -> SpendAnswer:
        self.asked += 1
        hours = question.window.duration.total_seconds() / 3600
        row = SpendRow(keys={"provider": "openai"}, cost=Decimal(hours), requests=1)
        return SpendAnswer(question=question, rows=(row,), total=row, through=None, empty=False)

    def through(self) -> None:
        return None


def test_an_answer_is_used_again_for_the_same_span():
    hours = Hours()
    reckoning = Reckoning(hours)
    for minute in (0, 1):
        window = Window(start=NOON.replace(hour=0), end=NOON.replace(minute=minute))
        assert reckoning.sums(LIMIT, window)[()].amount == 12
    assert hours.asked == 1


def test_what_was_summed_for_a_part_of_the_span_is_not_taken_for_the_whole():
    reckoning = Reckoning(Hours())
    past = Window(start=NOON.replace(hour=0), end=NOON.replace(hour=5))
    assert reckoning.sums(LIMIT, past, fresh=True)[()].amount == 5
    assert reckoning.sums(LIMIT, Window(start=past.start, end=NOON))[()].amount == 12
    assert reckoning.sums(LIMIT, past, fresh=True)[()].amount == 5
