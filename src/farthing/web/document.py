"""The OpenAPI document: exact enough to generate clients and attacks from."""

from decimal import Decimal
from typing import Any, cast

import msgspec
from litestar import Litestar, Request
from litestar.openapi.config import OpenAPIConfig
from litestar.openapi.plugins import JsonRenderPlugin
from litestar.openapi.spec import Components, OpenAPIFormat, OpenAPIType, Schema, SecurityScheme
from litestar.plugins import OpenAPISchemaPluginProtocol
from litestar.typing import FieldDefinition

from farthing.web.wire import encode

VERSION = "1"
"""Of the interface, not of the program: it changes when a client must."""

REQUEST_BODIES = frozenset(
    {
        "ApprovalDraft",
        "CacheFeedback",
        "CachePurge",
        "InviteLogin",
        "KeyDraft",
        "LimitChange",
        "LimitDraft",
        "LimitWindow",
        "LinkVote",
        "LoginDraft",
        "PasswordDraft",
        "PasswordLogin",
        "PersonChange",
        "PersonDraft",
        "ScopeDraft",
        "TokenDraft",
        "VoteDraft",
    }
)
"""Components that clients send: only there may a field with a default be left out."""


class DecimalSchema(OpenAPISchemaPluginProtocol):
    """Money is a string in fixed point."""

    @staticmethod
    def is_plugin_supported_type(value: Any) -> bool:
        return value is Decimal

    def to_openapi_schema(self, field_definition: FieldDefinition, schema_creator: Any) -> Schema:
        """The schema of every decimal; the arguments are the protocol's."""
        del field_definition, schema_creator
        return Schema(type=OpenAPIType.STRING, format=cast("OpenAPIFormat", "decimal"), pattern=r"^-?\d+(\.\d+)?$")


class _Published(JsonRenderPlugin):
    """Serves the same document that is printed."""

    def render(self, request: Request[Any, Any, Any], openapi_schema: dict[str, Any]) -> bytes:
        """The completed document; it is the same for every request."""
        del request
        return encode(completed(openapi_schema))


def configuration() -> OpenAPIConfig:
    """Title, security and where the document is served."""
    return OpenAPIConfig(
        title="Farthing control API",
        version=VERSION,
        description="Spend, requests, prices, keys and health of one Farthing. Money is a decimal string.",
        path="/api/schema",
        operation_id_creator=lambda handler, _method, _path: handler.handler_name,
        render_plugins=[_Published(path="/openapi.json")],
        components=Components(
            security_schemes={
                "admin": SecurityScheme(type="http", scheme="bearer", description="A service's token, or admin.token"),
            }
        ),
        security=[{"admin": []}],
    )


def document(app: Litestar) -> dict[str, Any]:
    """The document as it is published."""
    return completed(msgspec.json.decode(encode(app.openapi_schema.to_schema())))


def completed(schema: dict[str, Any]) -> dict[str, Any]:
    """The document with what the framework leaves open: answers hold all of their fields, and objects that refuse
    unknown fields say so.
    """
    components = {
        name: _closed(body) if name in REQUEST_BODIES else _whole(body)
        for name, body in schema["components"]["schemas"].items()
    }
    paths = {
        path: {method: _operation(body) for method, body in operations.items()}
        for path, operations in schema["paths"].items()
    }
    return {**schema, "paths": paths, "components": {**schema["components"], "schemas": components}}


def _operation(body: dict[str, Any]) -> dict[str, Any]:
    """Refusals are problems, hosts may be unknown and bodies too large, 204 has no body, and a parameter that may be
    left out is never sent as null.
    """
    parameters = [{**p, "schema": _sent(p["schema"])} for p in body.get("parameters", ())]
    responses = {
        status: _answer(status, {k: v for k, v in answer.items() if v != {}})
        for status, answer in body["responses"].items()
    }
    responses["421"] = {**responses["400"], "description": "Unknown host"}
    if "requestBody" in body:
        responses["413"] = {**responses["400"], "description": "Body too large"}
    return {**body, "responses": responses, **({"parameters": parameters} if parameters else {})}


def _sent(schema: dict[str, Any]) -> dict[str, Any]:
    choices = schema.get("oneOf")
    if not choices:
        return schema
    own = {name: value for name, value in schema.items() if name != "oneOf"}
    value = next(choice for choice in choices if choice != {"type": "null"})
    return own if "anyOf" in own else {**value, **own}


def _answer(status: str, answer: dict[str, Any]) -> dict[str, Any]:
    if status == "204":
        return {"description": answer["description"]}
    if status >= "400":
        return {**answer, "content": {"application/problem+json": answer["content"]["application/json"]}}
    return answer


def _whole(body: dict[str, Any]) -> dict[str, Any]:
    return {**body, "required": list(body["properties"])} if body.get("properties") else body


def _closed(body: dict[str, Any]) -> dict[str, Any]:
    return {**body, "additionalProperties": False}
