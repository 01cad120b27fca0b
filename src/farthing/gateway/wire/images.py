"""What Farthing reads of requests for images, as JSON or as a form, and the most that they can come to.

Output tokens of a picture, from OpenAI's image generation guide and its price calculator (developers.openai.com,
November 2026): at most 6,240 for the gpt-image-1 family, at high quality and 1024 by 1536 pixels. Its successors draw
any size up to 8.3 million pixels and count 96 · 96 · (2,000,000 + pixels) / 4,000,000 for the largest square, which
is 23,710. Every partial image of a stream counts 100. A picture handed in is read as at most 6,725 tokens.
"""

from typing import Annotated

import msgspec

from farthing.catalog.usage.openai import IMAGE_IN, IMAGE_OUT, PICTURE
from farthing.core.decode import convert, decode_json
from farthing.core.errors import InputError
from farthing.core.units import INPUT, OUTPUT, Usage
from farthing.gateway.wire.form import Form, read_form

MOST_IMAGES = 128
_FIRST_FAMILY = "gpt-image-1"
_FIRST_FAMILY_TOKENS = 6_240
_LATER_TOKENS = 23_710
_PARTIAL_TOKENS = 100
_BY_THE_PICTURE = "dall-e"
_INPUT_TOKENS = 6_725
_FORM = b"multipart/form-data"
_PICTURES = ("image", "image[]", "mask")

Name = Annotated[str, msgspec.Meta(min_length=1, max_length=512)]


class ImageHead(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """What Farthing reads of an ``images/generations`` or ``images/edits`` request.

    ``pictures`` are those handed in, ``words`` the bytes of everything else.
    """

    model: Name = "dall-e-2"
    n: Annotated[int, msgspec.Meta(ge=1, le=MOST_IMAGES)] | None = None
    stream: bool | None = None
    partial_images: Annotated[int, msgspec.Meta(ge=0, le=3)] | None = None
    images: list[msgspec.Raw] | None = None
    pictures: int = 0
    words: int = 0

    @property
    def output_limit(self) -> int:
        """Output tokens that all pictures can come to."""
        each = _FIRST_FAMILY_TOKENS if self.model.startswith(_FIRST_FAMILY) else _LATER_TOKENS
        return (self.n or 1) * (each + (self.partial_images or 0) * _PARTIAL_TOKENS)

    @property
    def most(self) -> Usage:
        """The most that the provider can count: tokens, or pictures where it charges by the picture."""
        if self.model.startswith(_BY_THE_PICTURE):
            return Usage({PICTURE: self.n or 1})
        read = self.input_estimate
        pictures = self.pictures * _INPUT_TOKENS
        return Usage({INPUT: read, IMAGE_IN: pictures, OUTPUT: self.output_limit, IMAGE_OUT: self.output_limit})

    @property
    def input_estimate(self) -> int:
        """Input tokens, bounded from above."""
        return self.words + self.pictures * _INPUT_TOKENS


def read_images(body: bytes, content_type: bytes) -> ImageHead:
    """The head of a request. Without a model, it is dall-e-2's, as OpenAI has it."""
    if not content_type.lower().startswith(_FORM):
        head = decode_json(body, ImageHead)
        return msgspec.structs.replace(head, words=len(body), pictures=len(head.images or ()))
    form = read_form(body, content_type)
    given = {name: value for name in ("model", "n", "stream", "partial_images") if (value := form.text(name))}
    head = convert(given, ImageHead, what="form", strict=False)
    pictures = sum(field.name in _PICTURES for field in form.fields)
    return msgspec.structs.replace(head, words=_words(form), pictures=pictures)


def pictures_of(body: bytes, content_type: bytes) -> int:
    """How many pictures a request asks for."""
    return read_images(body, content_type).n or 1


def renamed_form(body: bytes, content_type: bytes, model: str) -> bytes:
    """The form with another model. Raises ``InputError`` where it names none and another than the usual is meant."""
    form = read_form(body, content_type)
    if form.one("model") is None:
        raise InputError("missing", field="model", value="", remedy="Name the model")
    return form.with_text("model", model)


def _words(form: Form) -> int:
    return sum(field.end - field.start for field in form.fields if field.name not in _PICTURES)
