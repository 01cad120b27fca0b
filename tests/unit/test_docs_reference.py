"""The reference pages are what the code says, and leave nothing out."""

import re
import subprocess
import sys
import tomllib

import msgspec
import pytest
from tests.support.documentation import ROOT

from farthing.cli import NOUNS, root
from farthing.config import SettingsFile
from farthing.core.errors import FarthingError
from farthing.core.facts import ErrorKind, RequestFact, Status
from farthing.ledger.focus import COLUMNS
from farthing.ledger.questions import DIMENSIONS
from farthing.web.openapi import printed

REFERENCE = ROOT / "docs" / "reference"


def page(name: str) -> str:
    return (REFERENCE / name).read_text(encoding="utf-8")


def generate(*options: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "docs.generate", *options]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=100)


def test_pages_are_current():
    done = generate("--check")
    assert (done.returncode, done.stdout) == (0, ""), done.stdout + done.stderr


def test_check_names_what_is_stale_and_changes_nothing(tmp_path):
    for file in REFERENCE.glob("*.md"):
        (tmp_path / file.name).write_bytes(file.read_bytes())
    (tmp_path / "cli.md").write_text("old")
    (tmp_path / "vendors.md").unlink()
    (tmp_path / "gone.md").write_text("a page that nobody writes")
    done = generate("--check", "--folder", str(tmp_path))
    assert done.returncode == 1
    assert set(done.stdout.splitlines()) == {"stale: cli.md", "stale: vendors.md", "stale: gone.md"}
    assert (tmp_path / "cli.md").read_text() == "old"
    assert generate("--folder", str(tmp_path)).returncode == 0
    assert {f.name: f.read_bytes() for f in tmp_path.iterdir()} == {f.name: f.read_bytes() for f in REFERENCE.iterdir()}


def settings(struct: type[msgspec.Struct], section: str = "") -> list[tuple[str, str]]:
    """(section, field) of every setting, by walking the types."""
    found = []
    for field in msgspec.inspect.type_info(struct).fields:
        inner = field.type
        while isinstance(inner, msgspec.inspect.DictType | msgspec.inspect.VarTupleType):
            inner = getattr(inner, "value_type", None) or inner.item_type
        if isinstance(inner, msgspec.inspect.StructType):
            found += settings(inner.cls, field.name)
        else:
            found.append((section, field.name))
    return found


def test_every_setting_is_documented():
    text = page("settings.md")
    for section, field in settings(SettingsFile):
        parts = [p for p in text.split("\n## ") if re.match(rf"`\[*[\w.]*{section}[\w.]*\]*`|Top level", p)]
        assert any(re.search(rf"^\| `{field}` \|.*\| [^|]{{8,}} \|$", p, re.MULTILINE) for p in parts), (section, field)


def verbs(app, path: str):
    yield app, path
    for verb in app:
        if not verb.startswith("-"):
            yield from verbs(app[verb], f"{path} {verb}")


@pytest.mark.parametrize("noun", NOUNS)
def test_every_command_and_option_is_documented(noun):
    text = page("cli.md")
    for app, path in verbs(root()[noun], f"farthing {noun}"):
        section = re.search(rf"^#+ {path}\n(.*?)(?=^#|\Z)", text, re.MULTILINE | re.DOTALL)
        assert section, path
        if app.default_command is None:
            continue
        for argument in app.assemble_argument_collection(parse_docstring=True):
            if argument.show:
                shown = argument.names[0] if argument.index is None else argument.names[0].lstrip("-").upper()
                assert re.search(rf"^\| `{shown}`.*\| [^|]{{5,}} \|$", section[1], re.MULTILINE), (path, shown)


def tree(error: type[FarthingError]):
    yield error
    for below in error.__subclasses__():
        if below.__module__ == "farthing.core.errors":
            yield from tree(below)


def test_every_error_is_documented():
    text = page("errors.md")
    words = [c.__name__ for c in tree(FarthingError)] + [k.value for k in ErrorKind if k] + [s.value for s in Status]
    assert [word for word in words if f"| `{word}` |" not in text] == []


def test_every_metric_is_documented():
    source = (ROOT / "src/farthing/gateway/metrics.py").read_text()
    names = re.findall(r'(?:_family|_histogram)\("(\w+)"', source)
    assert len(names) >= 7
    text = page("metrics.md")
    assert [name for name in (*names, "in_flight", "resident_bytes") if f"| `farthing_{name}` |" not in text] == []


def test_every_vendor_is_documented():
    rows = tomllib.loads((ROOT / "src/farthing/gateway/vendors.toml").read_text())
    text = page("vendors.md")
    assert [vendor for vendor in rows if f"| `{vendor}` |" not in text] == []


def test_every_header_in_the_code_is_documented():
    code = "".join(path.read_text() for path in (ROOT / "src/farthing").rglob("*.py"))
    found = set(re.findall(r"x-farthing-[a-z-]*[a-z]", code))
    literal = {header for header in found if not header.startswith("x-farthing-label")}
    assert {"x-farthing-cost", "x-farthing-team"} <= literal
    from farthing.gateway.wire import read

    known = {f"x-farthing-{name}" for name in (*read._SCOPE, *read._LISTS, *read._IGNORED)} | {"x-farthing-label-NAME"}
    text = page("headers.md")
    assert [header for header in literal | known if f"| `{header}` |" not in text] == []


def test_every_field_of_the_ledger_is_documented():
    text = page("ledger.md")
    names = [*RequestFact.__struct_fields__, *(column.name for column in COLUMNS)]
    assert [name for name in names if not re.search(rf"^\| `{name}` \|.*\| [^|]{{5,}} \|$", text, re.MULTILINE)] == []
    assert [name for name in DIMENSIONS if f"`{name}`" not in text] == []


def test_every_endpoint_is_documented():
    paths = msgspec.json.decode(printed())["paths"]
    text = page("api.md")
    endpoints = [f"## {method.upper()} {path}\n" for path, methods in paths.items() for method in methods]
    assert [endpoint for endpoint in endpoints if endpoint not in text] == []


def test_every_sdk_that_is_tested_is_in_the_table():
    text = page("sdks.md")
    scripts = [p.name for p in (*ROOT.glob("tests/e2e/sdk/*.py"), *ROOT.glob("tests/e2e/node/*.mjs"))]
    assert scripts
    assert [script for script in scripts if f"[{script}]" not in text] == []
