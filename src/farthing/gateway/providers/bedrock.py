"""Amazon Bedrock: ``Converse`` and ``ConverseStream``, for every model it hosts.

Source: docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_Converse.html and …_ConverseStream.html.
"""

from collections.abc import Mapping
from urllib.parse import quote

from farthing.gateway.ports import Ask, Call, Reading, Target
from farthing.gateway.providers import _bedrock_converse, _passthrough
from farthing.gateway.providers._eventstream import Frames
from farthing.gateway.providers._sigv4 import signed
from farthing.gateway.providers._translate import translated
from farthing.gateway.providers._upstream import cannot, post
from farthing.gateway.wire.clients import client_of


class Bedrock:
    """``plugin`` of this module."""

    name = "bedrock"

    def ask(self, call: Call, target: Target) -> Ask:
        client = client_of(call.operation)
        if client is None:
            raise cannot(call, self.name)
        method = "converse-stream" if call.stream else "converse"
        path = f"/model/{quote(target.model, safe='')}/{method}"
        ask = post(target.provider, path, _bedrock_converse.body(client.talk(call.body)))
        if target.provider.auth != "sigv4":
            return ask
        return signed(ask, target.provider.api_key, region=target.provider.region, service="bedrock", at=call.at)

    def reading(self, call: Call, target: Target, status: int, headers: Mapping[bytes, bytes]) -> Reading:
        if status not in _passthrough.OK:
            return _passthrough.Refused(call, target, status, native=False)
        decoder = _bedrock_converse.ConverseDecoder(target.model, headers.get(b"x-amzn-requestid", b"").decode())
        return translated(call, target, decoder, headers, cutter=Frames(), unwrap=bytes)


plugin = Bedrock()
