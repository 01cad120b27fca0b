"""Questions that come again and again in other words, and what the simulated models answer to them."""

import random
import tomllib
from functools import cache
from importlib.resources import files


class Faq:
    """The entries of ``faq.toml``. Few of them are asked often, most now and then (Zipf)."""

    def __init__(self, entries: tuple[tuple[str, tuple[str, ...]], ...]) -> None:
        self._entries = entries
        self._weights = [1 / (rank + 1) for rank in range(len(entries))]
        self._answers = {question: answer for answer, asked in entries for question in asked}

    def question(self, dice: random.Random) -> str:
        """What somebody asks."""
        _, asked = dice.choices(self._entries, weights=self._weights)[0]
        return dice.choice(asked)

    def answer(self, prompt: str) -> str:
        """The answer to a prompt that ends with one of the questions; empty for any other."""
        return self._answers.get(prompt.rstrip().rpartition("\n")[2].strip(), "")

    @property
    def entries(self) -> tuple[tuple[str, tuple[str, ...]], ...]:
        """Each answer with the ways in which it is asked for."""
        return self._entries


@cache
def faq() -> Faq:
    """The demo's, read once."""
    text = files("farthing.demo").joinpath("faq.toml").read_text(encoding="utf-8")
    return Faq(tuple((entry["answer"], tuple(entry["asked"])) for entry in tomllib.loads(text)["entry"]))
