"""What all writers need: tables, and docstrings as Markdown."""

import ast
import inspect
import re
from collections.abc import Iterable, Sequence
from itertools import pairwise
from types import ModuleType
from typing import Any

_SENTENCE = re.compile(r"(?<=[.;])\s+(?=``|[A-Z])")


def table(head: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """A table. Cells may hold Markdown; pipes and line breaks in them are made harmless."""
    lines = [head, ["---"] * len(head), *rows]
    return "".join("| " + " | ".join(_cell(c) for c in line) + " |\n" for line in lines)


def code(value: object) -> str:
    """A value as code; nothing for an empty one."""
    text = str(value)
    return f"`{text}`" if text else ""


def prose(subject: Any) -> str:
    """A docstring, or a text written like one, as Markdown."""
    text = subject if isinstance(subject, str) else inspect.getdoc(subject) or ""
    return text.replace("``", "`").strip()


def summary(subject: Any) -> str:
    """The first paragraph of a docstring on one line."""
    return " ".join(prose(subject).split("\n\n")[0].split())


def sentences(subject: Any) -> list[str]:
    """A docstring cut into sentences. A clause behind a semicolon counts when it begins with a name."""
    text = " ".join((subject if isinstance(subject, str) else inspect.getdoc(subject) or "").split())
    return _SENTENCE.split(text)


def attribute_docs(module: ModuleType, name: str) -> dict[str, str]:
    """The texts below the members of a class, by member: Python keeps them in the source only."""
    tree = ast.parse(inspect.getsource(module))
    body = next(n.body for n in tree.body if isinstance(n, ast.ClassDef) and n.name == name)
    found: dict[str, str] = {}
    for node, after in pairwise(body):
        told = isinstance(after, ast.Expr) and isinstance(after.value, ast.Constant)
        if told and isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
            found[node.targets[0].id] = prose(str(after.value.value))
    return found


def _cell(value: object) -> str:
    return str(value).replace("|", "\\|").replace("\n", " ")
