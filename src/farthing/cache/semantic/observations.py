"""What hosts tell each other of a namespace they share."""

import msgspec

from farthing.cache.semantic.ports import Neighbour, Verdict


class Label(msgspec.Struct, frozen=True, array_like=True, tag="label", gc=False):
    """A question was answered afresh, and its answer agrees with the entry's, or does not."""

    verdict: Verdict
    agrees: bool


class Said(msgspec.Struct, frozen=True, array_like=True, tag="said", gc=False):
    """What somebody says of a hit."""

    text: str
    entry: Neighbour
    wrong: bool


class Left(msgspec.Struct, frozen=True, array_like=True, tag="left", gc=False):
    """An entry was purged; without a key, any might be meant."""

    key: bytes


decoder: msgspec.msgpack.Decoder[Label | Said | Left] = msgspec.msgpack.Decoder(Label | Said | Left)
