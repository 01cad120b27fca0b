"""Which path means which operation, in which dialect the client speaks."""

from collections.abc import Mapping

from farthing.core.facts import Operation

_OPENAI = {
    "chat/completions": Operation.CHAT,
    "completions": Operation.COMPLETION,
    "embeddings": Operation.EMBEDDING,
    "responses": Operation.RESPONSE,
    "images/generations": Operation.IMAGE,
    "images/edits": Operation.IMAGE_EDIT,
}
_ANTHROPIC = {
    "messages": Operation.MESSAGE,
    "messages/count_tokens": Operation.COUNT_TOKENS,
}


def _table() -> dict[str, tuple[Operation, str]]:
    table: dict[str, tuple[Operation, str]] = {}
    for dialect, operations in (("openai", _OPENAI), ("anthropic", _ANTHROPIC)):
        for tail, operation in operations.items():
            table[f"/v1/{tail}"] = table[f"/{dialect}/v1/{tail}"] = (operation, dialect)
    return table


_OPERATIONS = _table()
_MODELS = {"/v1/models": "", "/openai/v1/models": "openai", "/anthropic/v1/models": "anthropic"}


def operation_of(path: str) -> tuple[Operation, str] | None:
    """The operation and the client's dialect (``openai`` or ``anthropic``), or ``None`` for other paths.

    ``/v1/…`` serves both dialects, since their operations have different names; ``/openai/v1/…`` and
    ``/anthropic/v1/…`` say it outright.
    """
    return _OPERATIONS.get(path)


def models_of(path: str, headers: Mapping[bytes, bytes]) -> tuple[str, str] | None:
    """The dialect and the model name ("" for the list) of a request about models, or ``None``.

    Both dialects list models at ``/v1/models``; Anthropic's SDKs always send ``anthropic-version``.
    """
    for root, dialect in _MODELS.items():
        if path == root or path.startswith(f"{root}/"):
            spoken = dialect or ("anthropic" if b"anthropic-version" in headers else "openai")
            return spoken, path[len(root) + 1 :]
    return None


def dialect_of(path: str, headers: Mapping[bytes, bytes]) -> str:
    """The dialect in which to refuse a path that means nothing here."""
    if path.startswith("/anthropic/") or b"anthropic-version" in headers:
        return "anthropic"
    return "openai"
