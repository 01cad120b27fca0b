"""Questions that come again and again in other words, and what the simulated models answer to them."""

import random
import tomllib
from functools import cache
from importlib.resources import files

Entries = tuple[tuple[str, tuple[str, ...]], ...]


class Faq:
    """The entries of ``faq.toml``. Few of them are asked often, most now and then (Zipf)."""

    def __init__(self, entries: Entries, openings: tuple[str, ...] = ("",), closings: tuple[str, ...] = ("",)) -> None:
        self._entries = entries
        self._openings, self._closings = openings, closings
        self._weights = [1 / (rank + 1) for rank in range(len(entries))]
        self._answers = {question: answer for answer, asked in entries for question in asked}

    def question(self, dice: random.Random) -> str:
        """What somebody asks, with a few words before and after it."""
        _, asked = dice.choices(self._entries, weights=self._weights)[0]
        return dice.choice(self._openings) + dice.choice(asked) + dice.choice(self._closings)

    def answer(self, prompt: str) -> str:
        """The answer to a prompt that ends with one of the questions; empty for any other."""
        said = prompt.rstrip().rpartition("\n")[2].strip()
        opening = max((o for o in self._openings if said.startswith(o)), key=len, default="")
        closing = max((c for c in self._closings if said.endswith(c)), key=len, default="")
        return self._answers.get(said[len(opening) : len(said) - len(closing)], "")

    @property
    def entries(self) -> Entries:
        """Each answer with the ways in which it is asked for."""
        return self._entries


@cache
def faq() -> Faq:
    """The demo's, read once."""
    text = files("farthing.demo").joinpath("faq.toml").read_text(encoding="utf-8")
    told = tomllib.loads(text)
    entries = tuple((entry["answer"], tuple(entry["asked"])) for entry in told["entry"])
    return Faq(entries, tuple(told["openings"]), tuple(told["closings"]))
