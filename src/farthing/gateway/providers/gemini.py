"""Google's Gemini API: ``generateContent``, its stream, and ``batchEmbedContents``.

Source: ai.google.dev/api/generate-content and ai.google.dev/api/embeddings.
"""

from collections.abc import Mapping

from farthing.core.facts import Operation
from farthing.gateway.ports import Ask, Call, Reading, Target
from farthing.gateway.providers import _gemini_content, _gemini_embed, _passthrough
from farthing.gateway.providers._translate import translated
from farthing.gateway.providers._upstream import cannot, post
from farthing.gateway.wire.clients import client_of


class Gemini:
    """``plugin`` of this module."""

    name = "gemini"

    def ask(self, call: Call, target: Target) -> Ask:
        name = target.model.removeprefix("models/")
        model = f"/models/{name}"
        if call.operation is Operation.EMBEDDING:
            return post(target.provider, f"{model}:batchEmbedContents", _gemini_embed.body(call, target))
        client = client_of(call.operation)
        if client is None:
            raise cannot(call, self.name)
        method = ":streamGenerateContent?alt=sse" if call.stream else ":generateContent"
        return post(target.provider, model + method, _gemini_content.body(client.talk(call.body), name))

    def reading(self, call: Call, target: Target, status: int, headers: Mapping[bytes, bytes]) -> Reading:
        if status not in _passthrough.OK:
            return _passthrough.Refused(call, target, status, native=False)
        if call.operation is Operation.EMBEDDING:
            return _gemini_embed.EmbeddingReading(call, target)
        return translated(call, target, _gemini_content.ContentDecoder(), headers)


plugin = Gemini()
