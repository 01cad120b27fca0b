"""Tools that a provider runs by itself, such as searching the web: they cost by the use, and each use reads anew.

Sources: platform.claude.com/docs/en/agents-and-tools/tool-use/web-search-tool and
platform.openai.com/docs/api-reference/responses/create, both November 2026.
"""

from collections.abc import Iterable, Mapping

import msgspec

from farthing.catalog.usage.reading import EXECUTION, FILE_SEARCH, SOCIAL_SEARCH, WEB_SEARCH
from farthing.core.decode import decode_json
from farthing.core.units import Unit
from farthing.gateway.ports import OwnTools

_BILLED: Mapping[str, Unit] = {
    "web_search": WEB_SEARCH,
    "file_search": FILE_SEARCH,
    "x_search": SOCIAL_SEARCH,
    "code_interpreter": EXECUTION,
}
_FREE = ("web_fetch", "mcp", "tool_search")
"""Without a fee for each use; what they read and write is billed all the same."""

_UNTOLD = ("image_generation", "code_execution")
"""Billed by another model or by the hour, which no request bounds."""


class Tool(msgspec.Struct, frozen=True, gc=False):
    """What Farthing reads of a tool: its ``type``, with a date behind it at Anthropic, and the most uses of it."""

    type: str = ""
    max_uses: int | None = None


def own_tools(tools: Iterable[msgspec.Raw], most: int | None = None) -> OwnTools | None:
    """The provider's own among the tools of a request; ``None`` when the client runs them all.

    ``most`` bounds the uses of all of them together.
    """
    found = [tool for tool in (decode_json(raw, Tool, what="tools") for raw in tools) if _is_own(tool)]
    if not found:
        return None
    bounds = [tool.max_uses for tool in found if tool.max_uses is not None]
    each = sum(bounds) if len(bounds) == len(found) else None
    units = {unit for tool in found for name, unit in _BILLED.items() if tool.type.startswith(name)}
    untold = any(tool.type.startswith(_UNTOLD) for tool in found)
    known = [] if untold else [bound for bound in (most, each) if bound is not None]
    return OwnTools(uses=min(known, default=None), units=tuple(units))


def _is_own(tool: Tool) -> bool:
    return tool.type.startswith((*_BILLED, *_FREE, *_UNTOLD))
