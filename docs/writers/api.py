"""The control API, from its own OpenAPI document."""

from typing import Any

import msgspec

from docs.writers.markdown import code, table
from farthing.web.openapi import printed


def page() -> str:
    """Every endpoint: what it takes and what it answers."""
    document = msgspec.json.decode(printed())
    schemas = document["components"]["schemas"]
    sections = [
        _endpoint(method, path, body)
        for path, methods in sorted(document["paths"].items())
        for method, body in methods.items()
    ]
    return (
        f"# Control API\n\n{document['info']['description']} The document itself is at `/api/schema/openapi.json`.\n\n"
        "Programs send `Authorization: Bearer TOKEN` with the content of `admin.token` in the data folder; browsers "
        "log in with it and get a cookie. Refusals are [problems](errors.md#refusals-of-the-control-api). Instants are "
        "RFC 3339.\n\n"
        + "\n".join(sections)
        + "\n## Shapes\n\n"
        + "\n".join(_shape(name, body) for name, body in sorted(schemas.items()))
    )


def _endpoint(method: str, path: str, body: dict[str, Any]) -> str:
    text = f"## {method.upper()} {path}\n\n{(body.get('description') or body.get('summary') or '').strip()}\n\n"
    parameters = body.get("parameters", [])
    if parameters:
        text += table(("parameter", "in", "type", "default"), map(_parameter, parameters)) + "\n"
    sent = body.get("requestBody", {}).get("content", {}).get("application/json", {}).get("schema")
    if sent:
        text += f"Takes {_type(sent)}.\n\n"
    good = [f"{s} {_content(a)}".strip() for s, a in body["responses"].items() if s < "400"]
    refusals = [s for s in body["responses"] if s >= "400"]
    return f"{text}Answers {'; '.join(good)}. Refuses with {', '.join(refusals)}.\n"


def _parameter(parameter: dict[str, Any]) -> tuple[str, str, str, str]:
    schema = parameter["schema"]
    default = schema.get("default", "")
    name = code(parameter["name"]) + (" (required)" if parameter.get("required") else "")
    return name, parameter["in"], _type(schema), code(default) if default not in ("", None) else ""


def _content(answer: dict[str, Any]) -> str:
    kinds = answer.get("content", {})
    return ", ".join(_type(body.get("schema", {})) or code(kind) for kind, body in kinds.items())


def _shape(name: str, body: dict[str, Any]) -> str:
    said = f"{body['description']}\n\n" if body.get("description") else ""
    if not body.get("properties"):
        return f"### {name}\n\n{said}{_type(body)}\n"
    rows = [(code(field), _type(schema)) for field, schema in body["properties"].items()]
    return f"### {name}\n\n{said}{table(('field', 'type'), rows)}"


def _type(schema: dict[str, Any]) -> str:
    if "$ref" in schema:
        name = schema["$ref"].rpartition("/")[2]
        return f"[{name}](#{name.lower()})"
    if "enum" in schema:
        return ", ".join(code(value or '""') for value in schema["enum"])
    options = schema.get("oneOf") or schema.get("anyOf")
    if options:
        return " or ".join(dict.fromkeys(filter(None, map(_type, options))))
    kind = schema.get("type", "")
    if kind == "array":
        return f"list of {_type(schema.get('items', {}))}"
    if kind == "object" and isinstance(schema.get("additionalProperties"), dict):
        return f"map to {_type(schema['additionalProperties'])}"
    return " or ".join(kind) if isinstance(kind, list) else schema.get("format") or kind
