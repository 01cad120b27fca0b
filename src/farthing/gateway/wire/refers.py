"""Whether a request makes the model read what is not in it, so that its bytes do not bound what is billed."""

import re

_ELSEWHERE = re.compile(
    rb'"(?:previous_response_id|conversation|file_id|file_data|file_url|image_url)"|"type"\s*:\s*"url"'
)
"""Earlier turns, stored files, addresses; the last: a picture or document of Anthropic's that the provider fetches."""


def refers(body: bytes) -> bool:
    """Whether a body tells the model to read more. In text, quotes stand behind a backslash."""
    return _ELSEWHERE.search(body) is not None
