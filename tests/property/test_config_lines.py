"""The line that a settings error names is the line on which the value stands, however the file is laid out."""

import tomllib

from hypothesis import given, settings
from hypothesis import strategies as st

from farthing.core.toml import Source

NAMES = st.sampled_from(["a", "b", "long-name", '"quo ted"', "'li.teral'", '"ü=["'])
VALUES = st.sampled_from(
    [
        "1",
        '"x"',
        "true",
        '"""\nmany\n[lines]\na = 1\n"""',
        "[\n  1, # one\n  2,\n]",
        "'''\n= \"\n'''",
        "{ k = 1 }",
        '"[a]"',
        "[]",
    ]
)
NOISE = st.sampled_from(["", "# a = 1", "  ", "# [a]"])


@st.composite
def files(draw):
    """TOML text, and the true line of each of its keys."""
    lines: list[str] = []
    truth: dict[tuple[str | int, ...], int] = {}

    def noise() -> None:
        lines.extend(draw(st.lists(NOISE, max_size=2)))

    def keys(table: tuple[str | int, ...]) -> None:
        for name in draw(st.lists(NAMES, unique=True, max_size=3)):
            noise()
            truth[(*table, *tomllib.loads(f"{name} = 1"))] = len(lines) + 1
            lines.extend(f"{name} = {draw(VALUES)}".split("\n"))

    keys(())
    for number in range(draw(st.integers(0, 3))):
        noise()
        if draw(st.booleans()):
            truth[(f"table{number}",)] = len(lines) + 1
            lines.append(f"[table{number}]")
            keys((f"table{number}",))
            lines.append(f"[ table{number} . 'sub.table' ] # comment")
            keys((f"table{number}", "sub.table"))
            continue
        for index in range(draw(st.integers(1, 3))):
            truth[(f"list{number}", index)] = len(lines) + 1
            lines.append(f"[[list{number}]]")
            keys((f"list{number}", index))
            lines.append(f"[list{number}.inner]")
            keys((f"list{number}", index, "inner"))
    return "\n".join(lines), truth


@settings(deadline=None)
@given(files())
def test_every_key_is_found_on_its_line(file):
    text, truth = file
    source = Source.parse("f.toml", text)
    assert source.tree == tomllib.loads(text)
    assert {at: source.line(at) for at in truth} == truth


@settings(deadline=None)
@given(files(), st.text(max_size=5))
def test_what_is_not_there_is_placed_at_what_surrounds_it(file, name):
    text, truth = file
    source = Source.parse("f.toml", text)
    for at, line in truth.items():
        if (*at, name + "?") not in source.lines:
            assert source.line((*at, name + "?")) == line
    assert source.line((name + "?",)) == 0
